import assert from "node:assert/strict";
import { test } from "node:test";
import { runForLeader } from "../../static/widget/sharing/leader-election.js";
import { settle } from "./support/browser.js";
import { MemoryLocks } from "./support/locks.js";

/** A tab that stands for election; `resign()` ends its leadership. */
function candidate(locks, options = {}) {
  const tab = { leads: false, leadsAlone: false, stop: new AbortController() };
  const lead = () => {
    tab.leads = true;
    return new Promise((resolve) => {
      tab.resign = () => {
        tab.leads = false;
        resolve();
      };
    });
  };
  const leadAlone = () => {
    tab.leadsAlone = true;
  };
  tab.done = runForLeader({ locks, name: "stream", signal: tab.stop.signal, lead, leadAlone, ...options });
  return tab;
}

test("one tab leads at a time, in the order of candidacy", async () => {
  const locks = new MemoryLocks();
  const tabs = [candidate(locks), candidate(locks), candidate(locks)];
  const leads = () => tabs.map((tab) => tab.leads);
  await settle();
  assert.deepEqual(leads(), [true, false, false]);
  tabs[0].resign();
  await settle();
  assert.deepEqual(leads(), [false, true, false]);
  tabs[1].resign();
  await settle();
  assert.deepEqual(leads(), [false, false, true]);
});

test("candidate that is stopped leaves the queue", async () => {
  const locks = new MemoryLocks();
  const tabs = [candidate(locks), candidate(locks), candidate(locks)];
  await settle();
  tabs[1].stop.abort();
  await tabs[1].done;
  tabs[0].resign();
  await settle();
  assert.deepEqual(
    tabs.map((tab) => [tab.leads, tab.leadsAlone]),
    [
      [false, false],
      [false, false],
      [true, false],
    ],
  );
});

test("tab without locks leads alone", async () => {
  const tab = candidate(undefined);
  await tab.done;
  assert.deepEqual([tab.leads, tab.leadsAlone], [false, true]);
});

test("tab that is denied the locks leads alone", async () => {
  const denied = { request: () => Promise.reject(new DOMException("sandboxed", "SecurityError")) };
  const tab = candidate(denied);
  await tab.done;
  assert.ok(tab.leadsAlone);
});

test("error of the leader is passed on and does not start it again", async () => {
  const lead = () => Promise.reject(new Error("defect"));
  const tab = candidate(new MemoryLocks(), { lead });
  await assert.rejects(tab.done, /defect/);
  assert.equal(tab.leadsAlone, false);
});
