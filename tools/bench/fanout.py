#!/usr/bin/env python3
"""Fan-out compared with nginx and nchan, in one run and in turn.

A burst of events to many followers, a steady stream of events, a crowd of small clients, and idle followers. docrelay has
each event on disk before it answers; nchan keeps events in memory. The load generator is ssebench, which finds each
delivery by a marker in its bytes and reads CPU time and memory of the measured processes from /proc. With --tls all
connections use TLS 1.3, and docrelay is measured over HTTP/2 as well, with a connection for each follower."""

import os
import shutil
import statistics

import crowd
import harness
import peers


class Figure:
    """What is reported of a load: a value that ssebench prints, times a factor. `target` is what is wanted."""

    def __init__(self, key, unit, target="", more_is_better=False, factor=1):
        self.key, self.unit, self.target = key, unit, target
        self.more_is_better, self.factor = more_is_better, factor

    def of(self, found):
        return found[self.key] * self.factor


class Load:
    """One kind of load, and the figures that are reported of it. `clients` is the number of channels."""

    def __init__(self, title, options, figures, clients=1):
        self.title, self.options, self.figures, self.clients = title, options, figures, clients


LATENCIES = [Figure("p50_ms", "webhook → follower p50, ms", "≤ 1.0 × nchan"), Figure("p99_ms", "p99, ms", "≤ 1.0 × nchan")]

LOADS = {
    "burst": Load("1 000 events to 1 000 followers, 4 senders", dict(subscribers=1000, events=1000, publishers=4),
                  [Figure("deliveries_per_second", "deliveries/s", "≥ 8 × nchan, slowest ≥ 5 ×", more_is_better=True)]),
    "steady": Load("100 events/s to 1 000 followers, 10 s", dict(subscribers=1000, events=1000, rate=100),
                   [Figure("cpu_us_per_delivery", "µs CPU per delivery", "≤ 0.70 × nchan"), *LATENCIES]),
    "crowd": Load("2 000 events/s to 10 000 followers of 1 000 clients, 5 s",
                  dict(subscribers=10_000, events=10_000, publishers=16, rate=2000),
                  [Figure("cpu_us_per_delivery", "µs CPU per event", "≤ 1.3 × nchan", factor=10),
                   Figure("p50_ms", "webhook → follower p50, ms", "≤ 3 × nchan"), Figure("p99_ms", "p99, ms", "≤ 6 ms")],
                  clients=1000),
    "idle": Load("5 000 idle followers", {"subscribers": 5000, "events": 0, "idle-ms": 2000},
                 [Figure("memory_kib_per_subscriber", "KiB per follower", "≤ 1.0 KiB")]),
    "many-idle": Load("15 000 idle followers", {"subscribers": 15_000, "events": 0, "idle-ms": 2000},
                      [Figure("memory_kib_per_subscriber", "KiB per follower", "≤ 1.0 KiB")]),
}

# What is wanted over TLS, of the figures for which it differs.
TLS_TARGETS = {"deliveries_per_second": "", "cpu_us_per_delivery": "≤ 1.0 × nchan", "memory_kib_per_subscriber": "≤ 0.6 × nchan",
               "p50_ms": "", "p99_ms": ""}


def apply(bench, kind, peer, connections):
    """Runs ssebench against a peer that has just been started; every event must be delivered."""
    channels = {}
    if kind.clients > 1:
        path = bench.path(f"channels{bench.runs}")
        with open(path, "w") as f:
            f.writelines(f"{subscribe} {publish}\n" for subscribe, publish in channels_of(bench, peer, kind.clients))
        channels["channels"] = path
    subscribe, publish_head = peer.requests(kind.clients)
    # The documents of two runs differ.
    body = '{"documentId":"%08x-0000-4000-8000-{n}","status":"COMPLETED","mark":"{mark}"}' % bench.runs
    found = bench.tool("ssebench", {
        "pids": peer.process.pid, "address": peer.address, "subscribe": subscribe, "publish-head": publish_head,
        "publish-body": body, **kind.options, **channels, **connections,
    }, timeout=180)
    harness.log(f"  {peer.name:<17} {found}")
    if found["delivered"] != found["expected"] or found["refused"] or found["closed"]:
        raise peers.Failed(f"{peer.name} did not deliver everything: {found}")
    return found


def channels_of(bench, peer, count):
    """What names each of so many channels to subscribers and to publishers: the token and the hook of a new client."""
    if not isinstance(peer, peers.Relay):
        return [(number, number) for number in range(count)]
    ca = bench.tls_files[0] if bench.tls_files else None
    return [(tokens[0], hook) for hook, tokens in crowd.prepare(peer, ca, count, 1)]


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
    crowd.limit_open_files()
    found, late = {}, set()
    bench.tls_files = crowd.certificate(bench.directory) if bench.options.tls else None
    for key in bench.options.measures.split(","):
        kind = LOADS[key]
        for round_number in range(bench.options.rounds):
            harness.log(f"{kind.title}, round {round_number + 1}")
            for name, start, connections in turns(bench, round_number):
                bench.wait_for_quiet()
                directory = bench.path(f"run{bench.runs}")
                with start(directory) as peer:
                    run = apply(bench, kind, peer, connections)
                shutil.rmtree(directory, ignore_errors=True)
                found.setdefault((key, name), []).append(run)
                rate = kind.options.get("rate", 0)
                if run["published_per_second"] < 0.95 * rate:
                    late.add(f"{name} did not keep the pace of {rate} events/s: queued events go out in "
                             "fewer writes, which makes CPU per delivery look better")
    relays = [name for name, _ in bench.binaries]
    if bench.tls_files:
        relays = [over for name in relays for over in (name, f"{name}, HTTP/2")]
    print(report(found, ["nchan, 1 worker", *relays, "nchan, 2 workers"], bench.tls_files is not None))
    for note in sorted(late):
        print(f"note: {note}")


def report(found, names, is_tls):
    """Medians and all runs, the ratio to the better nchan, and the ratio to the baseline."""
    rows = []
    for key, kind in LOADS.items():
        for figure in kind.figures:
            runs = {name: [figure.of(run) for run in found[key, name]] for name in names if (key, name) in found}
            if not runs:
                continue
            best = (max if figure.more_is_better else min)(
                (values for name, values in runs.items() if name.startswith("nchan")), key=statistics.median)
            ratios = [harness.ratio(runs["docrelay"], best)]
            if "baseline" in runs:
                ratios.append(harness.ratio(runs["docrelay"], runs["baseline"]))
            target = TLS_TARGETS[figure.key] if is_tls else figure.target
            rows.append([f"{kind.title}: {figure.unit}", *(harness.cell(runs[name]) for name in names), *ratios, target])
    ratios = ["docrelay / best nchan", *(["docrelay / baseline"] if "baseline" in names else [])]
    return harness.table(["median (each run)", *names, *ratios, "target"], rows)


def options(parser):
    parser.add_argument("--measures", default=",".join(LOADS))
    parser.add_argument("--tls", action="store_true", help="use TLS for all connections, and HTTP/2 as well")
    parser.add_argument("--reuseport", action="store_true", help="let nginx's workers have listeners of their own")


if __name__ == "__main__":
    harness.run("fanout", __doc__, measure, options)
