// The documents and the events per minute that the page knows: loaded as a snapshot and continued by the stream. Older
// events than the known ones change nothing. Renders nothing.

import { wait } from "../stream/backoff.js";
import { sequenceOf } from "../stream/position.js";
import { noCounts } from "./statuses.js";

/** The newest documents are held. Older ones are found by a request. */
const MAX_DOCUMENTS = 20_000;
const PAGE_SIZE = 1000;
const PAGE_RETRY_MS = 3000;
/** Minutes that are held; the chart shows 60. */
const MAX_MINUTES = 90;
/** Characters of a document's texts that the search looks at. */
const MAX_SEARCH_TEXT_LENGTH = 2000;

export const MINUTE_MS = 60_000;

export class DocumentStore {
  #onChange;
  #byId;
  #sorted;
  #countedThrough;

  /** `onChange(documentId)` is called after each change; the id is undefined if many documents have changed. */
  constructor(onChange) {
    this.#onChange = onChange;
    this.clear();
  }

  clear() {
    this.#byId = new Map();
    this.#sorted = undefined;
    this.#countedThrough = 0;
    /** Counts by status of each minute, by its start in milliseconds since the epoch. */
    this.minutes = new Map();
    /** Whether all documents of the client are held. */
    this.isComplete = true;
    this.isLoaded = false;
  }

  /** The document with this id, or undefined. */
  get(id) {
    return this.#byId.get(id);
  }

  /** All documents, latest event first. Evicts the oldest documents above the limit. */
  sortAndEvict() {
    if (!this.#sorted) {
      this.#sorted = [...this.#byId.values()].sort((a, b) => b.position - a.position);
      for (const evicted of this.#sorted.splice(MAX_DOCUMENTS + PAGE_SIZE)) {
        this.#byId.delete(evicted.documentId);
        this.isComplete = false;
      }
    }
    return this.#sorted;
  }

  /**
   * Loads the newest documents and the counts, and returns the position after which the stream continues. Older documents
   * are loaded in the background.
   */
  async load(session, signal) {
    const page = await session.request(`/documents?limit=${PAGE_SIZE}`, { signal });
    const counts = await session.request("/events/counts", { signal });
    this.clear();
    this.isLoaded = true;
    for (const document of page.documents) this.#put(document, sequenceOf(document.eventId));
    for (const { time, status, count } of counts.minutes) this.#count(Date.parse(time), status, count);
    this.#countedThrough = sequenceOf(counts.lastEventId);
    this.#onChange();
    this.#loadOlder(session, signal, page.next);
    return page.lastEventId;
  }

  async #loadOlder(session, signal, firstCursor) {
    const snapshot = this.#byId;
    let cursor = firstCursor;
    while (cursor && snapshot.size < MAX_DOCUMENTS) {
      const path = `/documents?limit=${PAGE_SIZE}&cursor=${cursor}`;
      const page = await session.request(path, { signal }).catch(() => undefined);
      // Another snapshot has been loaded in the meantime, or the user has signed out.
      if (snapshot !== this.#byId || signal.aborted) return;
      if (!page) {
        await wait(PAGE_RETRY_MS, signal);
        continue;
      }
      for (const document of page.documents) this.#put(document, sequenceOf(document.eventId));
      cursor = page.next;
      this.#onChange();
    }
    this.isComplete = !cursor;
    this.#onChange();
  }

  /** Adds an event of the stream. Returns whether it is newer than what is known of its document. */
  add(event) {
    const position = sequenceOf(event.id);
    if (position > this.#countedThrough) this.#count(Date.parse(event.time), event.status, 1);
    const isNew = this.#put(event, position);
    if (isNew) this.#onChange(event.documentId);
    return isNew;
  }

  #put(event, position) {
    const known = this.#byId.get(event.documentId);
    if (known && known.position >= position) return false;
    const texts = [event.title, event.vendorId, event.documentId].join("\n");
    const searchText = texts.slice(0, MAX_SEARCH_TEXT_LENGTH).toLowerCase();
    this.#byId.set(event.documentId, { ...event, position, searchText });
    this.#sorted = undefined;
    // The list may not be shown for a long time, so the oldest are also evicted here.
    if (this.#byId.size > MAX_DOCUMENTS + 2 * PAGE_SIZE) this.sortAndEvict();
    return true;
  }

  #count(time, status, count) {
    const minute = time - (time % MINUTE_MS);
    if (Number.isNaN(minute)) return;
    const counts = this.minutes.get(minute) ?? noCounts();
    counts[status] += count;
    this.minutes.set(minute, counts);
    if (this.minutes.size <= MAX_MINUTES) return;
    for (const old of this.minutes.keys()) if (old < minute - 61 * MINUTE_MS) this.minutes.delete(old);
  }
}
