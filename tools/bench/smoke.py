#!/usr/bin/env python3
"""Half a minute of measurements whose ratios must not collapse. `make test` runs it with the dev profile.

Each figure is divided by one of the same run: that of nginx with nchan, or of a loop that writes and flushes 4 KiB. So it
depends little on the speed of the machine. Each limit leaves a factor of about three to what was measured, so only a collapse fails: an event that
is encoded for each follower, a buffer that each idle follower keeps, a commit for each event. A figure that misses its limit is
measured once more, because other programs can spoil one."""

import shutil
import sys

import crowd
import fanout
import harness
import peers
import webhooks


class Check:
    """A load, the figure that is divided by nchan's, and the limit of the ratio."""

    def __init__(self, load, limit):
        self.load, self.limit = load, limit
        self.figure = load.figures[0]

    def holds(self, ratio):
        return ratio >= self.limit if self.figure.more_is_better else ratio <= self.limit


CHECKS = [
    Check(fanout.Load("300 events to 300 followers, 4 senders", dict(subscribers=300, events=300, publishers=4),
                      [fanout.Figure("deliveries_per_second", "deliveries/s", more_is_better=True)]), 0.25),
    Check(fanout.Load("100 events/s to 300 followers, 3 s", dict(subscribers=300, events=300, rate=100),
                      [fanout.Figure("cpu_us_per_delivery", "µs CPU per delivery")]), 8),
    Check(fanout.Load("2 000 idle followers", {"subscribers": 2000, "events": 0, "idle-ms": 500},
                      [fanout.Figure("memory_kib_per_subscriber", "KiB per follower")]), 0.8),
]

# Webhooks a second of eight senders, divided by the flushes a second of one thread.
LEAST_WEBHOOKS_PER_FLUSH = 0.2


def compared(bench, check):
    """The figure of docrelay, that of nchan, and their ratio."""
    figures = []
    for start in (lambda directory: peers.Relay(bench.binaries[0][1], directory), lambda directory: peers.Nchan(directory, 1)):
        bench.runs += 1
        directory = bench.path(f"run{bench.runs}")
        with start(directory) as peer:
            figures.append(check.figure.of(fanout.apply(bench, check.load, peer, {})))
        shutil.rmtree(directory, ignore_errors=True)
    return *figures, figures[0] / figures[1]


def webhooks_compared(bench):
    """Webhooks a second, flushes a second, and their ratio."""
    bench.runs += 1
    flushes = webhooks.flushes_per_second(bench.directory, 1)
    with peers.Relay(bench.binaries[0][1], bench.path(f"run{bench.runs}")) as relay:
        found = bench.tool("webhook_sender", {"address": relay.address, "path": relay.hook, "senders": 8, "seconds": 3})
    return found["per_second"], flushes, found["per_second"] / flushes


def measure(bench):
    crowd.limit_open_files()
    bench.tls_files = None
    rows, failed = [], []

    def add(title, run, holds, limit):
        figure, peer, ratio = run()
        if not holds(ratio):
            figure, peer, ratio = run()
        if not holds(ratio):
            failed.append(title)
        rows.append([title, harness.number(figure), harness.number(peer), f"{ratio:.2f}", limit])

    for check in CHECKS:
        sign = "≥" if check.figure.more_is_better else "≤"
        add(f"{check.load.title}: {check.figure.unit}", lambda: compared(bench, check), check.holds, f"{sign} {check.limit}")
    add("8 senders: webhooks/s beside flushes/s", lambda: webhooks_compared(bench),
        lambda ratio: ratio >= LEAST_WEBHOOKS_PER_FLUSH, f"≥ {LEAST_WEBHOOKS_PER_FLUSH}")
    print(harness.table(["", "docrelay", "nchan, or the disk", "ratio", "limit"], rows))
    if failed:
        sys.exit(f"smoke: {'; '.join(failed)}: the ratio has collapsed")


if __name__ == "__main__":
    harness.run("smoke", __doc__, measure)
