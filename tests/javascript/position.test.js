import assert from "node:assert/strict";
import { test } from "node:test";
import { isBefore, sequenceOf } from "../../static/stream/position.js";

test("positions of one epoch are ordered by number, not by text", () => {
  assert.ok(isBefore("a.9", "a.10"));
  assert.ok(!isBefore("a.10", "a.9"));
  assert.ok(!isBefore("a.9", "a.9"));
  assert.equal(sequenceOf("a.10"), 10);
});

test("earliest is before and the empty position after every id", () => {
  assert.ok(isBefore("earliest", "a.1"));
  assert.ok(isBefore("a.1", ""));
  assert.ok(isBefore("earliest", ""));
  for (const [a, b] of [
    ["a.1", "earliest"],
    ["", "a.1"],
    ["", "earliest"],
    ["earliest", "earliest"],
    ["", ""],
  ]) {
    assert.ok(!isBefore(a, b), `${a} and ${b}`);
  }
});

test("ids of different epochs are before each other, so that the relay decides", () => {
  assert.ok(isBefore("a.9", "b.1"));
  assert.ok(isBefore("b.1", "a.9"));
});
