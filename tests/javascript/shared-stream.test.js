import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { settle, until } from "./support/browser.js";
import { MemoryLocks } from "./support/locks.js";
import { json, MemoryRelay, message, tokenWith } from "./support/relay.js";

const RELAY = "https://relay.example.com";
const READY = "retry: 1\n\n";
const READY_AT = (number) => `\nretry: 1\nid: e.${number}\n\n`;
const TOKEN = tokenWith({ sub: "acme", scope: "events" });
const TICKET = tokenWith({ sub: "acme", use: "ticket", iat: 1 });

let relay;
let tabs;
let modules = 0;

beforeEach(() => {
  relay = new MemoryRelay();
  tabs = [];
  navigator.locks = new MemoryLocks();
  navigator.onLine = true;
  relay.on("/documents?", () => json({ documents: [], lastEventId: "e.5" }));
});

afterEach(async () => {
  for (const tab of tabs) tab.close();
  await settle();
});

/** Each import with another query is a module of its own, as in a tab of its own. */
async function openTab(options = {}) {
  modules += 1;
  const { Credentials } = await import("../../static/widget/credentials.js");
  const { Subscription } = await import("../../static/widget/sharing/subscription.js");
  const { SharedStream } = await import(`../../static/widget/sharing/shared-stream.js?tab=${modules}`);
  const { token = TOKEN, ticketUrl, documents = null, after = "e.5" } = options;
  const tab = { events: [], states: [], resets: 0, accessChanges: 0 };
  const subscription = new Subscription(new Credentials(token, ticketUrl), (received) => {
    if (received.event) tab.events.push(received.event.id);
    if (received.state) tab.states.push(received.code ?? received.state);
    if (received.reset) tab.resets += 1;
    if (received.accessChanged) tab.accessChanges += 1;
  });
  const shared = SharedStream.of(RELAY, token);
  tab.follow = (interest) => shared.follow(subscription, interest);
  tab.pause = () => subscription.pause();
  tab.close = () => shared.unsubscribe(subscription);
  shared.subscribe(subscription);
  tab.follow({ documents, after });
  tabs.push(tab);
  return tab;
}

async function connection(number) {
  await until(() => relay.connections.length >= number);
  await settle();
  return relay.connections[number - 1];
}

const positionOf = ({ request }) => request.headers["Last-Event-ID"];
const documentsOf = ({ request }) => new URL(request.url).searchParams.getAll("document");
const event = (number, documentId = "a") => message(`e.${number}`, { documentId });

test("two tabs hold one connection and both receive its events", async () => {
  const first = await openTab();
  (await connection(1)).send(READY);
  const second = await openTab({ after: "e.5" });
  await settle();
  relay.connections[0].send(event(6) + event(7));
  await until(() => second.events.length === 2);
  assert.deepEqual(
    [first.events, second.events],
    [
      ["e.6", "e.7"],
      ["e.6", "e.7"],
    ],
  );
  assert.equal(relay.connections.length, 1);
  assert.deepEqual([first.states.at(-1), second.states.at(-1)], ["live", "live"]);
});

test("next leader continues after the last event that all tabs have received", async () => {
  const first = await openTab();
  (await connection(1)).send(READY);
  const second = await openTab();
  const third = await openTab({ documents: ["b"] });
  await settle();
  relay.connections[0].send(event(6));
  await until(() => second.events.length === 1);
  await settle();
  first.close();
  const taken = await connection(2);
  assert.ok(relay.connections[0].isClosed, "the old leader has closed its connection");
  assert.deepEqual([positionOf(taken), documentsOf(taken)], ["e.6", []]);
  taken.send(READY + event(7) + event(8, "b"));
  await until(() => third.events.length === 1);
  assert.deepEqual([second.events, third.events], [["e.6", "e.7", "e.8"], ["e.8"]]);
});

test("further documents of another tab widen the stream from the earlier position", async () => {
  await openTab({ documents: ["a"], after: "e.5" });
  (await connection(1)).send(READY + event(6));
  await settle();
  const second = await openTab({ documents: ["b"], after: "e.4" });
  const widened = await connection(2);
  assert.deepEqual([documentsOf(widened), positionOf(widened)], [["a", "b"], "e.4"]);
  widened.send(READY + event(5, "b") + event(6));
  await until(() => second.events.length === 1);
  assert.deepEqual(tabs[0].events, ["e.6"], "an event that comes twice is passed on once");
});

test("lost connection is opened again after the last event", async () => {
  const tab = await openTab();
  const first = await connection(1);
  first.send(READY + event(6));
  await until(() => tab.events.length === 1);
  first.close();
  assert.equal(positionOf(await connection(2)), "e.6");
  assert.ok(!tab.states.includes("unreachable"), "an end without an error is no failure");
});

