// The start page: shows the newest events of whoever's token it is given. The token comes from the field or from the
// address's fragment (/#token=…), which no server ever sees; it is kept for this tab and sent in a header only.

import { Parser, read } from "/sse.js";

const ROWS = 50;
const KEPT_AS = "docrelay-token";
// A relay sends an empty line every 15 seconds unless it is told otherwise.
const SILENCE = 90_000;
const LONGEST = 60_000;
const REFUSALS = {
  auth_required: "The relay asks for a token.",
  auth_failed: "The token was not accepted: it is wrong, has expired, was revoked or does not allow events.",
  not_accepted: "The relay says that this browser does not accept event streams.",
};

const byId = (id) => document.getElementById(id);
const [state, table, field, forget] = ["state", "events", "token", "forget"].map(byId);
let running = new AbortController();

/** A relay that says no: coming back would not help. */
class Refused extends Error {}

function say(what, text) {
  state.dataset.state = what;
  state.textContent = text;
}

/** What an event says beyond its status: a title, why it failed, or how the vendor calls it. */
function summary(event) {
  const error = event.error && [event.error.code, event.error.message].filter(Boolean).join(" ");
  const name = event.title ?? (event.vendorId === event.documentId ? undefined : event.vendorId);
  return [name, error].filter(Boolean).join(": ");
}

/** `12:43:00` of today, with the date in front when it is another day's. */
function clock(time) {
  const at = new Date(time);
  const today = at.toDateString() === new Date().toDateString();
  return Number.isNaN(at.valueOf()) ? "" : today ? at.toLocaleTimeString() : at.toLocaleString();
}

function show(event, isNews) {
  const row = document.createElement("tr");
  for (const text of [clock(event.time), event.status, event.vendor, event.documentId, summary(event)]) {
    const cell = document.createElement("td");
    cell.textContent = text ?? "";
    row.append(cell);
  }
  row.cells[1].dataset.status = event.status;
  if (event.time) row.cells[0].title = event.time;
  if (isNews) row.className = "fresh";
  const body = table.tBodies[0];
  body.prepend(row);
  while (body.rows.length > ROWS) body.lastChild.remove();
  table.hidden = false;
}

/** Shows where the newest documents stand; returns the id after which a stream goes on without a gap. */
async function present(headers, signal) {
  const response = await fetch(`/documents?limit=${ROWS}`, { headers, signal, cache: "no-store", credentials: "omit" });
  if (response.status === 401 || response.status === 403) throw new Refused(REFUSALS.auth_failed);
  if (!response.ok) throw new Error(`the relay answered ${response.status}`);
  const { documents, lastEventId } = await response.json();
  const position = (document) => Number(document.eventId.split(".")[1]);
  table.tBodies[0].replaceChildren();
  for (const document of documents.sort((a, b) => position(a) - position(b))) show(document, false);
  return lastEventId;
}

function take(event) {
  if (event.type === "message") show(JSON.parse(event.data), true);
  if (event.type === "reset") say("open", "Connected again, but some events in between are no longer kept.");
  // An `error` of the stream itself; a connection that is lost ends without one.
  if (event.type === "error") throw new Refused(REFUSALS[event.data] ?? `The relay refuses: ${event.data}`);
}

/** Follows over as many connections as it takes, until it is refused or `signal` says stop. */
async function follow(token, signal) {
  const headers = { Authorization: `Bearer ${token}` };
  let parser;
  let failures = 0;
  while (!signal.aborted) {
    say("waiting", failures === 0 ? "Connecting." : "Connecting again.");
    try {
      parser ??= new Parser(await present(headers, signal));
      const onOpen = () => {
        failures = 0;
        say("open", "Connected: events appear as they happen.");
      };
      // What was half read when a connection broke is read again from its beginning.
      parser = Object.assign(new Parser(parser.lastEventId), { retry: parser.retry });
      await read("/events/client", { headers, parser, signal, silence: SILENCE, onOpen, onEvent: take });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused) return say("refused", error.message);
      failures += 1;
    }
    // `retry:`, longer with each failure and jittered upward: a relay that comes back is not met by all at once.
    const wait = Math.min((parser?.retry ?? 3000) * 2 ** Math.max(failures - 1, 0), LONGEST) * (1 + Math.random() / 4);
    say("waiting", `Connection lost: trying again in ${Math.ceil(wait / 1000)} s.`);
    await pause(wait, signal);
  }
}

/** Waits, but not longer than until the network is back or the page stops following. */
function pause(milliseconds, signal) {
  const over = new AbortController();
  return new Promise((resolve) => {
    const end = () => {
      over.abort();
      resolve();
    };
    setTimeout(end, milliseconds);
    addEventListener("online", end, { signal: over.signal });
    signal.addEventListener("abort", end, { signal: over.signal });
  });
}

/** A browser may forbid storage: then the token is good until the page is left. */
function keep(token) {
  try {
    if (token) sessionStorage.setItem(KEPT_AS, token);
    else sessionStorage.removeItem(KEPT_AS);
  } catch { /* kept nowhere */ }
}

function kept() {
  try {
    return sessionStorage.getItem(KEPT_AS);
  } catch {
    return null;
  }
}

function start(token) {
  running.abort();
  running = new AbortController();
  keep(token);
  forget.hidden = false;
  table.tBodies[0].replaceChildren();
  table.hidden = true;
  follow(token, running.signal);
}

/** The token of the fragment, which is taken out of the address at once: addresses are shown, shared and kept. */
function fromFragment() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token !== null) history.replaceState(null, "", location.pathname);
  return token;
}

for (const place of document.querySelectorAll(".origin")) place.textContent = location.origin;

byId("sign-in").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const token = field.value.trim();
  field.value = "";
  if (token) start(token);
});

forget.addEventListener("click", () => {
  running.abort();
  keep(null);
  forget.hidden = true;
  say("off", "Not connected. The token is forgotten.");
  field.focus();
});

addEventListener("hashchange", () => {
  const token = fromFragment();
  if (token) start(token);
});

const token = fromFragment() || kept();
if (token) start(token);
