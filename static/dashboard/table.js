// The table of documents: only the rows that can be seen are in the page, however many there are. The window scrolls; rows
// have one height, which the style sheet decides. One row at a time can be reached with Tab, the arrows move on.

/** Rows beyond each end of the window, so that scrolling meets no emptiness. */
const SPARE = 8;
/** For how long a row shows that it has just come. */
const FRESH = 2500;
const TITLE_IN_A_ROW = 200;

class DocumentTable {
  /** `addressOf(document)` is where a row leads. */
  constructor(table, addressOf) {
    this.table = table;
    this.body = table.tBodies[0];
    this.addressOf = addressOf;
    this.documents = [];
    this.rows = new Map();
    this.fresh = new Map();
    this.height = 0;
    this.current = undefined;
    addEventListener("scroll", () => this.later(), { passive: true });
    addEventListener("resize", () => this.later(), { passive: true });
    table.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("focusin", ({ target }) => this.choose(target.closest("tr")?.dataset.id));
  }

  /** Shows these, in this order. Whoever has scrolled down goes on seeing what they read. */
  show(documents) {
    const seen = this.firstSeen();
    const anchor = seen > 0 ? this.documents.slice(seen, seen + 40).find((document) => document.position === this.position(document.documentId, documents)) : undefined;
    const before = this.documents.indexOf(anchor);
    this.documents = documents;
    this.index = undefined;
    this.table.setAttribute("aria-rowcount", String(documents.length + 1));
    this.body.style.height = `${documents.length * this.rowHeight()}px`;
    const moved = anchor ? documents.indexOf(anchor) - before : 0;
    if (moved !== 0) scrollBy({ top: moved * this.height, behavior: "instant" });
    this.draw();
  }

  /** Nothing of one client stays behind for the next. */
  clear() {
    this.documents = [];
    this.rows.clear();
    this.fresh.clear();
    this.body.replaceChildren();
  }

  position(id, documents) {
    if (this.indexed !== documents) {
      this.indexed = documents;
      this.positions = new Map(documents.map((document, at) => [document.documentId, at]));
    }
    return documents[this.positions.get(id)]?.position;
  }

  at(id) {
    this.position(id, this.documents);
    return this.positions.get(id) ?? -1;
  }

  rowHeight() {
    const row = this.body.rows[0];
    const height = row ? row.getBoundingClientRect().height : 0;
    if (height > 0) this.height = height;
    return this.height || 44;
  }

  /** How many rows are scrolled past. */
  firstSeen() {
    if (this.table.offsetParent === null) return 0;
    const head = this.table.tHead.offsetHeight;
    return Math.max(0, Math.floor((head - this.body.getBoundingClientRect().top) / this.rowHeight()));
  }

  later() {
    this.waiting ??= requestAnimationFrame(() => this.draw());
  }

  /** Brings the rows of the page to what can be seen. Rows that stay are the same elements, so they keep the focus. */
  draw() {
    cancelAnimationFrame(this.waiting);
    this.waiting = undefined;
    if (this.table.offsetParent === null) return;
    const height = this.rowHeight();
    const first = Math.max(0, this.firstSeen() - SPARE);
    const last = Math.min(this.documents.length, first + Math.ceil(innerHeight / height) + 2 * SPARE);
    const focused = this.body.contains(document.activeElement) ? document.activeElement.closest("tr").dataset.id : undefined;
    const wanted = new Set();
    let place = this.body.firstChild;
    for (let at = first; at < last; at += 1) {
      const row = this.row(this.documents[at], at);
      wanted.add(row);
      row.style.transform = `translateY(${at * height}px)`;
      if (row === place) place = place.nextSibling;
      else this.body.insertBefore(row, place);
    }
    for (const [id, row] of this.rows) {
      if (wanted.has(row)) continue;
      row.remove();
      this.rows.delete(id);
    }
    if (this.rowHeight() !== height) return this.later();
    this.body.style.height = `${this.documents.length * height}px`;
    this.letOneBeReached(first, last);
    // A row that has moved, or gone out of sight, must not take the focus with it.
    if (focused && !this.body.contains(document.activeElement)) {
      (this.rows.get(focused)?.querySelector("a") ?? this.table).focus({ preventScroll: true });
    }
  }

  row(known, at) {
    let row = this.rows.get(known.documentId);
    if (row?.known !== known || row.language !== language) {
      const made = this.make(known);
      if (row) row.replaceChildren(...made.childNodes);
      else row = made;
      Object.assign(row, { known, language });
      row.dataset.id = known.documentId;
      row.dataset.status = known.status;
      this.rows.set(known.documentId, row);
    }
    row.setAttribute("aria-rowindex", String(at + 2));
    row.classList.toggle("fresh", this.fresh.has(known.documentId));
    return row;
  }

  make(known) {
    const cell = (name, ...content) => build("td", { role: "gridcell", class: name }, ...content);
    const title = known.title || known.vendorId;
    const summary = known.error && [known.error.code, known.error.message].filter(Boolean).join(" ");
    return build("tr", { role: "row" },
      cell("status", badge(known.status)),
      cell("title", build("a", { href: this.addressOf(known), tabindex: "-1" }, foreign(title, TITLE_IN_A_ROW)),
        summary ? build("span", { class: "why" }, foreign(summary, TITLE_IN_A_ROW)) : undefined),
      cell("vendor", known.vendor),
      cell("vendor-id", foreign(known.vendorId, TITLE_IN_A_ROW)),
      cell("age", age(known.time)));
  }

  /** Marks a document as just come. */
  arrived(id) {
    clearTimeout(this.fresh.get(id));
    this.fresh.set(id, setTimeout(() => {
      this.fresh.delete(id);
      this.rows.get(id)?.classList.remove("fresh");
    }, FRESH));
  }

  choose(id) {
    if (!id) return;
    this.current = id;
    for (const [known, row] of this.rows) row.querySelector("a").tabIndex = known === id ? 0 : -1;
  }

  letOneBeReached(first, last) {
    const at = this.at(this.current);
    const reachable = at >= first && at < last ? this.current : this.documents[Math.min(this.firstSeen(), last - 1)]?.documentId;
    for (const [id, row] of this.rows) row.querySelector("a").tabIndex = id === reachable ? 0 : -1;
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(innerHeight / this.rowHeight()) - 2);
    const at = this.at(this.current);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.documents.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.focus(this.documents[Math.min(Math.max(to, 0), this.documents.length - 1)]?.documentId);
  }

  /** Puts the focus on a document's row, wherever that is. */
  focus(id) {
    const at = this.at(id);
    if (at < 0) return;
    const height = this.rowHeight();
    const top = this.body.getBoundingClientRect().top + at * height;
    const head = this.table.tHead.offsetHeight;
    if (top < head) scrollBy({ top: top - head, behavior: "instant" });
    else if (top + height > innerHeight) scrollBy({ top: top + height - innerHeight + 8, behavior: "instant" });
    this.draw();
    this.rows.get(id)?.querySelector("a").focus({ preventScroll: true });
  }
}
