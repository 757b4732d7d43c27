#!/usr/bin/env python3
"""How fast events go out again, while others come in.

One client with one default notification in the format `standard`, signed, to one endpoint on loopback that answers at
once. Senders post unique events: at a given rate, and flat out. Counted are the endpoint's requests in each tenth of a
second; every event must arrive, and none twice."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import parties

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Bench:
    """The built sender and receiver, and a directory on the disk."""

    def __init__(self, relay, directory):
        self.relay, self.directory, self.seed, self.noisy = os.path.abspath(relay), directory, 0, 0
        for name in ("sender", "receiver"):
            source = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".rs")
            subprocess.run(["rustc", "--edition", "2024", "-O", source, "-o", os.path.join(directory, name)], check=True)

    def run(self, name, senders, seconds, rate):
        """What was sent and what arrived."""
        self.seed += 1
        settings = {"DOCRELAY_ALLOW_PRIVATE_ENDPOINTS": "127.0.0.0/8", "DOCRELAY_LOG_LEVEL": "warn"}
        with parties.Relay(self.relay, os.path.join(self.directory, name), settings) as relay:
            receiver = subprocess.Popen([os.path.join(self.directory, "receiver")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
            began = time.monotonic()
            try:
                port = receiver.stdout.readline().strip()
                notify(relay, f"http://127.0.0.1:{port}/hear")
                if not parties.wait_for_quiet():
                    self.noisy += 1
                before, start = relay.cpu_seconds(), time.monotonic()
                done = subprocess.run([os.path.join(self.directory, "sender"), relay.address, relay.hook, str(senders),
                                       "seconds", str(seconds), str(self.seed), *([str(rate)] if rate else [])],
                                      capture_output=True, text=True, timeout=600)
                sent_all = time.monotonic()
                if done.returncode != 0:
                    raise parties.Failed(f"the senders: {done.stdout}{done.stderr}")
                said = json.loads(done.stdout)
                drained = wait_until_empty(relay)
                cpu = relay.cpu_seconds() - before
            finally:
                seen = json.loads(receiver.communicate()[0].splitlines()[-1] or "{}")
            if seen["distinct"] != said["sent"]:
                raise parties.Failed(f"{said['sent']} were sent and {seen['distinct']} arrived")
            first, last = int((start - began) * 10) + 1, int((sent_all - began) * 10)
            during = seen["tenths"][first:last]
            return {
                "in": said["per_second"], "p99_ms": said["p99_ms"],
                "during": 10 * statistics.mean(during) if during else 0,
                "all": said["sent"] / (drained - start), "repeats": seen["received"] - seen["distinct"],
                "cpu_us": cpu * 1e6 / said["sent"], "connections": seen["connections"],
            }


def notify(relay, endpoint):
    body = {"name": "main", "endpoint": endpoint, "format": "standard", "isDefault": True, "secret": SECRET}
    request = urllib.request.Request(f"http://{relay.address}/v2/notification", json.dumps(body).encode(),
                                     {"Authorization": f"Bearer {relay.token}", "Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=30).close()


def wait_until_empty(relay):
    """When the last pending delivery was settled."""
    with open(os.path.join(relay.directory, "relay.json")) as f:
        admin = json.load(f)["admin"]
    end = time.monotonic() + 300
    while time.monotonic() < end:
        with urllib.request.urlopen(f"http://{admin}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        now = time.monotonic()
        if "docrelay_deliveries_pending 0" in lines:
            return now
        time.sleep(0.05)
    raise parties.Failed("deliveries are still pending after 300 s")


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--relay", required=True, help="the docrelay binary")
    args.add_argument("--rounds", type=int, default=3)
    args.add_argument("--seconds", type=int, default=10, help="how long events come in")
    args.add_argument("--directory", help="where the data goes while it is measured (default: below target)")
    args = args.parse_args()
    place = args.directory or os.environ.get("CARGO_TARGET_DIR", "target")
    os.makedirs(place, exist_ok=True)
    directory = tempfile.mkdtemp(prefix="bench-deliveries-", dir=os.path.abspath(place))
    try:
        print(f"deliveries: {parties.machine(directory)}", file=sys.stderr)
        measured(Bench(args.relay, directory), args)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def measured(bench, args):
    cases = {"2 500 events/s come in": (8, 2500), "flat out, 8 senders": (8, None), "flat out, 64 senders": (64, None)}
    rows = []
    for name, (senders, rate) in cases.items():
        runs = []
        for number in range(args.rounds):
            run = bench.run(f"{senders}-{rate}-{number}", senders, args.seconds, rate)
            print(f"  {name}: {run}", file=sys.stderr, flush=True)
            runs.append(run)
        middle = lambda key: statistics.median(run[key] for run in runs)
        rows.append([name, f"{middle('in'):,.0f}", f"{middle('p99_ms'):.1f}", f"**{middle('during'):,.0f}**",
                     f"**{middle('all'):,.0f}**", f"{middle('connections'):.0f}", f"{middle('cpu_us'):.0f}",
                     str(sum(run["repeats"] for run in runs))])
    print(parties.table(["medians", "webhooks/s", "p99 ms", "deliveries/s meanwhile", "deliveries/s to the last",
                         "connections", "µs CPU per event, in and out", "repeats"], rows))
    print("\nwanted: at least 2,000 deliveries/s while events come in")
    if bench.noisy:
        print(f"\nnote: {bench.noisy} runs were on a machine that was not quiet")


if __name__ == "__main__":
    try:
        main()
    except (parties.Failed, subprocess.SubprocessError, OSError) as failure:
        sys.exit(f"deliveries: {failure}")
