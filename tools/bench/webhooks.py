#!/usr/bin/env python3
"""Webhooks per second, the cost of a resume, and the speed of a full replay.

Keep-alive senders post unique events to one hook; each waits for its 200. Measured with an empty store, and with one
that was filled through the same hook, at full speed and at a fixed rate. A resume of the last ten events is timed from the
request to the first replayed event, with a thousand events and with a filled store. A full replay has one follower. A cold
file is one of which the kernel has no page in memory. A loop that writes 4 KiB and flushes, on one thread and without a
database, shows what the disk does in the same run."""

import json
import os
import socket
import statistics
import time

import harness
import peers

SENDERS = 64

# Senders of the rows with an empty store.
EMPTY = (1, 8, SENDERS)

# The rate of the row at which senders do not wait for each other.
PACED = 2000

COLUMNS = [("per_second", "webhooks/s"), ("p50_ms", "p50 ms"), ("p99_ms", "p99 ms"), ("p999_ms", "p99.9 ms"),
           ("cpu_us", "µs CPU per webhook")]
RESUME_COLUMNS = [("first", "first, ms"), ("median", "median, ms"), ("p95", "p95, ms"), ("slowest", "slowest, ms")]


def post(bench, relay, end, senders=SENDERS, **options):
    """Posts events until `end` (`seconds` or `events`, and a number); what the senders measured, with the CPU time."""
    bench.wait_for_quiet()
    before = relay.cpu_seconds()
    found = bench.tool("webhook_sender", {"address": relay.address, "path": relay.hook, "senders": senders,
                                          end[0]: end[1], "seed": bench.runs, **options})
    found["cpu_us"] = (relay.cpu_seconds() - before) * 1e6 / max(found["sent"], 1)
    harness.log(f"  {relay.name}, {senders} senders, {end[1]} {end[0]}: {found}")
    return found


def flushes_per_second(directory, seconds=2):
    """How often a second the disk writes and flushes 4 KiB that are appended to a file."""
    path = os.path.join(directory, "flushes")
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        count, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            os.write(file, bytes(4096))
            os.fdatasync(file)
            count += 1
        return count / seconds
    finally:
        os.close(file)
        os.remove(path)


def post_one(relay, number):
    """Posts one event and returns its id."""
    body = json.dumps({"documentId": f"{os.getpid():08x}-{number:04x}-4000-8000-{time.monotonic_ns() % 16**12:012x}",
                       "status": "COMPLETED"})
    head = relay.publish_head.replace("{len}", str(len(body))).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
    host, port = relay.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=30) as s:
        s.sendall((head + body).encode())
        response = b""
        while chunk := s.recv(4096):
            response += chunk
    head = response.split(b"\r\n\r\n", 1)[0].decode()
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "docrelay-event-id":
            return value.strip()
    raise peers.Failed(f"a response without Docrelay-Event-Id: {head}")


def resume_once(relay, after, expected):
    """Seconds from the request to the first of the replayed events, all of which must be the expected ones."""
    host, port = relay.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=30) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = relay.subscribe.replace("\r\n\r\n", f"\r\nLast-Event-ID: {after}\r\n\r\n").encode()
        begin = time.perf_counter()
        s.sendall(request)
        response, first = b"", None
        # The opening has an `id:` without data: the position. An event has `data:` below it.
        while response.count(b"\ndata: ") < len(expected) or not response.endswith(b"\n\n"):
            chunk = s.recv(65536)
            if not chunk:
                raise peers.Failed(f"the stream ended after {response!r}")
            # The end of an HTTP chunk does not belong to the stream.
            response = (response + chunk).replace(b"\n\n\r\n", b"\n\n")
            if first is None and b"\ndata: " in response:
                first = time.perf_counter() - begin
    events = [block for block in response.split(b"\n\n") if b"\ndata: " in block]
    ids = [line[4:].decode() for block in events for line in block.split(b"\n") if line.startswith(b"id: ")]
    if ids != expected:
        raise peers.Failed(f"resumed after {after} and got {ids} instead of {expected}")
    return first


def resume(relay, times=100):
    """The cost of a resume ten events from the head; each on a new connection."""
    ids = [post_one(relay, number) for number in range(11)]
    millis = [resume_once(relay, ids[0], ids[1:]) * 1000 for _ in range(times)]
    return {"first": millis[0], "median": statistics.median(millis), "p95": statistics.quantiles(millis, n=20)[-1],
            "slowest": max(millis)}


