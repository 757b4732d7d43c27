// The page as a whole: the session that is signed in, the part of the page that the route shows, and rendering at most once
// per frame.

import { ConnectionState } from "./connection-state.js";
import { DocumentStore } from "./document-store.js";
import { follow } from "./event-stream.js";
import { drawChart } from "./list/chart.js";
import { DocumentList } from "./list/document-list.js";
import { REFRESH_INTERVAL_MS } from "./pages/delivery-row.js";
import { DocumentPage } from "./pages/document-page.js";
import { HooksPage } from "./pages/hooks-page.js";
import { NotificationsPage } from "./pages/notifications-page.js";
import { RejectsPage } from "./pages/rejects-page.js";
import { listRoute, parseRoute } from "./route.js";
import { saveToken } from "./token-storage.js";
import { byId, element, pageHeader } from "./ui/dom.js";
import { errorNotice } from "./ui/error-text.js";
import { switchLanguage, text } from "./ui/i18n.js";

const PAGES = { hooks: HooksPage, notifications: NotificationsPage, rejects: RejectsPage };

export class App {
  #session;
  #following = new AbortController();
  #state = new ConnectionState();
  #store = new DocumentStore((documentId) => this.#onStoreChange(documentId));
  #list = new DocumentList(this.#store);
  /** The route that is shown, with the `content` of a document's page. */
  #shown = {};
  #listScroll = 0;
  #frame;

  constructor() {
    this.#state.render();
  }

  /** Signs in, and out of the present session. */
  signIn(session) {
    this.#following.abort();
    this.#session?.close();
    this.#following = new AbortController();
    this.#session = session;
    saveToken(session.token);
    this.#store.clear();
    this.#list.session = session;
    this.#list.table.clear();
    this.#follow(session, this.#following.signal);
    this.showRoute();
  }

  signOut() {
    this.#following.abort();
    this.#session?.close();
    this.#session = undefined;
    this.#store.clear();
    this.#list.table.clear();
    byId("page").replaceChildren();
    history.replaceState(null, "", location.pathname);
    this.#state.show({ state: "off", key: "signedOut" });
    this.showRoute();
    byId("token").focus();
  }

  switchLanguage() {
    switchLanguage();
    this.#state.render();
    this.showRoute();
  }

  #follow(session, signal) {
    const onState = (state) => {
      this.#state.show(state);
      if (state.state === "refused") this.updateVisibility();
    };
    const load = async () => {
      const position = await this.#store.load(session, signal);
      this.updateVisibility();
      return position;
    };
    const onEvent = (event) => this.#store.add(event) && this.#list.onEvent(event);
    follow(session, { signal, load, onEvent, onState });
  }

  #onStoreChange(documentId) {
    this.#frame ??= requestAnimationFrame(() => this.#render());
    if (documentId) this.#shown.content?.onChange(documentId);
  }

  #render() {
    this.#frame = undefined;
    if (!this.#session || this.#shown.page !== "documents") return;
    this.#list.render();
    this.drawChart();
  }

  /** Draws the chart, if it is shown. */
  drawChart() {
    if (this.#session && this.#shown.page === "documents") drawChart(byId("chart"), this.#store.minutes);
  }

  /** Shows and hides the parts of the page. */
  updateVisibility() {
    const { page } = parseRoute();
    const isSignedOut = !this.#session || (this.#state.isRefused && !this.#store.isLoaded);
    byId("welcome").hidden = !isSignedOut;
    byId("sign-in-section").hidden = !isSignedOut && !this.#state.isRefused;
    byId("guide").hidden = !isSignedOut && page !== "help";
    byId("guide-heading").hidden = isSignedOut;
    byId("list").hidden = isSignedOut || page !== "documents";
    byId("page").hidden = isSignedOut || page === "documents" || page === "help";
    byId("navigation").hidden = isSignedOut;
    byId("sign-out").hidden = !this.#session;
    for (const link of byId("navigation").querySelectorAll("a")) {
      const isCurrent = link.dataset.page === (page === "document" ? "documents" : page);
      if (isCurrent) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  /** Shows the page of the present route. */
  showRoute() {
    const { page, id, filters } = parseRoute();
    const before = this.#shown;
    this.#shown = { page, id };
    if (before.page === "documents") this.#listScroll = scrollY;
    this.updateVisibility();
    if (!this.#session || byId("navigation").hidden) return;
    const title = text(page === "document" ? "documents" : page);
    document.title = page === "documents" ? "docrelay" : `${title} · docrelay`;
    if (page === "documents") {
      this.#showList(filters, before);
      return;
    }
    scrollTo({ top: 0, behavior: "instant" });
    if (page === "help") byId("guide-heading").focus();
    else if (page === "document") this.#showDocument(id, filters);
    else this.#showPage(page, { takesFocus: before.page !== undefined });
  }

  #showList(filters, before) {
    this.#list.restore(filters);
    this.drawChart();
    if (before.page !== "document") return;
    scrollTo({ top: this.#listScroll, behavior: "instant" });
    this.#list.table.focus(before.id);
  }

  #showDocument(id, filters) {
    const container = this.#newContainer(loading());
    this.#shown.content = new DocumentPage(container, this.#session, { id, back: listRoute(filters) });
  }

  async #showPage(name, { takesFocus }) {
    const shown = this.#shown;
    const isShown = () => this.#shown === shown;
    const header = () => pageHeader(name, `${name}Help`);
    const container = this.#newContainer(header(), loading());
    const page = new PAGES[name](container, this.#session);
    const load = async () => {
      try {
        await page.load();
      } catch (error) {
        page.invalidate?.();
        if (isShown()) container.replaceChildren(header(), errorNotice(error, load));
      }
    };
    page.reload = () => isShown() && load();
    await load();
    if (name === "notifications") this.#refreshWhile(isShown, load);
    if (isShown() && takesFocus) container.querySelector("h1").focus({ preventScroll: true });
  }

  /** A new container for each page: a response that arrives after the route has changed is rendered into a detached one. */
  #newContainer(...content) {
    const container = element("div", {}, content);
    byId("page").replaceChildren(container);
    return container;
  }

  async #refreshWhile(isShown, load) {
    while (isShown()) {
      await new Promise((resolve) => setTimeout(resolve, REFRESH_INTERVAL_MS));
      if (isShown() && !document.hidden) await load();
    }
  }

  /** Handles the keys of the whole page: Escape leaves a document, `/` focuses the search. */
  onKey(event) {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
    const { page, content } = this.#shown;
    if (event.key === "Escape" && content) location.hash = content.back;
    if (event.key !== "/" || !this.#session || page !== "documents") return;
    if (event.target.closest("input, select, textarea")) return;
    event.preventDefault();
    byId("search").focus();
  }
}

function loading() {
  return element("p", { class: "quiet" }, text("loading"));
}
