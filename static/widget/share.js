// Part of /widget.js: one stream for all tabs of an origin. The tab that holds a Web Lock follows and tells the others
// over a BroadcastChannel; when it goes, the lock passes on, and the next one follows from where all have heard
// everything. A browser without the two (a page without TLS has no locks) follows with a stream for each tab.
//
// The stream is read with fetch(), not with an EventSource: the token stays out of addresses and of the logs of proxies,
// a connection that has died in silence is noticed, and a new ticket needs a new request anyway.
//
// Messages between tabs:
//   {need: {documents, after}}   a tab wants these documents (null: all), from this position on
//   {who: true}                  a new leader asks for needs
//   {begin: {documents, after}}  a connection begins that serves these needs
//   {event, past}                an event with its id; `past` when it was asked for again and others have heard more
//   {reset: true}                continuity is lost: everybody looks at the present state, and says what it needs
//   {state, code}                how the stream is doing
//   {nudge: true}                somebody looks: do not wait any longer

/** More than so many documents do not fit into an address well; then all are followed. */
const MOST_NAMED = 100;
/** Documents whose last event a leader keeps for tabs that come later. */
const MOST_KEPT = 1000;

/** A parser that tells what has arrived, after its events. */
class Tap extends Parser {
  *push(text) {
    yield* super.push(text);
    this.arrived(text);
  }
}

/** Whether a stream of `served` documents brings all that are `wanted`; null means all documents. */
function covers(served, wanted) {
  return served === null || (wanted !== null && wanted.every((document) => served.includes(document)));
}

class Share {
  static all = new Map();

  /** The share of this tab for a relay and what a token opens. */
  static of(relay, token) {
    const name = Share.nameOf(relay, token);
    if (!Share.all.has(name)) Share.all.set(name, new Share(name, relay));
    return Share.all.get(name);
  }

  static nameOf(relay, token) {
    return `docrelay ${relay} ${identity(token)}`;
  }

  constructor(name, relay) {
    this.name = name;
    this.relay = relay;
    this.members = new Set();
    this.over = new AbortController();
    this.status = { state: "connecting" };
    this.forget();
    if (navigator.locks && globalThis.BroadcastChannel) {
      this.channel = new BroadcastChannel(name);
      this.channel.onmessage = ({ data }) => this.hear(data);
    }
    const looks = () => document.visibilityState === "visible" && this.say({ nudge: true });
    document.addEventListener("visibilitychange", looks, { signal: this.over.signal });
    // The browser knows at once what a stream would notice in a minute.
    addEventListener("offline", () => this.attempt?.abort(), { signal: this.over.signal });
  }

  /** Waits in line for the lead. */
  stand() {
    this.standing = true;
    let began = false;
    const lead = () => {
      began = true;
      return this.lead();
    };
    if (!this.channel) return void lead();
    navigator.locks.request(this.name, { signal: this.over.signal }, lead).catch(() => {
      if (began || this.over.signal.aborted) return;
      // A page in a sandbox has locks and may not use them: then it follows for itself.
      this.channel.close();
      this.channel = undefined;
      lead();
    });
  }

  /** A leader's memory, as it is before anybody has said what is needed. */
  forget() {
    /** Followed; null is all, an empty list nothing yet. */
    this.documents = [];
    /** Where the stream goes on, and since where it has told everything. */
    this.after = this.since = "";
    /** Documents whose past is still to be read, when the stream itself may not begin with all of it. */
    this.behind = new Set();
    this.kept = new Map();
  }

  /** A member is `{credentials, tell, need?}`. */
  join(member) {
    this.members.add(member);
    member.tell(this.status);
    if (!this.standing) this.stand();
  }

  leave(member) {
    this.members.delete(member);
    if (this.members.size > 0) return;
    this.over.abort();
    this.channel?.close();
    Share.all.delete(this.name);
  }

  /** Called by a member once it knows where it stands. */
  need(member, need) {
    Object.assign(member, { need, tracking: false, heard: need.after });
    this.say({ need });
  }

  /** To all tabs, this one included. */
  say(message) {
    if (this.over.signal.aborted) return;
    this.channel?.postMessage(message);
    this.hear(message);
  }

  hear(message) {
    if (message.state) this.status = message;
    // Who has resigned hears that another tab leads: it stands in line again, for when that one is gone.
    if (message.state === "live" && !this.standing && this.members.size > 0) this.stand();
    if (message.nudge) this.waiting?.abort();
    if (message.who) for (const need of this.needs()) this.say({ need });
    if (message.need && this.leading) this.widen(message.need);
    for (const member of [...this.members]) this.pass(message, member);
  }

  /** What this tab's members need so as to miss nothing if somebody began to follow now. */
  needs() {
    const ready = [...this.members].filter((member) => member.need);
    return ready.map(({ need, heard }) => ({ documents: need.documents, after: heard }));
  }

  pass(message, member) {
    const { need, heard } = member;
    if (message.begin && need) {
      // From here on the ids that are heard are this member's position, too.
      member.tracking ||= covers(message.begin.documents, need.documents) && !before(need.after, message.begin.after);
    } else if (message.event && need) {
      if (!message.past && heard !== "" && !before(heard, message.event.id)) return;
      if (!message.past && member.tracking) member.heard = message.event.id;
      if (covers(need.documents, [message.event.documentId])) member.tell(message);
    } else if (message.state || message.reset) {
      member.tell(message);
    }
  }

