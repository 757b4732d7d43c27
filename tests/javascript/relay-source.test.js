import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { LatestDocuments } from "../../static/widget/latest-documents.js";
import { relaySource } from "../../static/widget/relay-source.js";
import { settle, until } from "./support/browser.js";
import { json, MemoryRelay, message, tokenWith } from "./support/relay.js";

const RELAY = "https://relay.example.com";
const TOKEN = tokenWith({ sub: "acme", scope: "events" });
const OLD = "2026-01-01T00:00:00.000Z";
let relay;
let messages;
let stop;

beforeEach(() => {
  relay = new MemoryRelay();
  messages = [];
});

afterEach(async () => {
  stop();
  await settle();
});

function start(options) {
  stop = relaySource({ relay: RELAY, token: TOKEN, documents: null, ...options })((received) =>
    messages.push(received),
  );
}

const shown = () => messages.filter(({ documents }) => documents).map(({ documents }) => documents.map(({ id }) => id));
const news = () => messages.filter(({ isNews }) => isNews).map(({ event }) => event.id);

test("list of documents is shown, then the stream continues after its position", async () => {
  relay.on("/documents?", () => json({ documents: [{ documentId: "a", eventId: "e.4" }], lastEventId: "e.5" }));
  start();
  await until(() => relay.connections.length === 1);
  assert.deepEqual(shown(), [["e.4"]]);
  assert.equal(relay.connections[0].request.headers["Last-Event-ID"], "e.5");
});

test("event that arrives while the list is loading is shown after the list", async () => {
  // A stream is open already: another element of the page holds it.
  relay.on("/documents?", () => json({ documents: [], lastEventId: "e.1" }));
  start();
  const stopFirst = stop;
  await until(() => relay.connections.length === 1);
  relay.connections[0].send("retry: 1\n\n");
  messages = [];
  let respond;
  relay.on(
    "/documents?",
    () =>
      new Promise((resolve) => {
        respond = resolve;
      }),
  );
  start();
  await until(() => respond);
  relay.connections[0].send(
    message("e.5", { documentId: "a", time: OLD }) + message("e.6", { documentId: "a", time: OLD }),
  );
  await settle();
  messages = [];
  respond(json({ documents: [{ documentId: "a", eventId: "e.5" }], lastEventId: "e.5" }));
  await until(() => shown().length === 1);
  await settle();
  stopFirst();
  assert.deepEqual([shown(), news()], [[["e.5"]], ["e.6"]]);
  assert.equal(relay.connections.length, 1, "the open stream serves the second element, too");
});

test("ticket shows named documents by their stream, and old events are no news", async () => {
  start({ token: tokenWith({ sub: "acme", use: "ticket", iat: Date.parse(OLD) / 1000 }), documents: ["a"] });
  await until(() => relay.connections.length === 1);
  const [stream] = relay.connections;
  assert.equal(stream.request.headers["Last-Event-ID"], "earliest");
  stream.send(message("e.1", { documentId: "a", time: "2025-12-31T23:59:59.000Z" }));
  stream.send(message("e.2", { documentId: "a", time: OLD }));
  await until(() => messages.filter(({ event }) => event).length === 2);
  assert.deepEqual(news(), ["e.2"]);
  assert.ok(!relay.requests.some(({ url }) => url.includes("/documents")), "a ticket reads no documents");
});

test("event that is stored after the ticket was issued is news, also in the same second", async () => {
  const claims = { sub: "acme", use: "ticket", iat: Date.parse(OLD) / 1000, position: "e.9" };
  start({ token: tokenWith(claims), documents: ["a"] });
  await until(() => relay.connections.length === 1);
  const [stream] = relay.connections;
  // The clock of the relay may be set back: the position decides.
  for (const number of [8, 9, 10]) stream.send(message(`e.${number}`, { documentId: "a", time: OLD }));
  stream.send(message("e.11", { documentId: "a", time: "2025-12-31T23:00:00.000Z" }));
  // A restored relay has another epoch: its sequence numbers cannot be compared.
  stream.send(message("f.1", { documentId: "a", time: "2025-12-31T23:00:00.000Z" }));
  await until(() => messages.filter(({ event }) => event).length === 5);
  assert.deepEqual(news(), ["e.10", "e.11"]);
});

test("failed request is shown and repeated when the network is back", async () => {
  relay.on("/documents?", () => new Response("", { status: 503 }));
  start();
  await until(() => messages.some(({ code }) => code === "unreachable"));
  relay.on("/documents?", () => json({ documents: [], lastEventId: "e.5" }));
  dispatchEvent(new Event("online"));
  await until(() => shown().length === 1);
});

test("missing token is an error and is not retried", async () => {
  start({ token: undefined });
  await until(() => messages.length > 0);
  await settle();
  assert.deepEqual(messages, [{ state: "error", code: "auth_required" }]);
  assert.equal(relay.requests.length, 0);
});

test("latest documents keep the newest event of each, and the newest eight", () => {
  const latest = new LatestDocuments();
  for (let number = 1; number <= 50; number += 1) latest.put({ id: `e.${number}`, documentId: `d${number}` });
  assert.deepEqual(
    latest.rows.map(({ event }) => event.id),
    ["e.50", "e.49", "e.48", "e.47", "e.46", "e.45", "e.44", "e.43"],
  );
  assert.equal(latest.put({ id: "e.49", documentId: "d50" }), false, "older than the known event");
  assert.equal(latest.put({ id: "e.51", documentId: "d45" }, { isNew: true }), true);
  assert.deepEqual(
    latest.rows.slice(0, 2).map(({ event, isNew }) => [event.id, isNew]),
    [
      ["e.51", true],
      ["e.50", false],
    ],
  );
  latest.markSeen();
  assert.ok(latest.rows.every(({ isNew }) => !isNew));
});
