#!/usr/bin/env python3
"""A cluster of three nodes and three NATS servers on one machine, beside a single relay.

All NATS servers flush every write (`sync_interval: always`), and the journal has three replicas. Measured are webhooks a
second through one node, the time from a webhook to a follower of another node, how long the followers of a killed node are
without events, and how long a new node needs to join a long history while traffic runs."""

import os
import select
import shutil
import socket
import statistics
import subprocess
import time

import harness
import nodes
import peers

RATE_COLUMNS = [("per_second", "webhooks/s"), ("p50_ms", "p50 ms"), ("p99_ms", "p99 ms"),
                ("cpu_node", "µs CPU, this node"), ("cpu_rest", "other nodes"), ("cpu_brokers", "NATS servers")]
LATENCY_COLUMNS = [("p50_ms", "p50 ms"), ("p99_ms", "p99 ms"), ("p999_ms", "p99.9 ms"), ("cpu_us_per_delivery", "µs CPU")]

LATENCY_RATE = 1000
FOLLOWERS = 200


def post(bench, relay, others, brokers, senders, end):
    """Posts webhooks to one relay until `end` (`seconds` or `events`, and a number)."""
    bench.wait_for_quiet()
    groups = [("cpu_node", [relay]), ("cpu_rest", others), ("cpu_brokers", brokers)]

    def cpu(group):
        return sum(peer.cpu_seconds() for peer in group)

    before = {key: cpu(group) for key, group in groups}
    found = bench.tool("webhook_sender", {"address": relay.address, "path": relay.hook, "senders": senders,
                                          end[0]: end[1], "seed": bench.runs})
    for key, group in groups:
        found[key] = (cpu(group) - before[key]) * 1e6 / max(found["sent"], 1)
    harness.log(f"  {relay.name}, {senders} senders: {found}")
    return found


def latency(bench, publish_to, follow, pids):
    """The time from a webhook to a follower, at a steady rate."""
    bench.wait_for_quiet()
    body = '{"documentId":"%08x-0000-4000-8000-{n}","status":"COMPLETED","mark":"{mark}"}' % bench.runs
    found = bench.tool("ssebench", {
        "address": publish_to.address, "subscribe-address": follow.address, "subscribe": follow.subscribe,
        "publish-head": publish_to.publish_head, "publish-body": body, "subscribers": 1, "publishers": 64,
        "rate": LATENCY_RATE, "events": LATENCY_RATE * bench.options.seconds, "pids": pids}, timeout=180)
    harness.log(f"  {publish_to.name} to a follower of {follow.name}: {found}")
    if found["delivered"] != found["expected"] or found["refused"]:
        raise peers.Failed(f"not everything was delivered: {found}")
    return found


