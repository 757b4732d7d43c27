// Delays between connection attempts: exponential backoff with jitter, cut short when the network returns.

export const DEFAULT_RETRY_MS = 3000;
export const MAX_RETRY_MS = 60_000;

/** The delay in milliseconds after a number of failures in a row. `retry` is the relay's `retry:` value. */
export function backoffDelay(retry, failures, random = Math.random) {
  // Jitter only adds, so that a restarted relay does not get all clients back earlier than it asked for.
  return Math.min(retry * 2 ** Math.max(failures - 1, 0), MAX_RETRY_MS) * (1 + random() / 4);
}

/** Waits for `milliseconds`, or until the browser goes online or one of the signals is aborted. Never rejects. */
export function wait(milliseconds, ...signals) {
  const done = new AbortController();
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      done.abort();
      resolve();
    };
    const timer = setTimeout(finish, milliseconds);
    addEventListener("online", finish, { signal: done.signal });
    for (const signal of signals) {
      if (signal.aborted) return finish();
      signal.addEventListener("abort", finish, { signal: done.signal });
    }
    return undefined;
  });
}

/** When to connect again, after failures and resets in a row. */
export class RetrySchedule {
  #failures = 0;
  #resets = 0;
  #random;

  constructor(random = Math.random) {
    this.#random = random;
    /** The relay's last `retry:` value, in milliseconds. */
    this.retry = DEFAULT_RETRY_MS;
  }

  /** How many attempts have failed since the last success. */
  get failures() {
    return this.#failures;
  }

  /** The delay before the next attempt, in milliseconds. */
  get delay() {
    return backoffDelay(this.retry, this.#failures, this.#random);
  }

  /** A connection was accepted. */
  connected() {
    this.#failures = 0;
  }

  /** An event has arrived. */
  received() {
    this.#resets = 0;
  }

  failed() {
    this.#failures += 1;
  }

  /**
   * The relay has sent `reset`. Returns true when the next attempt should not wait: for the first reset only, because a
   * relay that rejects its own positions would otherwise be asked without a pause.
   */
  resetReceived() {
    this.#resets += 1;
    this.#failures = this.#resets - 1;
    return this.#resets === 1;
  }
}
