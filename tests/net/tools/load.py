"""Many callers at once, through the broker's socket (docs/protocol.md).

  load.py SOCKET create  PREFIX COUNT CALLERS NETWORK PROTOCOLS IMAGE...
  load.py SOCKET remove  PREFIX COUNT CALLERS
  load.py SOCKET cycle   PREFIX COUNT CALLERS NETWORK PROTOCOLS IMAGE...
  load.py SOCKET idle    COUNT SECONDS    holds so many connections; prints "open" when they are there
  load.py - fetch COUNT CALLERS NETWORK ADDRESS DIRECTORY

Share N is PREFIXN, for the address N of NETWORK (10.77.100.0 and up), with the images given; "{}" in
an image is N. `cycle` makes and removes COUNT shares, each user again as soon as it is free. `fetch`
is the clients: each, from its address, gets its own {}.bin, compares it with the one in DIRECTORY,
and is told by the server that there is no other's. While shares are made and removed, somebody else
asks for the status all the time. Prints "ok N" and what took how long, or the first failures.
"""
import http.client
import os
import resource
import socket
import struct
import sys
import threading
import time

CREATE, REMOVE, STATUS = 1, 4, 9
DONE, REFUSED = 128, 129


def text(value):
    data = value.encode()
    return struct.pack(">I", len(data)) + data


def texts(values):
    return struct.pack(">H", len(values)) + b"".join(text(value) for value in values)


def who(user):
    return text(user) + text("") * 3


class Broker:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(120)
        for _ in range(2000):
            try:
                self.sock.connect(path)
                return
            except BlockingIOError:  # its queue is full for the moment
                time.sleep(0.005)
        raise TimeoutError("the broker takes no connections")

    def ask(self, message, body=b""):
        """Until the last answer: "" or the sentence of a refusal."""
        self.sock.send(struct.pack(">HHHH", 0xCD55, 1, message, 0) + body)
        while True:
            packet = self.sock.recv(1 << 18)
            if len(packet) < 8:
                return "the broker hung up"
            answer = struct.unpack(">HHHH", packet[:8])[2]
            if answer == DONE:
                return ""
            if answer == REFUSED:
                skip = 8 + 4 + struct.unpack(">I", packet[8:12])[0]
                return packet[skip + 4:].decode(errors="replace")

    def create(self, user, client, protocols, images):
        return self.ask(CREATE, text(user) + text("") + texts(images) + texts([]) + texts([client])
                        + texts(protocols) + struct.pack(">QI", 3600, 0) + text(""))

    def remove(self, user):
        return self.ask(REMOVE, who(user))


def address(network, number):
    a, b, c, d = (int(part) for part in network.split("."))
    value = c * 256 + d + number
    return "%d.%d.%d.%d" % (a, b, value // 256, value % 256)


class Crowd:
    """CALLERS threads that take numbers from 1 to COUNT."""

    def __init__(self, count, callers):
        self.left = iter(range(1, count + 1))
        self.lock = threading.Lock()
        self.failures = []
        self.times = []
        self.callers = callers
        self.count = count

    def take(self):
        with self.lock:
            return next(self.left, None)

    def work(self, make, job):
        try:
            tool = make()
            while (number := self.take()) is not None:
                began = time.monotonic()
                why = job(tool, number)
                self.times.append(time.monotonic() - began)
                if why:
                    self.failures.append("%d: %s" % (number, why))
        except (OSError, TimeoutError) as error:
            self.failures.append(str(error))

    def run(self, make, job):
        threads = [threading.Thread(target=self.work, args=(make, job))
                   for _ in range(self.callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def report(self, extra=""):
        for failure in self.failures[:5]:
            print("failed", failure)
        self.times.sort()
        middle = self.times[len(self.times) // 2] * 1000 if self.times else 0
        if self.failures or len(self.times) != self.count:
            print("failed %d of %d" % (len(self.failures), self.count))
            return 1
        print("ok %d: median %.0f ms, slowest %.0f ms%s"
              % (self.count, middle, self.times[-1] * 1000, extra))
        return 0


class Watch(threading.Thread):
    """Asks for the status all the time, as somebody who has nothing to do with the load."""

    def __init__(self, path):
        super().__init__()
        self.path, self.over, self.times = path, False, []

    def run(self):
        broker = Broker(self.path)
        while not self.over:
            began = time.monotonic()
            broker.ask(STATUS)
            self.times.append(time.monotonic() - began)
            time.sleep(0.01)

    def text(self):
        self.over = True
        self.join()
        self.times.sort()
        return "; status meanwhile: median %.1f ms, slowest %.0f ms" % (
            self.times[len(self.times) // 2] * 1000, self.times[-1] * 1000)


def with_brokers(path, count, callers, job):
    crowd = Crowd(count, callers)
    watch = Watch(path)
    watch.start()
    crowd.run(lambda: Broker(path), job)
    return crowd.report(watch.text())


def do_create(path, prefix, count, callers, network, protocols, *images):
    def job(broker, n):
        return broker.create(prefix + str(n), address(network, n), protocols.split(","),
                             [image.replace("{}", str(n)) for image in images])
    return with_brokers(path, int(count), int(callers), job)


def do_remove(path, prefix, count, callers):
    return with_brokers(path, int(count), int(callers),
                        lambda broker, n: broker.remove(prefix + str(n)))


def do_cycle(path, prefix, count, callers, network, protocols, *images):
    names = 3 * int(callers)  # so that users and addresses come again; who has one may take his time
    taken = [threading.Lock() for _ in range(names)]

    def job(broker, n):
        n %= names
        with taken[n]:
            why = broker.create(prefix + str(n), address(network, n + 1), protocols.split(","), images)
            return why or broker.remove(prefix + str(n))
    return with_brokers(path, int(count), int(callers), job)


def do_idle(path, count, seconds):
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    connections = [Broker(path) for _ in range(int(count))]
    print("open", flush=True)
    time.sleep(float(seconds))
    return 0 if all(not one.ask(STATUS) for one in connections) else 1


def do_fetch(_, count, callers, network, server, directory):
    def job(__, n):
        connection = http.client.HTTPConnection(server, 8080, timeout=60,
                                                source_address=(address(network, n), 0))
        connection.request("GET", "/%d.bin" % n)
        answer = connection.getresponse()
        with open(os.path.join(directory, "%d.bin" % n), "rb") as file:
            if answer.read() != file.read():
                return "not its bytes (status %d)" % answer.status
        connection.request("HEAD", "/%d.bin" % (n % int(count) + 1))
        other = connection.getresponse()
        other.read()
        return "" if other.status == 404 or int(count) == 1 else "another's: %d" % other.status
    crowd = Crowd(int(count), int(callers))
    crowd.run(lambda: None, job)
    return crowd.report()


if __name__ == "__main__":
    commands = {"create": do_create, "remove": do_remove, "cycle": do_cycle, "idle": do_idle,
                "fetch": do_fetch}
    sys.exit(commands[sys.argv[2]](sys.argv[1], *sys.argv[3:]))
