// The table of documents. Only the rows in and near the viewport are in the page. The window scrolls; all rows have the
// height that the style sheet sets. One row at a time is in the tab order, and the arrow keys move between rows.

import { language } from "../ui/i18n.js";
import { createRow } from "./document-row.js";
import { movedRows, rowAfterKey, visibleRange } from "./visible-rows.js";

const DEFAULT_ROW_HEIGHT = 44;
/** How long a row is highlighted after an event. */
const HIGHLIGHT_MS = 2500;
/** Rows below the top of the viewport among which one is looked for that keeps its place on the screen. */
const ANCHOR_CANDIDATES = 40;

export class DocumentTable {
  #table;
  #body;
  #rows = new Map();
  #highlights = new Map();
  #indexes = new Map();
  #height = 0;
  #frame;

  constructor(table) {
    this.#table = table;
    this.#body = table.tBodies[0];
    /** The documents of all rows, in order. */
    this.documents = [];
    /** The id of the document whose row had the focus last. */
    this.current = undefined;
    /** The filters of the list, for the links to documents. */
    this.filters = {};
    addEventListener("scroll", () => this.#queueRender(), { passive: true });
    addEventListener("resize", () => this.#queueRender(), { passive: true });
    table.addEventListener("keydown", (event) => this.#onKey(event));
    this.#body.addEventListener("focusin", ({ target }) => this.#setCurrent(target.closest("tr")?.dataset.id));
  }

  /** Replaces the documents. While the window is scrolled, rows that have not changed keep their place on the screen. */
  show(documents) {
    const first = this.firstVisible();
    const visible = first > 0 ? this.documents.slice(first, first + ANCHOR_CANDIDATES) : [];
    const oldIndexes = this.#indexes;
    this.documents = documents;
    this.#indexes = new Map(documents.map(({ documentId }, index) => [documentId, index]));
    this.#table.setAttribute("aria-rowcount", String(documents.length + 1));
    this.#body.style.height = `${documents.length * this.#rowHeight()}px`;
    const moved = movedRows(visible, oldIndexes, documents, this.#indexes);
    if (moved !== 0) scrollBy({ top: moved * this.#height, behavior: "instant" });
    this.#render();
  }

  /** Removes everything, so that the next client sees nothing of the last one. */
  clear() {
    this.documents = [];
    this.#indexes.clear();
    this.#rows.clear();
    this.#highlights.clear();
    this.#body.replaceChildren();
  }

  /** The index of the first row in the viewport: how many rows are scrolled past. */
  firstVisible() {
    if (this.#table.offsetParent === null) return 0;
    const head = this.#table.tHead.offsetHeight;
    return Math.max(0, Math.floor((head - this.#body.getBoundingClientRect().top) / this.#rowHeight()));
  }

  /** Highlights the row of a document for a moment. */
  highlight(id) {
    clearTimeout(this.#highlights.get(id));
    const end = () => {
      this.#highlights.delete(id);
      this.#rows.get(id)?.classList.remove("fresh");
    };
    this.#highlights.set(id, setTimeout(end, HIGHLIGHT_MS));
  }

  /** Scrolls to the row of a document and focuses it. */
  focus(id) {
    const index = this.#indexes.get(id);
    if (index === undefined) return;
    const height = this.#rowHeight();
    const top = this.#body.getBoundingClientRect().top + index * height;
    const head = this.#table.tHead.offsetHeight;
    if (top < head) scrollBy({ top: top - head, behavior: "instant" });
    else if (top + height > innerHeight) scrollBy({ top: top + height - innerHeight + 8, behavior: "instant" });
    this.#render();
    this.#linkOf(id)?.focus({ preventScroll: true });
  }

  #linkOf(id) {
    return this.#rows.get(id)?.querySelector("a");
  }

  #rowHeight() {
    const height = this.#body.rows[0]?.getBoundingClientRect().height ?? 0;
    if (height > 0) this.#height = height;
    return this.#height || DEFAULT_ROW_HEIGHT;
  }

  #geometry() {
    return { rowHeight: this.#rowHeight(), viewportHeight: innerHeight, count: this.documents.length };
  }

  #queueRender() {
    this.#frame ??= requestAnimationFrame(() => this.#render());
  }

  /** Brings the rows in the page in line with the viewport. Rows that stay are the same elements, so they keep the focus. */
  #render() {
    cancelAnimationFrame(this.#frame);
    this.#frame = undefined;
    if (this.#table.offsetParent === null) return;
    const { rowHeight: height, ...geometry } = this.#geometry();
    const firstVisible = this.firstVisible();
    const { first, end } = visibleRange({ ...geometry, rowHeight: height, firstVisible });
    const focused = this.#body.contains(document.activeElement) ? document.activeElement.closest("tr") : undefined;
    this.#placeRows(first, end, height);
    // The first rows decide the height.
    if (this.#rowHeight() !== height) return this.#queueRender();
    this.#body.style.height = `${this.documents.length * height}px`;
    const current = this.#indexes.get(this.current) ?? -1;
    const isCurrentRendered = current >= first && current < end;
    this.#setReachable(isCurrentRendered ? this.current : this.documents[Math.min(firstVisible, end - 1)]?.documentId);
    // A row that was removed from the page must not take the focus with it.
    if (focused && !this.#body.contains(document.activeElement)) {
      (this.#linkOf(focused.dataset.id) ?? this.#table).focus({ preventScroll: true });
    }
  }

  #placeRows(first, end, height) {
    const wanted = new Set();
    let next = this.#body.firstChild;
    for (let index = first; index < end; index += 1) {
      const row = this.#row(this.documents[index], index);
      wanted.add(row);
      row.style.transform = `translateY(${index * height}px)`;
      if (row === next) next = next.nextSibling;
      else this.#body.insertBefore(row, next);
    }
    for (const [id, row] of this.#rows) {
      if (wanted.has(row)) continue;
      row.remove();
      this.#rows.delete(id);
    }
  }

  /** The row of a document, created or updated if it is not current. */
  #row(known, index) {
    let row = this.#rows.get(known.documentId);
    if (row?.known !== known || row.language !== language()) {
      const created = createRow(known, this.filters);
      if (row) row.replaceChildren(...created.childNodes);
      else row = created;
      Object.assign(row, { known, language: language() });
      row.dataset.id = known.documentId;
      row.dataset.status = known.status;
      this.#rows.set(known.documentId, row);
    }
    row.setAttribute("aria-rowindex", String(index + 2));
    row.classList.toggle("fresh", this.#highlights.has(known.documentId));
    return row;
  }

  #setCurrent(id) {
    if (!id) return;
    this.current = id;
    this.#setReachable(id);
  }

  /** Puts one row into the tab order. */
  #setReachable(id) {
    for (const [other, row] of this.#rows) row.querySelector("a").tabIndex = other === id ? 0 : -1;
  }

  #onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const current = this.#indexes.get(this.current) ?? -1;
    const target = rowAfterKey(event.key, { ...this.#geometry(), current });
    if (target === undefined) return;
    event.preventDefault();
    this.focus(this.documents[target]?.documentId);
  }
}
