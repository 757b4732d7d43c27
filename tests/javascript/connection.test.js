import assert from "node:assert/strict";
import { test } from "node:test";
import { readRelayStream } from "../../static/stream/connection.js";
import { RefusedError, ResetError } from "../../static/stream/errors.js";
import { Parser } from "../../static/stream/sse.js";
import { MemoryRelay, message } from "./support/relay.js";

function start() {
  const relay = new MemoryRelay();
  const events = [];
  const result = readRelayStream("/events/client", {
    token: "secret",
    parser: new Parser(),
    signal: new AbortController().signal,
    onEvent: (event) => events.push(event),
  });
  return { relay, events, result, connection: relay.connections[0] };
}

test("events carry their id, and the token travels in a header", async () => {
  const { relay, events, result, connection } = start();
  connection.send(message("a.1", { documentId: "d" }));
  connection.close();
  await result;
  assert.deepEqual(events, [{ documentId: "d", id: "a.1" }]);
  assert.equal(relay.requests[0].headers.Authorization, "Bearer secret");
  assert.ok(!relay.requests[0].url.includes("secret"));
});

test("an error event throws a RefusedError with its code", async () => {
  const { result, connection } = start();
  connection.send("event: error\ndata: auth_failed\n\n");
  await assert.rejects(result, (error) => error instanceof RefusedError && error.code === "auth_failed");
});

test("a reset event throws a ResetError and later events are dropped", async () => {
  const { events, result, connection } = start();
  connection.send(`event: reset\ndata: expired\n\n${message("a.1", {})}`);
  await assert.rejects(result, ResetError);
  assert.deepEqual(events, []);
});
