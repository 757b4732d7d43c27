#!/usr/bin/env python3
"""The mixed test: ten thousand followers and a steady stream of webhooks, while hostile peers run beside them.

Every limit of the relay is at its default; only the limit of open files of each process is set, to 20 000. A thousand clients
have ten followers each, so 500 webhooks/s are 5 000 deliveries/s. A third of the followers uses HTTP/1.1 over TLS, a third
HTTP/2 over TLS with a connection each, and a third plain HTTP/1.1 to an HAProxy, which forwards it to the relay over TLS: an
address of the relay has TLS or not. The hostile peers have a client of their own. They are slow lorises, stalled handshakes,
readers that stop, malformed requests, forged tokens, abrupt ends and floods of resets; tools/bench/src/bin/hostile has them.
Every 150 s a hundred followers of that client lose their network.

Fails if a response has a status of 5xx, an event is lost, repeated or foreign, a stream is cut, the 99th percentile of delivery is
100 ms or more, a connection without a network stays open, or the memory after the first minute grows by more than a tenth."""

import json
import os
import re
import subprocess
import sys
import threading
import time

import crowd
import harness
import lost_network
import peers

CLIENTS = 1000
MAX_P99_MS = 100

# Events of the hostile client before the test.
HISTORY = 20_000
MAX_GROWTH = 0.10

HAPROXY = """
global
    maxconn 9000
    ulimit-n 19000
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    option http-no-delay
listen plain
    bind 127.0.0.1:{port}
    server relay {relay} ssl ca-file {ca} verify required
"""


class HaProxy(peers.Peer):
    """HAProxy, whose clients speak plain HTTP/1.1."""

    def __init__(self, directory, relay, ca):
        port = peers.free_port()
        config, log = os.path.join(directory, "haproxy.cfg"), open(os.path.join(directory, "haproxy.log"), "w")
        with open(config, "w") as f:
            f.write(HAPROXY.format(port=port, relay=relay, ca=ca))
        search = os.environ["PATH"] + ":/usr/sbin:/sbin"
        program = next((os.path.join(folder, "haproxy") for folder in search.split(":")
                        if os.path.exists(os.path.join(folder, "haproxy"))), None)
        if not program:
            raise peers.Failed("HAProxy is missing: run tests/setup/proxies.sh")
        super().__init__("haproxy", subprocess.Popen([program, "-db", "-f", config], stdout=log, stderr=log))
        self.address = f"127.0.0.1:{port}"
        try:
            peers.wait_for(f"HAProxy (see {log.name})", 20, lambda: peers.listens(port), self.process)
        except BaseException:
            self.stop()
            raise


class Memory(threading.Thread):
    """Resident memory and open files of a relay, each second."""

    def __init__(self, relay):
        super().__init__(daemon=True)
        self.relay, self.samples, self.rings, self.most_files, self.stopped = relay, [], [], 0, threading.Event()

    def run(self):
        while not self.stopped.wait(1):
            self.samples.append(self.relay.resident_bytes())
            if len(self.samples) % 30 == 0:
                self.rings.append(metric(self.relay, "docrelay_ring_bytes"))
            self.most_files = max(self.most_files, len(os.listdir(f"/proc/{self.relay.process.pid}/fd")))


def metric(relay, name):
    """The sum of a metric over its labels."""
    text = relay.admin("GET", "/metrics")
    values = re.findall(rf"^{name}(?:{{[^}}]*}})? ([0-9.]+)$", text, re.MULTILINE)
    return int(sum(map(float, values)))


def by_label(relay, name, label):
    """The counts of a metric with one label that are not zero."""
    text = relay.admin("GET", "/metrics")
    pairs = re.findall(rf'^docrelay_{name}_total{{{label}="([^"]*)"}} (\d+)$', text, re.MULTILINE)
    return {value: int(count) for value, count in pairs if int(count)}


def measure(bench):
    crowd.limit_open_files()
    options = bench.options
    files = crowd.certificate(bench.directory)
    seconds = round(options.minutes * 60)
    with peers.DefaultRelay(bench.binaries[0][1], bench.path("data"), settings=crowd.tls_settings(files), listen="0.0.0.0:0") as relay, \
            lost_network.LostNetwork(int(relay.address.rsplit(":")[-1]), relay.token) as lost, \
            HaProxy(bench.directory, relay.address, files[0]) as haproxy:
        harness.log("preparing the clients")
        prepared = crowd.prepare(relay, files[0], CLIENTS, 1)
        # What readers that stop ask for: more than the buffers of their connections hold.
        bench.tool("webhook_sender", {"address": haproxy.address, "path": relay.hook, "senders": 8, "events": HISTORY,
                                      "seed": 1})
        addresses = [("h1-tls", relay.address), ("h2-tls", relay.address), ("h1", haproxy.address)]
        followers = [(*addresses[i % 3], f"127.0.0.{1 + i % 3}", i % CLIENTS, prepared[i % CLIENTS][1][0])
                     for i in range(options.followers)]
        # The memory of the process before it has followers does not count.
        swarm_options = {"webhooks": f"h1-tls:{relay.address}", "rate": options.rate, "seconds": seconds, "ca": files[0],
                         "opening": 200}
        bench.wait_for_quiet()
        with crowd.Swarm(bench, "mixed", followers, [(i, hook) for i, (hook, _) in enumerate(prepared)], swarm_options) as swarm:
            swarm.line()
            harness.log("all followers are open")
            begin, cpu = time.monotonic(), relay.cpu_seconds()
            memory = Memory(relay)
            memory.start()
            lost.start()
            hostile = subprocess.Popen(
                [os.path.join(options.tools, "hostile"), "--address", relay.address, "--seconds", str(max(seconds - 2, 1)),
                 "--token", relay.token, "--hook", relay.hook, "--ca", files[0]], stdout=subprocess.PIPE, text=True)
            try:
                found = json.loads(swarm.line())
                attacks = json.loads(hostile.communicate(timeout=60)[0])
            finally:
                if hostile.poll() is None:
                    hostile.kill()
            memory.stopped.set()
            lost.stopped.set()
            lost.join()
            cpu = (relay.cpu_seconds() - cpu) / (time.monotonic() - begin)
        responses = by_label(relay, "http_responses", "status")
        ends = by_label(relay, "disconnects", "reason")
        closed = {name: metric(relay, f"docrelay_{name}_total") for name in
                  ("stream_refusals", "connections_refused", "token_checks_refused", "slow_responses",
                   "tls_handshake_failures", "log_lines_dropped", "rejects", "rejects_refused")}
    report(options, found, attacks, responses, ends, closed, memory, cpu, lost)


