"""The disturbances of `disturbance.py`. Each is caused by one client, or by something around the relay, and must cost another
client nothing."""

import os
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.parse

import peers

DOCUMENTS, DOCUMENT_BYTES = 1_000, 255 << 10
CALLBACKS, CALLBACKS_PER_SECOND = 50_000, 2_500
ERASED_EVENTS = 1_000_000
# More than the bound of the write-ahead log.
LOG_BYTES = 320 << 20


class Disturbance:
    """No disturbance: shows what the machine and the growth of the store contribute."""

    title = "none"
    settings = {}
    # The least duration of the measurement during the disturbance.
    seconds = 0
    # Seconds between the end of the disturbance and the reading of the memory after it.
    settle = 3
    rounds = None

    def __init__(self, bench):
        self.bench, self.relay, self.stop, self.workers = bench, None, threading.Event(), []

    def stderr(self):
        """What the relay gets as its standard error; `None` is a file."""
        return None

    def prepare(self):
        """What happens before the second client begins."""

    def begin(self):
        """Begins the disturbance and returns when it is there."""

    def end(self):
        """Ends the disturbance."""

    def close(self):
        """Releases everything when the relay has ended, also after a failure."""
        self.stop.set()
        for worker in self.workers:
            if isinstance(worker, subprocess.Popen):
                worker.terminate()
                worker.wait()
            else:
                worker.join()
        self.workers = []

    def spawn(self, run, *args):
        self.workers.append(threading.Thread(target=run, args=args))
        self.workers[-1].start()

    def sender(self, path, **options):
        """The command line of `webhook_sender` for the first client."""
        options = {"address": self.relay.address, "path": path, "seed": os.getpid() + len(self.workers)} | options
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        return [os.path.join(self.bench.options.tools, "webhook_sender"), *words]

    def send(self, path, **options):
        """Sends and waits for the end."""
        done = subprocess.run(self.sender(path, **options), capture_output=True, text=True, timeout=900)
        if done.returncode != 0:
            raise peers.Failed(f"webhook_sender: {done.stdout}{done.stderr}")

    def start_sender(self, path, **options):
        """Sends in the background until `close`."""
        command = self.sender(path, **{"seconds": 3600} | options)
        self.workers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def register(self, url):
        """The options of `webhook_sender` for registrations of documents with a callback."""
        callback = f'{{"url":"{url}","format":"gini"}}'
        return {"authorization": f"Bearer {self.relay.token}",
                "body": f'{{"vendor":"gini","vendorId":"{{uuid}}","callback":{callback}}}'}


class StalledLog(Disturbance):
    title = "stderr is a pipe that is not read any more"
    # Every request is logged, and a second of that fills the log's queue.
    settings = {"DOCRELAY_LOG_LEVEL": "debug"}

    def stderr(self):
        self.reader, self.writer = (os.fdopen(end, mode) for end, mode in zip(os.pipe(), ("rb", "wb")))
        self.stalled = threading.Event()
        self.spawn(self.read)
        return self.writer

    def read(self):
        while not self.stop.is_set() and os.read(self.reader.fileno(), 1 << 16):
            while self.stalled.is_set() and not self.stop.is_set():
                time.sleep(0.01)

    def prepare(self):
        self.writer.close()
        # Before and during: only the reader of the log makes the difference.
        self.start_sender(self.relay.hook, senders=8, rate=1_000)

    def begin(self):
        self.stalled.set()
        end = time.monotonic() + 60
        while "docrelay_log_lines_dropped_total 0" in self.relay.admin("GET", "/metrics").splitlines():
            if time.monotonic() > end:
                raise peers.Failed("the log has dropped no line")
            time.sleep(0.2)

    def end(self):
        self.stalled.clear()

    def close(self):
        self.writer.close()
        super().close()
        self.reader.close()


class ClosedLog(StalledLog):
    title = "the reader of stderr has closed its pipe"

    def begin(self):
        self.stop.set()
        self.workers[0].join()
        self.reader.close()
        super().begin()


class HangingNameServer(Disturbance):
    title = "a name server that never answers; 100 callbacks/s to new names"

    def __init__(self, bench):
        super().__init__(bench)
        self.server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.server.bind(("127.0.0.1", 0))
        self.settings = {"DOCRELAY_DNS_SERVERS": f"127.0.0.1:{self.server.getsockname()[1]}"}

    def begin(self):
        self.start_sender("/documents", senders=100, rate=100, **self.register("https://{uuid}.example/done"))
        # The first attempts have timed out, and wait for their second.
        time.sleep(3)

    def end(self):
        self.close()

    def close(self):
        super().close()
        self.server.close()


