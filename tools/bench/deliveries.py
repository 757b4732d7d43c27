#!/usr/bin/env python3
"""Deliveries per second, while webhooks arrive.

One client has one default notification in the format `standard`, signed, to one endpoint on loopback that answers at once.
Senders post unique events at a fixed rate, and at full speed. Counted are the endpoint's requests in each tenth of a
second. Every event must be delivered."""

import json
import os
import statistics
import subprocess
import time
import urllib.request

import harness
import peers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SETTINGS = {"DOCRELAY_ALLOW_PRIVATE_ENDPOINTS": "127.0.0.0/8", "DOCRELAY_LOG_LEVEL": "warn"}

# The load of each row.
LOADS = {
    "fixed 2 500 events/s": {"senders": 8, "rate": 2500},
    "full speed, 8 senders": {"senders": 8},
    "full speed, 64 senders": {"senders": 64},
}
COLUMNS = [("webhooks", "webhooks/s"), ("p99_ms", "p99 ms"), ("meanwhile", "deliveries/s meanwhile"),
           ("to_the_last", "deliveries/s to the last"), ("connections", "connections"),
           ("cpu_us", "µs CPU per event, in and out"), ("repeats", "repeats")]


def deliver(bench, name, binary, load):
    """Sends events with a load to a relay that has just been started, until all are delivered."""
    with peers.Relay(binary, bench.path(f"run{bench.runs}"), name, SETTINGS) as relay:
        receiver = subprocess.Popen([os.path.join(bench.options.tools, "webhook_receiver")], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True)
        received_from = time.monotonic()
        try:
            port = receiver.stdout.readline().strip()
            add_notification(relay, f"http://127.0.0.1:{port}/events")
            bench.wait_for_quiet()
            cpu_before, start = relay.cpu_seconds(), time.monotonic()
            sent = bench.tool("webhook_sender", {"address": relay.address, "path": relay.hook, "seed": bench.runs,
                                                 "seconds": bench.options.seconds, **load})
            sent_until = time.monotonic()
            delivered_until = wait_for_no_pending(relay)
            cpu_seconds = relay.cpu_seconds() - cpu_before
        finally:
            received = json.loads(receiver.communicate()[0].splitlines()[-1])
    if received["distinct"] != sent["sent"]:
        raise peers.Failed(f"{sent['sent']} events were sent and {received['distinct']} delivered")
    # Only the tenths of a second in which events were sent from beginning to end.
    tenths = received["tenths"][int((start - received_from) * 10) + 1:int((sent_until - received_from) * 10)]
    run = {
        "webhooks": sent["per_second"], "p99_ms": sent["p99_ms"],
        "meanwhile": 10 * statistics.mean(tenths) if tenths else 0,
        "to_the_last": sent["sent"] / (delivered_until - start), "connections": received["connections"],
        "cpu_us": cpu_seconds * 1e6 / sent["sent"], "repeats": received["received"] - received["distinct"],
    }
    harness.log(f"  {name}: {run}")
    return run


def add_notification(relay, endpoint):
    body = {"name": "main", "endpoint": endpoint, "format": "standard", "isDefault": True, "secret": SECRET}
    request = urllib.request.Request(f"http://{relay.address}/v2/notification", json.dumps(body).encode(),
                                     {"Authorization": f"Bearer {relay.token}", "Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=30).close()


def wait_for_no_pending(relay):
    """The time at which no delivery was pending any more."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        lines = relay.admin("GET", "/metrics").splitlines()
        now = time.monotonic()
        if "docrelay_deliveries_pending 0" in lines:
            return now
        time.sleep(0.05)
    raise peers.Failed("deliveries are still pending after 300 s")


def measure(bench):
    rows = {}
    for title, load in LOADS.items():
        harness.log(title)
        runs = {name: [] for name, _ in bench.binaries}
        for round_number in range(bench.options.rounds):
            for name, binary in bench.in_turn(round_number):
                runs[name].append(deliver(bench, name, binary, load))
        rows[title] = (runs["docrelay"], runs.get("baseline", []))
    harness.report("median (each run)", COLUMNS, rows)
    print("\ntarget: at least 2 000 deliveries/s while events arrive")


def options(parser):
    parser.add_argument("--seconds", type=int, default=10, help="how long events are sent")


if __name__ == "__main__":
    harness.run("deliveries", __doc__, measure, options)
