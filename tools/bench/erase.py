#!/usr/bin/env python3
"""Webhooks while a client with a million events is erased.

Senders post unique events of one client at a fixed rate. Meanwhile another client with very many events is removed. The
99th percentile of the response times is compared with those before and after, and the files of the database are watched."""

import json
import os
import sqlite3
import threading
import time
import urllib.parse

import harness
import peers

FILLERS, SENDERS = 64, 16

COLUMNS = [("per_second", "webhooks/s"), ("p50_ms", "p50 ms"), ("p99_ms", "p99 ms"), ("p999_ms", "p99.9 ms"),
           ("wal", "largest WAL, MiB"), ("database", "database at the end, MiB")]


class Watch:
    """The sizes of the database's files, watched while the block runs."""

    def __init__(self, directory):
        self.path, self.largest_wal, self.ended = os.path.join(directory, "docrelay.db"), 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.ended.wait(0.02):
            self.largest_wal = max(self.largest_wal, self.size("-wal"))

    def size(self, suffix=""):
        try:
            return os.path.getsize(self.path + suffix) / 2**20
        except OSError:
            return 0

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def send(bench, relay, path, seconds):
    """One run of the senders; what they measured, and the sizes of the files."""
    bench.runs += 1
    with Watch(relay.directory) as watch:
        found = bench.tool("webhook_sender", {"address": relay.address, "path": path, "senders": SENDERS,
                                              "seconds": seconds, "rate": bench.options.rate, "seed": bench.runs})
    found["wal"], found["database"] = watch.largest_wal, watch.size()
    harness.log(f"  {found}")
    return found


def is_erased(relay):
    """Whether no row of a removed client is left."""
    with sqlite3.connect(f"file:{relay.directory}/docrelay.db?mode=ro", uri=True) as db:
        return not db.execute("SELECT 1 FROM client WHERE name IS NULL").fetchall()


def remove(relay):
    """Removes the filled client; seconds until the answer."""
    begin = time.monotonic()
    relay.admin("DELETE", "/admin/clients/bench")
    return time.monotonic() - begin


def measure(bench):
    rows = {}
    with peers.Relay(bench.binaries[0][1], bench.path("erase")) as relay:
        harness.log(f"filling with {bench.options.fill} events")
        bench.tool("webhook_sender", {"address": relay.address, "path": relay.hook, "senders": FILLERS,
                                      "events": bench.options.fill, "seed": 999})
        relay.command("client", "add", "other")
        hook = json.loads(relay.command("hook", "add", "--client", "other", "--vendor", "gini"))
        path = urllib.parse.urlsplit(hook["url"]).path
        bench.wait_for_quiet()
        rows["before"] = ([send(bench, relay, path, bench.options.seconds) for _ in range(bench.options.rounds)], [])
        answered, begin, runs = remove(relay), time.monotonic(), []
        while not is_erased(relay):
            runs.append(send(bench, relay, path, bench.options.seconds))
        took = time.monotonic() - begin
        rows["while it is erased"] = (runs, [])
        # The rest of the free pages.
        time.sleep(bench.options.seconds)
        rows["after"] = ([send(bench, relay, path, bench.options.seconds) for _ in range(bench.options.rounds)], [])
    harness.report(f"{SENDERS} senders, {bench.options.rate} webhooks/s", COLUMNS, rows)
    print(f"\nDELETE was answered after {answered * 1000:.0f} ms; the client was erased after {took:.0f} s\n"
          "target: a p99 of at most twice that before")


def options(parser):
    parser.add_argument("--seconds", type=int, default=10, help="how long a run lasts")
    parser.add_argument("--fill", type=int, default=1_000_000, help="events of the removed client")
    parser.add_argument("--rate", type=int, default=2_000, help="webhooks a second")


if __name__ == "__main__":
    harness.run("erase", __doc__, measure, options)
