"""The programs that are measured: nginx with nchan, and the relay. Each is started on loopback with a directory of its
own, says how it is followed and published to, and is ended by its own process and no other."""

import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse

# A publisher must not meet the relay's rate bound, nor the history its end, in a measurement of speed.
RELAY_SETTINGS = {
    "DOCRELAY_HOOK_RATE": "1000000",
    "DOCRELAY_HISTORY_EVENTS_PER_CLIENT": "10000000",
    "DOCRELAY_HISTORY_BYTES": "100GiB",
    "DOCRELAY_MAX_FOLLOWERS_PER_CLIENT": "15000",
    "DOCRELAY_MAX_FOLLOWERS": "15000",
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
        listen 127.0.0.1:{port} backlog=4096{reuseport};
        location = /follow {{
            nchan_subscriber eventsource;
            nchan_channel_id bench;
            nchan_subscriber_first_message newest;
        }}
        location = /publish {{ nchan_publisher; nchan_channel_id bench; }}
    }}
}}
"""


class Failed(Exception):
    """Something that the measurement needs did not happen."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, seconds, ready, process):
    """The value of `ready()` as soon as it has one; fails when the process ends or the time is over."""
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
    """How many processes this one has started."""
    count = 0
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as stat:
                count += int(stat.read().rsplit(")", 1)[1].split()[1]) == pid
        except OSError:
            pass  # gone in the meantime
    return count


def busy_share(seconds=1.0):
    """The share of all cores' time that was not idle."""
    def times():
        with open("/proc/stat") as f:
            fields = [int(n) for n in f.readline().split()[1:9]]
        return fields[3] + fields[4], sum(fields)
    idle, total = times()
    time.sleep(seconds)
    idle_after, total_after = times()
    return 1 - (idle_after - idle) / max(total_after - total, 1)


def wait_for_quiet(limit=30):
    """Waits a while for others on this machine to finish. Says so when they do not: the figures then are theirs too."""
    end = time.monotonic() + limit
    while (busy := busy_share()) > 0.15 and time.monotonic() < end:
        pass
    if busy > 0.15:
        print(f"  NOT QUIET: {busy:.0%} of the machine is busy with something else", file=sys.stderr, flush=True)
    return busy <= 0.15


class Party:
    """A running program; `with` ends it."""

    def __init__(self, name, process):
        self.name, self.process = name, process

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends the process and waits for it; what does not go within its time is killed, by its own id."""
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


class Nchan(Party):
    """nginx with nchan: messages in shared memory, nothing on the disk."""

    def __init__(self, directory, workers, reuseport=False):
        nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
        modules = [m for place in ("/usr/lib/nginx/modules", "/usr/share/nginx/modules", "/usr/lib64/nginx/modules")
                   for m in glob.glob(place + "/ngx_nchan_module.so")]
        if not nginx or not modules:
            raise Failed("nginx with nchan is missing: apt-get install nginx libnginx-mod-nchan")
        os.makedirs(directory)
        self.port = free_port()
        config = os.path.join(directory, "nginx.conf")
        with open(config, "w") as f:
            f.write(NCHAN.format(dir=directory, module=modules[0], workers=workers, port=self.port,
                                 reuseport=" reuseport" if reuseport else "",
                                 user="user root;" if os.geteuid() == 0 else ""))
        log = open(os.path.join(directory, "output"), "w")
        process = subprocess.Popen([nginx, "-p", directory, "-c", config, "-e", f"{directory}/error.log"],
                                   stdout=log, stderr=log)
        super().__init__(f"nchan, {workers} worker{'s' if workers > 1 else ''}", process)
        try:
            wait_for("nginx", 20, lambda: listens(self.port) and children(process.pid) >= workers, process)
            # The workers exist; their first allocations must not be counted as the followers'.
            time.sleep(0.5)
        except BaseException:
            self.stop()
            raise
        self.address = f"127.0.0.1:{self.port}"
        self.follow = f"GET /follow HTTP/1.1\r\nHost: {self.address}\r\nAccept: text/event-stream\r\n\r\n"
        self.publish = (f"POST /publish HTTP/1.1\r\nHost: {self.address}\r\nContent-Type: application/json\r\n"
                        "Content-Length: {len}\r\n\r\n")


class Relay(Party):
    """docrelay with its embedded store, one client `bench` and one hook of the vendor `gini`."""

    def __init__(self, binary, directory, settings=()):
        self.binary, self.directory = binary, directory
        first = not os.path.exists(directory)
        os.makedirs(directory, exist_ok=True)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("DOCRELAY_")}
        self.environment |= RELAY_SETTINGS | dict(settings)
        card = os.path.join(directory, "relay.json")
        log = open(directory.rstrip("/") + ".log", "a")
        process = subprocess.Popen(
            [binary, "serve", "--data", directory, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"],
            stdout=log, stderr=log, env=self.environment)
        super().__init__("docrelay", process)

        def listening():
            # The card of an earlier run may still lie there.
            try:
                with open(card) as f:
                    found = json.load(f)
            except (OSError, ValueError):
                return None
            return found["listen"] if found["pid"] == process.pid else None

        try:
            self.address = wait_for(f"docrelay (see {log.name})", 60, listening, process)
            self.setup(first)
        except BaseException:
            self.stop()
            raise

    def setup(self, first):
        remembered = self.directory.rstrip("/") + ".hook"
        if first:
            self.command("client", "add", "bench")
            hook = json.loads(self.command("hook", "add", "--client", "bench", "--vendor", "gini"))
            with open(remembered, "w") as f:
                f.write(urllib.parse.urlsplit(hook["url"]).path)
        with open(remembered) as f:
            self.hook = f.read()
        self.token = self.command("token", "--client", "bench", "--ttl", "1h").strip()
        self.follow = (f"GET /events/client HTTP/1.1\r\nHost: {self.address}\r\nAccept: text/event-stream\r\n"
                       f"Authorization: Bearer {self.token}\r\n\r\n")
        self.publish = (f"POST {self.hook} HTTP/1.1\r\nHost: {self.address}\r\nContent-Type: application/json\r\n"
                        "Content-Length: {len}\r\n\r\n")

    def command(self, *words):
        done = subprocess.run([self.binary, *words, "--data", self.directory], env=self.environment,
                              capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise Failed(f"docrelay {' '.join(words)}: status {done.returncode}: {done.stderr.strip()}")
        return done.stdout


def machine(directory):
    """What a reader of the figures has to know of the machine."""
    with open("/proc/cpuinfo") as f:
        models = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    kind = subprocess.run(["stat", "-f", "-c", "%T", directory], capture_output=True, text=True).stdout.strip()
    return (f"{os.cpu_count()} cores ({models[0] if models else 'unknown'}), Linux {os.uname().release}, "
            f"data on {kind}, load {os.getloadavg()[0]:.2f} at the start")


def table(head, rows):
    """A Markdown table whose columns line up."""
    rows = [head, *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
