// The page of all documents: filters, what they leave, and words for nothing at all. The filters live in the address.

/** What is read out at most once in so long: a busy stream must not talk for ever. */
const SPOKEN_EVERY = 10_000;

class DocumentList {
  constructor(store, session) {
    this.store = store;
    this.session = session;
    this.filters = here().filters;
    this.table = new DocumentTable(byId("documents"), (known) => documentAddress(known.documentId, this.filters));
    this.unseen = 0;
    this.unspoken = [];
    byId("search").addEventListener("input", ({ target }) => this.narrow({ q: target.value }));
    byId("search").addEventListener("keydown", (event) => this.searchKey(event));
    byId("vendor").addEventListener("change", ({ target }) => this.narrow({ vendor: target.value }));
    for (const button of byId("statuses").querySelectorAll("button")) {
      button.addEventListener("click", () => this.narrow({ status: button.dataset.status }));
    }
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("newer").addEventListener("click", () => {
      scrollTo({ top: 0, behavior: "instant" });
      this.table.focus(this.table.documents[0]?.documentId);
    });
    addEventListener("scroll", () => this.table.firstSeen() === 0 && this.sawAll(), { passive: true });
  }

  /** Other filters: the address changes in place, without a step of the history for each letter. */
  narrow(change) {
    this.filters = { ...this.filters, ...change };
    history.replaceState(null, "", listAddress(this.filters));
    this.draw();
  }

  /** As the address says. */
  restore(filters) {
    this.filters = filters;
    byId("search").value = filters.q;
    this.draw();
  }

  searchKey(event) {
    if (event.key === "Escape" && this.filters.q !== "") {
      event.preventDefault();
      event.target.value = "";
      this.narrow({ q: "" });
    } else if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      if (this.table.documents.length > 0) this.table.focus(this.table.documents[0].documentId);
      else if (event.key === "Enter" && this.filters.q) this.lookUp();
    }
  }

  arrived(event) {
    this.table.arrived(event.documentId);
    this.unspoken.push(event);
    this.speaking ??= setTimeout(() => this.speak(), this.unspoken.length === 1 ? 500 : SPOKEN_EVERY);
    if (this.table.firstSeen() > 0 && this.passes(event, "")) this.unseen += 1;
  }

  speak() {
    const last = this.unspoken.at(-1);
    byId("heard").textContent = word("heard", { count: this.unspoken.length, title: (last.title || last.vendorId).slice(0, 80), status: word(last.status) });
    this.unspoken = [];
    this.speaking = setTimeout(() => {
      this.speaking = undefined;
      if (this.unspoken.length > 0) this.speak();
    }, SPOKEN_EVERY);
  }

  sawAll() {
    if (this.unseen === 0) return;
    this.unseen = 0;
    byId("newer").hidden = true;
  }

  passes(known, q = this.filters.q.trim().toLowerCase()) {
    const { vendor, status } = this.filters;
    return (!vendor || known.vendor === vendor) && (!status || known.status === status) && (!q || known.text.includes(q));
  }

  draw() {
    const all = this.store.all;
    const { q, vendor, status } = this.filters;
    const term = q.trim().toLowerCase();
    const found = q || vendor || status ? all.filter((known) => this.passes(known, term)) : all;
    this.drawFilters(all, term);
    const total = all.length;
    const words = found.length < total ? "someShown" : total === 1 ? "oneShown" : "allShown";
    byId("shown").textContent = [word(words, { count: found.length, total }), this.store.complete ? "" : word("onlyNewest", { total })].filter(Boolean).join(". ");
    byId("documents").hidden = found.length === 0;
    byId("keys").hidden = found.length === 0;
    byId("newer").hidden = this.unseen === 0;
    byId("newer").textContent = word("newer", { count: this.unseen });
    byId("nothing").replaceChildren(...(found.length === 0 && this.store.loaded ? [this.nothing(total, q)] : []));
    this.table.show(found);
  }

  drawFilters(all, term) {
    const counts = { "": 0, PENDING: 0, COMPLETED: 0, ERROR: 0 };
    const vendors = new Set(this.filters.vendor ? [this.filters.vendor] : []);
    for (const known of all) {
      vendors.add(known.vendor);
      if ((this.filters.vendor && known.vendor !== this.filters.vendor) || (term && !known.text.includes(term))) continue;
      counts[known.status] += 1;
      counts[""] += 1;
    }
    for (const button of byId("statuses").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.status === this.filters.status));
      button.lastElementChild.textContent = number(counts[button.dataset.status]);
    }
    const select = byId("vendor");
    const names = [...vendors].sort();
    if (names.join() !== select.dataset.names) {
      select.dataset.names = names.join();
      select.replaceChildren(build("option", { value: "", "data-word": "allVendors" }, word("allVendors")), ...names.map((name) => build("option", { value: name }, name)));
    }
    select.value = this.filters.vendor;
  }

  nothing(total, q) {
    if (total === 0) {
      const line = `curl -H "Authorization: Bearer $TOKEN" -d '{"vendor":"ppj"}' ${location.origin}/hooks`;
      return empty(word("none"), build("p", {}, word("noneHelp")), build("pre", { tabindex: "0", role: "region", "aria-label": word("withCurl") }, line));
    }
    const clear = () => {
      byId("search").value = "";
      this.narrow({ q: "", vendor: "", status: "" });
      byId("search").focus();
    };
    return empty(word("noMatch"), build("p", { class: "actions" },
      build("button", { type: "button", click: clear }, word("clear")),
      q && !this.store.complete && build("button", { type: "button", click: () => this.lookUp() }, word("lookUp"))));
  }

  /** An identifier that is not among the newest: the relay may know it. */
  async lookUp() {
    const term = this.filters.q.trim();
    const found = await this.session.ask(`/documents?vendorId=${encodeURIComponent(term)}`).catch(() => ({ documents: [] }));
    const id = found.documents[0]?.documentId ?? (/^[0-9a-f-]{36}$/i.test(term) ? term : undefined);
    if (id) location.hash = documentAddress(id, this.filters);
    else byId("nothing").append(build("p", { role: "alert" }, word("notThere")));
  }
}
