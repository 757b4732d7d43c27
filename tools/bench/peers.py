"""The programs that are measured: nginx with nchan, and docrelay. Each is started on loopback with a directory of its own,
and knows the requests with which it is subscribed and published to."""

import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request

# No rate limit, retention limit or follower limit may be reached in a measurement of speed.
RELAY_SETTINGS = {
    "DOCRELAY_HOOK_RATE": "1000000",
    "DOCRELAY_HISTORY_EVENTS_PER_CLIENT": "10000000",
    "DOCRELAY_HISTORY_BYTES": "100GiB",
    "DOCRELAY_MAX_FOLLOWERS_PER_CLIENT": "15000",
    "DOCRELAY_MAX_FOLLOWERS": "15000",
    "DOCRELAY_MAX_CONNECTIONS_PER_ADDRESS": "16000",
}

NCHAN = """
daemon off;
{user}
pid {dir}/nginx.pid;
error_log {dir}/error.log error;
load_module {module};
worker_processes {workers};
worker_rlimit_nofile 20000;
events {{ worker_connections 16384; multi_accept on; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    tcp_nodelay on;
    keepalive_requests 100000000;
    nchan_shared_memory_size 512m;
    nchan_message_buffer_length 5000;
    nchan_message_timeout 10m;
    server {{
        listen 127.0.0.1:{port}{ssl} backlog=4096{reuseport};
        {certificate}
        location = /subscribe {{
            nchan_subscriber eventsource;
            nchan_channel_id "bench$arg_channel";
            nchan_subscriber_first_message newest;
        }}
        location = /replay {{
            nchan_subscriber eventsource;
            nchan_channel_id bench;
            nchan_subscriber_first_message oldest;
        }}
        location = /publish {{ nchan_publisher; nchan_channel_id "bench$arg_channel"; }}
    }}
}}
"""

CERTIFICATE = "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.2 TLSv1.3;"


class Failed(Exception):
    """A program did not start, or did not do what the measurement needs."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, seconds, ready, process):
    """The value of `ready()` as soon as it is true. Fails if the process ends or the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise Failed(f"{what}: the process ended with status {process.returncode}")
        if value := ready():
            return value
        time.sleep(0.02)
    raise Failed(f"{what}: not within {seconds} s")


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def children(pid):
    """The number of child processes of a process."""
    count = 0
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as stat:
                count += int(stat.read().rsplit(")", 1)[1].split()[1]) == pid
        except OSError:
            pass  # the process has ended
    return count


class Peer:
    """A running program; `with` ends it."""

    def __init__(self, name, process):
        self.name, self.process = name, process

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends the process and waits for it. Kills it if it does not end within 30 s."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def cpu_seconds(self):
        """CPU time of the process itself, without its children."""
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Nchan(Peer):
    """nginx with nchan: messages in shared memory, nothing on disk. `tls` are the files of a certificate and its key."""

    def __init__(self, directory, workers, reuseport=False, tls=None):
        nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
        modules = [m for folder in ("/usr/lib/nginx/modules", "/usr/share/nginx/modules", "/usr/lib64/nginx/modules")
                   for m in glob.glob(folder + "/ngx_nchan_module.so")]
        if not nginx or not modules:
            raise Failed("nginx with nchan is missing: run tests/setup/nchan.sh")
        os.makedirs(directory)
        self.port = free_port()
        config = os.path.join(directory, "nginx.conf")
        with open(config, "w") as f:
            f.write(NCHAN.format(dir=directory, module=modules[0], workers=workers, port=self.port,
                                 reuseport=" reuseport" if reuseport else "", ssl=" ssl" if tls else "",
                                 certificate=CERTIFICATE.format(*tls) if tls else "",
                                 user="user root;" if os.geteuid() == 0 else ""))
        log = open(os.path.join(directory, "output"), "w")
        process = subprocess.Popen([nginx, "-p", directory, "-c", config, "-e", f"{directory}/error.log"],
                                   stdout=log, stderr=log)
        super().__init__(f"nchan, {workers} worker{'s' if workers > 1 else ''}", process)
        try:
            wait_for("nginx", 20, lambda: listens(self.port) and children(process.pid) >= workers, process)
            # The workers run; their first allocations must not be counted as memory of the subscribers.
            time.sleep(0.5)
        except BaseException:
            self.stop()
            raise
        self.address = f"127.0.0.1:{self.port}"
        # With the events that it holds.
        self.replay = self.subscribe_to("/replay")
        self.subscribe, self.publish_head = self.requests(1)

    def subscribe_to(self, target):
        return f"GET {target} HTTP/1.1\r\nHost: {self.address}\r\nAccept: text/event-stream\r\n\r\n"

    def requests(self, clients):
        """The request of a subscriber, and the head of that of a publisher; those of many clients name the channel."""
        channel = "?channel={channel}" if clients > 1 else ""
        head = (f"POST /publish{channel} HTTP/1.1\r\nHost: {self.address}\r\nContent-Type: application/json\r\n"
                "Content-Length: {len}\r\n\r\n")
        return self.subscribe_to(f"/subscribe{channel}"), head


