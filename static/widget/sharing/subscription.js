// One element's part of a shared stream: its credentials, what it wants to receive, and how far it has received it.

import { isBefore } from "../../stream/position.js";
import { MAX_PENDING_EVENTS } from "../limits.js";
import { covers } from "./coverage.js";

export class Subscription {
  #interest;
  /** Everything up to this position has been received. */
  #position = "";
  /** Whether the stream covers the interest, so that the ids of its events move the position. */
  #isTracking = false;
  /** Events that arrived before the interest was known, and the last one that was dropped because there were too many. */
  #pending = [];
  #dropped;

  /** `notify` gets the messages of a source (see element.js), and `{accessChanged}`. */
  constructor(credentials, notify) {
    this.credentials = credentials;
    this.notify = notify;
  }

  /** The present state is being loaded: events are kept until `begin`. */
  pause() {
    this.#interest = undefined;
    this.#pending = [];
    this.#dropped = undefined;
  }

  /** The present state is known up to `interest.after`. An interest is `{documents, after}`; null documents mean all. */
  begin(interest) {
    this.#interest = interest;
    this.#position = interest.after;
    this.#isTracking = false;
    const pending = this.#pending;
    this.#pending = [];
    if (this.#dropped && isBefore(interest.after, this.#dropped)) this.notify({ reset: true });
    else for (const message of pending) this.#onEvent(message);
  }

  /** What a new leader has to follow for this subscription; undefined while it is paused. */
  get remainingInterest() {
    return this.#interest && { documents: this.#interest.documents, after: this.#position };
  }

  /** Handles a message of the leader. */
  receive(message) {
    if (message.covered) this.#onCovered(message.covered);
    else if (message.event) this.#onEvent(message);
    else if (message.position) this.#onPosition(message.position);
    else if (message.state || message.reset) this.notify(message);
  }

  #onCovered({ documents, after }) {
    if (!this.#interest || this.#isTracking) return;
    this.#isTracking = covers(documents, this.#interest.documents) && !isBefore(this.#interest.after, after);
  }

  #onPosition(position) {
    if (!this.#interest || !this.#isTracking) return;
    if (this.#position === "" || isBefore(this.#position, position)) this.#position = position;
  }

  #onEvent(message) {
    const { event, isReplay } = message;
    if (!this.#interest) {
      this.#keep(message);
      return;
    }
    if (!isReplay) {
      if (this.#position !== "" && !isBefore(this.#position, event.id)) return;
      if (this.#isTracking) this.#position = event.id;
    }
    if (covers(this.#interest.documents, [event.documentId])) this.notify(message);
  }

  #keep(message) {
    this.#pending.push(message);
    if (this.#pending.length > MAX_PENDING_EVENTS) this.#dropped = this.#pending.shift().event.id;
  }
}
