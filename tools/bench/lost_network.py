"""Followers that lose their network: they run in a network namespace of their own, whose link is taken down. Neither end sends
or receives a packet about it, so only the relay's own time limits end their connections. Needs root and iproute2."""

import os
import socket
import ssl
import subprocess
import sys
import threading
import time

import peers

FOLLOWERS = 100
# From one loss of the network to the next.
PERIOD = 150
# The relay writes to a follower at least every 15 s, and the kernel ends a connection whose packets are not acknowledged for
# `write_timeout` (60 s). It looks when it sends a packet again, at twice the interval each time: 51 s and 102 s after the
# first.
LIMIT = 120


def ip(*arguments):
    result = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if result.returncode:
        raise peers.Failed(f"ip {' '.join(arguments)}: {result.stderr.strip()}; a network namespace needs root")


class LostNetwork(threading.Thread):
    """A network namespace. Once started, opens followers in it and takes its link down, again and again."""

    def __init__(self, port, token):
        super().__init__(daemon=True)
        number = os.getpid() % 250
        self.namespace, self.link = f"docrelay-bench-{os.getpid()}", f"drbench{number}"
        self.host, self.inside = f"10.231.{number}.1", f"10.231.{number}.2"
        self.port, self.token = port, token
        self.opened, self.ends, self.left, self.stopped, self.failure = 0, [], 0, threading.Event(), None

    def __enter__(self):
        ip("netns", "add", self.namespace)
        try:
            ip("link", "add", self.link, "type", "veth", "peer", "name", "inside", "netns", self.namespace)
            ip("address", "add", f"{self.host}/30", "dev", self.link)
            ip("link", "set", self.link, "up")
            ip("-n", self.namespace, "address", "add", f"{self.inside}/30", "dev", "inside")
            ip("-n", self.namespace, "link", "set", "inside", "up")
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_):
        self.stopped.set()
        if self.ident is not None:
            self.join()
        self.remove()

    def remove(self):
        # The link goes with it.
        ip("netns", "delete", self.namespace)

    def run(self):
        try:
            while not self.stopped.is_set():
                begin = time.monotonic()
                self.lose_network()
                self.stopped.wait(max(0, PERIOD - (time.monotonic() - begin)))
        except (OSError, peers.Failed) as error:
            self.failure = error

    def lose_network(self):
        command = ["ip", "netns", "exec", self.namespace, sys.executable, __file__, self.host, str(self.port), self.token]
        followers = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            if not followers.stdout.readline().startswith("open"):
                raise peers.Failed("the followers of the network namespace did not open their streams")
            ip("-n", self.namespace, "link", "set", "inside", "down")
            begin = time.monotonic()
            self.opened += FOLLOWERS
            while self.connections() and time.monotonic() - begin < LIMIT and not self.stopped.is_set():
                time.sleep(0.2)
            # A run that ends earlier has not seen the end of the last ones.
            left = self.connections()
            if not self.stopped.is_set() or not left:
                self.ends.append(time.monotonic() - begin)
                self.left += left
        finally:
            followers.kill()
            followers.wait()
            ip("-n", self.namespace, "link", "set", "inside", "up")

    def connections(self):
        """Established connections of the relay's port from the namespace."""
        remote = socket.inet_aton(self.inside)[::-1].hex().upper()
        with open("/proc/net/tcp") as table:
            rows = [line.split() for line in table][1:]
        return sum(row[2].startswith(f"{remote}:") and row[3] == "01" for row in rows)


def follow(host, port, token):
    """Opens the streams, says so, and keeps them open until the process is killed."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = (f"GET /events/client HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n"
               f"Authorization: Bearer {token}\r\n\r\n").encode()
    streams = []
    for _ in range(FOLLOWERS):
        stream = context.wrap_socket(socket.create_connection((host, port), timeout=20))
        stream.sendall(request)
        if not stream.recv(4096).startswith(b"HTTP/1.1 200"):
            sys.exit("a stream was refused")
        streams.append(stream)
    print("open", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    follow(sys.argv[1], int(sys.argv[2]), sys.argv[3])
