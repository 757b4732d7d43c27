// Which documents the leader's stream follows, and from which position, so that it covers the interests of all tabs.
// An interest is `{documents, after}`; null documents mean all, and `earliest` is used with named documents only.

import { isBefore, sequenceOf } from "../../stream/position.js";
import { MAX_CACHED_EVENTS, MAX_NAMED_DOCUMENTS } from "../limits.js";

/** Whether a stream of the `followed` documents brings all `wanted` documents. Null means all documents. */
export function covers(followed, wanted) {
  if (followed === null) return true;
  return wanted?.every((document) => followed.includes(document)) ?? false;
}

export class Coverage {
  /** The last event of each document, as an interest that is added later may need it. */
  #cache = new Map();
  /** All events after this position have been passed on. */
  #start = "";

  constructor() {
    /** The documents to follow; null means all, an empty list means that there is no interest yet. */
    this.documents = [];
    /** The position after which the next connection continues. */
    this.position = "";
    /**
     * Documents whose past is read on a connection of its own, because a stream of all documents starts at its end. It is
     * read up to the position of that stream, so that stream is opened first.
     */
    this.backlog = new Set();
  }

  get isEmpty() {
    return this.documents?.length === 0;
  }

  /** The documents of which all events after a position have been passed on, and that position: `{documents, after}`. */
  get covered() {
    return { documents: this.documents, after: this.#start };
  }

  /**
   * Extends the coverage to an interest. Returns `{replay, reconnect}`: cached events to pass on again, and whether the
   * present connection does not serve the interest.
   */
  add({ documents, after }) {
    const wasEmpty = this.isEmpty;
    const isCovered = covers(this.documents, documents);
    if (!isCovered) this.#extend(documents);
    const replay = [];
    let from = after;
    if (after === "earliest") {
      for (const document of documents) {
        if (this.#cache.has(document)) replay.push(this.#cache.get(document));
        else if (this.documents === null) this.backlog.add(document);
      }
      if (this.documents === null) from = "";
    }
    const startsEarlier = wasEmpty ? from !== "" : isBefore(from, this.#start);
    if (startsEarlier) this.#start = from;
    if (startsEarlier || (!isCovered && isBefore(from, this.position))) this.position = from;
    return { replay, reconnect: !isCovered || startsEarlier || this.backlog.size > 0 };
  }

  #extend(documents) {
    const named = documents === null ? null : [...new Set([...this.documents, ...documents])];
    if (named !== null && named.length <= MAX_NAMED_DOCUMENTS) {
      this.documents = named;
      return;
    }
    // The past of all documents is too large to read: the past of the named ones becomes a backlog.
    if (this.position === "earliest") for (const document of this.documents) this.backlog.add(document);
    if (this.position === "earliest") this.position = "";
    if (this.#start === "earliest") this.#start = "";
    this.documents = null;
  }

  /** The stream to open next: `{documents, after, isBacklog}`, and for a backlog the position `until` which it is read. */
  nextStream() {
    const isBacklog = this.documents === null && this.backlog.size > 0 && this.position !== "";
    return isBacklog
      ? { documents: [...this.backlog], after: "earliest", until: this.position, isBacklog }
      : { documents: this.documents, after: this.position, isBacklog };
  }

  /**
   * All events up to `position` have been received: the opening of the stream or a keepalive says so. Returns whether that
   * is news.
   */
  moved(position) {
    // The opening of a stream of the past names the position before all events.
    const isBeginning = this.position === "earliest" && (position === "earliest" || sequenceOf(position) === 0);
    if (position === this.position || isBeginning) return false;
    this.position = position;
    return true;
  }

  /** Records an event of the stream or, if `isBacklog`, of the connection that reads the backlog. */
  received(event, { isBacklog }) {
    if (!isBacklog) this.position = event.id;
    this.#cache.delete(event.documentId);
    this.#cache.set(event.documentId, event);
    if (this.#cache.size > MAX_CACHED_EVENTS) this.#cache.delete(this.#cache.keys().next().value);
  }

  /** The past of these documents has been read. */
  backlogRead(documents) {
    for (const document of documents) this.backlog.delete(document);
  }
}
