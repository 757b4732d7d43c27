// Part of /widget.js: the element. Shows what its source tells, in a shadow root that only custom properties and parts
// reach into, and passes it on as DOM events. Whatever a vendor says is text here, never markup.

/** Documents that are shown. */
const ROWS = 8;
/** Characters of a title or message that are shown. */
const LONGEST_TEXT = 160;

// It follows the page's own `color-scheme`: light, unless the page says that it can be dark.
// A sheet of the document object model: `style-src 'self'` of a page does not forbid it, as it would a <style>.
const SHEET = new CSSStyleSheet();
SHEET.replaceSync(`
:host { display: block; max-width: var(--docrelay-width, 30rem); container-type: inline-size;
  --text: var(--docrelay-text, light-dark(#1c1f23, #e6e8eb)); --quiet: var(--docrelay-quiet, light-dark(#5b636d, #a2abb5));
  --done: var(--docrelay-completed, light-dark(#17693a, #6fd394)); --failed: var(--docrelay-error, light-dark(#b3261e, #ff9a92));
  --busy: var(--docrelay-pending, light-dark(#7a5200, #f0c36a)); --line: var(--docrelay-line, light-dark(#d9dde2, #363d45));
  font: var(--docrelay-font, 15px/1.45 system-ui, sans-serif); }
:host([hidden]) { display: none; }
* { box-sizing: border-box; margin: 0; padding: 0; }
.box { direction: ltr; color: var(--text); background: var(--docrelay-background, light-dark(#fff, #1d2126)); border: 1px solid var(--line);
  border-radius: var(--docrelay-radius, .6rem); overflow: hidden; }
.state { display: flex; gap: .5rem; align-items: baseline; padding: .45rem .9rem; color: var(--quiet); font-size: .85em;
  border-bottom: 1px solid var(--line); }
.dot { flex: none; width: .55rem; height: .55rem; border-radius: 50%; background: var(--busy); }
[data-state="live"] .dot { background: var(--done); }
[data-state="offline"] .dot { background: none; box-shadow: inset 0 0 0 2px var(--quiet); }
[data-state="error"] .dot { background: var(--failed); border-radius: 0; }
.message { padding: .5rem .9rem; border-bottom: 1px solid var(--line); font-size: .9em; text-wrap: pretty; }
p:last-child { border-bottom: 0; }
[data-state="error"] .message { color: var(--failed); }
.empty { padding: .8rem .9rem; color: var(--quiet); }
ul { list-style: none; }
li { display: grid; grid-template-columns: auto minmax(0, 1fr) auto; gap: 0 .6rem; align-items: baseline; padding: .6rem .9rem; }
li + li { border-top: 1px solid var(--line); }
.mark { width: 1.1em; height: 1.1em; align-self: start; margin-top: .18em; color: var(--quiet); }
svg { display: block; width: 100%; height: 100%; fill: none; stroke: currentColor; stroke-width: 2.2; stroke-linecap: round; stroke-linejoin: round; }
.title, .problem { overflow-wrap: anywhere; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden;
  unicode-bidi: isolate; text-align: left; }
.title { font-weight: 600; }
.status { white-space: nowrap; font-weight: 600; font-size: .9em; }
.time, .problem { grid-column: 2 / -1; font-size: .85em; color: var(--quiet); }
.problem { color: var(--failed); }
[data-status="COMPLETED"] :is(.mark, .status) { color: var(--done); }
[data-status="ERROR"] :is(.mark, .status) { color: var(--failed); }
[data-status="PENDING"] :is(.mark, .status) { color: var(--busy); }
@container (max-width: 17rem) { li { grid-template-columns: auto minmax(0, 1fr); } .status { grid-column: 2; } }
.said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (prefers-reduced-motion: no-preference) {
  [data-status="PENDING"] svg, [data-state="connecting"] .dot { animation: turn 1.6s linear infinite; }
  [data-state="connecting"] .dot { animation-name: pulse; }
  li.news { animation: news 1.6s ease-out; }
  @keyframes turn { to { rotate: 360deg; } }
  @keyframes pulse { 50% { opacity: .25; } }
  @keyframes news { from { background: color-mix(in srgb, var(--busy) 22%, transparent); } }
}
@media (forced-colors: active) { .dot { forced-color-adjust: none; } }
`);

