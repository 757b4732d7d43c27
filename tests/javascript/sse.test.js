import assert from "node:assert/strict";
import { test } from "node:test";
import { Parser, read } from "../../static/stream/sse.js";
import { MemoryRelay } from "./support/relay.js";

const event = (type, data, lastEventId) => ({ type, data, lastEventId });

function parse(stream, size) {
  const bytes = new TextEncoder().encode(stream);
  const parser = new Parser("before");
  const decoder = new TextDecoder();
  const events = [];
  for (let start = 0; start < bytes.length; start += size) {
    events.push(...parser.push(decoder.decode(bytes.slice(start, start + size), { stream: true })));
  }
  return { events, retry: parser.retry, lastEventId: parser.lastEventId };
}

test("parser gives the same events for pieces of any size", () => {
  const stream =
    '\uFEFF\nretry: 2000\n\nid: a.1\r\ndata: {"a":\rdata:1}\r\n\r\n: comment\nevent: reset\ndata\nid: x\0\n' +
    "retry: -1\nunknown: 1\n\nid: a.2\n\ndata:  \u{1F4C4}\n\nid\ndata: x\n\ndata: cut off\n";
  const expected = {
    events: [
      event("message", '{"a":\n1}', "a.1"),
      event("reset", "", "a.1"),
      event("message", " \u{1F4C4}", "a.2"),
      event("message", "x", ""),
    ],
    retry: 2000,
    lastEventId: "",
  };
  for (let size = 1; size <= 200; size += 1) assert.deepEqual(parse(stream, size), expected, `pieces of ${size} bytes`);
});

test("parser keeps the id of an event that is not complete to itself", () => {
  const parser = new Parser("a.1");
  assert.deepEqual([...parser.push("id: a.2\ndata: 1\n")], []);
  assert.equal(parser.lastEventId, "a.1");
  assert.deepEqual([...parser.push("\n")], [event("message", "1", "a.2")]);
  assert.equal(parser.lastEventId, "a.2");
});

function start(parser, options = {}) {
  const relay = new MemoryRelay();
  const events = [];
  const signal = options.signal ?? new AbortController().signal;
  const onEvent = options.onEvent ?? ((received) => events.push(received));
  const result = read("https://relay.example.com/events/client", {
    parser,
    silence: 10_000,
    ...options,
    signal,
    onEvent,
  });
  return { relay, events, result, connection: relay.connections[0] };
}

test("read resumes after the last id and sends the given headers", async () => {
  const { relay, result, connection } = start(new Parser("a.7"), { headers: { Authorization: "Bearer t" } });
  connection.close();
  await result;
  const { headers, cache, credentials } = relay.requests[0];
  assert.deepEqual(headers, { Accept: "text/event-stream", "Last-Event-ID": "a.7", Authorization: "Bearer t" });
  assert.deepEqual([cache, credentials], ["no-store", "omit"]);
});

test("read without a position sends no Last-Event-ID", async () => {
  const { relay, result, connection } = start(new Parser());
  connection.close();
  await result;
  assert.ok(!("Last-Event-ID" in relay.requests[0].headers));
});

test("read reports head, events and pieces in this order", async () => {
  const calls = [];
  const { result, connection } = start(new Parser(), {
    onOpen: () => calls.push("open"),
    onEvent: ({ data }) => calls.push(data),
    onChunk: (text) => calls.push(text.length),
  });
  connection.send("data: 1\n\ndata: 2\n\n");
  connection.close();
  await result;
  assert.deepEqual(calls, ["open", "1", "2", 18]);
});

test("read rejects a response that is no event stream", async () => {
  const relay = new MemoryRelay();
  const options = { parser: new Parser(), silence: 10_000, signal: new AbortController().signal, onEvent() {} };
  for (const response of [
    new Response("", { status: 503 }),
    new Response("<p>", { headers: { "Content-Type": "text/html" } }),
  ]) {
    relay.on("/events/client", () => response);
    await assert.rejects(read("/events/client", options), /expected an event stream/);
  }
});

test("read throws a TimeoutError and closes a connection without data", async () => {
  const { result, connection } = start(new Parser(), { silence: 5 });
  await assert.rejects(result, { name: "TimeoutError" });
  assert.ok(connection.isClosed);
});

test("read passes on an exception of onEvent and closes the connection", async () => {
  const onEvent = () => {
    throw new Error("stop");
  };
  const { result, connection } = start(new Parser(), { onEvent });
  connection.send("data: 1\n\n");
  await assert.rejects(result, /stop/);
  assert.ok(connection.isClosed);
});

test("read ends when its signal is aborted", async () => {
  const stop = new AbortController();
  const { result, connection } = start(new Parser(), { signal: stop.signal });
  stop.abort();
  await assert.rejects(result, { name: "AbortError" });
  assert.ok(connection.isClosed);
});