class Traffic:
    """Webhooks at a steady rate during `with`; fails at its end if one was refused."""

    def __init__(self, bench, relay, rate):
        options = {"address": relay.address, "path": relay.hook, "senders": 16, "seconds": 3600, "rate": rate,
                   "seed": 1000 + bench.runs}
        args = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        self.process = subprocess.Popen([os.path.join(bench.options.tools, "webhook_sender"), *args],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        ended = self.process.poll()
        self.process.kill()
        error = self.process.communicate()[1].decode()
        if ended is not None:
            raise peers.Failed(f"the traffic has ended: {error}")


class Follower:
    """A stream whose last event id is known."""

    def __init__(self, node, after=None):
        host, port = node.address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        position = f"Last-Event-ID: {after}\r\n" if after else ""
        self.socket.sendall(node.subscribe.replace("\r\n\r\n", f"\r\n{position}\r\n").encode())
        self.socket.setblocking(False)
        self.last, self.buffer = after, b""

    def read(self):
        """The number of events that have arrived."""
        try:
            data = self.socket.recv(1 << 20)
        except BlockingIOError:
            return 0
        if not data or b"event: reset" in data:
            raise peers.Failed(f"a stream ended or was reset: {data[-200:]!r}")
        lines = (self.buffer + data).split(b"\n")
        self.buffer = lines.pop()
        for line in lines:
            if line.startswith(b"id: "):
                self.last = line[4:].strip().decode()
        return sum(line.startswith(b"data: ") for line in lines)

    def close(self):
        self.socket.close()


def drain(followers, until):
    """Reads all streams until a time."""
    by_socket = {follower.socket: follower for follower in followers}
    while (left := until - time.monotonic()) > 0:
        for ready in select.select(list(by_socket), [], [], left)[0]:
            by_socket[ready].read()


def failover(cluster, bench):
    """Seconds from the kill of a node until each of its followers, which reconnect at once, has events of another one."""
    lost, other = cluster.nodes[2], cluster.nodes[0]
    with Traffic(bench, cluster.nodes[1], 200):
        followers = [Follower(lost) for _ in range(FOLLOWERS)]
        drain(followers, time.monotonic() + 2)
        if any(follower.last is None for follower in followers):
            raise peers.Failed("a follower has no event")
        killed = time.monotonic()
        lost.kill()
        # What was published before the kill does not count: a stream is live when it brings something newer.
        resumed = []
        for follower in followers:
            resumed.append(Follower(other, follower.last))
            follower.close()
        waiting = {follower.socket: follower for follower in resumed}
        seconds = []
        while waiting:
            for ready in select.select(list(waiting), [], [], 10)[0]:
                if waiting[ready].read():
                    seconds.append(time.monotonic() - killed)
                    del waiting[ready]
            if time.monotonic() - killed > 30:
                raise peers.Failed(f"{len(waiting)} followers have no events after 30 s")
        for follower in resumed:
            follower.close()
    harness.log(f"  failover: median {statistics.median(seconds):.3f} s, slowest {max(seconds):.3f} s")
    return seconds


def join(cluster, bench, fill):
    """Fills the store through node 1, then starts a fourth node while webhooks arrive. Returns what it took."""
    filled = bench.tool("webhook_sender", {"address": cluster.nodes[0].address, "path": cluster.nodes[0].hook,
                                           "senders": 512, "events": fill, "seed": 77})
    harness.log(f"  filled: {filled}")
    with Traffic(bench, cluster.nodes[0], 500):
        began = time.monotonic()
        node = cluster.add_node()
        peers.wait_for("the new node is ready", 600, node.is_ready, node.process)
        seconds = time.monotonic() - began
    harness.log(f"  joined after {seconds:.1f} s")
    return seconds, filled["per_second"]


def measure(bench):
    selected = bench.options.measures.split(",")
    nats, binary, rounds = bench.options.nats_server, os.path.abspath(bench.options.relay), bench.options.rounds
    rates, latencies, failovers, joins = {}, {}, [], []

    def add(rows, row, found):
        rows.setdefault(row, ([], []))[0].append(found)

    for round_number in range(rounds):
        harness.log(f"round {round_number + 1}")
        if "rate" in selected or "latency" in selected:
            with peers.Relay(binary, bench.path(f"single-{round_number}"), "single relay") as relay:
                for senders in bench.options.senders.split(",") if "rate" in selected else []:
                    add(rates, f"single relay, {senders} senders",
                        post(bench, relay, [], [], senders, ("seconds", bench.options.seconds)))
                if "latency" in selected:
                    add(latencies, "single relay", latency(bench, relay, relay, relay.process.pid))
            shutil.rmtree(bench.path(f"single-{round_number}"))
        with nodes.Cluster(nats, binary, bench.path(f"cluster-{round_number}")) as cluster:
            first, others = cluster.nodes[0], cluster.nodes[1:]
            for senders in bench.options.senders.split(",") if "rate" in selected else []:
                add(rates, f"one of three nodes, {senders} senders",
                    post(bench, first, others, cluster.brokers, senders, ("seconds", bench.options.seconds)))
            if "latency" in selected:
                add(latencies, "node 1 → node 2", latency(bench, first, others[0], cluster.pids()))
            if "failover" in selected:
                failovers.append(failover(cluster, bench))
        shutil.rmtree(bench.path(f"cluster-{round_number}"))
    if "join" in selected:
        with nodes.Cluster(nats, binary, bench.path("cluster-join")) as cluster:
            joins.append(join(cluster, bench, bench.options.fill))
    if rates:
        harness.report("webhooks, median (each run)", RATE_COLUMNS, rates)
    if latencies:
        print()
        harness.report(f"{LATENCY_RATE} webhooks/s, webhook → follower", LATENCY_COLUMNS, latencies)
    if failovers:
        slowest = [max(seconds) for seconds in failovers]
        medians = [statistics.median(seconds) for seconds in failovers]
        print(f"\n{FOLLOWERS} followers of a killed node have events of another one after {harness.cell(medians)} s, "
              f"the slowest after {harness.cell(slowest)} s")
    for seconds, rate in joins:
        print(f"\na new node joins a history of {harness.number(bench.options.fill)} events, with 500 webhooks/s, in "
              f"**{seconds:.1f} s** (filled at {harness.number(rate)}/s by 512 senders)")


def options(parser):
    parser.add_argument("--nats-server", required=True, help="path of nats-server")
    parser.add_argument("--measures", default="rate,latency,failover,join")
    parser.add_argument("--senders", default="64,256,512")
    parser.add_argument("--seconds", type=int, default=8, help="how long a round lasts")
    parser.add_argument("--fill", type=int, default=1_000_000, help="events of the history that a new node joins")


if __name__ == "__main__":
    harness.run("cluster", __doc__, measure, options)
