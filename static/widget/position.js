// Part of /widget.js: positions in the log, and waiting. A position is an event's id, `earliest`, or empty for "from now
// on", which lies after all others.

/** A request that is not answered for so long, in milliseconds, is given up. */
const PATIENCE = 20_000;
/** A relay sends an empty line every 15 seconds unless it is told otherwise: a stream that is silent longer is dead. */
const SILENCE = 90_000;
/** The longest time between two attempts, without its jitter. */
const LONGEST = 60_000;

/** Whether position `a` lies before `b`. Of two stores, nobody can say: then it does, and the relay will say `reset`. */
function before(a, b) {
  if (a === b || a === "" || b === "earliest") return false;
  if (b === "" || a === "earliest") return true;
  const [[epochA, sequenceA], [epochB, sequenceB]] = [a.split("."), b.split(".")];
  return epochA !== epochB || Number(sequenceA) < Number(sequenceB);
}

/** Longer with each failure and jittered upward: a relay that comes back is not met by all at once. */
function backoff(retry, failures) {
  return Math.min(retry * 2 ** Math.max(failures - 1, 0), LONGEST) * (1 + Math.random() / 4);
}

/** Waits, but not longer than until the network is back or one of the signals says stop. */
function pause(milliseconds, ...signals) {
  const over = new AbortController();
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      over.abort();
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    addEventListener("online", end, { signal: over.signal });
    for (const signal of signals) {
      if (signal.aborted) end();
      signal.addEventListener("abort", end, { signal: over.signal });
    }
  });
}
