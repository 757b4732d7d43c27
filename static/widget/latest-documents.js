// The last event of each document that an element may show.

import { isBefore } from "../stream/position.js";
import { MAX_ROWS } from "./limits.js";

export class LatestDocuments {
  #byId = new Map();

  clear() {
    this.#byId.clear();
  }

  /** Stores an event unless a newer one of its document is stored. Returns whether it was stored. */
  put(event, { isNew = false } = {}) {
    const known = this.#byId.get(event.documentId);
    if (known && !isBefore(known.event.id, event.id)) return false;
    this.#byId.set(event.documentId, { event, isNew });
    if (this.#byId.size > 4 * MAX_ROWS) this.#evict();
    return true;
  }

  /** The newest events first, as `{event, isNew}`. */
  get rows() {
    return [...this.#byId.values()].sort((a, b) => (isBefore(a.event.id, b.event.id) ? 1 : -1)).slice(0, MAX_ROWS);
  }

  /** Nothing is new any more: it has been rendered. */
  markSeen() {
    for (const row of this.#byId.values()) row.isNew = false;
  }

  #evict() {
    this.#byId = new Map(this.rows.map((row) => [row.event.documentId, row]));
  }
}
