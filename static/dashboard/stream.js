// Following the stream over as many connections as it takes. Decides when to come back; what events mean is the store's
// business.

// A relay sends an empty line every 15 seconds unless it is told otherwise.
const SILENCE = 90_000;
const LONGEST = 60_000;

/** The relay cannot continue where the page stands: what it shows has to be loaded anew. */
class Reset extends Error {}

/**
 * Follows until it is refused or `signal` says stop. `load` shows where everything stands and returns the id after which a
 * stream goes on without a gap; `take` gets each event with its sequence; `say` hears of the connection.
 */
async function follow(session, { signal, load, take, say }) {
  let parser;
  let failures = 0;
  let wasReset = false;
  // In a row, without an event in between.
  let resets = 0;
  const onEvent = (event) => {
    if (event.type === "message") {
      resets = 0;
      take(JSON.parse(event.data), sequence(event.lastEventId));
    }
    if (event.type === "reset") throw new Reset();
    // An `error` of the stream itself; a connection that is lost ends without one.
    if (event.type === "error") throw new Refused(event.data in WORDS ? word(event.data) : word("refused", { reason: event.data }));
  };
  const onOpen = () => {
    failures = 0;
    say("open", wasReset ? "reset" : "open");
    wasReset = false;
  };
  while (!signal.aborted) {
    say("waiting", failures === 0 ? "connecting" : "again");
    const used = session.token;
    try {
      parser ??= new Parser(await load());
      // What was half read when a connection broke is read again from its beginning.
      parser = Object.assign(new Parser(parser.lastEventId), { retry: parser.retry });
      await read("/events/client", { headers: session.headers, parser, signal, silence: SILENCE, onOpen, onEvent });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Reset) {
        wasReset = true;
        parser = undefined;
        resets += 1;
        // The first at once; a relay that knows its own ids no longer, time after time, is given time.
        if (resets === 1) continue;
        failures = resets - 1;
      } else if (error instanceof Refused) {
        const renewed = await session.renew(used).catch((reason) => (reason instanceof Refused ? false : undefined));
        if (renewed) continue;
        if (renewed === false) return say("refused", error.message);
        // No token could be had now: that is no refusal.
        failures += 1;
      } else {
        failures += 1;
      }
    }
    // `retry:`, longer with each failure and jittered upward: a relay that comes back is not met by all at once.
    const wait = Math.min((parser?.retry ?? 3000) * 2 ** Math.max(failures - 1, 0), LONGEST) * (1 + Math.random() / 4);
    say("waiting", "lost", { seconds: Math.ceil(wait / 1000) });
    await pause(wait, signal);
  }
}

/** The place of an id in the log: `<epoch>.<sequence>`. */
function sequence(id) {
  return Number(id.split(".")[1]);
}

/** Waits, but not longer than until the network is back or the page stops following. */
function pause(milliseconds, signal) {
  const over = new AbortController();
  return new Promise((resolve) => {
    const end = () => {
      over.abort();
      resolve();
    };
    setTimeout(end, milliseconds);
    addEventListener("online", end, { signal: over.signal });
    signal.addEventListener("abort", end, { signal: over.signal });
  });
}
