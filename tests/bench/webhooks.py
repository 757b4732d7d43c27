#!/usr/bin/env python3
"""How fast webhooks become durable, and what a resume costs.

64 keep-alive senders post unique events to one hook; each answer is awaited and must be 200. On an empty store, and on
one that was filled with a million events through the same door. A resume of the last ten events is timed from the
request to the first replayed event, behind a thousand and behind a million events."""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import parties

SENDERS = 64


class Bench:
    """The built sender, a directory on the disk, and what was found."""

    def __init__(self, relay, directory):
        self.relay, self.directory, self.seed, self.noisy = os.path.abspath(relay), directory, 0, 0
        self.sender = os.path.join(directory, "sender")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sender.rs")
        subprocess.run(["rustc", "--edition", "2024", "-O", source, "-o", self.sender], check=True)

    def start(self, name):
        return parties.Relay(self.relay, os.path.join(self.directory, name))

    def post(self, relay, unit, number, senders=SENDERS):
        """What the sender measured, with the relay's CPU time of each webhook."""
        self.seed += 1
        if not parties.wait_for_quiet():
            self.noisy += 1
        before = relay.cpu_seconds()
        done = subprocess.run([self.sender, relay.address, relay.hook, str(senders), unit, str(number), str(self.seed)],
                              capture_output=True, text=True, timeout=1800)
        if done.returncode != 0:
            raise parties.Failed(f"the senders: {done.stdout}{done.stderr}")
        said = json.loads(done.stdout)
        said["cpu_us"] = (relay.cpu_seconds() - before) * 1e6 / max(said["sent"], 1)
        print(f"  {number} {unit}: {done.stdout.strip()}", file=sys.stderr, flush=True)
        return said


def rate(bench, relay_of, rounds, seconds):
    """Medians over rounds, each with its own relay as `relay_of` gives it."""
    runs = []
    for number in range(rounds):
        with relay_of(number) as relay:
            runs.append(bench.post(relay, "seconds", seconds))
    return runs


def post_one(relay, number):
    """Posts one event and returns the id that it was stored under."""
    body = json.dumps({"documentId": f"{os.getpid():08x}-{number:04x}-4000-8000-{time.monotonic_ns() % 16**12:012x}",
                       "status": "COMPLETED"})
    host, port = relay.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=30) as s:
        request = relay.publish.replace("{len}", str(len(body))).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
        s.sendall((request + body).encode())
        answer = b""
        while chunk := s.recv(4096):
            answer += chunk
    head = answer.split(b"\r\n\r\n", 1)[0].decode()
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "docrelay-event-id":
            return value.strip()
    raise parties.Failed(f"an answer without Docrelay-Event-Id: {head}")


def resume_once(relay, after, wanted):
    """Seconds from the request to the first and to the last of the replayed events."""
    host, port = relay.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=30) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = relay.follow.replace("\r\n\r\n", f"\r\nLast-Event-ID: {after}\r\n\r\n").encode()
        begin = time.perf_counter()
        s.sendall(request)
        answer, first = b"", None
        while answer.count(b"\nid: ") < len(wanted) or not answer.endswith(b"\n\n"):
            # The closing bytes of a chunk do not belong to the stream.
            chunk = s.recv(65536)
            if not chunk:
                raise parties.Failed(f"the stream ended after {answer!r}")
            answer = (answer + chunk).replace(b"\n\n\r\n", b"\n\n")
            if first is None and b"\nid: " in answer:
                first = time.perf_counter() - begin
        last = time.perf_counter() - begin
    ids = [line[4:].decode() for line in answer.split(b"\n") if line.startswith(b"id: ")]
    if ids != wanted:
        raise parties.Failed(f"resumed after {after} and was given {ids} instead of {wanted}")
    return first, last


def resume(relay, times=100):
    """What a resume ten events from the head costs; each on a new connection."""
    ids = [post_one(relay, number) for number in range(11)]
    return [resume_once(relay, ids[0], ids[1:])[0] * 1000 for _ in range(times)]


def disk(directory):
    return sum(os.path.getsize(os.path.join(place, name)) for place, _, names in os.walk(directory) for name in names)


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--relay", required=True, help="the docrelay binary")
    args.add_argument("--rounds", type=int, default=3)
    args.add_argument("--seconds", type=int, default=10, help="how long a round lasts")
    args.add_argument("--fill", type=int, default=1_000_000, help="events in the filled store")
    args.add_argument("--directory", help="where the data goes while it is measured (default: below target)")
    args = args.parse_args()
    place = args.directory or os.environ.get("CARGO_TARGET_DIR", "target")
    os.makedirs(place, exist_ok=True)
    directory = tempfile.mkdtemp(prefix="bench-webhooks-", dir=os.path.abspath(place))
    try:
        print(f"webhooks: {parties.machine(directory)}", file=sys.stderr)
        measured(Bench(args.relay, directory), args)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def measured(bench, args):
    print("an empty store", file=sys.stderr)
    rates, resumes = {}, {}
    rates["empty"] = rate(bench, lambda n: bench.start(f"empty{n}"), args.rounds, args.seconds)

    with bench.start("small") as relay:
        bench.post(relay, "events", 1000)
        resumes["1 000"] = resume(relay)

    amount = f"{args.fill:,}".replace(",", " ")
    print(f"filling a store with {amount} events", file=sys.stderr)
    with bench.start("filled") as relay:
        rates["while it fills"] = [bench.post(relay, "events", args.fill)]
        resumes[amount] = resume(relay)
    size = disk(os.path.join(bench.directory, "filled"))
    with bench.start("filled") as relay:
        # A relay that has only just started on that store: the first one pays for what it has to read.
        resumes[f"{amount}, after a restart"] = resume(relay)
    rates[f"with {amount} events"] = rate(bench, lambda _: bench.start("filled"), args.rounds, args.seconds)

    def middle(runs, key, form):
        values = [run[key] for run in runs]
        each = f" ({', '.join(format(v, form) for v in values)})" if len(values) > 1 else ""
        return f"**{statistics.median(values):{form}}**{each}"

    keys = [("per_second", ",.0f"), ("p50_ms", ".1f"), ("p99_ms", ".1f"), ("p999_ms", ".1f"), ("cpu_us", ".0f")]
    head = [f"{SENDERS} senders, median (each run)", "webhooks/s", "p50 ms", "p99 ms", "p99.9 ms", "µs CPU per webhook"]
    print(parties.table(head, [[name, *(middle(runs, key, form) for key, form in keys)]
                               for name, runs in rates.items()]))
    print(f"\nwanted: at least 8,000/s with a p99 of at most 25 ms; the filled store takes {size / 2**20:,.0f} MiB\n")
    head = ["resume 10 events from the head, behind", "first, ms", "median, ms", "p95, ms", "slowest, ms"]
    print(parties.table(head, [[name, f"{times[0]:.2f}", f"**{statistics.median(times):.2f}**",
                                f"{statistics.quantiles(times, n=20)[-1]:.2f}", f"{max(times):.2f}"]
                               for name, times in resumes.items()]))
    if bench.noisy:
        print(f"\nnote: {bench.noisy} runs were on a machine that was not quiet")


if __name__ == "__main__":
    try:
        main()
    except (parties.Failed, subprocess.SubprocessError, OSError) as failure:
        sys.exit(f"webhooks: {failure}")
