#!/usr/bin/env python3
"""Webhooks while a client with a million events is erased.

Senders post unique events of one client at a fixed rate. Meanwhile another client with very many events is removed. The
99th percentile of the response times is compared with those before and after, and with those of a second relay that has
the same events and load at the same time and erases nothing. The files of the database are watched."""

import json
import os
import sqlite3
import statistics
import threading
import time
import urllib.parse

import harness
import peers

FILLERS, SENDERS = 64, 16

COLUMNS = [("p50_ms", "p50 ms"), ("p99_ms", "p99 ms"), ("control_p99_ms", "p99 ms of a relay that erases nothing"),
           ("ratio", "ratio"), ("wal", "largest WAL, MiB"), ("database", "database at the end, MiB")]


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


def send(bench, relay, path, control):
    """One run of the senders at both relays; what they measured at the first, and the sizes of its files."""
    bench.runs += 1
    found = {}

    def run(name, to, path):
        found[name] = bench.tool("webhook_sender", {
            "address": to.address, "path": path, "senders": SENDERS, "seconds": bench.options.seconds,
            "rate": bench.options.rate, "seed": bench.runs})

    with Watch(relay.directory) as watch:
        beside = threading.Thread(target=run, args=("control", control, control.hook))
        beside.start()
        run("relay", relay, path)
        beside.join()
    measured, without = found["relay"], found["control"]
    measured["wal"], measured["database"] = watch.largest_wal, watch.size()
    measured["control_p99_ms"] = without["p99_ms"]
    measured["ratio"] = measured["p99_ms"] / without["p99_ms"]
    harness.log(f"  {measured}")
    return measured


def is_erased(relay):
    """Whether no row of a removed client is left."""
    with sqlite3.connect(f"file:{relay.directory}/docrelay.db?mode=ro", uri=True) as db:
        return not db.execute("SELECT 1 FROM client WHERE name IS NULL AND secrets = x''").fetchall()


def remove(relay):
    """Removes the filled client; seconds until the answer."""
    begin = time.monotonic()
    relay.admin("DELETE", "/admin/clients/bench")
    return time.monotonic() - begin


def measure(bench):
    runs = {"before": [], "while it is erased": [], "after": []}
    binary = bench.binaries[0][1]
    with peers.Relay(binary, bench.path("erase")) as relay, peers.Relay(binary, bench.path("control")) as control:
        for filled in (relay, control):
            harness.log(f"filling with {bench.options.fill} events")
            bench.tool("webhook_sender", {"address": filled.address, "path": filled.hook, "senders": FILLERS,
                                          "events": bench.options.fill, "seed": 999})
        relay.command("client", "add", "other")
        hook = json.loads(relay.command("hook", "add", "--client", "other", "--vendor", "gini"))
        path = urllib.parse.urlsplit(hook["url"]).path

        def measure_window(row):
            runs[row].append(send(bench, relay, path, control))

        bench.wait_for_quiet()
        for _ in range(bench.options.rounds):
            measure_window("before")
        answered, begin = remove(relay), time.monotonic()
        while not is_erased(relay):
            if len(runs["while it is erased"]) < bench.options.windows:
                measure_window("while it is erased")
            else:
                time.sleep(0.5)
        took = time.monotonic() - begin
        # The rest of the free pages.
        time.sleep(bench.options.seconds)
        for _ in range(bench.options.rounds):
            measure_window("after")
    lines = []
    for row, found in runs.items():
        lines.append([row, str(len(found))])
        for key, _ in COLUMNS:
            values = [run[key] for run in found]
            extent = f" ({harness.number(min(values))} to {harness.number(max(values))})"
            lines[-1].append(f"**{harness.number(statistics.median(values))}**{extent}")
    print(harness.table([f"{bench.options.rate} webhooks/s", "runs", *(heading for _, heading in COLUMNS)], lines))
    before, during = (statistics.median(run["ratio"] for run in runs[row]) for row in ("before", "while it is erased"))
    print(f"\nDELETE was answered after {answered * 1000:.0f} ms; the client was erased after {took:.0f} s\n"
          f"p99 divided by that of the relay that erases nothing: {before:.2f} before, {during:.2f} while it is erased\n"
          f"of both: {during / before:.2f}; target: at most 2")


def options(parser):
    parser.add_argument("--seconds", type=int, default=10, help="how long a run lasts")
    parser.add_argument("--windows", type=int, default=20, help="the most runs while the client is erased")
    parser.add_argument("--fill", type=int, default=1_000_000, help="events of the removed client, and of the relay beside it")
    parser.add_argument("--rate", type=int, default=2_000, help="webhooks a second")


if __name__ == "__main__":
    harness.run("erase", __doc__, measure, options)
