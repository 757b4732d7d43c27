import assert from "node:assert/strict";
import { test } from "node:test";
import { Coverage, covers } from "../../static/widget/sharing/coverage.js";
import { Subscription } from "../../static/widget/sharing/subscription.js";

const LIVE = { isBacklog: false };

function coverageOf(...interests) {
  const coverage = new Coverage();
  for (const [documents, after] of interests) coverage.add({ documents, after });
  return coverage;
}

function next(coverage) {
  const { documents, after, isBacklog } = coverage.nextStream();
  return [documents, after, isBacklog];
}

test("null covers all documents, a list only those it names", () => {
  assert.ok(covers(null, null) && covers(null, ["a"]) && covers(["a", "b"], ["b"]) && covers(["a"], []));
  assert.ok(!covers(["a"], null) && !covers(["a"], ["b"]));
});

test("first interest decides documents and position", () => {
  assert.ok(new Coverage().isEmpty);
  assert.deepEqual(next(coverageOf([["a"], "e.5"])), [["a"], "e.5", false]);
  assert.deepEqual(next(coverageOf([null, ""])), [null, "", false]);
});

test("interest that is covered does not reconnect", () => {
  const coverage = coverageOf([null, "e.5"]);
  assert.deepEqual(coverage.add({ documents: ["a"], after: "e.6" }), { replay: [], reconnect: false });
  assert.deepEqual(next(coverage), [null, "e.5", false]);
});

test("further documents and earlier positions reconnect from the earliest of them", () => {
  const coverage = coverageOf([["a"], "e.5"]);
  assert.equal(coverage.add({ documents: ["b"], after: "e.7" }).reconnect, true);
  assert.deepEqual(next(coverage), [["a", "b"], "e.5", false]);
  assert.equal(coverage.add({ documents: ["a"], after: "e.3" }).reconnect, true);
  assert.deepEqual(next(coverage), [["a", "b"], "e.3", false]);
});

test("stream continues after the last event", () => {
  const coverage = coverageOf([["a"], "e.5"]);
  coverage.received({ id: "e.9", documentId: "a" }, LIVE);
  assert.deepEqual(next(coverage), [["a"], "e.9", false]);
  assert.equal(coverage.add({ documents: ["a"], after: "e.6" }).reconnect, false, "all after e.5 has been passed on");
});

test("more documents than fit into a URL are followed as all", () => {
  const many = Array.from({ length: 101 }, (_, index) => `d${index}`);
  assert.deepEqual(next(coverageOf([many, "e.5"])), [null, "e.5", false]);
});

test("past of a document is replayed from the cache", () => {
  const coverage = coverageOf([["a"], "earliest"]);
  const event = { id: "e.1", documentId: "a" };
  coverage.received(event, LIVE);
  assert.deepEqual(coverage.add({ documents: ["a"], after: "earliest" }), { replay: [event], reconnect: false });
});

test("past of a document in a stream of all is read on a connection of its own", () => {
  const coverage = coverageOf([null, ""]);
  assert.equal(coverage.add({ documents: ["a"], after: "earliest" }).reconnect, true);
  assert.deepEqual(next(coverage), [null, "", false], "the stream of all says first up to where");
  assert.equal(coverage.moved("e.4"), true);
  assert.deepEqual(next(coverage), [["a"], "earliest", true]);
  assert.equal(coverage.nextStream().until, "e.4");
  coverage.received({ id: "e.3", documentId: "a" }, { isBacklog: true });
  assert.deepEqual(next(coverage), [["a"], "earliest", true], "its events do not move the position");
  coverage.backlogRead(["a"]);
  assert.deepEqual(next(coverage), [null, "e.4", false]);
});

test("widening to all documents keeps the unread past of the named ones", () => {
  const coverage = coverageOf([["a"], "earliest"], [null, ""]);
  coverage.moved("e.4");
  assert.deepEqual(next(coverage), [["a"], "earliest", true]);
  coverage.backlogRead(["a"]);
  assert.deepEqual(next(coverage), [null, "e.4", false]);
});

