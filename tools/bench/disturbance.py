#!/usr/bin/env python3
"""What a disturbance by one client costs another client, and how much memory it costs.

For each disturbance of `disturbances.py` a relay is started. A second client has a steady load of webhooks, each delivered to an
endpoint that answers at once. Their 99th percentiles, from the time at which a webhook is due, are measured before and
during the disturbance, and the resident memory of the relay before, during and after it. A second relay has the same load at
the same time and no disturbance: what both have in common comes from the machine."""

import json
import os
import statistics
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import harness
import peers
import disturbances

SETTINGS = {"DOCRELAY_ALLOW_PRIVATE_ENDPOINTS": "127.0.0.0/8", "DOCRELAY_LOG_LEVEL": "warn"}
# Milliseconds below which a ratio says nothing about the relay: a time slice of the scheduler.
FLOOR_MS = 20


class Memory:
    """The resident memory of a relay, read fifty times a second."""

    def __init__(self, relay):
        self.relay, self.peak, self.ended = relay, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def __enter__(self):
        self.thread.start()
        return self

    def watch(self):
        while not self.ended.wait(0.02):
            self.peak = max(self.peak, self.relay.resident_bytes())

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


class SecondClient:
    """The client with the steady load."""

    def __init__(self, bench, relay):
        relay.command("client", "add", "second")
        hook = json.loads(relay.command("hook", "add", "--client", "second", "--vendor", "gini"))
        token = relay.command("token", "--client", "second").strip()
        self.process = subprocess.Popen(
            [os.path.join(bench.options.tools, "second_client"), "--rate", str(bench.options.rate)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        endpoint = f"http://127.0.0.1:{self.process.stdout.readline().strip()}/"
        body = {"name": "main", "endpoint": endpoint, "format": "gini", "isDefault": True}
        request = urllib.request.Request(f"http://{relay.address}/v2/notification", json.dumps(body).encode(),
                                         {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=30).close()
        self.process.stdin.write(f"{relay.address} {urllib.parse.urlsplit(hook['url']).path}\n")

    def start(self, seconds):
        self.process.stdin.write(f"{seconds}\n")

    def measured(self):
        found = json.loads(self.process.stdout.readline())
        if found["failure"] or found["undelivered"]:
            raise peers.Failed(f"the second client: {found}")
        return found

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def measured(clients, seconds):
    """What the clients measure at the same time."""
    for client in clients:
        client.start(seconds)
    return [client.measured() for client in clients]


def trial(bench, name, kind):
    """One round of a disturbance."""
    disturbance, clients = kind(bench), []
    seconds, binary = bench.options.seconds, bench.binaries[0][1]
    bench.runs += 1
    directory = bench.path(f"{name}{bench.runs}")
    try:
        with peers.Relay(binary, directory, settings=SETTINGS | disturbance.settings, stderr=disturbance.stderr()) as relay, \
                peers.Relay(binary, directory + "-control", "control", SETTINGS) as control:
            disturbance.relay = relay
            disturbance.prepare()
            clients += [SecondClient(bench, relay), SecondClient(bench, control)]
            # Caches fill.
            measured(clients, 3)
            before, resident = measured(clients, seconds), relay.resident_bytes()
            with Memory(relay) as memory:
                disturbance.begin()
                during = measured(clients, max(seconds, disturbance.seconds))
                disturbance.end()
                time.sleep(disturbance.settle)
                resident_after = relay.resident_bytes()
    finally:
        disturbance.close()
        for client in clients:
            client.stop()
    run = {"resident_before": resident, "resident_peak": memory.peak, "resident_after": resident_after}
    run = {key: value / 2**20 for key, value in run.items()}
    for when, found in (("before", before[0]), ("during", during[0]), ("control", during[1])):
        run |= {f"{key}_{when}": value for key, value in found.items() if key.startswith(("webhook", "delivery"))}
    harness.log(f"  {name}: {run}")
    return run


def measure(bench):
    only = bench.options.only.split(",") if bench.options.only else list(disturbances.ALL)
    lines, exceeded = [], []
    for name in only:
        kind = disturbances.ALL[name]
        runs = [trial(bench, name, kind) for _ in range(kind.rounds or bench.options.rounds)]

        def middle(key):
            return statistics.median(run[key] for run in runs)

        cells = [f"{middle(f'resident_{when}'):.0f}" for when in ("before", "peak", "after")]
        for what in ("webhook_p99", "delivery_p99"):
            before, during, control = (middle(f"{what}_{when}") for when in ("before", "during", "control"))
            cells += [harness.number(before), f"**{harness.number(during)}**", harness.number(control)]
            if during > max(2 * before, 2 * control, FLOOR_MS):
                exceeded.append(f"{name}: {what} {before:.1f} before, {during:.1f} during, {control:.1f} without")
        lines.append([kind.title, *cells])
    heads = ["RSS before, MiB", "peak", "after", "webhook p99 before, ms", "during", "during, without disturbance",
             "delivery p99 before, ms", "during", "during, without disturbance"]
    print(harness.table(["disturbance", *heads], lines))
    print(f"\ntarget: a p99 of at most twice that before or that without disturbance, or {FLOOR_MS} ms; exceeded: {'; '.join(exceeded) or 'none'}")


def options(parser):
    parser.add_argument("--only", help=f"names, separated by commas: {', '.join(disturbances.ALL)}")
    parser.add_argument("--seconds", type=int, default=6, help="how long each measurement lasts")
    parser.add_argument("--rate", type=int, default=200, help="webhooks a second of the second client")


if __name__ == "__main__":
    harness.run("disturbance", __doc__, measure, options)
