// Part of /widget.js: where an element's documents come from. A source is a function that is given `tell` and returns a
// function that ends it; it tells `{documents}`, `{event}`, `{reset}` and `{state, code}`. This one asks a relay: first
// where the documents stand, then every event after that.

/** Documents that are looked at when none is named; the element shows the newest of them. */
const LATEST = 20;

/** `wish` is `{relay, token, ticketUrl, documents, vendor}`; `documents` null means all. */
function relaySource(wish) {
  return (tell) => {
    const { relay } = wish;
    const over = new AbortController();
    const { signal } = over;
    const credentials = new Credentials(wish.token, wish.ticketUrl);
    let share;
    let looking;
    /** Events before this time, by the relay's clock, are no news when they come out of a stream that begins in the past. */
    let started = 0;

    const member = {
      credentials,
      tell: (message) => {
        if (message.moved) return begin();
        if (message.event) return tell({ ...message, isNews: Date.parse(message.event.time) >= started });
        tell(message);
        if (message.reset) look();
      },
    };

    async function begin() {
      share?.leave(member);
      const token = await insist(() => credentials.token(), signal, tell);
      if (signal.aborted || token === undefined) return;
      share = Share.of(relay, token);
      // First the stream, then the past: nothing can happen between the two that neither tells.
      share.join(member);
      await look();
    }

    async function look() {
      looking?.abort();
      looking = new AbortController();
      const mine = looking.signal;
      const either = AbortSignal.any([signal, mine]);
      member.need = undefined;
      const need = await insist(() => present(either), either, tell);
      if (!either.aborted && need) share.need(member, need);
    }

    /** Tells the present state; returns what the stream has to bring from then on. */
    async function present(until) {
      let token = await credentials.token();
      // A ticket may name the documents that it opens.
      const documents = wish.documents ?? claims(token).documents ?? null;
      const fromStream = () => {
        // To the second: rather old news than none.
        started = Math.min(claims(token).iat * 1000 || Date.now(), Date.now());
        if (wish.documents === null) tell({ documents: [] });
        return { documents, after: documents === null ? "" : "earliest" };
      };
      if (!mayRead(token)) return fromStream();
      const query = new URLSearchParams({ limit: documents ? 1 : LATEST, ...(wish.vendor && !documents && { vendor: wish.vendor }) });
      let list = await ask(`/documents?${query}`, token, until);
      if (list === null && credentials.ticketUrl) {
        token = await credentials.token(token);
        list = await ask(`/documents?${query}`, token, until);
      }
      // The stream will say in its own words what is wrong with this token, or follow with it.
      if (list === null) return fromStream();
      let { documents: known, lastEventId } = list;
      // Asked after `lastEventId` was: as new as that or newer, and the stream brings the rest.
      if (documents) known = (await Promise.all(documents.map((id) => ask(`/documents/${encodeURIComponent(id)}`, token, until)))).filter(Boolean);
      tell({ documents: known.map(({ eventId, ...document }) => ({ ...document, id: eventId })) });
      return { documents, after: lastEventId };
    }

    /** The JSON of an answer; null when there is none for this token. */
    async function ask(path, token, until) {
      const response = await fetch(relay + path, {
        headers: { Authorization: `Bearer ${token}` },
        cache: "no-store",
        credentials: "omit",
        signal: AbortSignal.any([until, AbortSignal.timeout(PATIENCE)]),
      });
      if ([400, 401, 403, 404].includes(response.status)) return null;
      if (!response.ok) throw new Error(`the relay answered ${response.status}`);
      return response.json();
    }

    begin();
    return () => {
      over.abort();
      share?.leave(member);
    };
  };
}

/** Tries until it works, saying meanwhile what is wrong; undefined when it was refused for good, or ended. */
async function insist(work, signal, tell) {
  for (let failures = 1; !signal.aborted; failures++) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) return undefined;
      if (error instanceof Refused && !(error instanceof Trouble)) {
        tell({ state: "error", code: error.code });
        return undefined;
      }
      const code = !navigator.onLine ? "offline" : error instanceof Trouble ? error.code : "unreachable";
      tell({ state: code === "ticket_refused" ? "error" : "offline", code });
      await pause(backoff(3000, failures), signal);
    }
  }
  return undefined;
}
