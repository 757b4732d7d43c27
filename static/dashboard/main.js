// The page as a whole: signing in and out, which part is shown, and drawing it no more than once a frame.

const PAGES = { hooks: HooksPage, notifications: NotificationsPage, rejects: RejectsPage };
let session;
let running = new AbortController();
let list;
let shown = {};
let drawing;
let said = { what: "off", key: "off" };
const store = new DocumentStore((id) => {
  drawing ??= requestAnimationFrame(draw);
  if (id && shown.page instanceof DocumentPage && shown.page.known?.documentId === id) shown.page.changed();
});

/** The state of the connection, in words. */
function say(what, key, values) {
  said = { what, key, values };
  const state = byId("state");
  state.dataset.state = what;
  state.textContent = word(key, values);
  if (what === "refused") arrange();
}

function draw() {
  drawing = undefined;
  if (!session || shown.place !== "documents") return;
  list.draw();
  drawChart(byId("minutes"), store.minutes);
}

/** What an address that cannot be loaded says. */
function failure(error, again) {
  const text = error instanceof TypeError ? word("unreachable") : error.message;
  return build("div", { class: "empty", role: "alert" }, build("p", { class: "headline" }, text), build("p", {}, build("button", { type: "button", click: again }, word("tryAgain"))));
}

function head(title, help) {
  return build("header", {}, build("h1", { tabindex: "-1" }, word(title)), build("p", { class: "quiet" }, word(help)));
}

/** Which parts of the page are to be seen. */
function arrange() {
  const { place } = here();
  const refused = said.what === "refused";
  const stranger = !session || (refused && !store.loaded);
  byId("welcome").hidden = !stranger;
  byId("entrance").hidden = !stranger && !refused;
  byId("guide").hidden = !stranger && place !== "help";
  byId("guide-heading").hidden = stranger;
  byId("list").hidden = stranger || place !== "documents";
  byId("page").hidden = stranger || place === "documents" || place === "help";
  byId("places").hidden = stranger;
  byId("forget").hidden = !session;
  for (const link of byId("places").querySelectorAll("a")) {
    const current = link.dataset.place === place || (link.dataset.place === "documents" && place === "document");
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** Shows what the address says. */
async function route() {
  const { place, id, filters } = here();
  const before = shown;
  shown = { place, id, scroll: 0 };
  if (before.place === "documents") lastList = { scroll: scrollY, focus: list?.table.current };
  arrange();
  if (!session || byId("places").hidden) return;
  document.title = place === "documents" ? "docrelay" : `${word(place === "document" ? "documents" : place)} · docrelay`;
  if (place === "documents") {
    list.restore(filters);
    draw();
    if (before.place === "document") {
      scrollTo({ top: lastList?.scroll ?? 0, behavior: "instant" });
      list.table.focus(before.id);
    }
    return;
  }
  scrollTo({ top: 0, behavior: "instant" });
  if (place === "help") return byId("guide-heading").focus();
  // A place of its own: an answer that comes too late is drawn where nobody sees it any more.
  const part = build("div");
  byId("page").replaceChildren(part);
  if (place === "document") {
    part.replaceChildren(build("p", { class: "quiet" }, word("loading")));
    shown.page = new DocumentPage(part, session, id, listAddress(filters));
    return;
  }
  const page = new PAGES[place](part, session);
  const mine = shown;
  const load = async () => {
    try {
      await page.load();
    } catch (error) {
      page.drawn = undefined;
      if (shown === mine) part.replaceChildren(head(place, `${place}Help`), failure(error, load));
    }
  };
  page.reload = () => shown === mine && load();
  part.replaceChildren(head(place, `${place}Help`), build("p", { class: "quiet" }, word("loading")));
  await load();
  if (place === "notifications") watch(() => shown === mine, load);
  if (shown === mine && before.place) part.querySelector("h1").focus({ preventScroll: true });
}
let lastList;

/** Looks again now and then: deliveries happen without an event. */
async function watch(wanted, load) {
  while (wanted()) {
    await new Promise((resolve) => setTimeout(resolve, LOOKS_AGAIN * 3));
    if (wanted() && !document.hidden) await load();
  }
}

function start(next) {
  running.abort();
  running = new AbortController();
  session = next;
  keep(next.token);
  store.clear();
  list ??= new DocumentList(store, session);
  list.session = session;
  list.table.clear();
  const { signal } = running;
  say("waiting", "connecting");
  follow(session, {
    signal,
    say,
    load: async () => {
      const from = await store.load(session, signal);
      arrange();
      return from;
    },
    take: (event, position) => {
      if (store.take(event, position)) list.arrived(store.byId.get(event.documentId));
    },
  });
  route();
}

function stop() {
  running.abort();
  session?.end();
  keep(null);
  session = undefined;
  store.clear();
  list?.table.clear();
  byId("page").replaceChildren();
  history.replaceState(null, "", location.pathname);
  say("off", "forgotten");
  route();
  byId("token").focus();
}

function entrance(form, begin) {
  form.addEventListener("submit", async (submitted) => {
    submitted.preventDefault();
    const values = [...form.querySelectorAll("input")].map((field) => field.value.trim());
    byId("denied").textContent = "";
    try {
      const next = await begin(...values);
      form.reset();
      start(next);
    } catch (error) {
      byId("denied").textContent = error instanceof TypeError ? word("unreachable") : error.message;
    }
  });
}

/** Escape leaves a document; `/` goes to the search. */
function key(event) {
  const typing = event.target.closest("input, select, textarea");
  if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "Escape" && shown.place === "document") location.hash = shown.page.back;
  if (event.key === "/" && !typing && session && shown.place === "documents") {
    event.preventDefault();
    byId("search").focus();
  }
}

for (const place of document.querySelectorAll(".origin")) place.textContent = location.origin;
entrance(byId("sign-in"), (token) => new Session(token));
entrance(byId("sign-in-client"), (id, secret) => Session.of({ id, secret }));
byId("forget").addEventListener("click", stop);
byId("language").addEventListener("click", () => {
  switchLanguage();
  say(said.what, said.key, said.values);
  route();
});
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
addEventListener("keydown", key);
addEventListener("hashchange", () => {
  const token = fromFragment();
  if (token) start(new Session(token));
  else route();
});
setInterval(() => {
  growOlder();
  if (session && shown.place === "documents") drawChart(byId("minutes"), store.minutes);
}, 1000);

translate();
const token = fromFragment() || kept();
if (token) start(new Session(token));
else arrange();
