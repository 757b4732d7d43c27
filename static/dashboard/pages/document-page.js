// The page of one document: its present state, its history, and its deliveries.

import { badge, codeBlock, copyButton, element, emptyState, facts, foreign } from "../ui/dom.js";
import { errorNotice, errorText } from "../ui/error-text.js";
import { language, text } from "../ui/i18n.js";
import { requestText } from "../ui/request-text.js";
import { exactTime, timeElement } from "../ui/time.js";
import { deliveryRow, documentLink, REFRESH_INTERVAL_MS, targetName } from "./delivery-row.js";

const MAX_TITLE_LENGTH = 300;
const MAX_DELIVERIES = 50;
const MAX_EVENTS = 1000;

export class DocumentPage {
  #container;
  #session;
  #id;
  #heading;
  #isLoading = false;
  #hasChanged = false;
  #hadFocus = false;
  /** What is shown, to leave the page alone while nothing changes. */
  #rendered;
  /** Events whose raw request is open, and the requests loaded so far. */
  #openEvents = new Set();
  #rawRequests = new Map();

  /** `back` is the route of the list to return to. */
  constructor(container, session, { id, back }) {
    this.#container = container;
    this.#session = session;
    this.#id = id;
    this.back = back;
    this.#load();
  }

  /** Loads the page again if it shows this document. */
  onChange(documentId) {
    if (documentId === this.documentId) this.#refresh();
  }

  #refresh() {
    if (this.#isLoading) this.#hasChanged = true;
    else this.#load();
  }