test("stream that is cut before its first event continues after the position of its opening", async () => {
  const tab = await openTab({ after: "" });
  const first = await connection(1);
  assert.equal(positionOf(first), undefined);
  first.send("\nretry: 1\nid: e.9\n\n");
  const second = await openTab({ after: "" });
  await settle();
  first.close();
  const resumed = await connection(2);
  assert.equal(positionOf(resumed), "e.9");
  resumed.send("\nretry: 1\nid: e.9\n\nid: e.12\n\n");
  await settle();
  tab.close();
  assert.equal(positionOf(await connection(3)), "e.12", "a keepalive has moved the position of all tabs");
  assert.deepEqual([tab.events, second.events], [[], []]);
});

test("past of a document is read up to the position of the stream of all", async () => {
  const all = await openTab({ after: "" });
  (await connection(1)).send(READY_AT(9));
  await settle();
  const named = await openTab({ documents: ["a"], after: "earliest" });
  const backlog = await connection(2);
  assert.deepEqual([documentsOf(backlog), positionOf(backlog)], [["a"], "earliest"]);
  // An empty line says only that the relay is busy.
  backlog.send(`${READY_AT(0)}\n`);
  await settle();
  backlog.send(`${event(4)}\n`);
  await until(() => named.events.length === 1);
  assert.ok(!backlog.isClosed, "the position is not reached yet");
  backlog.send("id: e.9\n\n");
  const live = await connection(3);
  assert.deepEqual([documentsOf(live), positionOf(live)], [[], "e.9"]);
  assert.deepEqual([all.events, named.events], [["e.4"], ["e.4"]]);
});

test("relay without room is shown as busy", async () => {
  const tab = await openTab();
  const full = await connection(1);
  full.send(": no room\nretry: 1\n\n");
  full.close();
  await until(() => tab.states.includes("busy"));
});

test("reset reaches every tab, and the stream continues with the new interests", async () => {
  const first = await openTab();
  (await connection(1)).send(READY);
  const second = await openTab();
  await settle();
  for (const tab of [first, second]) tab.pause();
  relay.connections[0].send("event: reset\ndata: expired\n\n");
  await until(() => first.resets + second.resets === 2);
  await settle();
  assert.equal(relay.connections.length, 1, "nothing is followed until a tab says what it needs");
  first.follow({ documents: null, after: "f.3" });
  assert.equal(positionOf(await connection(2)), "f.3");
});

test("refused token without a ticket URL steps down and shows the reason in its tab only", async () => {
  const first = await openTab();
  (await connection(1)).send(READY);
  const second = await openTab();
  await settle();
  relay.connections[0].send("event: error\ndata: auth_failed\n\n");
  await until(() => first.states.includes("auth_failed"));
  assert.equal(positionOf(await connection(2)), "e.5", "the other tab leads");
  assert.ok(!second.states.includes("auth_failed"));
});

test("expired ticket is replaced without a change of state", async () => {
  relay.on("/ticket", () => new Response(tokenWith({ sub: "acme", use: "ticket", iat: 2 })));
  const tab = await openTab({ token: TICKET, ticketUrl: "https://site.example.com/ticket" });
  (await connection(1)).send(`${READY}${event(6)}event: error\ndata: auth_failed\n\n`);
  const renewed = await connection(2);
  renewed.send(READY);
  await settle();
  assert.equal(positionOf(renewed), "e.6");
  assert.notEqual(renewed.request.headers.Authorization, `Bearer ${TICKET}`);
  assert.ok(!tab.states.includes("auth_failed"));
});

test("ticket with other access moves its subscriptions to another stream", async () => {
  relay.on("/ticket", () => new Response(tokenWith({ sub: "other", use: "ticket" })));
  const tab = await openTab({ token: TICKET, ticketUrl: "https://site.example.com/ticket" });
  (await connection(1)).send(`${READY}event: error\ndata: auth_failed\n\n`);
  await until(() => tab.accessChanges === 1);
  assert.equal(relay.open.length, 0);
  assert.equal(relay.connections.length, 1, "no event of the other user is requested here");
});

test("browser that goes offline ends the connection, and online opens it again", async () => {
  const tab = await openTab();
  (await connection(1)).send("retry: 60000\n\n");
  await settle();
  navigator.onLine = false;
  dispatchEvent(new Event("offline"));
  await until(() => tab.states.at(-1) === "offline");
  navigator.onLine = true;
  dispatchEvent(new Event("online"));
  await connection(2);
});

test("tab that becomes visible ends the wait for the next attempt", async () => {
  await openTab();
  const first = await connection(1);
  first.send("retry: 60000\n\n");
  await settle();
  first.close();
  await settle();
  assert.equal(relay.connections.length, 1);
  document.dispatchEvent(new Event("visibilitychange"));
  await connection(2);
});

test("last subscription closes the connection", async () => {
  const tab = await openTab();
  const only = await connection(1);
  only.send(READY);
  await settle();
  tab.close();
  await until(() => only.isClosed);
});

test("tabs without locks have a connection each", async () => {
  navigator.locks = undefined;
  await openTab();
  await openTab();
  await connection(2);
  assert.equal(relay.open.length, 2);
});
