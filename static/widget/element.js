// <docrelay-status>: shows the documents of its source in a shadow root, and dispatches DOM events for what changes.
//
// A source is a function that gets `notify` and returns a function that ends it. It notifies of `{documents}` (the present
// state), `{event, isNews}`, `{reset}` (the present state follows) and `{state, code}`.

import { documentIdsOf, sourceOf } from "./attributes.js";
import { codeText, languageOf, TEXTS } from "./i18n.js";
import { LatestDocuments } from "./latest-documents.js";
import { SHEET } from "./style.js";
import { node, renderBox, shorten } from "./view.js";

class DocrelayStatus extends HTMLElement {
  static observedAttributes = ["relay", "token", "ticket-url", "document", "vendor", "lang"];

  #latest = new LatestDocuments();
  #status = { state: "connecting" };
  #source = null;
  #stopSource = null;
  /** The present state has been loaded. */
  #isLoaded = false;
  /** What is shown is from before a reset, and is removed when something newer arrives. */
  #isStale = false;
  /** The view tells that events were lost. */
  #showsReset = false;
  /** The last change, for screen readers. */
  #announcement = "";
  #connected = null;
  #restartQueued = false;
  #renderQueued = false;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [SHEET];
    // Screen readers read one sentence for each change, not the whole list.
    const announcement = node("p", "announcement");
    announcement.setAttribute("role", "status");
    announcement.setAttribute("aria-live", "polite");
    root.append(node("div", "box"), announcement);
  }

  /** The state of the connection: `{state, code}`. */
  get state() {
    return { ...this.#status };
  }

  /** The documents that are shown: the last event of each with its id, newest first. */
  get documents() {
    return this.#latest.rows.map(({ event }) => event);
  }

  /** Replaces the relay as the source of events. */
  get source() {
    return this.#source;
  }

  set source(source) {
    this.#source = source;
    this.#restart();
  }

  connectedCallback() {
    this.#connected = new AbortController();
    const { signal } = this.#connected;
    // A page in the back/forward cache must not hold a stream. It loads its state again when it is restored.
    addEventListener("pagehide", () => this.#stop(), { signal });
    addEventListener("pageshow", ({ persisted }) => persisted && this.#restart(), { signal });
    this.#restart();
  }

  disconnectedCallback() {
    this.#connected.abort();
    this.#stop();
  }

  attributeChangedCallback(name, before, after) {
    if (before === after || !this.isConnected) return;
    if (name === "lang") this.#queueRender();
    else this.#restart();
  }

  #stop() {
    this.#stopSource?.();
    this.#stopSource = null;
  }

  /** Queued, so that several attributes that change together cause one restart. */
  #restart() {
    if (this.#restartQueued) return;
    this.#restartQueued = true;
    queueMicrotask(() => {
      this.#restartQueued = false;
      this.#stop();
      if (!this.isConnected) return;
      this.#latest.clear();
      this.#isLoaded = this.#isStale = this.#showsReset = false;
      this.#receive({ state: "connecting" });
      let isStopped = false;
      const source = this.#source ?? sourceOf(this);
      const stop = source((message) => !isStopped && this.#receive(message));
      this.#stopSource = () => {
        isStopped = true;
        stop?.();
      };
    });
  }

  #receive(message) {
    if (message.documents) {
      this.#dropStale();
      this.#isLoaded = true;
      for (const document of message.documents) this.#put(document);
    } else if (message.event) {
      this.#onEvent(message);
    } else if (message.reset) {
      this.#isStale = this.#showsReset = true;
    } else if (message.state) {
      this.#onState(message);
    }
    this.#queueRender();
  }

  #onState({ state, code }) {
    // Named documents without an event are not in the snapshot of a ticket: a live stream is all there is to wait for.
    if (state === "live") this.#isLoaded ||= documentIdsOf(this) !== null;
    const isSame = state === this.#status.state && code === this.#status.code;
    this.#status = code ? { state, code } : { state };
    if (isSame) return;
    const texts = TEXTS[languageOf(this)];
    this.#announcement = code ? codeText(texts, code) : texts.states[state];
    this.#dispatch("docrelay-state", this.state);
  }

  #onEvent({ event, isNews = true }) {
    this.#dropStale();
    if (!this.#put(event, { isNew: isNews }) || !isNews) return;
    this.#showsReset = false;
    const { statuses, untitled } = TEXTS[languageOf(this)];
    this.#announcement = `${shorten(event.title ?? untitled)}: ${statuses[event.status] ?? event.status}`;
    this.#dispatch("docrelay-event", event);
  }

  #put(event, options) {
    const vendor = this.getAttribute("vendor");
    return (!vendor || event.vendor === vendor) && this.#latest.put({ ...event }, options);
  }

  #dropStale() {
    if (this.#isStale) this.#latest.clear();
    this.#isStale = false;
  }

  #dispatch(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }

  /** Queued, so that messages that arrive together cause one rendering. */
  #queueRender() {
    if (this.#renderQueued) return;
    this.#renderQueued = true;
    queueMicrotask(() => {
      this.#renderQueued = false;
      this.#render();
    });
  }

  #render() {
    const language = languageOf(this);
    const texts = TEXTS[language];
    const [box, announcement] = this.shadowRoot.children;
    box.dataset.state = this.#status.state;
    box.lang = language;
    const rows = this.#latest.rows;
    const view = { status: this.#status, rows, emptyText: this.#emptyText(texts), showsReset: this.#showsReset };
    box.replaceChildren(...renderBox(view, texts, language));
    this.#latest.markSeen();
    if (announcement.textContent !== this.#announcement) announcement.textContent = this.#announcement;
  }

  #emptyText(texts) {
    if (!this.#isLoaded) return texts.loading;
    return documentIdsOf(this) ? texts.unknown : texts.none;
  }
}

// A page may load two copies of this module.
if (!customElements.get("docrelay-status")) customElements.define("docrelay-status", DocrelayStatus);
