// The token of one element: given as an attribute, or fetched from the site's ticket URL and renewed after it expires.

import { RefusedError, TemporaryError } from "../stream/errors.js";
import { REQUEST_TIMEOUT_MS } from "./limits.js";

export class Credentials {
  #token;
  #expiresAt = Infinity;
  #pending;

  /** `token` is used until the relay rejects it, then `ticketUrl` is fetched. One of the two is enough. */
  constructor(token, ticketUrl) {
    this.#token = token;
    this.ticketUrl = ticketUrl;
    /** When the present token was fetched, in milliseconds since the epoch; 0 for a token given as an attribute. */
    this.fetchedAt = 0;
  }

  /**
   * The present token, or a new one if it has expired or equals `rejected`.
   *
   * Throws a RefusedError when there is neither a token nor a ticket URL, and a TemporaryError when no ticket is returned.
   */
  async token(rejected) {
    const isUsable = this.#token && (!this.ticketUrl || (this.#token !== rejected && Date.now() < this.#expiresAt));
    if (isUsable) return this.#token;
    if (!this.ticketUrl) throw new RefusedError("auth_required");
    // Concurrent callers share one request.
    this.#pending ??= this.#fetchTicket().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #fetchTicket() {
    const { response, text } = await this.#requestTicket();
    if (response.status === 401 || response.status === 403) throw new TemporaryError("ticket_refused");
    const ticket = parseTicket(text);
    if (!response.ok || !isToken(ticket.token)) throw new TemporaryError("ticket_failed");
    this.#token = ticket.token;
    this.fetchedAt = Date.now();
    this.#expiresAt = ticket.expires_in > 0 ? this.fetchedAt + ticket.expires_in * 1000 : Infinity;
    return this.#token;
  }

  async #requestTicket() {
    try {
      const response = await fetch(this.ticketUrl, {
        headers: { Accept: "application/json, text/plain" },
        // The site authenticates the user by its own cookies. They are not sent to another origin.
        mode: "same-origin",
        credentials: "same-origin",
        cache: "no-store",
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      return { response, text: (await response.text()).trim() };
    } catch {
      throw new TemporaryError(navigator.onLine ? "ticket_failed" : "offline");
    }
  }
}

/** The response of a ticket URL is `{"token", "expires_in"}` or the token alone. */
function parseTicket(text) {
  if (!text.startsWith("{")) return { token: text };
  try {
    return JSON.parse(text);
  } catch {
    throw new TemporaryError("ticket_failed");
  }
}

/** Whether a value can be sent as a bearer token. Other text, such as the HTML of a sign-in page, must not become a header. */
function isToken(value) {
  return typeof value === "string" && /^[\w.~+/=-]+$/.test(value);
}
