#!/usr/bin/env python3
"""A cluster on one machine, to try it: three NATS servers, three nodes and HAProxy, with all files below one directory.

Runs until it is interrupted, and then stops what it has started. A process that ends earlier is started again after five
seconds, so that one can be killed to see what happens. The configuration is that of docs/CLUSTER.md, without TLS."""

import argparse
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

PROXY_PORT = 8080
# Those of number 1; the other two follow.
BROKER_PORT, BROKER_ROUTE_PORT, BROKER_MONITORING_PORT = 4221, 6221, 8221
NODE_PORT, NODE_ADMIN_PORT = 8081, 9091
NUMBERS = range(3)

START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 20
RESTART_DELAY_SECONDS = 5
POLL_SECONDS = 0.2

BROKER = """\
server_name: broker-{number}
listen: 127.0.0.1:{port}
http: 127.0.0.1:{monitoring}
jetstream {{ store_dir: "{directory}/broker-{number}", sync_interval: always }}
cluster {{ name: docrelay, listen: 127.0.0.1:{route}, routes: [{routes}] }}
"""

NODE = """\
listen = "127.0.0.1:{port}"
admin_listen = "127.0.0.1:{admin}"
data = "{directory}/node-{number}"
public_url = "http://127.0.0.1:{proxy}"
cluster = [{brokers}]
cluster_key_file = "{directory}/cluster.key"
"""

# While no node is ready, for instance without brokers, the nodes themselves answer: hooks 503 with Retry-After, and streams
# stay open.
PROXY = """\
global
    maxconn 4000
    hard-stop-after 5s

defaults
    mode http
    timeout connect 5s
    timeout http-request 10s
    timeout client 30s
    timeout server 30s
    option http-no-delay
    option redispatch
    balance leastconn

frontend relay
    bind 127.0.0.1:{proxy}
    use_backend docrelay_live if {{ nbsrv(docrelay) eq 0 }}
    default_backend docrelay

backend docrelay
    option httpchk GET /readyz
    default-server check inter 2s fall 2 rise 1
{ready}

backend docrelay_live
    option httpchk GET /livez
    default-server check inter 2s fall 2 rise 1
{live}
"""


class StartError(Exception):
    """One sentence for the user."""


class Process:
    """A program that writes its log to a file. Its standard output goes to ours if it is `announced`."""

    def __init__(self, name, command, directory, announced=False):
        self.name, self.command, self.log = name, command, directory / f"{name}.log"
        self.announced, self.running, self.ended_at = announced, None, None

    def start(self):
        # A session of its own: Ctrl-C reaches this script alone, which stops the processes in order.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("DOCRELAY_")}
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=None if self.announced else log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        self.announced, self.ended_at = False, None

    def has_ended(self):
        return self.running is not None and self.running.poll() is not None

    def terminate(self):
        if self.running is not None and self.running.poll() is None:
            self.running.terminate()

    def wait(self, deadline):
        if self.running is None:
            return
        try:
            self.running.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            print(f"{self.name} has not stopped in time", file=sys.stderr)
            self.running.kill()
            self.running.wait()

    def last_lines(self):
        return "".join(self.log.read_text(errors="replace").splitlines(keepends=True)[-5:])


