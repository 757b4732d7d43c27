// Reads an event stream with fetch(), which can send headers; an EventSource cannot. Implements the parser of the HTML
// standard (section 9.2.6). Reconnecting is up to the caller. Served as /sse.js, so this file has no imports.

/** An incremental parser of event streams. */
export class Parser {
  /** `lastEventId`: the id of the last event received before; updated while parsing. */
  constructor(lastEventId = "") {
    this.lastEventId = lastEventId;
    /** The last `retry:` value in milliseconds, or undefined. */
    this.retry = undefined;
    this.pending = "";
    this.afterCr = false;
    this.startEvent();
  }

  startEvent() {
    this.type = "";
    this.data = [];
    this.id = this.lastEventId;
  }

  /** Parses the next piece of text, of any length, and yields the events it completes: `{type, data, lastEventId}`. */
  *push(text) {
    // The LF of a CR LF pair that was split between two pieces.
    if (this.afterCr && text.startsWith("\n")) text = text.slice(1);
    if (text !== "") this.afterCr = text.endsWith("\r");
    const lines = (this.pending + text).split(/\r\n|\n|\r/);
    this.pending = lines.pop();
    for (const line of lines) {
      if (line !== "") {
        this.parseField(line);
        continue;
      }
      this.lastEventId = this.id;
      if (this.data.length > 0) {
        yield { type: this.type || "message", data: this.data.join("\n"), lastEventId: this.lastEventId };
      }
      this.startEvent();
    }
  }

  parseField(line) {
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
 * Reads one connection until it ends.
 *
 * `onEvent(event)` is called for each event. Optional: `onOpen()` is called after a valid response head, `onChunk(text)`
 * after the events of each piece of text. An exception from `onEvent` closes the connection. Throws a TimeoutError when no byte arrives for
 * `silence` milliseconds, and an Error when the response is not an event stream.
 */
export async function read(url, { headers, parser, signal, silence, onOpen, onEvent, onChunk }) {
  const closed = new AbortController();
  const onTimeout = () => closed.abort(new DOMException(`no data for ${silence} ms`, "TimeoutError"));
  let timer = setTimeout(onTimeout, silence);
  try {
    const resume = parser.lastEventId ? { "Last-Event-ID": parser.lastEventId } : {};
    const response = await fetch(url, {
      headers: { Accept: "text/event-stream", ...resume, ...headers },
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.any([signal, closed.signal]),
    });
    const type = response.headers.get("content-type") ?? "";
    if (response.status !== 200 || !/^text\/event-stream\s*(;|$)/i.test(type)) {
      throw new Error(
        `expected an event stream, got status ${response.status} and content type ${JSON.stringify(type)}`,
      );
    }
    onOpen?.();
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      // An incomplete event at the end is dropped, as the standard says. The server sends it again after a resume.
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(onTimeout, silence);
      const text = decoder.decode(value, { stream: true });
      for (const event of parser.push(text)) onEvent(event);
      onChunk?.(text);
    }
  } finally {
    clearTimeout(timer);
    closed.abort();
  }
}
