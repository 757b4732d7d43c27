"""A crowd for swarm: a relay with TLS and many clients, each with tokens and a hook, and the files that name them."""

import concurrent.futures
import http.client
import json
import os
import resource
import ssl
import subprocess
import urllib.parse

import peers

# Of each process: the relay derives its limits of connections from it, and the load generator stays below it.
OPEN_FILES = 20_000

# Connections on which the clients are prepared at once.
PREPARING = 4


def limit_open_files():
    """Sets the limit of this process and of those that it starts."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))


def certificate(directory):
    """Makes a certificate for 127.0.0.1 that is its own authority. Returns the paths of both files."""
    files = [os.path.join(directory, name) for name in ("server.pem", "server.key")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=relay", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-addext", "basicConstraints=critical,CA:FALSE", "-out", files[0], "-keyout", files[1]],
                   check=True, capture_output=True)
    return files


def tls_settings(files):
    return {"DOCRELAY_TLS_CERT": files[0], "DOCRELAY_TLS_KEY": files[1]}


class Api:
    """Keep-alive connections to both addresses of a relay."""

    def __init__(self, relay, ca):
        with open(os.path.join(relay.directory, "relay.json")) as f:
            self.addresses = json.load(f)
        with open(os.path.join(relay.directory, "admin.token")) as f:
            self.admin_token = f.read().strip()
        self.admin = http.client.HTTPConnection(self.addresses["admin"], timeout=60)
        listen = relay.address
        if ca:
            self.public = http.client.HTTPSConnection(listen, timeout=60, context=ssl.create_default_context(cafile=ca))
        else:
            self.public = http.client.HTTPConnection(listen, timeout=60)

    def call(self, connection, path, body, headers):
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        content = response.read()
        if response.status not in (200, 201):
            raise peers.Failed(f"{path}: {response.status} {content[:300]}")
        return json.loads(content)

    def add_client(self, client):
        """Returns the secret."""
        headers = {"Authorization": f"Bearer {self.admin_token}", "Content-Type": "application/json"}
        return self.call(self.admin, "/admin/clients", json.dumps({"clientId": client}), headers)["clientSecret"]

    def token(self, client, secret):
        form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": client, "client_secret": secret,
                                       "scope": "events manage"})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.call(self.public, "/oauth/token", form, headers)["access_token"]

    def hook(self, token):
        """Returns the path of a new hook."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        created = self.call(self.public, "/hooks", json.dumps({"vendor": "gini", "verify": {"type": "none"}}), headers)
        return urllib.parse.urlsplit(created["url"]).path


def prepare(relay, ca, clients, tokens_per_client):
    """Adds clients with a hook each. Returns a list of pairs: the path of the hook, and the tokens, none of which the relay
    has seen yet but the first of each client."""
    def some(numbers):
        api = Api(relay, ca)
        found = []
        for number in numbers:
            client = f"client-{number}"
            secret = api.add_client(client)
            hook = api.hook(api.token(client, secret))
            found.append((hook, [api.token(client, secret) for _ in range(tokens_per_client)]))
        return found

    with concurrent.futures.ThreadPoolExecutor(PREPARING) as pool:
        parts = list(pool.map(some, [range(first, clients, PREPARING) for first in range(PREPARING)]))
    return [parts[number % PREPARING][number // PREPARING] for number in range(clients)]


class Swarm:
    """A running load generator. Its lines are read with `line`."""

    def __init__(self, bench, name, followers, hooks, options):
        files = [bench.path(f"{name}.followers"), bench.path(f"{name}.hooks")]
        for path, lines in zip(files, (followers, hooks)):
            with open(path, "w") as f:
                f.writelines(f"{' '.join(map(str, line))}\n" for line in lines)
        words = {"followers": files[0], "hooks": files[1], **options}
        args = [word for key, value in words.items() for word in (f"--{key}", str(value))]
        self.process = subprocess.Popen([os.path.join(bench.options.tools, "swarm"), *args], stdout=subprocess.PIPE,
                                        text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            raise peers.Failed(f"swarm ended with status {self.process.wait()}")
        return line.strip()
