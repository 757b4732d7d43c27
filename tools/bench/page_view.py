#!/usr/bin/env python3
"""The cost of a page view: one document, found by its id or by the vendor's, its history, and a stream of its events.

Two relays run, one with few events and one with very many. Both hold a document with ten events: nine before all other
events and one after them. The requests of a page are timed at both relays in turn, so that other programs on the machine
disturb both alike."""

import json
import os
import socket
import statistics
import time
import urllib.parse

import harness
import peers

FILLERS = 64
FEW = 1_000
DOCUMENT = "0d0c0de0-0000-4000-8000-000000000001"

COLUMNS = [("median_ms", "median ms"), ("p99_ms", "p99 ms")]


class Http:
    """A keep-alive connection. Reads responses with a length or in chunks."""

    def __init__(self, relay):
        host, port = relay.address.rsplit(":", 1)
        self.relay, self.rest = relay, b""
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def request(self, method, target, headers="", body=""):
        """Head and body of the response."""
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        self.socket.sendall((f"{method} {target} HTTP/1.1\r\nHost: {self.relay.address}\r\n"
                             f"Authorization: Bearer {self.relay.token}\r\n{headers}{length}\r\n{body}").encode())
        head, body = self.until(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        if not lines[0].startswith(("http/1.1 200", "http/1.1 201")):
            raise peers.Failed(f"{method} {target}: {lines[0]}")
        length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length:"))
        while len(body) < length:
            body += self.receive()
        return head.decode(), body[:length].decode()

    def until(self, mark):
        """What arrives before the mark, and what arrived behind it."""
        read = b""
        while mark not in read:
            read += self.receive()
        return read.split(mark, 1)

    def receive(self):
        chunk = self.socket.recv(65536)
        if not chunk:
            raise peers.Failed("the connection ended early")
        return chunk


def post(relay, status):
    """Posts an event of the document. Returns its id."""
    with Http(relay) as http:
        head, _ = http.request("POST", relay.hook, "Content-Type: application/json\r\n",
                               json.dumps({"documentId": DOCUMENT, "status": status}))
    return next(line.split(":", 1)[1].strip() for line in head.split("\r\n")
                if line.lower().startswith("docrelay-event-id:"))


def fill(bench, relay, events):
    """Nine events of the document, those of other documents, and a last one. Returns the ids of the ten."""
    ids = [post(relay, "COMPLETED" if number % 2 else "PENDING") for number in range(9)]
    harness.log(f"filling {relay.name} with {events} events")
    begin = time.monotonic()
    bench.tool("webhook_sender", {"address": relay.address, "path": relay.hook, "senders": FILLERS, "events": events,
                                  "seed": 999})
    ids.append(post(relay, "COMPLETED"))
    harness.log(f"  in {time.monotonic() - begin:.0f} s: {size(relay.directory) / 2**20:.0f} MiB")
    return ids


def size(directory):
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(directory) for name in names)


def stream(relay, ids):
    """Opens a stream of the document after its first event, and waits for the other nine."""
    with Http(relay) as http:
        http.socket.sendall((f"GET /events/client?document={DOCUMENT} HTTP/1.1\r\nHost: {relay.address}\r\n"
                             f"Authorization: Bearer {relay.token}\r\nLast-Event-ID: {ids[0]}\r\n\r\n").encode())
        read = b""
        while read.count(b"\ndata: ") < 9:
            read += http.receive()
    if b"event: reset" in read or any(f"id: {id}\n".encode() not in read for id in ids[1:]):
        raise peers.Failed(f"resumed after {ids[0]}: {read!r}")


def get(relay, target, found):
    """Gets a page over a new connection, as a browser does that opens it."""
    with Http(relay) as http:
        _, body = http.request("GET", target)
    if body.count(DOCUMENT) < found:
        raise peers.Failed(f"GET {target}: {body}")


def views(relay, ids):
    """The requests of a page view."""
    by_vendor = urllib.parse.urlencode({"vendor": "gini", "vendorId": DOCUMENT})
    return {
        "`GET /documents/{id}`": lambda: get(relay, f"/documents/{DOCUMENT}", 1),
        "`GET /documents?vendor=…&vendorId=…`": lambda: get(relay, f"/documents?{by_vendor}", 1),
        "`GET /documents/{id}/events`, 10 events": lambda: get(relay, f"/documents/{DOCUMENT}/events", 10),
        "stream with `document=…` and `Last-Event-ID`, 9 events": lambda: stream(relay, ids),
    }


def timed(view, times):
    millis = []
    for _ in range(times):
        begin = time.perf_counter()
        view()
        millis.append((time.perf_counter() - begin) * 1000)
    return {"median_ms": statistics.median(millis), "p99_ms": statistics.quantiles(millis, n=100)[-1]}


def measure(bench):
    rows = {}
    binary = bench.binaries[0][1]
    with peers.Relay(binary, bench.path("few"), "few") as few, peers.Relay(binary, bench.path("many"), "many") as many:
        relays = [(FEW, views(few, fill(bench, few, FEW))),
                  (bench.options.fill, views(many, fill(bench, many, bench.options.fill)))]
        bench.wait_for_quiet()
        for round_number in range(bench.options.rounds):
            for name in relays[0][1]:
                for events, found in relays[::-1] if round_number % 2 else relays:
                    run = timed(found[name], bench.options.times)
                    harness.log(f"  {name}, {events}: {run}")
                    rows.setdefault(name, {}).setdefault(events, []).append(run)
        bytes_many = size(many.directory)
    lines = []
    for name, runs in rows.items():
        cells, medians = [], []
        for events in (FEW, bench.options.fill):
            cells += [harness.cell([run[key] for run in runs[events]]) for key, _ in COLUMNS]
            medians.append([run["median_ms"] for run in runs[events]])
        lines.append([name, *cells, harness.ratio(medians[1], medians[0])])
    heads = [f"{heading}, {harness.number(events)} events" for events in (FEW, bench.options.fill)
             for _, heading in COLUMNS]
    print(harness.table(["median (each run)", *heads, "ratio of the medians"], lines))
    print(f"\nThe large store takes {bytes_many / 2**20:,.0f} MiB.")


def options(parser):
    parser.add_argument("--fill", type=int, default=5_000_000, help="events in the large store")
    parser.add_argument("--times", type=int, default=200, help="page views of each kind in a round")


if __name__ == "__main__":
    harness.run("page_view", __doc__, measure, options)
