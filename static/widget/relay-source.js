// The source of an element's events: a relay. It loads the present state of the documents and follows the shared stream
// from there. A source is a function that gets `notify` and returns a function that ends it; see element.js.

import { backoffDelay, DEFAULT_RETRY_MS, wait } from "../stream/backoff.js";
import { RefusedError } from "../stream/errors.js";
import { Credentials } from "./credentials.js";
import { SharedStream } from "./sharing/shared-stream.js";
import { Subscription } from "./sharing/subscription.js";
import { loadSnapshot } from "./snapshot.js";
import { statusOf } from "./status.js";

/** `options` is `{relay, token, ticketUrl, documents, vendor}`; null documents mean all. */
export function relaySource(options) {
  return (notify) => {
    const source = new RelaySource(options, notify);
    source.subscribe();
    return () => source.stop();
  };
}

class RelaySource {
  #options;
  #notify;
  #credentials;
  #subscription;
  #shared;
  #stopped = new AbortController();
  #loading = new AbortController();
  /** Tells whether an event of the stream is news. */
  #isNews = () => true;

  constructor(options, notify) {
    this.#options = options;
    this.#notify = notify;
    this.#credentials = new Credentials(options.token, options.ticketUrl);
    this.#subscription = new Subscription(this.#credentials, (message) => this.#receive(message));
  }

  /** Subscribes to the shared stream that the present token belongs to. */
  async subscribe() {
    this.#shared?.unsubscribe(this.#subscription);
    const { signal } = this.#stopped;
    const token = await this.#retry(() => this.#credentials.token(), signal);
    if (signal.aborted || token === undefined) return;
    this.#shared = SharedStream.of(this.#options.relay, token);
    this.#shared.subscribe(this.#subscription);
    await this.#load();
  }

  stop() {
    this.#stopped.abort();
    this.#shared?.unsubscribe(this.#subscription);
  }

  #receive(message) {
    if (message.accessChanged) {
      this.subscribe();
    } else if (message.event) {
      this.#notify({ event: message.event, isNews: this.#isNews(message.event) });
    } else {
      this.#notify(message);
      if (message.reset) this.#load();
    }
  }

  /** Loads the present state, then follows the stream from the position of that state. */
  async #load() {
    this.#loading.abort();
    this.#loading = new AbortController();
    const signal = AbortSignal.any([this.#stopped.signal, this.#loading.signal]);
    this.#subscription.pause();
    const options = { ...this.#options, credentials: this.#credentials };
    const snapshot = await this.#retry(() => loadSnapshot(options, signal), signal);
    if (signal.aborted || !snapshot) return;
    this.#isNews = snapshot.isNews;
    if (snapshot.documents) this.#notify({ documents: snapshot.documents });
    this.#shared.follow(this.#subscription, snapshot.interest);
  }

  /** Repeats `work` until it succeeds, and notifies of each failure. Returns undefined once refused or aborted. */
  async #retry(work, signal) {
    for (let failures = 1; !signal.aborted; failures += 1) {
      try {
        return await work();
      } catch (error) {
        if (signal.aborted) return undefined;
        this.#notify(statusOf(error));
        if (error instanceof RefusedError) return undefined;
        await wait(backoffDelay(DEFAULT_RETRY_MS, failures), signal);
      }
    }
    return undefined;
  }
}
