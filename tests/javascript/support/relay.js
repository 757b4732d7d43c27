// A relay in memory: replaces fetch(), and keeps the connections that were opened.

/** A JWT with these claims; its signature is not valid. */
export function tokenWith(claims) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${encode({ alg: "ES256" })}.${encode(claims)}.signature`;
}

/** The text of an event in a stream. */
export function message(id, fields) {
  return `id: ${id}\ndata: ${JSON.stringify(fields)}\n\n`;
}

/** A JSON response. */
export function json(body, status = 200) {
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });
}

/** One open stream: what was requested, and methods that send text and close it. */
class Connection {
  #controller;

  constructor(request) {
    this.request = request;
    this.isClosed = false;
    const { signal } = request;
    const body = new ReadableStream({
      start: (controller) => {
        this.#controller = controller;
      },
    });
    signal?.addEventListener("abort", () => this.#end(() => this.#controller.error(signal.reason)));
    this.response = new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  }

  send(text) {
    this.#controller.enqueue(new TextEncoder().encode(text));
  }

  close() {
    this.#end(() => this.#controller.close());
  }

  #end(action) {
    if (this.isClosed) return;
    this.isClosed = true;
    action();
  }
}

export class MemoryRelay {
  /** All streams that were opened, oldest first. */
  connections = [];
  /** All requests: `{url, method, headers, body, signal}`. */
  requests = [];
  #routes = [];

  constructor() {
    globalThis.fetch = async (url, options = {}) => this.#answer({ url: String(url), method: "GET", ...options });
  }

  /** Answers requests whose URL contains `part` with the result of `respond(request)`. The last matching route wins. */
  on(part, respond) {
    this.#routes.unshift({ part, respond });
  }

  /** The streams that are open. */
  get open() {
    return this.connections.filter(({ isClosed }) => !isClosed);
  }

  async #answer(request) {
    request.signal?.throwIfAborted();
    this.requests.push(request);
    const route = this.#routes.find(({ part }) => request.url.includes(part));
    if (route) return route.respond(request);
    if (!request.url.includes("/events/client")) return json({}, 404);
    const connection = new Connection(request);
    this.connections.push(connection);
    return connection.response;
  }
}
