// Who is signed in: the token, kept for this tab and sent in a header only, and requests to the relay with it. A client's
// secret is held in memory while the page is open, to get the next token; it is kept nowhere.

const KEPT_AS = "docrelay-token";
/** A token that was just got and is refused all the same is not got again at once. */
const RENEW_AT_MOST_EVERY = 30_000;

/** A relay that says no: coming back would not help. */
class Refused extends Error {}

/** An answer that is none of what was hoped for; `status` says which. */
class Unexpected extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

class Session {
  constructor(token, client) {
    this.token = token;
    this.client = client;
    this.renewed = Date.now();
    this.ended = false;
  }

  /** Asks for a token with a client's secret: in a form, never in an address. */
  static async of(client) {
    const form = new URLSearchParams({ grant_type: "client_credentials", client_id: client.id, client_secret: client.secret });
    const response = await fetch("/oauth/token", { method: "POST", body: form, cache: "no-store", credentials: "omit" });
    if (response.status === 400 || response.status === 401) throw new Refused(word("badClient"));
    if (!response.ok) throw new Unexpected(response.status, word("answered", { status: String(response.status) }));
    return new Session((await response.json()).access_token, client);
  }

  /** Whether there is another token now than the one that was refused. Whoever asks meanwhile waits for the same one. */
  async renew(refused) {
    if (refused !== this.token) return true;
    if (!this.client || Date.now() - this.renewed < RENEW_AT_MOST_EVERY) return false;
    this.renewing ??= Session.of(this.client).finally(() => { this.renewing = undefined; });
    const { token } = await this.renewing;
    // Signed out meanwhile: nothing is kept any more.
    if (this.ended) return false;
    this.token = token;
    this.renewed = Date.now();
    keep(token);
    return true;
  }

  /** Signs out. */
  end() {
    this.ended = true;
    this.client = undefined;
    keep(null);
  }

  get headers() {
    return { Authorization: `Bearer ${this.token}` };
  }

  /** The JSON of an answer; everything that is not good is thrown. */
  async ask(path, { method = "GET", body, signal } = {}) {
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const request = () => fetch(path, { method, body: sent, headers: this.headers, signal, cache: "no-store", credentials: "omit" });
    const used = this.token;
    let response = await request();
    if (response.status === 401 && (await this.renew(used))) response = await request();
    if (response.status === 401) throw new Refused(word("auth_failed"));
    if (response.ok) return response.status === 204 ? undefined : response.json();
    const problem = await response.json().catch(() => ({}));
    const detail = problem.detail ?? problem.message ?? word("answered", { status: String(response.status) });
    throw new Unexpected(response.status, response.status === 403 ? word("noScope") : detail);
  }
}

/** A browser may forbid storage: then the token is good until the page is left. */
function keep(token) {
  try {
    if (token) sessionStorage.setItem(KEPT_AS, token);
    else sessionStorage.removeItem(KEPT_AS);
  } catch { /* kept nowhere */ }
}

function kept() {
  try {
    return sessionStorage.getItem(KEPT_AS);
  } catch {
    return null;
  }
}

/** The token of the fragment, which is taken out of the address at once: addresses are shown, shared and kept. */
function fromFragment() {
  if (!location.hash.startsWith("#token=")) return null;
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  history.replaceState(null, "", location.pathname);
  return token;
}
