// An event stream read with fetch(): the parser of the HTML standard (9.2.6), for those who want to send a header.
// Knows the format, not what the events mean; when to come back is the caller's decision.

/** Turns text, in whatever pieces it comes, into events and `retry:` times. */
export class Parser {
  /** `lastEventId` is what has been seen so far; it moves on as the standard has it. */
  constructor(lastEventId = "") {
    this.lastEventId = lastEventId;
    this.retry = undefined;
    this.pending = "";
    this.afterCr = false;
    this.begin();
  }

  begin() {
    this.type = "";
    this.data = [];
    this.id = this.lastEventId;
  }

  /** The events that are complete with this piece: `{type, data, lastEventId}`. */
  *push(text) {
    // The LF of a CR LF that was cut in two.
    if (this.afterCr && text.startsWith("\n")) text = text.slice(1);
    if (text !== "") this.afterCr = text.endsWith("\r");
    const lines = (this.pending + text).split(/\r\n|\n|\r/);
    this.pending = lines.pop();
    for (const line of lines) {
      if (line !== "") {
        this.field(line);
        continue;
      }
      this.lastEventId = this.id;
      if (this.data.length > 0) {
        yield { type: this.type || "message", data: this.data.join("\n"), lastEventId: this.lastEventId };
      }
      this.begin();
    }
  }

  field(line) {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.data.push(value);
    else if (name === "event") this.type = value;
    else if (name === "id" && !value.includes("\0")) this.id = value;
    else if (name === "retry" && /^[0-9]+$/.test(value)) this.retry = Number(value);
  }
}

/**
 * Reads one connection to its end. `onEvent` is called for each event, `onOpen` when the head has come. A connection
 * that brings nothing for `silence` milliseconds is dead, and given up with a TimeoutError.
 */
export async function read(url, { headers, parser, signal, silence, onOpen, onEvent }) {
  const dead = new AbortController();
  const giveUp = () => dead.abort(new DOMException("nothing came", "TimeoutError"));
  let timer = setTimeout(giveUp, silence);
  try {
    const response = await fetch(url, {
      headers: { Accept: "text/event-stream", ...(parser.lastEventId && { "Last-Event-ID": parser.lastEventId }), ...headers },
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.any([signal, dead.signal]),
    });
    const type = response.headers.get("content-type") ?? "";
    if (response.status !== 200 || !/^text\/event-stream\s*(;|$)/i.test(type)) {
      throw new Error(`the address answered ${response.status} and no event stream`);
    }
    onOpen();
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      // A block that the end has cut off is no event: the log still has it.
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(giveUp, silence);
      for (const event of parser.push(decoder.decode(value, { stream: true }))) onEvent(event);
    }
  } finally {
    clearTimeout(timer);
    // Whoever threw in `onEvent` has heard enough.
    dead.abort();
  }
}
