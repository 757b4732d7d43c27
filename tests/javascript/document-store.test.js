import "./support/browser.js";
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { DocumentStore } from "../../static/dashboard/document-store.js";
import { settle } from "./support/browser.js";

const TIME = "2026-01-01T00:00:30.000Z";
const MINUTE = Date.parse("2026-01-01T00:00:00.000Z");
let changes;
let store;

beforeEach(() => {
  changes = [];
  store = new DocumentStore((id) => changes.push(id));
});

function document(id, sequence, more = {}) {
  return {
    documentId: id,
    eventId: `a.${sequence}`,
    vendorId: `v-${id}`,
    vendor: "gini",
    status: "PENDING",
    time: TIME,
    ...more,
  };
}

function event(id, sequence, more = {}) {
  return { ...document(id, sequence, more), id: `a.${sequence}` };
}

/** A session that answers each path that begins with a key. */
function sessionWith(answers) {
  return {
    request: async (path) => {
      const key = Object.keys(answers).find((prefix) => path.startsWith(prefix));
      return answers[key].shift();
    },
  };
}

const COUNTS = { lastEventId: "a.2", minutes: [{ time: "2026-01-01T00:00:00Z", status: "PENDING", count: 2 }] };

async function loaded(documents = [document("one", 1), document("two", 2)]) {
  const session = sessionWith({ "/documents": [{ documents, lastEventId: "a.2" }], "/events/counts": [COUNTS] });
  const position = await store.load(session, new AbortController().signal);
  await settle();
  return position;
}

const ids = () => store.sortAndEvict().map(({ documentId }) => documentId);

test("snapshot gives documents, counts and the position of the stream", async () => {
  assert.equal(await loaded(), "a.2");
  assert.deepEqual(ids(), ["two", "one"]);
  assert.equal(store.minutes.get(MINUTE).PENDING, 2);
  assert.ok(store.isLoaded && store.isComplete);
});

test("newer event moves its document to the top, older one changes nothing", async () => {
  await loaded();
  assert.equal(store.add(event("one", 3, { status: "COMPLETED" })), true);
  assert.deepEqual(ids(), ["one", "two"]);
  assert.equal(store.add(event("one", 2, { status: "ERROR" })), false);
  assert.equal(store.get("one").status, "COMPLETED");
  assert.deepEqual(changes.at(-1), "one");
});

test("events of the snapshot are not counted twice", async () => {
  await loaded();
  store.add(event("two", 2));
  assert.equal(store.minutes.get(MINUTE).PENDING, 2);
  store.add(event("two", 3));
  assert.equal(store.minutes.get(MINUTE).PENDING, 3);
});

test("further pages are loaded in the background and do not replace newer events", async () => {
  const pages = [
    { documents: [document("two", 2)], lastEventId: "a.2", next: "cursor" },
    { documents: [document("one", 1), document("two", 1)] },
  ];
  const session = sessionWith({ "/documents": pages, "/events/counts": [COUNTS] });
  await store.load(session, new AbortController().signal);
  assert.deepEqual(ids(), ["two"]);
  await settle();
  assert.deepEqual(ids(), ["two", "one"]);
  assert.equal(store.get("two").position, 2);
});

test("pages of an abandoned snapshot are dropped", async () => {
  const pages = [
    { documents: [document("two", 2)], lastEventId: "a.2", next: "cursor" },
    { documents: [document("one", 1)] },
  ];
  await store.load(sessionWith({ "/documents": pages, "/events/counts": [COUNTS] }), new AbortController().signal);
  store.clear();
  await settle();
  assert.deepEqual(ids(), []);
});

test("oldest documents are evicted beyond the limit", () => {
  for (let sequence = 1; sequence <= 23_000; sequence += 1) store.add(event(`d${sequence}`, sequence));
  assert.ok(store.sortAndEvict().length <= 22_000, String(store.sortAndEvict().length));
  assert.equal(store.sortAndEvict()[0].documentId, "d23000");
  assert.equal(store.get("d1"), undefined);
  assert.equal(store.isComplete, false);
});

test("event with an invalid time is kept and not counted", () => {
  store.add(event("one", 1, { time: "no time" }));
  assert.deepEqual(ids(), ["one"]);
  assert.equal(store.minutes.size, 0);
});