  async #load() {
    this.#isLoading = true;
    this.#hasChanged = false;
    try {
      const content = await this.#request();
      if (!this.#container.isConnected) return;
      this.documentId = content.document.documentId;
      this.#renderIfChanged(content);
      const { deliveries } = content;
      if (!(deliveries instanceof Error) && deliveries.some(({ state }) => state === "pending")) this.#refreshLater();
    } catch (error) {
      this.#rendered = undefined;
      const isMissing = error.status === 404;
      const notice = isMissing ? emptyState(text("noDocument")) : errorNotice(error, () => this.#load());
      this.#container.replaceChildren(this.#backLink(), notice);
    }
    this.#isLoading = false;
    if (this.#hasChanged) this.#load();
  }

  /** `{document, events, deliveries}`; `deliveries` is an error if this token must not read them. */
  async #request() {
    const path = `/documents/${encodeURIComponent(this.#id)}`;
    const [document, events] = await Promise.all([this.#session.request(path), this.#events(`${path}/events`)]);
    const query = `/deliveries?limit=${MAX_DELIVERIES}&document=${document.documentId}`;
    const deliveries = await this.#session.request(query).then(
      (page) => page.deliveries,
      (error) => error,
    );
    return { document, events, deliveries };
  }

  /** The latest events, oldest first: as many pages as it takes. */
  async #events(path) {
    const events = [];
    let cursor;
    do {
      const page = await this.#session.request(cursor ? `${path}?cursor=${cursor}` : path);
      events.unshift(...page.events);
      cursor = page.next;
    } while (cursor && events.length < MAX_EVENTS);
    return events;
  }

  #refreshLater() {
    setTimeout(() => this.#heading.isConnected && this.#refresh(), REFRESH_INTERVAL_MS);
  }

  #renderIfChanged(content) {
    const rendered = JSON.stringify([content, language()]);
    if (rendered !== this.#rendered) this.#render(content);
    this.#rendered = rendered;
  }

  #render({ document: known, events, deliveries }) {
    const focusKey = document.activeElement?.dataset?.key;
    this.#heading = element("h1", { tabindex: "-1" }, foreign(known.title || known.vendorId, MAX_TITLE_LENGTH));
    const history = [...events].reverse().map((event) => this.#event(event));
    this.#container.replaceChildren(
      this.#backLink(),
      element("div", { class: "heading" }, this.#heading, badge(known.status)),
      documentFacts(known),
      ...problemSection(known.error),
      ...(known.result ? [section("result", codeBlock(JSON.stringify(known.result, null, 2), text("result")))] : []),
      section("history", element("ol", { class: "history" }, history)),
      section("deliveries", this.#deliveries(deliveries)),
    );
    document.title = `${(known.title || known.vendorId).slice(0, 60)} · docrelay`;
    if (focusKey) this.#container.querySelector(`[data-key="${focusKey}"]`)?.focus();
    else if (!this.#hadFocus) this.#heading.focus({ preventScroll: true });
    this.#hadFocus = true;
  }

  #backLink() {
    return element("p", {}, element("a", { href: this.back, class: "back" }, `← ${text("back")}`));
  }

  #event(event) {
    const problem = event.error && [event.error.code, event.error.message].filter(Boolean).join(" ");
    const content = element("div", {});
    const summary = element("summary", { "data-key": event.eventId }, text("raw"));
    const onToggle = () => this.#toggleRaw(event.eventId, details, content);
    const open = this.#openEvents.has(event.eventId);
    const details = element("details", { toggle: onToggle, open }, summary, content);
    const exact = element("span", { class: "quiet" }, exactTime(event.time));
    const line = [badge(event.status), timeElement(event.time), exact, problem && foreign(problem, MAX_TITLE_LENGTH)];
    return element("li", {}, element("div", { class: "line" }, line), details);
  }

  async #toggleRaw(id, details, content) {
    if (!details.open) {
      this.#openEvents.delete(id);
      return;
    }
    this.#openEvents.add(id);
    if (content.hasChildNodes()) return;
    if (!this.#rawRequests.has(id)) this.#rawRequests.set(id, this.#loadRaw(id));
    content.replaceChildren(codeBlock(await this.#rawRequests.get(id), text("raw")));
  }

  /** The raw request of an event as text, or the error's text. */
  async #loadRaw(id) {
    try {
      return requestText(await this.#session.request(`/events/${id}/raw`));
    } catch (error) {
      this.#rawRequests.delete(id);
      return error.status === 404 ? text("noRaw") : errorText(error);
    }
  }

  #deliveries(deliveries) {
    if (deliveries instanceof Error) return element("p", { class: "quiet" }, errorText(deliveries));
    if (deliveries.length === 0) return element("p", { class: "quiet" }, text("noDeliveries"));
    const onChange = () => this.#refresh();
    const rows = deliveries.map((delivery) =>
      deliveryRow(this.#session, delivery, { subject: targetName(delivery) ?? documentLink(delivery), onChange }),
    );
    return element("ul", { class: "deliveries" }, rows);
  }
}

function documentFacts(known) {
  const id = element("code", {}, known.documentId);
  const labels = Object.entries(known.labels ?? {}).map(([name, value]) => foreign(`${name}: ${value}`));
  const isTitleCut = known.title?.length > MAX_TITLE_LENGTH;
  const scrollable = { class: "long", tabindex: "0", role: "region", "aria-label": text("title") };
  return facts(
    [text("vendor"), known.vendor],
    [text("vendorId"), element("code", {}, foreign(known.vendorId))],
    [text("documentId"), element("span", { class: "copyable" }, id, copyButton(known.documentId, id))],
    [text("lastEvent"), [timeElement(known.time), ` · ${exactTime(known.time)}`]],
    [text("vendorTime"), known.vendorTime && exactTime(known.vendorTime)],
    [text("labels"), labels.length > 0 && element("span", { class: "labels" }, labels)],
    [text("title"), isTitleCut && element("div", scrollable, foreign(known.title))],
  );
}

function problemSection(error) {
  if (!error) return [];
  const problem = [error.code, error.message].filter(Boolean).join(": ") || text("ERROR");
  const heading = element("h2", {}, text("error"));
  return [element("section", { class: "error-box" }, heading, element("p", {}, foreign(problem)))];
}

function section(key, content) {
  return element("section", {}, element("h2", {}, text(key)), content);
}
