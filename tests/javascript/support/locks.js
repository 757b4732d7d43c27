// Web Locks in memory, shared by all tabs of a test.

export class MemoryLocks {
  #queues = new Map();

  /** Like `navigator.locks.request(name, {signal}, callback)`, exclusive locks only. */
  async request(name, { signal }, callback) {
    if (signal.aborted) throw signal.reason;
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    const turn = {};
    const granted = new Promise((resolve, reject) => {
      turn.grant = resolve;
      signal.addEventListener("abort", () => {
        if (queue[0] === turn) return;
        queue.splice(queue.indexOf(turn), 1);
        reject(signal.reason);
      });
    });
    queue.push(turn);
    if (queue[0] === turn) turn.grant();
    await granted;
    try {
      return await callback();
    } finally {
      queue.shift();
      queue[0]?.grant();
    }
  }
}
