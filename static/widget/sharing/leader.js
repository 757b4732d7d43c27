// The leader's side of a shared stream: holds the connection to the relay, broadcasts what it brings, and reconnects.
// Which tab leads is decided by leader-election.js, what is followed by coverage.js.

import { RetrySchedule, wait } from "../../stream/backoff.js";
import { readRelayStream } from "../../stream/connection.js";
import { RefusedError, ResetError, TemporaryError } from "../../stream/errors.js";
import { isBefore } from "../../stream/position.js";
import { Parser } from "../../stream/sse.js";
import { INTERESTS_TIMEOUT_MS } from "../limits.js";
import { statusOf } from "../status.js";
import { Coverage } from "./coverage.js";

/** The longest delay that setTimeout() accepts. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class Leader {
  #shared;
  #coverage = new Coverage();
  #schedule = new RetrySchedule();
  /** Aborts the present connection. */
  #attempt = new AbortController();
  /** Ends the wait for the next attempt, or for the first interest. */
  #wakeUp = new AbortController();
  #rejectedToken;

  /** `shared` is the SharedStream of this tab. */
  constructor(shared) {
    this.#shared = shared;
  }

  /** Follows until no subscription of this tab is left, or the relay no longer accepts its token. */
  async run() {
    const { signal } = this.#shared;
    this.#shared.broadcast({ requestInterests: true });
    // Other tabs respond with their interests, so that the first connection covers them.
    await wait(this.#shared.hasOtherTabs ? INTERESTS_TIMEOUT_MS : 0, signal);
    while (!signal.aborted) {
      if (this.#coverage.isEmpty) {
        await this.#untilWokenUp(MAX_TIMER_MS);
        continue;
      }
      const next = await this.#connect();
      if (next === "stop" || signal.aborted) return;
      if (next === "reconnect") continue;
      this.#shared.broadcast(next);
      await this.#untilWokenUp(this.#schedule.delay, this.#attempt.signal);
    }
  }

  /** Makes sure that an interest is followed; reconnects if the present connection does not cover it. */
  addInterest(interest) {
    const { replay, reconnect } = this.#coverage.add(interest);
    for (const event of replay) this.#shared.broadcast({ event, isReplay: true });
    if (reconnect) this.reconnect();
    else this.#shared.broadcast({ covered: this.#coverage.covered });
    this.#shared.broadcast(this.#shared.status);
  }

  /** Ends the present connection; the next attempt follows at once. */
  reconnect() {
    this.#attempt.abort();
    this.retryNow();
  }

  /** Ends a pending wait. */
  retryNow() {
    this.#wakeUp.abort();
  }

  #untilWokenUp(milliseconds, ...signals) {
    this.#wakeUp = new AbortController();
    return wait(milliseconds, this.#shared.signal, this.#wakeUp.signal, ...signals);
  }

  /** One connection attempt. Returns "stop", "reconnect", or the status to show while the next attempt is delayed. */
  async #connect() {
    const startedAt = Date.now();
    const { credentials } = this.#shared;
    const connection = { isLive: false, isRelayFull: false };
    this.#attempt = new AbortController();
    try {
      if (!navigator.onLine) throw new TemporaryError("offline");
      connection.token = await credentials.token(this.#rejectedToken);
      if (!this.#shared.isFor(connection.token)) {
        this.#shared.accessChanged();
        return "stop";
      }
      await this.#follow(connection);
      return connection.isRelayFull ? { state: "connecting", code: "busy" } : { state: "connecting" };
    } catch (error) {
      return this.#next(error, connection, { credentials, startedAt });
    }
  }

  #next(error, connection, { credentials, startedAt }) {
    if (error instanceof ResetError) {
      this.#coverage = new Coverage();
      this.#shared.broadcast({ reset: true });
      return this.#schedule.resetReceived() ? "reconnect" : statusOf(error);
    }
    if (this.#attempt.signal.aborted && navigator.onLine) return "reconnect";
    const status = statusOf(error);
    if (error instanceof RefusedError) {
      this.#rejectedToken = connection.token;
      // A ticket that worked before, or is not new, has expired. A new one is refused for another reason.
      if (credentials.ticketUrl && (connection.isLive || credentials.fetchedAt < startedAt)) return "reconnect";
      if (!credentials.ticketUrl) {
        this.#shared.stepDown(status);
        return "stop";
      }
    }
    this.#schedule.failed();
    return status;
  }

  /** One connection, until it ends. */
  async #follow(connection) {
    const stream = this.#coverage.nextStream();
    const parser = new Parser(stream.after);
    const url = new URL(`${this.#shared.relay}/events/client`);
    for (const document of stream.documents ?? []) url.searchParams.append("document", document);
    if (!stream.isBacklog) {
      this.#shared.broadcast({ covered: { documents: stream.documents, after: stream.after } });
    }
    const signal = AbortSignal.any([this.#shared.signal, this.#attempt.signal]);
    await readRelayStream(url, {
      token: connection.token,
      parser,
      signal,
      onEvent: (event) => {
        // Text that was received before the abort: the next connection continues from an earlier position.
        if (signal.aborted) return;
        this.#schedule.received();
        this.#coverage.received(event, stream);
        this.#shared.broadcast({ event, isReplay: stream.isBacklog });
      },
      onChunk: (text) => !signal.aborted && this.#onChunk(text, parser, stream, connection),
    });
  }

  #onChunk(text, parser, stream, connection) {
    this.#schedule.retry = parser.retry ?? this.#schedule.retry;
    // The stream of a full relay begins with a comment, every other one with `retry:`.
    connection.isRelayFull ||= !connection.isLive && text.startsWith(":");
    if (!connection.isLive && !connection.isRelayFull && parser.retry !== undefined) {
      connection.isLive = true;
      this.#schedule.connected();
      this.#shared.broadcast({ state: "live" });
    }
    const position = parser.lastEventId;
    if (stream.isBacklog) {
      // A keepalive moves the position over the events of other documents.
      if (isBefore(position, stream.until)) return;
      this.#coverage.backlogRead(stream.documents);
      this.reconnect();
    } else if (position !== "" && this.#coverage.moved(position)) {
      this.#shared.broadcast({ position });
      if (this.#coverage.nextStream().isBacklog) this.reconnect();
    }
  }
}
