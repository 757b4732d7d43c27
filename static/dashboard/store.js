// What the page knows: where documents stand, and how many events each minute had. Filled by a snapshot and continued by
// the stream; an event that is older than what is known changes nothing. Draws nothing.

/** Documents that are held: the newest. Older ones are found by asking the relay. */
const HELD = 20_000;
const PAGE_OF_DOCUMENTS = 1000;
const MINUTE = 60_000;
const STATUSES = ["PENDING", "COMPLETED", "ERROR"];

class DocumentStore {
  constructor(changed) {
    this.changed = changed;
    this.clear();
  }

  clear() {
    this.byId = new Map();
    this.sorted = undefined;
    this.minutes = new Map();
    this.countedThrough = 0;
    this.complete = true;
    this.loaded = false;
  }

  /** The newest page at once, which is enough to follow from; the others behind it. */
  async load(session, signal) {
    const page = await session.ask(`/documents?limit=${PAGE_OF_DOCUMENTS}`, { signal });
    const counts = await session.ask("/events/counts", { signal });
    this.clear();
    this.loaded = true;
    for (const document of page.documents) this.put(document, sequence(document.eventId));
    for (const { time, status, count } of counts.minutes) this.count(Date.parse(time), status, count);
    this.countedThrough = sequence(counts.lastEventId);
    this.changed();
    // Not waited for: it goes on beside the stream.
    this.loadOlder(session, signal, page.next);
    return page.lastEventId;
  }

  async loadOlder(session, signal, cursor) {
    const holder = this.byId;
    while (cursor && this.byId.size < HELD) {
      const asked = session.ask(`/documents?limit=${PAGE_OF_DOCUMENTS}&cursor=${cursor}`, { signal });
      const page = await asked.catch(() => undefined);
      // Another snapshot has begun meanwhile, or nobody wants this one any more.
      if (holder !== this.byId || signal.aborted) return;
      if (!page) {
        await pause(3000, signal);
        continue;
      }
      for (const document of page.documents) this.put(document, sequence(document.eventId));
      cursor = page.next;
      this.changed();
    }
    this.complete = !cursor;
    this.changed();
  }

  /** An event of the stream; whether it is news. */
  take(event, position) {
    if (position > this.countedThrough) this.count(Date.parse(event.time), event.status, 1);
    const news = this.put(event, position);
    if (news) this.changed(event.documentId);
    return news;
  }

  put(event, position) {
    const before = this.byId.get(event.documentId);
    if (before && before.position >= position) return false;
    const text = [event.title, event.vendorId, event.documentId].join("\n").slice(0, 2000).toLowerCase();
    this.byId.set(event.documentId, { ...event, position, text });
    this.sorted = undefined;
    // Also while nobody looks at the list: asking for it lets the oldest go.
    if (this.byId.size > HELD + 2 * PAGE_OF_DOCUMENTS) void this.all;
    return true;
  }

  /** All documents, those with the latest events first. */
  get all() {
    if (!this.sorted) {
      this.sorted = [...this.byId.values()].sort((a, b) => b.position - a.position);
      for (const gone of this.sorted.splice(HELD + PAGE_OF_DOCUMENTS)) {
        this.byId.delete(gone.documentId);
        this.complete = false;
      }
    }
    return this.sorted;
  }

  count(time, status, count) {
    const minute = time - (time % MINUTE);
    if (Number.isNaN(minute)) return;
    const counts = this.minutes.get(minute) ?? { PENDING: 0, COMPLETED: 0, ERROR: 0 };
    counts[status] += count;
    this.minutes.set(minute, counts);
    if (this.minutes.size > 90) for (const old of this.minutes.keys()) if (old < minute - 61 * MINUTE) this.minutes.delete(old);
  }
}
