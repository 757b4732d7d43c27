#!/usr/bin/env python3
"""A storm: ten thousand followers connect at once, each with a fresh token of its own, while webhooks arrive.

Every limit of the relay is at its default. Each token is one that the relay has never verified. The followers come from many
addresses of the loopback interface, and each has a connection. The figures are the time until all streams are open, the time of
one connect, from its first packet to the first position of its stream, that of a webhook before and during the storm, and how many connections
met a full listen queue, on the whole machine."""

import concurrent.futures
import json
import os
import sys
import time

import crowd
import harness
import peers

CLIENTS = 1000
KINDS = {"plain": ("h1", "h1"), "tls": ("h1-tls", "h1-tls"), "http2": ("h2-tls", "h1-tls")}
COLUMNS = ["storm", "open", "refused, cut or failed", "all open after", "connect p50", "p99", "max", "webhooks p99 before", "during",
           "listen overflows"]


def meter(bench, name, hooks, options):
    """Sends webhooks from a process of its own, which the storm does not delay. Returns a future."""
    def run():
        with crowd.Swarm(bench, name, [], hooks, options) as swarm:
            swarm.line()
            return json.loads(swarm.line())
    return concurrent.futures.ThreadPoolExecutor(1).submit(run)


def listen_overflows():
    with open("/proc/net/netstat") as counters:
        names, values = [line.split() for line in counters if line.startswith("TcpExt:")]
    return int(values[names.index("ListenOverflows")])


def storm(bench, kind, round_number):
    directory = bench.path(f"{kind}{round_number}")
    os.makedirs(directory)
    files = crowd.certificate(directory) if kind != "plain" else None
    settings = crowd.tls_settings(files) if files else {}
    with peers.DefaultRelay(bench.binaries[0][1], os.path.join(directory, "data"), settings=settings) as relay:
        ca = files[0] if files else None
        # The last client has no follower: its webhooks are measured.
        prepared = crowd.prepare(relay, ca, CLIENTS + 1, -(-bench.options.followers // CLIENTS))
        tokens = [(number, token) for number, (_, tokens) in enumerate(prepared[:CLIENTS]) for token in tokens]
        follower, webhook = KINDS[kind]
        followers = [(follower, relay.address, f"127.0.{1 + i // 200 % 50}.{1 + i % 200}", number, token)
                     for i, (number, token) in enumerate(tokens[:bench.options.followers])]
        bench.wait_for_quiet()
        hooks, common = [(CLIENTS, prepared[-1][0])], {"webhooks": f"{webhook}:{relay.address}", **({"ca": ca} if ca else {})}
        webhooks = {**common, "rate": bench.options.rate}
        before = meter(bench, "before", hooks, {**webhooks, "seconds": 10}).result()
        cpu, overflows = relay.cpu_seconds(), listen_overflows()
        during = meter(bench, "during", hooks, {**webhooks, "seconds": 4})
        # Its connections are open when the storm begins, as those of vendors and proxies are.
        time.sleep(1)
        options = {**common, "rate": 0, "seconds": 3, "opening": len(followers)}
        with crowd.Swarm(bench, "storm", followers, hooks, options) as swarm:
            swarm.line()
            found = json.loads(swarm.line())
        during, overflows = during.result(), listen_overflows() - overflows
        harness.log(f"  {kind}: {found}, {relay.cpu_seconds() - cpu:.1f} s of CPU time; webhooks before: {before}, during: {during}")
    failed = found["followers"] - found["most_open"] + found["reconnects"] + sum(found["faults"].values())
    connects = found["connects"]
    refused = {status for run in (found, before, during) for status in run["statuses"] if status != "200"}
    row = [f"{len(followers)} {kind}", found["most_open"], failed, f"{found['open_seconds']:.2f} s",
           *(f"{connects[key]:.0f} ms" for key in ("p50_ms", "p99_ms", "max_ms")),
           *(f"{run['webhooks']['p99_ms']:.1f} ms" for run in (before, during)), overflows]
    return [str(cell) for cell in row], not failed and not refused


def measure(bench):
    crowd.limit_open_files()
    rows = []
    for kind in bench.options.kinds.split(","):
        for round_number in range(bench.options.rounds):
            rows.append(storm(bench, kind, round_number))
    print(harness.table(COLUMNS, [row for row, _ in rows]))
    if not all(good for _, good in rows):
        sys.exit("storm: a follower was refused, cut or failed, or a webhook was not accepted")


def options(parser):
    parser.set_defaults(rounds=1)
    parser.add_argument("--kinds", default="plain,tls,http2")
    parser.add_argument("--followers", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=200, help="webhooks per second")


if __name__ == "__main__":
    harness.run("storm", __doc__, measure, options)
