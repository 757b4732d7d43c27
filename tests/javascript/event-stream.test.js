import "./support/browser.js";
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { follow } from "../../static/dashboard/event-stream.js";
import { RefusedError } from "../../static/stream/errors.js";
import { settle, until } from "./support/browser.js";
import { MemoryRelay, message } from "./support/relay.js";

let relay;
let stop;
let events;
let states;
let loads;
let session;

beforeEach(() => {
  relay = new MemoryRelay();
  stop = new AbortController();
  events = [];
  states = [];
  loads = 0;
  session = { token: "token-1", renew: async () => false };
});

afterEach(() => stop.abort());

function start(load = async () => "a.1") {
  const counted = () => {
    loads += 1;
    return load();
  };
  const onState = ({ state, key, error }) => states.push(error ? error.code : `${state} ${key}`);
  return follow(session, { signal: stop.signal, load: counted, onEvent: (event) => events.push(event.id), onState });
}

async function connection(number) {
  await until(() => relay.connections.length >= number);
  await settle();
  return relay.connections[number - 1];
}

const positionOf = ({ request }) => request.headers["Last-Event-ID"];

test("stream continues after the position of the snapshot and after each event", async () => {
  start();
  const first = await connection(1);
  assert.equal(positionOf(first), "a.1");
  first.send(`retry: 1\n\n${message("a.2", {})}id: a.3\ndata: cut`);
  await until(() => events.length === 1);
  first.close();
  const second = await connection(2);
  assert.equal(positionOf(second), "a.2", "the incomplete event is requested again");
  assert.deepEqual(events, ["a.2"]);
  assert.equal(loads, 1);
  assert.deepEqual(states, ["waiting connecting", "open open", "waiting lost", "waiting connecting", "open open"]);
});

test("failed snapshot is loaded again", async () => {
  const results = [() => Promise.reject(new TypeError("network")), async () => "a.5"];
  start(() => results.shift()());
  await until(() => states.includes("waiting lost"));
  dispatchEvent(new Event("online"));
  assert.equal(positionOf(await connection(1)), "a.5");
  assert.deepEqual(states.slice(0, 3), ["waiting connecting", "waiting lost", "waiting reconnecting"]);
});

test("reset loads the snapshot again at once and says so", async () => {
  const positions = ["a.1", "b.7"];
  start(async () => positions.shift());
  (await connection(1)).send("retry: 60000\n\nevent: reset\ndata: expired\n\n");
  assert.equal(positionOf(await connection(2)), "b.7");
  assert.equal(states.at(-1), "open reset");
});

test("second reset in a row waits", async () => {
  start();
  const reset = "retry: 60000\n\nevent: reset\ndata: expired\n\n";
  (await connection(1)).send(reset);
  (await connection(2)).send(reset);
  await until(() => states.at(-1) === "waiting lost");
  assert.equal(relay.connections.length, 2);
});

test("refused token ends the stream with the relay's code", async () => {
  const following = start();
  (await connection(1)).send("event: error\ndata: auth_failed\n\n");
  await following;
  assert.equal(states.at(-1), "auth_failed");
});

test("renewed token continues after the last event", async () => {
  session.renew = async () => {
    session.token = "token-2";
    return true;
  };
  start();
  (await connection(1)).send(`${message("a.2", {})}event: error\ndata: auth_failed\n\n`);
  const second = await connection(2);
  assert.equal(second.request.headers.Authorization, "Bearer token-2");
  assert.equal(positionOf(second), "a.2", "no event is received twice");
});

test("refused renewal ends the stream, failed renewal is retried", async () => {
  const results = [new TypeError("network"), new RefusedError("bad_client")];
  session.renew = () => Promise.reject(results.shift());
  const following = start();
  (await connection(1)).send("retry: 1\n\nevent: error\ndata: auth_failed\n\n");
  (await connection(2)).send("event: error\ndata: auth_failed\n\n");
  await following;
  assert.equal(states.at(-1), "auth_failed");
});

test("aborted signal ends the stream without another state", async () => {
  const following = start();
  await connection(1);
  const count = states.length;
  stop.abort();
  await following;
  assert.equal(states.length, count);
});