  /** Changes what is followed so that it serves this need, too; connects anew when it has to. */
  widen({ documents, after }) {
    const served = covers(this.documents, documents);
    const nothing = this.documents?.length === 0;
    if (!served) {
      const named = documents === null ? null : [...new Set([...this.documents, ...documents])];
      if (named === null || named.length > MOST_NAMED) {
        // All of the past of all documents is too much: what was to be read of it is read by itself.
        if (this.after === "earliest") for (const document of this.documents) this.behind.add(document);
        if (this.since === "earliest") this.since = "";
        if (this.after === "earliest") this.after = "";
      }
      this.documents = named !== null && named.length <= MOST_NAMED ? named : null;
    }
    if (after === "earliest") {
      for (const document of documents) {
        if (this.kept.has(document)) this.say({ event: this.kept.get(document), past: true });
        else if (this.documents === null) this.behind.add(document);
      }
      if (this.documents === null) after = "";
    }
    const earlier = nothing ? after !== "" : before(after, this.since);
    if (earlier) this.since = after;
    if (earlier || (!served && before(after, this.after))) this.after = after;
    if (!served || earlier || this.behind.size > 0) this.attempt?.abort();
    this.wanted?.();
    this.say(this.status);
  }

  /** Follows until this tab has nobody left who wants to, or its token is no longer taken. */
  async lead() {
    const { signal } = this.over;
    this.leading = true;
    this.forget();
    for (const need of this.needs()) this.widen(need);
    this.say({ who: true });
    // The other tabs' answers, so that the first connection is wide enough.
    await pause(this.channel ? 30 : 0, signal);
    let failures = 0;
    let refused;
    while (!signal.aborted) {
      if (this.documents?.length === 0) await Promise.race([new Promise((wanted) => (this.wanted = wanted)), ended(signal)]);
      if (signal.aborted) return;
      this.attempt = new AbortController();
      const began = Date.now();
      // Whoever joined last has the youngest token.
      const { credentials } = [...this.members].at(-1);
      const connection = { retry: 3000, signal: AbortSignal.any([signal, this.attempt.signal]) };
      let status = { state: "connecting" };
      try {
        if (!navigator.onLine) throw new Trouble("offline");
        connection.token = await credentials.token(refused);
        if (Share.nameOf(this.relay, connection.token) !== this.name) return this.moved();
        await this.follow(connection);
        if (connection.live) failures = 0;
        if (connection.busy) status = { state: "connecting", code: "busy" };
      } catch (error) {
        if (signal.aborted) return;
        if (connection.live) failures = 0;
        if (this.attempt.signal.aborted && navigator.onLine) continue;
        if (error instanceof Again && ++failures === 1) continue;
        const isTrouble = error instanceof Trouble;
        if (error instanceof Refused && !isTrouble) {
          refused = connection.token;
          // One that was taken before, or was kept for a while, has expired. A fresh one is refused for another reason.
          if (credentials.ticketUrl && (connection.live || credentials.fetched < began)) continue;
          status = { state: "error", code: error.code };
          if (!credentials.ticketUrl) return this.resign(status);
        } else {
          const code = !navigator.onLine ? "offline" : isTrouble ? error.code : "unreachable";
          status = { state: code === "ticket_refused" ? "error" : "offline", code };
        }
        failures += 1;
      }
      this.say(status);
      this.waiting = new AbortController();
      await pause(backoff(connection.retry, failures), signal, this.attempt.signal, this.waiting.signal);
    }
  }

  /** Tells this tab only, and lets another one lead: its token may be younger. */
  resign(status) {
    this.leading = this.standing = false;
    for (const member of this.members) member.tell(status);
    this.status = status;
  }

  /** A new ticket opens something else, such as that of another user: nobody here may go on with the old share. */
  moved() {
    for (const member of [...this.members]) member.tell({ moved: true });
  }

  /** One connection, to its end. */
  async follow(connection) {
    // A stream of everything cannot begin with the past of some: that is read first, until the relay falls idle.
    const past = this.documents === null && this.behind.size > 0;
    const documents = past ? [...this.behind] : this.documents;
    const parser = new Tap(past ? "earliest" : this.after);
    const url = new URL(`${this.relay}/events/client`);
    for (const document of documents ?? []) url.searchParams.append("document", document);
    parser.arrived = (text) => {
      connection.retry = parser.retry ?? connection.retry;
      // A relay without room says so in a comment; the others begin with `retry`.
      connection.busy ||= !connection.live && text.startsWith(":");
      if (!connection.live && !connection.busy && parser.retry !== undefined) {
        connection.live = true;
        this.say({ state: "live" });
      } else if (past && /^\n+$/.test(text) && parser.pending === "" && parser.data.length === 0) {
        for (const document of documents) this.behind.delete(document);
        // Nobody has a position yet: the end of this past is one, so that nothing falls between it and what follows.
        if (this.after === "") this.after = connection.reached ?? "";
        this.attempt.abort();
      }
    };
    if (!past) this.say({ begin: { documents, after: this.after } });
    await read(url, {
      headers: { Authorization: `Bearer ${connection.token}` },
      parser,
      signal: connection.signal,
      silence: SILENCE,
      onOpen: () => {},
      onEvent: (event) => {
        connection.reached = event.lastEventId;
        this.take(event, past);
      },
    });
  }

  take({ type, data, lastEventId: id }, past) {
    if (type === "error") throw new Refused(data);
    if (type === "reset") {
      this.forget();
      this.say({ reset: true });
      throw new Again();
    }
    if (type !== "message") return;
    const event = { ...JSON.parse(data), id };
    if (!past) this.after = id;
    this.kept.delete(event.documentId);
    this.kept.set(event.documentId, event);
    if (this.kept.size > MOST_KEPT) this.kept.delete(this.kept.keys().next().value);
    this.say({ event, past });
  }
}

/** To be connected anew at once. */
class Again extends Error {}

function ended(signal) {
  return new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}
