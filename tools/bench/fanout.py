#!/usr/bin/env python3
"""Fan-out compared with nginx and nchan, in one run and in turn.

A burst of events to many followers, a steady stream of events, and idle followers. docrelay has each event on disk before
it answers; nchan keeps events in memory. The load generator is ssebench, which finds each delivery by a marker in its
bytes and reads CPU time and memory of the measured processes from /proc. With --tls all connections use TLS 1.3, and docrelay is
measured over HTTP/2 as well, with a connection for each follower."""

import os
import shutil
import statistics

import crowd
import harness
import peers


class Measure:
    """One kind of load, and the figure that is reported of it."""

    def __init__(self, title, load, figure, unit, more_is_better, target):
        self.title, self.load, self.figure, self.unit = title, load, figure, unit
        self.more_is_better, self.target = more_is_better, target


MEASURES = {
    "burst": Measure("1 000 events to 1 000 followers, 4 senders", dict(subscribers=1000, events=1000, publishers=4),
                     "deliveries_per_second", "deliveries/s", True, "≥ 1.3 × nchan"),
    "steady": Measure("100 events/s to 1 000 followers, 10 s", dict(subscribers=1000, events=1000, rate=100),
                      "cpu_us_per_delivery", "µs CPU per delivery", False, "≤ 1.25 × nchan"),
    "idle": Measure("5 000 idle followers", {"subscribers": 5000, "events": 0, "idle-ms": 2000},
                    "memory_kib_per_subscriber", "KiB per follower", False, "≤ 9 KiB"),
}

# What is wanted over TLS, of the measures for which it differs.
TLS_TARGETS = {"burst": "", "steady": "≤ 1.0 × nchan", "idle": "≤ 0.6 × nchan"}


def load(bench, peer, options, connections):
    """Runs ssebench against a peer that has just been started; every event must be delivered."""
    # The documents of two runs differ.
    body = '{"documentId":"%08x-0000-4000-8000-{n}","status":"COMPLETED","mark":"{mark}"}' % bench.runs
    found = bench.tool("ssebench", {
        "pids": peer.process.pid, "address": peer.address, "subscribe": peer.subscribe,
        "publish-head": peer.publish_head, "publish-body": body, **options, **connections,
    }, timeout=180)
    harness.log(f"  {peer.name:<17} {found}")
    if found["delivered"] != found["expected"] or found["refused"] or found["closed"]:
        raise peers.Failed(f"{peer.name} did not deliver everything: {found}")
    return found


def turns(bench, round_number):
    """What is measured in a round: a name, how to start it in a directory, and the options of its connections. docrelay is
    between the two of nchan."""
    files = bench.tls_files
    settings = crowd.tls_settings(files) if files else {}
    http1 = {"kind": "h1-tls", "ca": files[0]} if files else {}
    relays = []
    for name, binary in bench.in_turn(round_number):
        def start(directory, name=name, binary=binary):
            return peers.Relay(binary, directory, name, settings)
        relays.append((name, start, http1))
        if files:
            relays.append((f"{name}, HTTP/2", start, {"kind": "h2-tls", "ca": files[0]}))
    return [("nchan, 1 worker", lambda directory: peers.Nchan(directory, 1, tls=files), http1), *relays,
            ("nchan, 2 workers", lambda directory: peers.Nchan(directory, 2, bench.options.reuseport, files), http1)]


def measure(bench):
    figures, late = {}, set()
    bench.tls_files = crowd.certificate(bench.directory) if bench.options.tls else None
    for key in bench.options.measures.split(","):
        kind = MEASURES[key]
        for round_number in range(bench.options.rounds):
            harness.log(f"{kind.title}, round {round_number + 1}")
            for name, start, connections in turns(bench, round_number):
                bench.wait_for_quiet()
                directory = bench.path(f"run{bench.runs}")
                with start(directory) as peer:
                    found = load(bench, peer, kind.load, connections)
                shutil.rmtree(directory, ignore_errors=True)
                figures.setdefault((key, name), []).append(found[kind.figure])
                rate = kind.load.get("rate", 0) * kind.load["subscribers"]
                if found["deliveries_per_second"] < 0.95 * rate:
                    late.add(f"{name} did not keep the pace of {kind.load['rate']} events/s: queued events go out in "
                             "fewer writes, which makes CPU per delivery look better")
    relays = [name for name, _ in bench.binaries]
    if bench.tls_files:
        relays = [over for name in relays for over in (name, f"{name}, HTTP/2")]
    print(report(figures, ["nchan, 1 worker", *relays, "nchan, 2 workers"], bench.tls_files is not None))
    for note in sorted(late):
        print(f"note: {note}")


def report(figures, names, is_tls):
    """Medians and all runs, the ratio to the better nchan, and the ratio to the baseline."""
    rows = []
    for key, kind in MEASURES.items():
        runs = {name: figures[key, name] for name in names if (key, name) in figures}
        if not runs:
            continue
        best = (max if kind.more_is_better else min)(
            (values for name, values in runs.items() if name.startswith("nchan")), key=statistics.median)
        ratios = [harness.ratio(runs["docrelay"], best)]
        if "baseline" in runs:
            ratios.append(harness.ratio(runs["docrelay"], runs["baseline"]))
        target = TLS_TARGETS[key] if is_tls else kind.target
        rows.append([f"{kind.title}: {kind.unit}", *(harness.cell(runs[name]) for name in names), *ratios, target])
    ratios = ["docrelay / best nchan", *(["docrelay / baseline"] if "baseline" in names else [])]
    return harness.table(["median (each run)", *names, *ratios, "target"], rows)


def options(parser):
    parser.add_argument("--measures", default=",".join(MEASURES))
    parser.add_argument("--tls", action="store_true", help="use TLS for all connections, and HTTP/2 as well")
    parser.add_argument("--reuseport", action="store_true", help="let nginx's workers have listeners of their own")


if __name__ == "__main__":
    harness.run("fanout", __doc__, measure, options)
