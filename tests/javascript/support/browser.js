// The parts of a browser that the modules use and Node.js lacks. Import this file before the modules.

const events = new EventTarget();

/** Replaces a global, also one that Node.js defines as a getter. */
function define(name, value) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

/** A Storage that keeps nothing after the process. */
export class MemoryStorage {
  #items = new Map();

  getItem(key) {
    return this.#items.get(key) ?? null;
  }

  setItem(key, value) {
    this.#items.set(key, String(value));
  }

  removeItem(key) {
    this.#items.delete(key);
  }
}

define("addEventListener", events.addEventListener.bind(events));
define("removeEventListener", events.removeEventListener.bind(events));
define("dispatchEvent", events.dispatchEvent.bind(events));
define("navigator", { onLine: true, language: "en-US", locks: undefined });
define("document", Object.assign(new EventTarget(), { visibilityState: "visible", documentElement: { lang: "en" } }));
define("location", { hash: "", pathname: "/", origin: "https://relay.example.com" });
define("history", {
  replaceState: (_state, _title, url) => {
    globalThis.location.hash = url.includes("#") ? url.slice(url.indexOf("#")) : "";
  },
});
define("sessionStorage", new MemoryStorage());
define("localStorage", new MemoryStorage());

/** Resolves after all pending callbacks of promises have run, and those of messages between tabs. */
export async function settle() {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Resolves once `condition()` is true; rejects if that takes too long. */
export async function until(condition) {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within 10 seconds: ${condition}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
