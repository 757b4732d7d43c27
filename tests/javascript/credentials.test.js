import "./support/browser.js";
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { RefusedError, TemporaryError } from "../../static/stream/errors.js";
import { Credentials } from "../../static/widget/credentials.js";
import { statusOf } from "../../static/widget/status.js";
import { accessKey, canReadDocuments, readClaims } from "../../static/widget/token.js";
import { json, MemoryRelay, tokenWith } from "./support/relay.js";

const TICKET_URL = "https://site.example.com/ticket";
const realNow = Date.now;
let site;
let issued;

beforeEach(() => {
  site = new MemoryRelay();
  issued = 0;
  answer(() => {
    issued += 1;
    return json({ token: `ticket-${issued}`, expires_in: 60 });
  });
});

afterEach(() => {
  Date.now = realNow;
  navigator.onLine = true;
});

function answer(respond) {
  site.on("/ticket", respond);
}

function temporary(code) {
  return (error) => error instanceof TemporaryError && error.code === code;
}

test("token of the attribute is used without a request", async () => {
  const credentials = new Credentials("given", undefined);
  assert.equal(await credentials.token(), "given");
  assert.equal(await credentials.token("given"), "given", "there is no other one");
  assert.equal(site.requests.length, 0);
});

test("neither token nor ticket URL is refused", async () => {
  const error = await new Credentials(undefined, undefined).token().catch((reason) => reason);
  assert.ok(error instanceof RefusedError);
  assert.deepEqual(statusOf(error), { state: "error", code: "auth_required" });
});

test("concurrent callers share one request with the site's cookies", async () => {
  const credentials = new Credentials(undefined, TICKET_URL);
  assert.deepEqual(await Promise.all([credentials.token(), credentials.token()]), ["ticket-1", "ticket-1"]);
  const [{ mode, credentials: cookies, cache }] = site.requests;
  assert.deepEqual([mode, cookies, cache], ["same-origin", "same-origin", "no-store"]);
});

test("ticket is fetched again when it is rejected or has expired", async () => {
  const credentials = new Credentials("given", TICKET_URL);
  assert.equal(await credentials.token("given"), "ticket-1");
  assert.equal(await credentials.token(), "ticket-1");
  Date.now = () => realNow() + 61_000;
  assert.equal(await credentials.token(), "ticket-2");
});

test("ticket may be the token alone", async () => {
  answer(() => new Response(" a.b-c_d~e+f/g= \n"));
  assert.equal(await new Credentials(undefined, TICKET_URL).token(), "a.b-c_d~e+f/g=");
});

test("site that denies a ticket shows an error and is asked again", async () => {
  for (const status of [401, 403]) {
    answer(() => new Response("", { status }));
    const error = await new Credentials(undefined, TICKET_URL).token().catch((reason) => reason);
    assert.ok(temporary("ticket_refused")(error));
    assert.deepEqual(statusOf(error), { state: "error", code: "ticket_refused" });
  }
});

test("responses without a token are never sent to the relay", async () => {
  const texts = ["<!doctype html>", "", "{not json", '{"token":"two words"}', "{}"];
  const responses = [...texts.map((text) => new Response(text)), new Response("token", { status: 500 })];
  for (const response of responses) {
    answer(() => response);
    await assert.rejects(new Credentials(undefined, TICKET_URL).token(), temporary("ticket_failed"));
  }
});

test("unreachable site is distinguished from an offline browser", async () => {
  answer(() => Promise.reject(new TypeError("network")));
  await assert.rejects(new Credentials(undefined, TICKET_URL).token(), temporary("ticket_failed"));
  navigator.onLine = false;
  await assert.rejects(new Credentials(undefined, TICKET_URL).token(), temporary("offline"));
});

test("status of other errors is unreachable, or offline", () => {
  assert.deepEqual(statusOf(new TypeError("network")), { state: "offline", code: "unreachable" });
  navigator.onLine = false;
  assert.deepEqual(statusOf(new TypeError("network")), { state: "offline", code: "offline" });
});

test("claims of other texts than a JWT are empty", () => {
  assert.deepEqual(readClaims(tokenWith({ sub: "ä文" })), { sub: "ä文" });
  for (const token of ["", "abc", "a.b.c", "a.bnVsbA.c"]) assert.deepEqual(readClaims(token), {}, token);
});

test("tokens that differ in their times or position only grant the same access", () => {
  const key = (claims) => accessKey(tokenWith({ exp: 2, iat: 1, jti: "x", ...claims }));
  assert.equal(key({ sub: "acme" }), key({ sub: "acme", exp: 9, iat: 8, jti: "y", nbf: 7, position: "e.9" }));
  assert.notEqual(key({ sub: "acme" }), key({ sub: "other" }));
  assert.notEqual(key({ sub: "acme", documents: ["1"] }), key({ sub: "acme", documents: ["2"] }));
  assert.notEqual(accessKey("opaque-1"), accessKey("opaque-2"));
});

test("only tokens with a scope for documents are sent to the list of documents", () => {
  const can = (claims) => canReadDocuments(tokenWith(claims));
  assert.ok(can({ scope: "events" }) && can({ scope: "manage events" }));
  assert.ok(!can({ scope: "events", use: "ticket" }) && !can({ scope: "eventsource" }) && !can({}));
});
