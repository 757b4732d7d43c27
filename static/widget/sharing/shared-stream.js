// One stream for all tabs of an origin whose tokens grant the same access. The leader tab holds the connection and sends
// what it receives to the other tabs over a BroadcastChannel. When it closes, the next leader continues from the position
// up to which all tabs have received everything. Without Web Locks (a page without TLS) each tab has its own stream.
//
// Messages between tabs:
//   {requestInterests: true}                 a new leader asks all tabs for their interests
//   {interest: {documents, after}}           a tab wants these documents (null: all) from this position on
//   {covered: {documents, after}}            the stream brings all events of these documents after this position
//   {event, isReplay}                        an event; a replay is not news for every tab and does not move positions
//   {position}                               the stream has brought all events up to this position
//   {reset: true}                            continuity is lost: every tab loads its state and sends its interests again
//   {state, code}                            the state of the connection
//   {retryNow: true}                         the user looks at a tab: do not wait for the next attempt

import { accessKey } from "../token.js";
import { Leader } from "./leader.js";
import { runForLeader } from "./leader-election.js";

/** Part of the names of the lock and the channel. Change it when the messages change: old and new tabs must not meet. */
const PROTOCOL_VERSION = 3;

const keyOf = (relay, token) => `docrelay ${PROTOCOL_VERSION} ${relay} ${accessKey(token)}`;

export class SharedStream {
  static #streams = new Map();

  #key;
  #channel;
  #leader;
  #isCandidate = false;
  #subscriptions = new Set();
  #closed = new AbortController();

  /** The stream of this tab for a relay and the access that a token grants. */
  static of(relay, token) {
    const key = keyOf(relay, token);
    if (!SharedStream.#streams.has(key)) SharedStream.#streams.set(key, new SharedStream(key, relay));
    return SharedStream.#streams.get(key);
  }

  constructor(key, relay) {
    this.#key = key;
    this.relay = relay;
    /** The last state of the connection, as a message. */
    this.status = { state: "connecting" };
    if (navigator.locks && globalThis.BroadcastChannel) {
      this.#channel = new BroadcastChannel(key);
      this.#channel.onmessage = ({ data }) => this.#receive(data);
    }
    const { signal } = this;
    const onVisible = () => document.visibilityState === "visible" && this.broadcast({ retryNow: true });
    document.addEventListener("visibilitychange", onVisible, { signal });
    // The connection itself would fail only after its timeout.
    addEventListener("offline", () => this.#leader?.reconnect(), { signal });
  }

  /** Aborted when the last subscription has left. */
  get signal() {
    return this.#closed.signal;
  }

  get hasOtherTabs() {
    return this.#channel !== undefined;
  }

  /** The credentials of the subscription that came last: its token is the newest. */
  get credentials() {
    return [...this.#subscriptions].at(-1).credentials;
  }

  /** Whether `token` grants the access that this stream was opened for. */
  isFor(token) {
    return keyOf(this.relay, token) === this.#key;
  }

  subscribe(subscription) {
    this.#subscriptions.add(subscription);
    subscription.notify(this.status);
    this.#standForElection();
  }

  unsubscribe(subscription) {
    const wasSubscribed = this.#subscriptions.delete(subscription);
    if (!wasSubscribed || this.#subscriptions.size > 0) return;
    this.#closed.abort();
    this.#channel?.close();
    SharedStream.#streams.delete(this.#key);
  }

  /** Starts the delivery of events to a subscription that has loaded its state up to `interest.after`. */
  follow(subscription, interest) {
    subscription.begin(interest);
    this.broadcast({ interest });
  }

  /** Sends a message to all tabs, including this one. */
  broadcast(message) {
    if (this.signal.aborted) return;
    this.#channel?.postMessage(message);
    this.#receive(message);
  }

  /** The token of this tab is refused: shows that in this tab only, and lets a tab with another token lead. */
  stepDown(status) {
    this.#leader = undefined;
    this.#isCandidate = false;
    this.status = status;
    for (const subscription of this.#subscriptions) subscription.notify(status);
  }

  /** A new ticket grants other access, such as that of another user: all subscriptions move to another stream. */
  accessChanged() {
    for (const subscription of [...this.#subscriptions]) subscription.notify({ accessChanged: true });
  }

  #receive(message) {
    if (message.state) this.status = message;
    // Another tab leads after this one has stepped down: stand for election again.
    if (message.state === "live" && this.#subscriptions.size > 0) this.#standForElection();
    if (message.retryNow) this.#leader?.retryNow();
    if (message.requestInterests) this.#sendInterests();
    if (message.interest) this.#leader?.addInterest(message.interest);
    for (const subscription of [...this.#subscriptions]) subscription.receive(message);
  }

  #sendInterests() {
    for (const { remainingInterest } of this.#subscriptions) {
      if (remainingInterest) this.broadcast({ interest: remainingInterest });
    }
  }

  #standForElection() {
    if (this.#isCandidate) return;
    this.#isCandidate = true;
    const lead = () => {
      this.#leader = new Leader(this);
      return this.#leader.run();
    };
    const leadAlone = () => {
      this.#channel?.close();
      this.#channel = undefined;
      return lead();
    };
    const locks = this.#channel && navigator.locks;
    runForLeader({ locks, name: this.#key, signal: this.signal, lead, leadAlone });
  }
}