class Relay(Peer):
    """docrelay with one client `bench` and one hook of the vendor `gini`. A directory that exists is used again.
    `stderr` replaces the file of the log, `listen` the public address."""

    COMMON_SETTINGS = RELAY_SETTINGS

    def __init__(self, binary, directory, name="docrelay", settings=(), stderr=None, listen="127.0.0.1:0"):
        self.binary, self.directory = binary, directory
        first = not os.path.exists(directory)
        os.makedirs(directory, exist_ok=True)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("DOCRELAY_")}
        self.environment |= self.COMMON_SETTINGS | dict(settings)
        addresses = os.path.join(directory, "relay.json")
        log = open(directory.rstrip("/") + ".log", "a")
        process = subprocess.Popen(
            [binary, "serve", "--data", directory, "--listen", listen, "--admin-listen", "127.0.0.1:0"],
            stdout=log, stderr=log if stderr is None else stderr, env=self.environment)
        super().__init__(name, process)

        def listening():
            # The file of an earlier run may still exist.
            try:
                with open(addresses) as f:
                    found = json.load(f)
            except (OSError, ValueError):
                return None
            return found["listen"].replace("0.0.0.0", "127.0.0.1") if found["pid"] == process.pid else None

        try:
            self.address = wait_for(f"{name} (see {log.name})", 60, listening, process)
            self.setup(first)
        except BaseException:
            self.stop()
            raise

    def setup(self, first):
        hook_file = self.directory.rstrip("/") + ".hook"
        if first:
            self.command("client", "add", "bench")
            hook = json.loads(self.command("hook", "add", "--client", "bench", "--vendor", "gini"))
            with open(hook_file, "w") as f:
                f.write(urllib.parse.urlsplit(hook["url"]).path)
        with open(hook_file) as f:
            self.hook = f.read()
        self.token = self.command("token", "--client", "bench", "--ttl", "1h").strip()
        self.subscribe, self.publish_head = self.requests(1)

    def requests(self, clients):
        """The request of a follower, and the head of a webhook; those of many clients name the channel."""
        token, hook = ("{channel}", "{channel}") if clients > 1 else (self.token, self.hook)
        subscribe = (f"GET /events/client HTTP/1.1\r\nHost: {self.address}\r\nAccept: text/event-stream\r\n"
                     f"Authorization: Bearer {token}\r\n\r\n")
        head = (f"POST {hook} HTTP/1.1\r\nHost: {self.address}\r\nContent-Type: application/json\r\n"
                "Content-Length: {len}\r\n\r\n")
        return subscribe, head

    def resident_bytes(self):
        """Resident memory of the process."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS:"))

    def admin(self, method, target):
        """Sends a request to the admin address. Returns the body of the response."""
        with open(os.path.join(self.directory, "relay.json")) as f:
            address = json.load(f)["admin"]
        with open(os.path.join(self.directory, "admin.token")) as f:
            headers = {"Authorization": f"Bearer {f.read().strip()}"}
        request = urllib.request.Request(f"http://{address}{target}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.read().decode()

    def command(self, *args):
        done = subprocess.run([self.binary, *args, "--data", self.directory], env=self.environment,
                              capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise Failed(f"docrelay {' '.join(args)}: status {done.returncode}: {done.stderr.strip()}")
        return done.stdout


class DefaultRelay(Relay):
    """The same with every limit at its default."""

    COMMON_SETTINGS = {}
