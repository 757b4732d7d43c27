// Part of /widget.js: tokens, and tickets that are fetched anew when they have expired. Reads claims only to tell whose
// token it is and what is worth asking with it; what counts is decided by the relay.

/** A relay or a site that says no; `code` is a key of the words. */
class Refused extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

/** Something that may go away by itself. */
class Trouble extends Refused {}

/** What a token says of itself; nothing when it is no JWT. */
function claims(token) {
  try {
    const bytes = atob(token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/"));
    const json = new TextDecoder().decode(Uint8Array.from(bytes, (character) => character.charCodeAt(0)));
    return Object(JSON.parse(json));
  } catch {
    return {};
  }
}

/** Equal for two tokens that open the same: tabs share a stream only with those of the same client and documents. */
function identity(token) {
  const { exp, iat, nbf, jti, ...lasting } = claims(token);
  return Object.keys(lasting).length > 0 ? JSON.stringify(lasting) : token;
}

/** Whether `GET /documents` is worth a try: a ticket opens streams only, and the browser would note the refusal. */
function mayRead(token) {
  const { scope, use } = claims(token);
  return use !== "ticket" && /(^| )(events|manage)( |$)/.test(scope);
}

class Credentials {
  /** `token` is used as long as it is taken, then `ticketUrl` is asked; one of them is enough. */
  constructor(token, ticketUrl) {
    this.ticketUrl = ticketUrl;
    this.held = token;
    this.until = Infinity;
    /** When `held` was fetched, in milliseconds since the epoch. */
    this.fetched = 0;
  }

  /** A token, but not `refused`, which the relay does not take any more. */
  async token(refused) {
    if (this.held && (!this.ticketUrl || (this.held !== refused && Date.now() < this.until))) return this.held;
    if (!this.ticketUrl) throw new Refused("auth_required");
    // Asked by the stream and for the present state at once, it is fetched once.
    this.asking ??= this.fetch().finally(() => {
      this.asking = undefined;
    });
    return this.asking;
  }

  async fetch() {
    let response;
    let text;
    try {
      response = await fetch(this.ticketUrl, {
        headers: { Accept: "application/json, text/plain" },
        // The site's own cookies say who is there. They never go anywhere else.
        mode: "same-origin",
        credentials: "same-origin",
        cache: "no-store",
        signal: AbortSignal.timeout(PATIENCE),
      });
      text = (await response.text()).trim();
    } catch {
      throw new Trouble(navigator.onLine ? "ticket_failed" : "offline");
    }
    if (response.status === 401 || response.status === 403) throw new Trouble("ticket_refused");
    let ticket = { token: text };
    if (text.startsWith("{")) {
      try {
        ticket = JSON.parse(text);
      } catch {
        throw new Trouble("ticket_failed");
      }
    }
    // What is no token, such as a page to sign in, must not get into a header.
    if (!response.ok || !/^[\w.~+/=-]+$/.test(ticket.token)) throw new Trouble("ticket_failed");
    this.held = ticket.token;
    this.fetched = Date.now();
    this.until = ticket.expires_in > 0 ? this.fetched + ticket.expires_in * 1000 : Infinity;
    return this.held;
  }
}