def replay(relay, expected):
    """Events a second that one follower gets of the whole history."""
    host, port = relay.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=60) as s:
        s.sendall(relay.subscribe.replace("/events/client", "/events/client?last_event_id=earliest").encode())
        begin, count, end = time.perf_counter(), 0, b""
        while count < expected:
            chunk = s.recv(1 << 20)
            if not chunk:
                raise peers.Failed(f"the replay ended after {count} events of {expected}")
            # A mark may be cut by the end of what was read.
            end += chunk
            count += end.count(b"\ndata: ")
            end = end[-6:]
        return {"events_per_second": count / (time.perf_counter() - begin)}


def forget_pages(directory):
    """Has the kernel forget the pages of the files of a stopped relay."""
    for folder, _, names in os.walk(directory):
        for name in names:
            file = os.open(os.path.join(folder, name), os.O_RDONLY)
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def disk_bytes(directory):
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(directory) for name in names)


def measure(bench):
    fill, rounds = bench.options.fill, bench.options.rounds
    amount = harness.number(fill)
    # For each row the runs of each binary.
    rates, resumes, replays, flushes = {}, {}, {}, []

    def add(rows, row, name, run):
        rows.setdefault(row, {}).setdefault(name, []).append(run)

    harness.log("an empty store")
    for round_number in range(rounds):
        flushes.append(flushes_per_second(bench.directory))
        for senders in EMPTY:
            for name, binary in bench.in_turn(round_number):
                with peers.Relay(binary, bench.path(f"{name}-empty{senders}-{round_number}"), name) as relay:
                    add(rates, f"empty, {senders} sender{'s' if senders > 1 else ''}", name,
                        post(bench, relay, ("seconds", bench.options.seconds), senders))
    for name, binary in bench.binaries:
        with peers.Relay(binary, bench.path(f"{name}-small"), name) as relay:
            post(bench, relay, ("events", 1000))
            add(resumes, "1 000", name, resume(relay))
    harness.log(f"a store with {amount} events")
    for name, binary in bench.binaries:
        with peers.Relay(binary, bench.path(f"{name}-filled"), name) as relay:
            add(rates, "while it fills", name, post(bench, relay, ("events", fill)))
            add(resumes, amount, name, resume(relay))
            for _ in range(rounds):
                add(replays, f"{amount}, warm", name, replay(relay, fill))
    size = disk_bytes(bench.path("docrelay-filled"))
    for name, binary in bench.binaries:
        for row, forget in ((f"{amount}, after a restart", False), (f"{amount}, cold", True)):
            # The first resume after a start pays for what has to be read.
            if forget:
                forget_pages(bench.path(f"{name}-filled"))
            with peers.Relay(binary, bench.path(f"{name}-filled"), name) as relay:
                add(resumes, row, name, resume(relay))
        forget_pages(bench.path(f"{name}-filled"))
        with peers.Relay(binary, bench.path(f"{name}-filled"), name) as relay:
            add(replays, f"{amount}, cold", name, replay(relay, fill))
    for round_number in range(rounds):
        for name, binary in bench.in_turn(round_number):
            with peers.Relay(binary, bench.path(f"{name}-filled"), name) as relay:
                add(rates, f"with {amount} events, {PACED} a second", name,
                    post(bench, relay, ("seconds", bench.options.seconds), rate=PACED))
                add(rates, f"with {amount} events, {SENDERS} senders", name,
                    post(bench, relay, ("seconds", bench.options.seconds)))

    def pairs(rows):
        return {row: (runs["docrelay"], runs.get("baseline", [])) for row, runs in rows.items()}

    harness.report("median (each run)", COLUMNS, pairs(rates))
    print(f"\nThe disk writes and flushes 4 KiB {harness.cell(flushes)} times a second; the filled store takes "
          f"{size / 2**20:,.0f} MiB.\n")
    harness.report("events in the store", RESUME_COLUMNS, pairs(resumes))
    print()
    harness.report("full replay, events in the store", [("events_per_second", "events/s")], pairs(replays))


def options(parser):
    parser.add_argument("--seconds", type=int, default=10, help="how long a round lasts")
    parser.add_argument("--fill", type=int, default=5_000_000, help="events in the filled store")


if __name__ == "__main__":
    harness.run("webhooks", __doc__, measure, options)