def report(options, found, attacks, responses, ends, closed, memory, cpu, lost):
    """Prints what was found. Ends the program with status 1 if a condition does not hold."""
    after = memory.samples[59:] or memory.samples[-1:]
    first, last = after[0], max(after[-10:])
    server_errors = sum(count for status, count in responses.items() if status >= "500")
    seen_errors = {f"{attack}: {status}": count for attack, outcomes in attacks.items()
                   for status, count in outcomes.items() if status.startswith("5")}
    seen_errors |= {f"swarm: {status}": count for status, count in found["statuses"].items() if status >= "500"}
    delivery, webhook = found["deliveries"], found["webhooks"]
    conditions = [
        ("no status of 5xx", not server_errors and not seen_errors, f"{server_errors} {seen_errors or ''}"),
        ("no event lost, repeated or foreign", not (found["lost"] or found["repeated"] or found["surplus"] or found["different"]),
         f"{found['stored']} stored, {delivery['count']} delivered, {found['lost']} lost, {found['repeated']} repeated, "
         f"{found['surplus']} foreign"),
        ("every webhook has a response", not found["unknown"], f"{webhook['count']} sent, {found['unknown']} without"),
        ("no stream of a follower is cut or refused", found["open"] == found["followers"] and not found["reconnects"],
         f"{found['open']} of {found['followers']} open, {found['reconnects']} reconnects {found['faults'] or ''}"),
        (f"99 % of the deliveries within {MAX_P99_MS} ms", delivery["p99_ms"] < MAX_P99_MS,
         f"p50 {delivery['p50_ms']} ms, p99 {delivery['p99_ms']} ms, max {delivery['max_ms']} ms"),
        (f"followers that lost their network end within {lost_network.LIMIT} s", lost.ends and not lost.left and not lost.failure,
         f"{lost.opened} lost it, the last of a hundred ended after {max(lost.ends, default=0):.0f} s, {lost.left} open after that "
         f"{lost.failure or ''}"),
        ("memory flat after the first minute", last <= first * (1 + MAX_GROWTH),
         f"{first / 2**20:.0f} MiB after {min(60, len(memory.samples))} s, {last / 2**20:.0f} MiB at the end, "
         f"{max(memory.samples) / 2**20:.0f} MiB at most"),
    ]
    print(f"{options.minutes} minutes, {options.rate} webhooks/s, {found['followers']} followers of {CLIENTS} clients\n")
    print(harness.table(["condition", "holds", "found"],
                        [[name, "yes" if holds else "NO", found.strip()] for name, holds, found in conditions]))
    counts = [["responses of the relay", ", ".join(f"{status}: {count}" for status, count in sorted(responses.items()))]]
    counts += [[attack, ", ".join(f"{outcome}: {count}" for outcome, count in outcomes.items())]
               for attack, outcomes in attacks.items()]
    counts.append(["ends of streams", ", ".join(f"{reason}: {count}" for reason, count in ends.items())])
    counts.append(["metrics", ", ".join(f"{name}: {count}" for name, count in closed.items())])
    counts.append(["webhooks", f"p50 {webhook['p50_ms']} ms, p99 {webhook['p99_ms']} ms, max {webhook['max_ms']} ms"])
    counts.append(["memory of each half minute, MiB", ", ".join(f"{sample / 2**20:.0f}" for sample in memory.samples[29::30])])
    counts.append(["recent events of each half minute, KiB", ", ".join(f"{size >> 10}" for size in memory.rings)])
    counts.append(["relay", f"{cpu * 100:.0f} % of a core, {memory.most_files} open files at most"])
    print("\n" + harness.table(["beside", "found"], counts))
    if not all(holds for _, holds, _ in conditions):
        sys.exit("mixed: a condition does not hold")


def options(parser):
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--followers", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=500, help="webhooks per second")


if __name__ == "__main__":
    harness.run("mixed", __doc__, measure, options)
