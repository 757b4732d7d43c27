import "./support/browser.js";
import assert from "node:assert/strict";
import { test } from "node:test";
import { backoffDelay, DEFAULT_RETRY_MS, MAX_RETRY_MS, RetrySchedule, wait } from "../../static/stream/backoff.js";

const noJitter = () => 0;

test("delay doubles with each failure up to the maximum", () => {
  const delays = [0, 1, 2, 3, 4, 30].map((failures) => backoffDelay(1000, failures, noJitter));
  assert.deepEqual(delays, [1000, 1000, 2000, 4000, 8000, MAX_RETRY_MS]);
});

test("jitter only makes a delay longer, by at most a quarter", () => {
  assert.equal(
    backoffDelay(1000, 1, () => 0.999_999),
    1000 * (1 + 0.999_999 / 4),
  );
  for (let sample = 0; sample < 100; sample += 1) {
    const delay = backoffDelay(1000, 1);
    assert.ok(delay >= 1000 && delay < 1250, String(delay));
  }
});

test("wait ends when the browser goes online", async () => {
  const waiting = wait(60_000);
  dispatchEvent(new Event("online"));
  await waiting;
});

test("wait ends when a signal is or becomes aborted", async () => {
  const stop = new AbortController();
  const waiting = wait(60_000, new AbortController().signal, stop.signal);
  stop.abort();
  await waiting;
  await wait(60_000, stop.signal);
});

test("wait ends after its time", async () => {
  await wait(1);
});

test("schedule starts with the default and follows the relay's retry value", () => {
  const schedule = new RetrySchedule(noJitter);
  assert.equal(schedule.delay, DEFAULT_RETRY_MS);
  schedule.retry = 500;
  schedule.failed();
  schedule.failed();
  assert.equal(schedule.delay, 1000);
  schedule.connected();
  assert.deepEqual([schedule.failures, schedule.delay], [0, 500]);
});

test("only the first reset in a row reconnects without a delay", () => {
  const schedule = new RetrySchedule(noJitter);
  assert.equal(schedule.resetReceived(), true);
  assert.equal(schedule.resetReceived(), false);
  assert.equal(schedule.delay, DEFAULT_RETRY_MS);
  assert.equal(schedule.resetReceived(), false);
  assert.equal(schedule.delay, 2 * DEFAULT_RETRY_MS);
  schedule.received();
  assert.equal(schedule.resetReceived(), true);
});
