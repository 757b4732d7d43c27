// The list of all documents: the filters, which live in the URL, the table, and what is shown when no document matches.

import { documentRoute, listRoute, parseRoute } from "../route.js";
import { byId, createHookCommand, element, emptyState } from "../ui/dom.js";
import { formatNumber, text } from "../ui/i18n.js";
import { Announcer } from "./announcer.js";
import { DocumentTable } from "./document-table.js";
import { applyFilters, countByStatus, NO_FILTERS, vendorsOf } from "./filters.js";

export class DocumentList {
  #store;
  #filters = parseRoute().filters;
  #announcer = new Announcer(byId("announcement"));
  /** Events that arrived above the viewport. */
  #unseen = 0;

  constructor(store) {
    this.#store = store;
    /** The session of the client that is signed in, for requests to the relay. */
    this.session = undefined;
    this.table = new DocumentTable(byId("documents"));
    this.#addListeners();
  }

  #addListeners() {
    byId("search").addEventListener("input", ({ target }) => this.#changeFilters({ q: target.value }));
    byId("search").addEventListener("keydown", (event) => this.#onSearchKey(event));
    byId("vendor").addEventListener("change", ({ target }) => this.#changeFilters({ vendor: target.value }));
    for (const button of this.#statusButtons()) {
      button.addEventListener("click", () => this.#changeFilters({ status: button.dataset.status }));
    }
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("new-events").addEventListener("click", () => {
      scrollTo({ top: 0, behavior: "instant" });
      this.table.focus(this.table.documents[0]?.documentId);
    });
    addEventListener("scroll", () => this.table.firstVisible() === 0 && this.#clearUnseen(), { passive: true });
  }

  #statusButtons() {
    return byId("statuses").querySelectorAll("button");
  }

  /** Replaces the URL in place: typing adds no entries to the history. */
  #changeFilters(change) {
    this.#filters = { ...this.#filters, ...change };
    history.replaceState(null, "", listRoute(this.#filters));
    this.render();
  }

  /** Shows the filters of the URL. */
  restore(filters) {
    this.#filters = filters;
    byId("search").value = filters.q;
    this.render();
  }

  #onSearchKey(event) {
    if (event.key === "Escape" && this.#filters.q !== "") {
      event.preventDefault();
      event.target.value = "";
      this.#changeFilters({ q: "" });
    } else if (event.key === "ArrowDown" || event.key === "Enter") {
      event.preventDefault();
      if (this.table.documents.length > 0) this.table.focus(this.table.documents[0].documentId);
      else if (event.key === "Enter" && this.#filters.q) this.#lookUp();
    }
  }

  /** A document has a new event. */
  onEvent(event) {
    this.table.highlight(event.documentId);
    this.#announcer.add(event);
    const isShown = applyFilters([this.#store.get(event.documentId)], this.#filters).length > 0;
    if (isShown && this.table.firstVisible() > 0) this.#unseen += 1;
  }

  #clearUnseen() {
    if (this.#unseen === 0) return;
    this.#unseen = 0;
    byId("new-events").hidden = true;
  }

  render() {
    const all = this.#store.sortAndEvict();
    const found = applyFilters(all, this.#filters);
    const isEmpty = found.length === 0;
    this.#renderFilters(all);
    byId("row-count").textContent = this.#countText(found.length, all.length);
    byId("documents").hidden = byId("keys").hidden = isEmpty;
    byId("new-events").hidden = this.#unseen === 0;
    byId("new-events").textContent = text("newEvents", { count: this.#unseen });
    byId("no-rows").replaceChildren(...(isEmpty && this.#store.isLoaded ? [this.#emptyState(all.length)] : []));
    this.table.filters = this.#filters;
    this.table.show(found);
  }

  #countText(count, total) {
    const complete = total === 1 ? "oneShown" : "allShown";
    const shown = text(count < total ? "someShown" : complete, { count, total });
    return this.#store.isComplete ? shown : `${shown}. ${text("onlyNewest", { total })}`;
  }

  #renderFilters(all) {
    const counts = countByStatus(all, this.#filters);
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
    for (const button of this.#statusButtons()) {
      const { status } = button.dataset;
      button.setAttribute("aria-pressed", String(status === this.#filters.status));
      button.lastElementChild.textContent = formatNumber(status ? counts[status] : total);
    }
    const select = byId("vendor");
    const vendors = vendorsOf(all, this.#filters);
    // An unchanged list is not replaced: that would close it while the user is choosing.
    if (vendors.join() !== select.dataset.vendors) {
      select.dataset.vendors = vendors.join();
      const options = vendors.map((vendor) => element("option", { value: vendor }, vendor));
      select.replaceChildren(
        element("option", { value: "", "data-text": "allVendors" }, text("allVendors")),
        ...options,
      );
    }
    select.value = this.#filters.vendor;
  }

  #emptyState(total) {
    if (total === 0) {
      return emptyState(text("noDocuments"), element("p", {}, text("noDocumentsHelp")), createHookCommand());
    }
    const clear = () => {
      byId("search").value = "";
      this.#changeFilters(NO_FILTERS);
      byId("search").focus();
    };
    const canLookUp = this.#filters.q && !this.#store.isComplete;
    const actions = element(
      "p",
      { class: "actions" },
      element("button", { type: "button", click: clear }, text("clearFilters")),
      canLookUp && element("button", { type: "button", click: () => this.#lookUp() }, text("lookUp")),
    );
    return emptyState(text("noMatch"), actions);
  }

  /** Searches the relay for an identifier that is not among the documents held. */
  async #lookUp() {
    const term = this.#filters.q.trim();
    const path = `/documents?vendorId=${encodeURIComponent(term)}`;
    const found = await this.session.request(path).catch(() => ({ documents: [] }));
    const id = found.documents[0]?.documentId ?? (/^[0-9a-f-]{36}$/i.test(term) ? term : undefined);
    if (id) location.hash = documentRoute(id, this.#filters);
    else byId("no-rows").append(element("p", { role: "alert" }, text("notFound")));
  }
}