test("announced position moves the next stream, except the one before all events", () => {
  const past = coverageOf([["a"], "earliest"]);
  assert.deepEqual([past.moved("earliest"), past.moved("e.0")], [false, false]);
  assert.deepEqual(next(past), [["a"], "earliest", false]);
  assert.deepEqual([past.moved("e.7"), past.moved("e.7")], [true, false]);
  assert.deepEqual(next(past), [["a"], "e.7", false]);
});

function subscriptionTo(documents, after) {
  const received = [];
  const subscription = new Subscription({}, (message) => received.push(message.event?.id ?? message));
  subscription.begin({ documents, after });
  return { subscription, received };
}

const covered = (documents, after) => ({ covered: { documents, after } });
const event = (id, documentId = "a", isReplay = false) => ({ event: { id, documentId }, isReplay });

test("position follows the stream once it covers the interest", () => {
  const { subscription, received } = subscriptionTo(["a"], "e.5");
  subscription.receive(event("e.6"));
  assert.equal(subscription.remainingInterest.after, "e.5", "an earlier event may be missing");
  subscription.receive(covered(["a", "b"], "e.5"));
  subscription.receive(event("e.7"));
  subscription.receive(event("e.8", "b"));
  assert.equal(subscription.remainingInterest.after, "e.8", "events of other documents count, too");
  assert.deepEqual(received, ["e.6", "e.7"]);
});

test("announced position moves a subscription once the stream covers it", () => {
  for (const after of ["", "e.5", "earliest"]) {
    const { subscription } = subscriptionTo(["a"], after);
    subscription.receive({ position: "e.7" });
    assert.equal(subscription.remainingInterest.after, after, "an earlier event may be missing");
    subscription.receive(covered(["a"], after));
    subscription.receive({ position: "e.7" });
    subscription.receive({ position: "e.6" });
    assert.equal(subscription.remainingInterest.after, "e.7");
  }
});

test("stream from a later position, or of other documents, does not move the position", () => {
  for (const message of [covered(["a"], "e.6"), covered(["b"], "e.1")]) {
    const { subscription } = subscriptionTo(["a"], "e.5");
    subscription.receive(message);
    subscription.receive(event("e.9"));
    assert.equal(subscription.remainingInterest.after, "e.5");
  }
});

test("events at or before the position are dropped, replayed ones are not", () => {
  const { subscription, received } = subscriptionTo(["a"], "e.5");
  for (const message of [event("e.5"), event("e.4"), event("e.3", "a", true)]) subscription.receive(message);
  assert.deepEqual(received, ["e.3"]);
});

test("events that arrive while the state is loaded are delivered after it", () => {
  const { subscription, received } = subscriptionTo(["a"], "e.5");
  subscription.pause();
  for (const message of [event("e.6"), event("e.7", "b"), event("e.8")]) subscription.receive(message);
  assert.deepEqual(received, []);
  assert.equal(subscription.remainingInterest, undefined);
  subscription.begin({ documents: ["a"], after: "e.6" });
  assert.deepEqual(received, ["e.8"]);
});

test("state that is older than a dropped event is loaded again", () => {
  for (const [after, expected] of [
    ["e.2", [{ reset: true }]],
    ["e.900", []],
  ]) {
    const { subscription, received } = subscriptionTo(["a"], "e.1");
    subscription.pause();
    for (let number = 2; number <= 1010; number += 1) subscription.receive(event(`e.${number}`, "b"));
    subscription.begin({ documents: ["a"], after });
    assert.deepEqual(received, expected, after);
  }
});

test("paused subscription receives states and resets at once", () => {
  const { subscription, received } = subscriptionTo(["a"], "e.1");
  subscription.pause();
  for (const message of [{ state: "live" }, { reset: true }]) subscription.receive(message);
  assert.deepEqual(received, [{ state: "live" }, { reset: true }]);
});
