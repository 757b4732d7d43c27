// The session of a client: its token, and requests to the relay with it. A client secret is kept in memory only, to get the
// next token.

import { RefusedError } from "../stream/errors.js";
import { deleteToken, saveToken } from "./token-storage.js";

/** A token that is refused right after it was issued is not renewed again before this time has passed. */
const MIN_RENEWAL_INTERVAL_MS = 30_000;

/** An error response; `detail` is the relay's own text, if there is one. */
export class ApiError extends Error {
  constructor(status, detail) {
    super(detail ?? `the relay responded with status ${status}`);
    this.status = status;
    this.detail = detail;
  }
}

export class Session {
  #client;
  #renewedAt = Date.now();
  #renewal;
  #isClosed = false;

  /** `client` is `{id, secret}`, or undefined if only a token is known. */
  constructor(token, client) {
    this.token = token;
    this.#client = client;
  }

  /** Requests a token with a client secret. Throws a RefusedError if the secret is wrong. */
  static async fromSecret(client) {
    return new Session(await requestToken(client), client);
  }

  /**
   * Returns whether there is now another token than the `refused` one. Concurrent callers share one request. Throws if
   * the relay cannot be reached.
   */
  async renew(refused) {
    if (refused !== this.token) return true;
    if (!this.#client || Date.now() - this.#renewedAt < MIN_RENEWAL_INTERVAL_MS) return false;
    this.#renewal ??= requestToken(this.#client).finally(() => {
      this.#renewal = undefined;
    });
    const token = await this.#renewal;
    // The user has signed out in the meantime.
    if (this.#isClosed) return false;
    this.token = token;
    this.#renewedAt = Date.now();
    saveToken(token);
    return true;
  }

  /** Signs out. */
  close() {
    this.#isClosed = true;
    this.#client = undefined;
    deleteToken();
  }

  /**
   * The JSON of a response, undefined for 204. Throws a RefusedError when the token is not accepted and cannot be renewed,
   * an ApiError for every other error response, and a TypeError when the relay cannot be reached.
   */
  async request(path, { method = "GET", body, signal } = {}) {
    const used = this.token;
    let response = await this.#send(path, { method, body, signal });
    if (response.status === 401 && (await this.renew(used)))
      response = await this.#send(path, { method, body, signal });
    if (response.status === 401) throw new RefusedError("auth_failed");
    if (response.ok) return response.status === 204 ? undefined : response.json();
    const problem = await response.json().catch(() => ({}));
    throw new ApiError(response.status, problem.detail ?? problem.message);
  }

  #send(path, { method, body, signal }) {
    return fetch(path, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      headers: { Authorization: `Bearer ${this.token}` },
      signal,
      cache: "no-store",
      credentials: "omit",
    });
  }
}

async function requestToken({ id, secret }) {
  const body = new URLSearchParams({ grant_type: "client_credentials", client_id: id, client_secret: secret });
  const response = await fetch("/oauth/token", { method: "POST", body, cache: "no-store", credentials: "omit" });
  if (response.status === 400 || response.status === 401) throw new RefusedError("bad_client");
  if (!response.ok) throw new ApiError(response.status);
  return (await response.json()).access_token;
}
