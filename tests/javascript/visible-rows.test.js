import assert from "node:assert/strict";
import { test } from "node:test";
import { movedRows, OVERSCAN_ROWS, rowAfterKey, visibleRange } from "../../static/dashboard/list/visible-rows.js";

const GEOMETRY = { rowHeight: 40, viewportHeight: 400, count: 1000 };

test("rendered rows cover the viewport and the overscan, and no more", () => {
  assert.deepEqual(visibleRange({ ...GEOMETRY, firstVisible: 0 }), { first: 0, end: 10 + 2 * OVERSCAN_ROWS });
  assert.deepEqual(visibleRange({ ...GEOMETRY, firstVisible: 500 }), { first: 492, end: 518 });
  assert.deepEqual(visibleRange({ ...GEOMETRY, firstVisible: 995 }), { first: 987, end: 1000 });
  assert.deepEqual(visibleRange({ ...GEOMETRY, count: 3, firstVisible: 0 }), { first: 0, end: 3 });
  assert.deepEqual(visibleRange({ ...GEOMETRY, count: 0, firstVisible: 0 }), { first: 0, end: 0 });
});

test("keys move by a row, a page, or to an end, and stay inside the table", () => {
  const after = (key, current) => rowAfterKey(key, { ...GEOMETRY, current });
  assert.deepEqual([after("ArrowDown", 5), after("ArrowUp", 5)], [6, 4]);
  assert.deepEqual([after("PageDown", 5), after("PageUp", 50)], [13, 42]);
  assert.deepEqual([after("Home", 5), after("End", 5)], [0, 999]);
  assert.deepEqual([after("ArrowUp", 0), after("ArrowDown", 999), after("PageUp", 2)], [0, 999, 0]);
  assert.equal(after("ArrowDown", -1), 0, "without a current row the first one is next");
  assert.equal(after("x", 5), undefined);
});

const list = (...entries) => entries.map(([documentId, position]) => ({ documentId, position }));
const indexesOf = (documents) => new Map(documents.map(({ documentId }, index) => [documentId, index]));

function moved(before, after, firstVisible) {
  return movedRows(before.slice(firstVisible), indexesOf(before), after, indexesOf(after));
}

test("new rows above move the rows in view down by their number", () => {
  const before = list(["c", 3], ["b", 2], ["a", 1]);
  const after = list(["e", 5], ["d", 4], ["c", 3], ["b", 2], ["a", 1]);
  assert.equal(moved(before, after, 1), 2);
});

test("row in view that moves to the top does not take the viewport with it", () => {
  const before = list(["c", 3], ["b", 2], ["a", 1]);
  const after = list(["b", 4], ["c", 3], ["a", 1]);
  assert.equal(moved(before, after, 1), 0);
});

test("nothing is scrolled when no row in view is left", () => {
  assert.equal(moved(list(["b", 2], ["a", 1]), list(["c", 3]), 1), 0);
});