class SilentHost(Disturbance):
    title = f"{CALLBACKS // 1000} 000 callbacks to a silent host, registered in 20 s"
    settings = {"DOCRELAY_PENDING_DELIVERIES_PER_CLIENT": "1000000"}
    seconds = CALLBACKS // CALLBACKS_PER_SECOND + 10

    def begin(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/{{uuid}}"
        self.spawn(lambda: self.send("/documents", senders=16, rate=CALLBACKS_PER_SECOND, events=CALLBACKS,
                                     **self.register(url)))

    def end(self):
        for worker in self.workers:
            worker.join()
        self.listener.close()


class LargeLists(Disturbance):
    title = "1 000 documents of 256 KiB in one list: 2 readers of 10 pages/s each, 8 that read nothing"
    pause = 0.1

    def prepare(self):
        body = '{"documentId":"{uuid}","status":"COMPLETED","blob":"{padding}"}'
        self.send(self.relay.hook, senders=4, events=DOCUMENTS, body=body, padding=DOCUMENT_BYTES)

    def get(self, cursor, receive_bytes=None):
        """A connection on which the response to a list is under way."""
        s = socket.socket()
        if receive_bytes:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        host, port = self.relay.address.rsplit(":", 1)
        s.settimeout(60)
        s.connect((host, int(port)))
        target = "/documents?limit=1000" + (f"&cursor={urllib.parse.quote(cursor)}" if cursor else "")
        s.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                  f"Authorization: Bearer {self.relay.token}\r\n\r\n".encode())
        return s

    def read_all(self):
        cursor = ""
        while not self.stop.is_set():
            page = b""
            with self.get(cursor) as s:
                while chunk := s.recv(1 << 20):
                    page += chunk
            self.stop.wait(self.pause)
            _, found, rest = page[-300:].partition(b'"next":"')
            cursor = rest.split(b'"')[0].decode() if found else ""

    def begin(self):
        self.slow = [self.get("", 4096) for _ in range(8)]
        for _ in range(2):
            self.spawn(self.read_all)
        time.sleep(1)

    def end(self):
        super().close()
        for s in self.slow:
            s.close()


class LargeListsAtFullSpeed(LargeLists):
    title = "the same, the 2 readers at full speed: they and the relay take all of both cores"
    pause = 0


class ForeignReader(Disturbance):
    title = "another program reads the database; write-ahead log above its bound"

    def begin(self):
        self.reader = sqlite3.connect(f"file:{self.relay.directory}/docrelay.db?mode=ro", uri=True,
                                      isolation_level=None)
        self.reader.execute("BEGIN")
        self.reader.execute("SELECT count(*) FROM event").fetchall()
        body = '{"documentId":"{uuid}","status":"COMPLETED","blob":"{padding}"}'
        self.send(self.relay.hook, senders=4, events=LOG_BYTES // DOCUMENT_BYTES, body=body, padding=DOCUMENT_BYTES)

    def end(self):
        self.reader.close()


class Erasing(Disturbance):
    title = "a client with 1 000 000 events is erased"
    seconds = 30
    rounds = 1

    def prepare(self):
        self.send(self.relay.hook, senders=64, events=ERASED_EVENTS)

    def begin(self):
        self.relay.admin("DELETE", "/admin/clients/bench")

    def is_over(self):
        with sqlite3.connect(f"file:{self.relay.directory}/docrelay.db?mode=ro", uri=True) as db:
            return not db.execute("SELECT 1 FROM client WHERE name IS NULL AND secrets = x''").fetchall()

    def end(self):
        if self.is_over():
            raise peers.Failed("the removal was over before the measurement ended")
        while not self.is_over():
            time.sleep(0.5)


class Pruning(Erasing):
    title = "the limit of a client with 1 000 000 events is lowered to 1 MiB: the others are pruned"
    # A quiet machine prunes them in less than 30 s.
    seconds = 8

    def begin(self):
        self.relay.command("client", "limit", "bench", "--stored-bytes", str(1 << 20))
        # Beyond its limit, a client is pruned when an event is stored.
        self.send(self.relay.hook, senders=1, events=1)

    def is_over(self):
        with sqlite3.connect(f"file:{self.relay.directory}/docrelay.db?mode=ro", uri=True) as db:
            # Documents are removed after their events.
            return db.execute("SELECT count(*) FROM document").fetchone()[0] < ERASED_EVENTS // 10


ALL = {"none": Disturbance, "stalled-log": StalledLog, "closed-log": ClosedLog, "name-server": HangingNameServer,
       "silent-host": SilentHost, "large-lists": LargeLists,
       "large-lists-at-full-speed": LargeListsAtFullSpeed, "foreign-reader": ForeignReader, "erasing": Erasing,
       "pruning": Pruning}