def wait_until_ok(process, url, stop):
    """Waits until the process answers 200."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not stop.is_set():
        if process.has_ended() or time.monotonic() > deadline:
            raise StartError(f"{process.name} does not start; its log ends with\n{process.last_lines()}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            stop.wait(POLL_SECONDS)


def check_port(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StartError(f"port {port} is in use: stop the program that uses it, or add --offset") from error


def write_files(options, directory):
    """The configuration files, and the cluster key at the first start."""
    port = options.offset
    routes = ", ".join(f"nats://127.0.0.1:{port + BROKER_ROUTE_PORT + n}" for n in NUMBERS)
    brokers = ", ".join(f'"nats://127.0.0.1:{port + BROKER_PORT + n}"' for n in NUMBERS)
    lines = [
        f"    server node-{n + 1} 127.0.0.1:{port + NODE_PORT + n} port {port + NODE_ADMIN_PORT + n}" for n in NUMBERS
    ]
    servers = "\n".join(lines)
    for n in NUMBERS:
        numbered = {"number": n + 1, "directory": directory}
        text = BROKER.format(
            port=port + BROKER_PORT + n,
            monitoring=port + BROKER_MONITORING_PORT + n,
            route=port + BROKER_ROUTE_PORT + n,
            routes=routes,
            **numbered,
        )
        (directory / f"broker-{n + 1}.conf").write_text(text)
        text = NODE.format(
            port=port + NODE_PORT + n,
            admin=port + NODE_ADMIN_PORT + n,
            proxy=port + PROXY_PORT,
            brokers=brokers,
            **numbered,
        )
        (directory / f"node-{n + 1}.toml").write_text(text)
    text = PROXY.format(proxy=port + PROXY_PORT, ready=servers, live=servers)
    (directory / "haproxy.cfg").write_text(text)
    key = directory / "cluster.key"
    if not key.exists():
        text = subprocess.run([options.relay, "cluster", "key"], check=True, capture_output=True).stdout
        with open(key, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(text)


def run(options, stop):
    directory = pathlib.Path(options.data).resolve()
    directory.mkdir(mode=0o700, exist_ok=True)
    port = options.offset
    bases = [BROKER_PORT, BROKER_ROUTE_PORT, BROKER_MONITORING_PORT, NODE_PORT, NODE_ADMIN_PORT]
    for used in [PROXY_PORT, *(base + n for base in bases for n in NUMBERS)]:
        check_port(port + used)
    write_files(options, directory)
    brokers = [
        Process(f"broker-{n + 1}", [options.nats_server, "--config", directory / f"broker-{n + 1}.conf"], directory)
        for n in NUMBERS
    ]
    nodes = []
    for n in NUMBERS:
        command = [options.relay, "serve", "--config", directory / f"node-{n + 1}.toml"]
        # One node sends the simulated webhooks, to the proxy.
        nodes.append(Process(f"node-{n + 1}", command + ["--demo"] * (n == 0), directory, announced=n == 0))
    proxy = Process("haproxy", [options.haproxy, "-db", "-f", directory / "haproxy.cfg"], directory)
    try:
        for broker in brokers:
            broker.start()
        for n, broker in enumerate(brokers):
            wait_until_ok(broker, f"http://127.0.0.1:{port + BROKER_MONITORING_PORT + n}/healthz", stop)
        proxy.start()
        for n, node in enumerate(nodes):
            if stop.is_set():
                return
            node.start()
            wait_until_ok(node, f"http://127.0.0.1:{port + NODE_ADMIN_PORT + n}/readyz", stop)
        if stop.is_set():
            return
        announce(brokers, nodes, proxy, options, directory)
        watch([*brokers, *nodes, proxy], stop)
    finally:
        print("\nstopping", flush=True)
        # The nodes leave the cluster, for which they need the brokers.
        for stage in [[*nodes, proxy], brokers]:
            deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
            for process in stage:
                process.terminate()
            for process in stage:
                process.wait(deadline)


def announce(brokers, nodes, proxy, options, directory):
    port = options.offset
    print("\nThe cluster is running. The URLs above go through HAProxy to all nodes. The processes:\n")
    print(f"  haproxy   pid {proxy.running.pid:<8} http://127.0.0.1:{port + PROXY_PORT}/")
    for n, node in enumerate(nodes):
        public, admin = port + NODE_PORT + n, port + NODE_ADMIN_PORT + n
        print(f"  {node.name}    pid {node.running.pid:<8} http://127.0.0.1:{public}/   admin http://127.0.0.1:{admin}/")
    for n, broker in enumerate(brokers):
        print(f"  {broker.name}  pid {broker.running.pid:<8} nats://127.0.0.1:{port + BROKER_PORT + n}")
    print(f"\nLogs, configuration and data are in {directory}. The state of the cluster:\n")
    print(f"  {options.relay} cluster status --data {directory}/node-1\n")
    print("Kill one of the processes to see what happens: it is started again after five seconds. Stop with Ctrl-C.")
    sys.stdout.flush()


def watch(processes, stop):
    """Starts processes again that have ended, until it is stopped."""
    while not stop.wait(POLL_SECONDS):
        for process in processes:
            if not process.has_ended():
                continue
            if process.ended_at is None:
                process.ended_at = time.monotonic()
                print(f"{process.name} has ended ({process.running.returncode})", flush=True)
            elif time.monotonic() > process.ended_at + RESTART_DELAY_SECONDS:
                process.start()
                print(f"{process.name} is started again, pid {process.running.pid}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--relay", required=True, help="path of docrelay")
    parser.add_argument("--nats-server", required=True, help="path of nats-server")
    parser.add_argument("--haproxy", required=True, help="path of haproxy")
    parser.add_argument("--data", default="./data-cluster", help="directory of all files (default %(default)s)")
    parser.add_argument("--offset", type=int, default=0, help="is added to all ports (default %(default)s)")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        run(options, stop)
    except StartError as error:
        sys.exit(f"cluster: {error}")


if __name__ == "__main__":
    main()
