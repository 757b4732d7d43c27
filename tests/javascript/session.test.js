import "./support/browser.js";
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { ApiError, Session } from "../../static/dashboard/session.js";
import { savedToken, takeTokenFromUrl } from "../../static/dashboard/token-storage.js";
import { RefusedError } from "../../static/stream/errors.js";
import { json, MemoryRelay } from "./support/relay.js";

const CLIENT = { id: "acme", secret: "s3cret" };
const MINUTE_MS = 60_000;
const realNow = Date.now;
let relay;
let issued;

beforeEach(() => {
  Date.now = realNow;
  sessionStorage.removeItem("docrelay-token");
  relay = new MemoryRelay();
  issued = 0;
  relay.on("/oauth/token", () => {
    issued += 1;
    return json({ access_token: `token-${issued}` });
  });
});

function passTime(milliseconds) {
  Date.now = () => realNow() + milliseconds;
}

/** Accepts only this token. */
function accept(token) {
  relay.on("/hooks", ({ headers }) =>
    headers.Authorization === `Bearer ${token}` ? json({ hooks: [] }) : json({}, 401),
  );
}

test("client secret is sent in a form and not in the URL", async () => {
  const session = await Session.fromSecret(CLIENT);
  assert.equal(session.token, "token-1");
  const [{ url, method, body }] = relay.requests;
  assert.deepEqual([url, method], ["/oauth/token", "POST"]);
  assert.equal(String(body), "grant_type=client_credentials&client_id=acme&client_secret=s3cret");
});

test("wrong client secret is refused", async () => {
  relay.on("/oauth/token", () => json({}, 401));
  await assert.rejects(
    Session.fromSecret(CLIENT),
    (error) => error instanceof RefusedError && error.code === "bad_client",
  );
});

test("expired token is renewed once for concurrent requests", async () => {
  const session = await Session.fromSecret(CLIENT);
  passTime(MINUTE_MS);
  accept("token-2");
  const answers = await Promise.all([session.request("/hooks"), session.request("/hooks")]);
  assert.deepEqual(answers, [{ hooks: [] }, { hooks: [] }]);
  assert.equal(issued, 2);
  assert.equal(savedToken(), "token-2");
});

test("token that is refused right after it was issued is not renewed", async () => {
  const session = await Session.fromSecret(CLIENT);
  accept("another token");
  await assert.rejects(session.request("/hooks"), RefusedError);
  assert.equal(issued, 1);
});

test("refused token without a client secret is not renewed", async () => {
  const session = new Session("token");
  passTime(MINUTE_MS);
  accept("another token");
  await assert.rejects(
    session.request("/hooks"),
    (error) => error instanceof RefusedError && error.code === "auth_failed",
  );
  assert.equal(issued, 0);
});

test("renewal that ends after sign-out stores no token", async () => {
  const session = await Session.fromSecret(CLIENT);
  passTime(MINUTE_MS);
  const renewal = session.renew("token-1");
  session.close();
  assert.equal(await renewal, false);
  assert.equal(savedToken(), null);
});

test("a token that was already replaced counts as renewed", async () => {
  const session = new Session("new");
  assert.equal(await session.renew("old"), true);
});

test("error responses carry status and detail", async () => {
  const session = new Session("token");
  relay.on("/events/1/raw", () => json({ detail: "there is no such event" }, 404));
  await assert.rejects(session.request("/events/1/raw"), (error) => {
    assert.ok(error instanceof ApiError);
    assert.deepEqual([error.status, error.detail], [404, "there is no such event"]);
    return true;
  });
});

test("response without content is undefined", async () => {
  relay.on("/deliveries/1/retry", () => new Response(null, { status: 204 }));
  assert.equal(await new Session("token").request("/deliveries/1/retry", { method: "POST" }), undefined);
});

test("token is taken out of the URL", () => {
  location.hash = "#token=a.b.c";
  assert.equal(takeTokenFromUrl(), "a.b.c");
  assert.equal(location.hash, "");
  location.hash = "#/hooks";
  assert.equal(takeTokenFromUrl(), null);
  assert.equal(location.hash, "#/hooks");
});