/** Drawn, so that a status is told by more than its colour. */
const MARKS = {
  PENDING: "M12 3a9 9 0 1 0 9 9",
  COMPLETED: "M4 12.5l5.5 5.5L20 6.5",
  ERROR: "M6 6l12 12M18 6L6 18",
};

function mark(status) {
  const span = node("span", "mark");
  span.setAttribute("aria-hidden", "true");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", MARKS[status] ?? "M12 12h.01");
  svg.append(path);
  span.append(svg);
  return span;
}

/** An element whose class is its part. */
function node(tag, name, text) {
  const made = document.createElement(tag);
  made.className = name;
  made.setAttribute("part", name);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Cut between characters, not inside one. Marks that turn the rest around would make `fdp.exe` read as `exe.pdf`. */
function short(text) {
  const plain = String(text).slice(0, 4 * LONGEST_TEXT).replace(/[\u202a-\u202e]/g, "");
  const characters = Array.from(plain.replace(/[\u0000-\u001f\u007f]+/g, " "));
  return characters.length > LONGEST_TEXT ? `${characters.slice(0, LONGEST_TEXT).join("")}…` : characters.join("");
}

class DocrelayStatus extends HTMLElement {
  static observedAttributes = ["relay", "token", "ticket-url", "document", "vendor", "lang"];

  #known = new Map();
  #status = { state: "connecting" };
  #source = null;
  #stop = null;
  #starting = false;
  #loaded = false;
  #stale = false;
  #note = false;
  #news = "";
  #page = null;
  #drawing = false;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [SHEET];
    const box = node("div", "box");
    // Read out by itself: one sentence for each change, not the whole list again.
    const said = node("p", "said");
    said.setAttribute("role", "status");
    said.setAttribute("aria-live", "polite");
    root.append(box, said);
  }

  /** `{state, code}`: how the stream is doing. */
  get state() {
    return { ...this.#status };
  }

  /** What is shown: the last event of each document, with its id, the newest first. */
  get documents() {
    return [...this.#known.values()].sort((a, b) => (before(a.id, b.id) ? 1 : -1)).slice(0, ROWS);
  }

  /** In place of a relay: a function that is given `tell` and returns a function that ends it. For canned events. */
  get source() {
    return this.#source;
  }

  set source(source) {
    this.#source = source;
    this.#restart();
  }

  connectedCallback() {
    this.#page = new AbortController();
    // A page that the browser keeps for "back" holds no stream, and looks anew when it is shown again.
    addEventListener("pagehide", () => this.#end(), { signal: this.#page.signal });
    addEventListener("pageshow", (shown) => shown.persisted && this.#restart(), { signal: this.#page.signal });
    this.#restart();
  }

  disconnectedCallback() {
    this.#page.abort();
    this.#end();
  }

  attributeChangedCallback(name, from, to) {
    if (from === to || !this.isConnected) return;
    if (name === "lang") this.#draw();
    else this.#restart();
  }

  #end() {
    this.#stop?.();
    this.#stop = null;
  }

  /** Once for all attributes that are changed together. */
  #restart() {
    if (this.#starting) return;
    this.#starting = true;
    queueMicrotask(() => {
      this.#starting = false;
      this.#end();
      if (!this.isConnected) return;
      this.#known.clear();
      this.#loaded = this.#stale = this.#note = false;
      this.#take({ state: "connecting" });
      let told = true;
      const stop = (this.#source ?? this.#relay())((message) => told && this.#take(message));
      this.#stop = () => {
        told = false;
        stop?.();
      };
    });
  }

  #relay() {
    let relay;
    try {
      relay = new URL(this.getAttribute("relay") || new URL(".", import.meta.url), document.baseURI);
    } catch { /* said below */ }
    if (!/^https?:$/.test(relay?.protocol)) return (tell) => tell({ state: "error", code: "bad_relay" });
    const ticketUrl = this.getAttribute("ticket-url");
    return relaySource({
      relay: (relay.origin + relay.pathname).replace(/\/+$/, ""),
      token: this.getAttribute("token")?.trim(),
      ticketUrl: ticketUrl && new URL(ticketUrl, document.baseURI).href,
      documents: this.#wanted(),
      vendor: this.getAttribute("vendor"),
    });
  }

  /** The documents that are named; null when none is. */
  #wanted() {
    const named = (this.getAttribute("document") ?? "").toLowerCase().split(/[\s,]+/).filter(Boolean);
    return named.length > 0 ? named : null;
  }

  #take(message) {
    if (message.documents) {
      if (this.#stale) this.#known.clear();
      this.#stale = false;
      this.#loaded = true;
      for (const document of message.documents) this.#keep(document);
    } else if (message.event) {
      this.#event(message);
    } else if (message.reset) {
      this.#stale = this.#note = true;
    } else if (message.state) {
      const { state, code } = message;
      if (state === "live") this.#loaded ||= this.#wanted() !== null;
      const changed = state !== this.#status.state || code !== this.#status.code;
      this.#status = code ? { state, code } : { state };
      if (changed) {
        const words = WORDS[languageOf(this)];
        this.#news = code ? words.codes[code] ?? words.codes.refused : words.states[state];
        this.#tell("docrelay-state", this.state);
      }
    }
    this.#draw();
  }

  #event({ event, isNews = true }) {
    if (this.#stale) this.#known.clear();
    this.#stale = false;
    if (!this.#keep(event) || !isNews) return;
    this.#note = false;
    this.#known.get(event.documentId).isNews = true;
    const { statuses, untitled } = WORDS[languageOf(this)];
    this.#news = `${short(event.title ?? untitled)}: ${statuses[event.status] ?? event.status}`;
    this.#tell("docrelay-event", event);
  }

  /** Whether this is newer than what is shown of its document. */
  #keep(event) {
    const vendor = this.getAttribute("vendor");
    if (vendor && event.vendor !== vendor) return false;
    const known = this.#known.get(event.documentId);
    if (known && !before(known.id, event.id)) return false;
    this.#known.set(event.documentId, { ...event });
    for (const old of this.#known.size > 4 * ROWS ? [...this.#known.values()] : []) {
      if (!this.documents.some((shown) => shown.documentId === old.documentId)) this.#known.delete(old.documentId);
    }
    return true;
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }

  /** Once for all that comes together. */
  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    queueMicrotask(() => {
      this.#drawing = false;
      this.#render();
    });
  }

  #render() {
    const language = languageOf(this);
    const words = WORDS[language];
    const { state, code } = this.#status;
    const [box, said] = this.shadowRoot.children;
    box.dataset.state = state;
    box.lang = language;
    const line = node("p", "state");
    line.append(node("span", "dot"), node("span", "state-text", words.states[state]));
    const parts = [line];
    const wrong = code && (words.codes[code] ?? words.codes.refused);
    if (wrong || this.#note) parts.push(node("p", "message", wrong ?? words.reset));
    const shown = this.documents;
    const list = node("ul", "list");
    list.append(...shown.map((event) => this.#item(event, words, language)));
    if (shown.length > 0) parts.push(list);
    else if (!wrong) parts.push(node("p", "empty", !this.#loaded ? words.loading : this.#wanted() ? words.unknown : words.none));
    box.replaceChildren(...parts);
    for (const event of this.#known.values()) event.isNews = false;
    if (said.textContent !== this.#news) said.textContent = this.#news;
  }

  #item(event, words, language) {
    const item = node("li", "item");
    item.part.add(`item-${String(event.status).toLowerCase()}`);
    item.dataset.status = event.status;
    if (event.isNews) item.classList.add("news");
    const title = node("bdi", "title", short(event.title || event.vendorId || event.documentId));
    title.dir = "auto";
    item.append(mark(event.status), title, node("span", "status", words.statuses[event.status] ?? event.status));
    const problem = event.error && [event.error.code, event.error.message].filter(Boolean).join(": ");
    if (event.status === "ERROR" && problem) {
      const bdi = node("bdi", "problem", short(problem));
      bdi.dir = "auto";
      item.append(bdi);
    }
    const time = new Date(event.time);
    if (!Number.isNaN(time.valueOf())) {
      const isToday = time.toDateString() === new Date().toDateString();
      const form = isToday ? { timeStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" };
      const shown = node("time", "time", new Intl.DateTimeFormat(language, form).format(time));
      shown.dateTime = event.time;
      item.append(shown);
    }
    return item;
  }
}

// Two copies of this module on a page do no harm.
if (!customElements.get("docrelay-status")) customElements.define("docrelay-status", DocrelayStatus);
