#!/usr/bin/env python3
"""Followers that return at once, compared with nginx and nchan, in one run and in turn.

So many followers connect at the same time; each gets the events that it has missed. nchan sends all messages that it holds
in memory, docrelay those after the `Last-Event-ID` of each request, which are on disk: its ring of recent events is empty when no follower is
connected. The time is from the first connect to the last event; connecting alone is measured by followers that have missed nothing."""

import http.client
import json
import shutil

import crowd
import harness
import peers


def publish_one(peer, number):
    """Posts one event with a marker. Returns the id that docrelay has given it."""
    mark = f"@T{number:016x}@"
    body = json.dumps({"documentId": f"{number:08x}-0000-4000-8000-000000000000", "status": "COMPLETED", "mark": mark})
    head, _, _ = peer.publish_head.partition("\r\n")
    connection = http.client.HTTPConnection(peer.address, timeout=30)
    connection.request("POST", head.split(" ")[1], body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    response.read()
    connection.close()
    if response.status not in (200, 201, 202):
        raise peers.Failed(f"{peer.name} answered with {response.status}")
    return response.getheader("Docrelay-Event-Id")


def return_to(bench, peer, missed):
    """Seconds until every follower has the events that it has missed."""
    ids = [publish_one(peer, number) for number in range(missed + 1)]
    subscribe = peer.subscribe
    if isinstance(peer, peers.Relay):
        subscribe = subscribe.replace("\r\n\r\n", f"\r\nLast-Event-ID: {ids[0]}\r\n\r\n")
    elif missed:
        subscribe = peer.replay
    # nchan replays the first event, too.
    replayed = missed if isinstance(peer, peers.Relay) or not missed else missed + 1
    found = bench.tool("ssebench", {
        "pids": peer.process.pid, "address": peer.address, "subscribe": subscribe, "publish-head": peer.publish_head,
        "publish-body": "", "subscribers": bench.options.followers, "events": 0, "replayed": replayed, "idle-ms": 0,
    }, timeout=180)
    harness.log(f"  {peer.name:<17} {found}")
    return found["replay_seconds"]


def measure(bench):
    crowd.limit_open_files()
    rows = {}
    for missed in (0, 100):
        for round_number in range(bench.options.rounds):
            harness.log(f"{missed} events missed, round {round_number + 1}")
            relays = [(name, lambda directory, name=name, binary=binary: peers.Relay(binary, directory, name))
                      for name, binary in bench.in_turn(round_number)]
            for name, start in [("nchan, 1 worker", lambda directory: peers.Nchan(directory, 1)), *relays,
                                ("nchan, 2 workers", lambda directory: peers.Nchan(directory, 2))]:
                bench.wait_for_quiet()
                directory = bench.path(f"run{bench.runs}")
                with start(directory) as peer:
                    rows.setdefault(missed, {}).setdefault(name, []).append(return_to(bench, peer, missed))
                shutil.rmtree(directory, ignore_errors=True)
    names = ["nchan, 1 worker", *(name for name, _ in bench.binaries), "nchan, 2 workers"]
    lines = []
    for missed, runs in rows.items():
        best = min(runs["nchan, 1 worker"], runs["nchan, 2 workers"], key=min)
        ratios = [harness.ratio(runs["docrelay"], best)]
        if "baseline" in runs:
            ratios.append(harness.ratio(runs["docrelay"], runs["baseline"]))
        title = f"{harness.number(bench.options.followers)} followers, {missed} events missed: seconds"
        lines.append([title, *(harness.cell(runs[name]) for name in names), *ratios, "≤ 0.8 s" if missed else "≤ 0.7 s"])
    ratios = ["docrelay / best nchan", *(["docrelay / baseline"] if "baseline" in names else [])]
    print(harness.table(["median (each run)", *names, *ratios, "target"], lines))


def options(parser):
    parser.add_argument("--followers", type=int, default=10_000)


if __name__ == "__main__":
    harness.run("returning", __doc__, measure, options)
