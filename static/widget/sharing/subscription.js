// One element's part of a shared stream: its credentials, what it wants to receive, and how far it has received it.

import { isBefore } from "../../stream/position.js";
import { covers } from "./coverage.js";

export class Subscription {
  #interest;
  /** The last position up to which this subscription has received everything. */
  #position = "";
  /** Whether the leader's connection covers the interest, so that the ids of its events move the position. */
  #isTracking = false;

  /** `notify` gets the messages of a source (see element.js), and `{accessChanged}`. */
  constructor(credentials, notify) {
    this.credentials = credentials;
    this.notify = notify;
  }

  /** `{documents, after}`, or undefined while the present state is being loaded: events are dropped until then. */
  set interest(interest) {
    this.#interest = interest;
    this.#position = interest?.after ?? "";
    this.#isTracking = false;
  }

  /** What a new leader has to follow for this subscription. */
  get remainingInterest() {
    return this.#interest && { documents: this.#interest.documents, after: this.#position };
  }

  /** Handles a message of the leader. */
  receive(message) {
    if (message.connectionStarted) this.#onConnectionStarted(message.connectionStarted);
    else if (message.event) this.#onEvent(message);
    else if (message.state || message.reset) this.notify(message);
  }

  #onConnectionStarted({ documents, after }) {
    if (!this.#interest || this.#isTracking) return;
    this.#isTracking = covers(documents, this.#interest.documents) && !isBefore(this.#interest.after, after);
  }

  #onEvent(message) {
    const { event, isReplay } = message;
    if (!this.#interest) return;
    if (!isReplay) {
      if (this.#position !== "" && !isBefore(this.#position, event.id)) return;
      if (this.#isTracking) this.#position = event.id;
    }
    if (covers(this.#interest.documents, [event.documentId])) this.notify(message);
  }
}
