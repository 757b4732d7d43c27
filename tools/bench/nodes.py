"""A cluster on loopback that is measured: three NATS servers that flush every write, and nodes in front of them."""

import json
import os
import subprocess
import urllib.error
import urllib.request

import peers

BROKERS = 3

BROKER = """\
server_name: broker-{number}
listen: 127.0.0.1:{port}
http: 127.0.0.1:{monitoring}
jetstream {{ store_dir: "{directory}", sync_interval: always }}
cluster {{ name: bench, listen: 127.0.0.1:{route}, routes: [{routes}] }}
"""


def answers(url):
    """Whether a URL is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


class Broker(peers.Peer):
    """One of the NATS servers."""

    def __init__(self, binary, directory, number, port, route, routes):
        os.makedirs(directory)
        monitoring = peers.free_port()
        config = os.path.join(directory, "nats.conf")
        with open(config, "w") as f:
            f.write(BROKER.format(number=number, port=port, monitoring=monitoring, route=route, routes=routes,
                                  directory=os.path.join(directory, "data")))
        log = open(os.path.join(directory, "log"), "w")
        super().__init__(f"broker {number}", subprocess.Popen([binary, "--config", config], stdout=log, stderr=log))
        self.health = f"http://127.0.0.1:{monitoring}/healthz"


class Node(peers.Relay):
    """A node of the cluster. The first one, which founds it, gets the client and the hook; the others use them."""

    def __init__(self, binary, directory, name, settings, first=None):
        self.first = first
        super().__init__(binary, directory, name, settings)

    def setup(self, first):
        if self.first is None:
            super().setup(first)
        else:
            self.adopt(self.first)

    def adopt(self, other):
        """Uses the hook and the token of another node."""
        self.hook, self.token = other.hook, other.token
        self.subscribe = other.subscribe.replace(other.address, self.address)
        self.publish_head = other.publish_head.replace(other.address, self.address)

    def is_ready(self):
        with open(os.path.join(self.directory, "relay.json")) as f:
            admin = json.load(f)["admin"]
        return answers(f"http://{admin}/readyz")

    def kill(self):
        self.process.kill()
        self.process.wait()


class Cluster:
    """Three brokers and as many nodes as are asked for; `with` ends them."""

    def __init__(self, nats_server, binary, directory, nodes=3):
        self.binary, self.directory = binary, directory
        self.brokers, self.nodes = [], []
        os.makedirs(directory)
        ports = [(peers.free_port(), peers.free_port()) for _ in range(BROKERS)]
        routes = ", ".join(f"nats://127.0.0.1:{route}" for _, route in ports)
        key = os.path.join(directory, "cluster.key")
        with open(key, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.write(subprocess.run([binary, "cluster", "key"], check=True, capture_output=True).stdout)
        self.settings = {"DOCRELAY_CLUSTER": ",".join(f"nats://127.0.0.1:{port}" for port, _ in ports),
                         "DOCRELAY_CLUSTER_KEY_FILE": key}
        try:
            for number, (port, route) in enumerate(ports, 1):
                path = os.path.join(directory, f"broker-{number}")
                self.brokers.append(Broker(nats_server, path, number, port, route, routes))
            for broker in self.brokers:
                peers.wait_for(broker.name, 60, lambda broker=broker: answers(broker.health), broker.process)
            for _ in range(nodes):
                node = self.add_node()
                peers.wait_for(f"{node.name} is ready", 60, node.is_ready, node.process)
        except BaseException:
            self.stop()
            raise

    def add_node(self):
        """Starts one more node; it listens when this returns."""
        number = len(self.nodes) + 1
        first = self.nodes[0] if self.nodes else None
        node = Node(self.binary, os.path.join(self.directory, f"node-{number}"), f"node {number}", self.settings, first)
        self.nodes.append(node)
        return node

    def pids(self):
        """The processes of the whole cluster, with commas between them."""
        return ",".join(str(peer.process.pid) for peer in [*self.brokers, *self.nodes])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        # The nodes leave the cluster, for which they need the brokers.
        for peer in [*self.nodes, *self.brokers]:
            peer.stop()
