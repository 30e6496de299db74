"""Talks to the broker's socket as no honest program does: abuse.py SOCKET PREFIX

Prints "ok PREFIX: ..." and "not ok PREFIX: ..." lines. Whatever one peer sends, it costs that peer
its connection, and another one, which was there all the time, goes on. docs/protocol.md has the
messages.
"""
import errno
import os
import resource
import socket
import struct
import sys
import time

PATH, PREFIX = sys.argv[1], sys.argv[2]
SHARE_CREATE, SHARE_SHOW, SHARE_EXTEND, IMAGE_LIST, STATUS = 1, 3, 5, 7, 9
DONE, REFUSED, STATUS_REPLY = 128, 129, 133
PACKET_MAX = 160 * 1024


def header(message_id, magic=0xCD55, version=1, zero=0):
    return struct.pack(">HHHH", magic, version, message_id, zero)


def text(data):
    return struct.pack(">I", len(data)) + data


def texts(*items):
    return struct.pack(">H", len(items)) + b"".join(text(item) for item in items)


def create(user=b"abuse", images=(b"no.iso",), clients=(b"10.77.3.10",), protocols=(b"http",),
           seconds=60, flags=0):
    return (header(SHARE_CREATE) + text(user) + text(b"") + texts(*images) + texts() + texts(*clients)
            + texts(*protocols) + struct.pack(">QI", seconds, flags) + text(b""))


def connect():
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    sock.settimeout(5)
    for _ in range(1000):
        try:
            sock.connect(PATH)
            return sock
        except BlockingIOError:  # its queue is full for the moment
            time.sleep(0.005)
    raise TimeoutError("the broker takes no connections")


def receive(sock):
    """The id of the next answer, or None when the broker has hung up."""
    try:
        packet = sock.recv(PACKET_MAX + 1)
    except (ConnectionResetError, BrokenPipeError):
        return None
    return struct.unpack(">HHHH", packet[:8])[2] if len(packet) >= 8 else None


def answers_to(sock, packet):
    """Sends a request; the ids of its answers up to DONE or REFUSED."""
    sock.send(packet)
    ids = []
    while not ids or ids[-1] not in (DONE, REFUSED, None):
        ids.append(receive(sock))
    return ids


failed = 0


def verdict(good, name):
    global failed
    failed += not good
    print(f"{'ok' if good else 'not ok'} {PREFIX}: {name}", flush=True)


def loses_connection(packet):
    """True when sending it ends in the broker hanging up without an answer."""
    with connect() as sock:
        try:
            sock.send(packet)
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.ECONNRESET):
                return True
            raise
        try:
            return receive(sock) is None
        except socket.timeout:
            return False


def bad_packets():
    valid = create()
    yield "shorter than a header", [header(STATUS)[:n] for n in range(1, 8)]
    yield "every beginning of a request", [valid[:n] for n in range(8, len(valid))]
    yield "trailing bytes", [header(STATUS) + b"\0", valid + b"x", valid + valid]
    yield "another magic", [header(STATUS, magic=0x55CD)]
    yield "another version", [header(STATUS, version=n) for n in (0, 2, 65535)]
    yield "the zero that is not zero", [header(STATUS, zero=n) for n in (1, 65535)]
    yield "unknown ids", [header(n) for n in (0, 10, 11, 127, 134, 255, 256, 65535)]
    yield "answers instead of requests", [header(n) for n in range(128, 134)] + [
        header(DONE) + struct.pack(">I", 0) + text(b"")]
    yield "lengths out of range", [
        header(SHARE_SHOW) + struct.pack(">I", n) + b"alice" for n in
        (0, 4, 6, 33, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)]
    yield "counts out of range", [
        create(images=()), create(clients=()), create(protocols=()), create(images=(b"x",) * 65),
        create(clients=(b"10.0.0.1",) * 65), create(protocols=(b"http",) * 33),
        header(SHARE_CREATE) + text(b"abuse") + struct.pack(">H", 65535)]
    yield "texts that are too long", [
        create(user=b"u" * 33), create(images=(b"i" * 1024,)), create(clients=(b"1" * 50,)),
        create(protocols=(b"p" * 16,))]
    yield "empty texts in lists", [create(images=(b"",)), create(clients=(b"",))]
    yield "NUL in a text", [create(user=b"a\0b"), create(images=(b"a\0b",)),
                            header(SHARE_SHOW) + text(b"alice\0")]
    yield "numbers out of range", [
        create(seconds=315360001), create(seconds=2 ** 64 - 1), create(flags=4),
        create(flags=0xFFFFFFFF), header(SHARE_EXTEND) + text(b"alice") + struct.pack(">Q", 0)]
    yield "too large", [create(images=(b"i" * 1023,) * 64) + b"x" * n for n in (100000, 130000)]
    yield "noise", [os.urandom(n) for n in (8, 9, 64, 1000, 60000)]


def test_bad_packets(witness):
    for name, packets in bad_packets():
        survivors = [packet for packet in packets if not loses_connection(packet)]
        verdict(not survivors, f"{name}: the connection is lost ({len(packets)} tries)")
        for packet in survivors[:3]:
            print(f"# this was taken: {packet[:60]!r}")
        verdict(answers_to(witness, header(STATUS)) == [STATUS_REPLY, DONE],
                f"{name}: another connection goes on")


def test_refused_with_a_sentence(witness):
    """Well-formed, and wrong: an answer, and the connection stays."""
    for name, packet in (
            ("a user name with a slash", create(user=b"../x")),
            ("a user name that is a format", create(user=b"%n%s")),
            ("a path upwards", create(images=(b"../../etc/passwd",))),
            ("an absolute path", create(images=(b"/etc/passwd",))),
            ("a path of many levels", create(images=(b"a/" * 500 + b"a",))),
            ("an unknown protocol", create(protocols=(b"gopher",))),
            ("all bounds reached", create(user=b"u" * 32, images=tuple(
                b"%02d" % i + b"i" * 1021 for i in range(64)), clients=tuple(
                b"10.0.0.%d" % i for i in range(64)), protocols=tuple(
                b"p%d" % i for i in range(32)), seconds=315360000, flags=1))):
        with connect() as sock:
            first = answers_to(sock, packet)
            second = answers_to(sock, header(STATUS))
            verdict(first[-1] == REFUSED and second == [STATUS_REPLY, DONE],
                    f"{name} is refused, and the connection stays")
    verdict(answers_to(witness, header(STATUS)) == [STATUS_REPLY, DONE], "the other one goes on")


def test_manners(witness):
    with connect() as sock:
        for _ in range(20):
            sock.send(header(STATUS))
        ids = [receive(sock) for _ in range(40)]
        verdict(ids == [STATUS_REPLY, DONE] * 20, "twenty requests in a row are answered in order")
    with connect() as sock:
        sock.setblocking(False)
        sent = 0
        try:
            for sent in range(20000):
                sock.send(header(IMAGE_LIST) + text(b""))
        except OSError:
            pass
        verdict(answers_to(witness, header(STATUS)) == [STATUS_REPLY, DONE],
                f"a peer that never reads ({sent} requests) holds up nobody")
    with connect() as sock:
        pipe = os.pipe()
        socket.send_fds(sock, [header(STATUS)], [pipe[0]] * 100)
        os.close(pipe[0])
        receive(sock)
        try:
            gone = os.write(pipe[1], b"x") == 0
        except BrokenPipeError:
            gone = True
        verdict(gone, "descriptors sent along are not kept")
    for _ in range(300):
        connect().close()
    verdict(answers_to(witness, header(STATUS)) == [STATUS_REPLY, DONE],
            "300 connections that are closed at once")


def test_many(witness):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    for n in 200, 1500:
        if n > min(hard, 4096) - 100:
            print(f"skip {PREFIX}: {n} connections - only {hard} descriptors to be had")
            continue
        crowd = [connect() for _ in range(n)]
        verdict(answers_to(witness, header(STATUS)) == [STATUS_REPLY, DONE],
                f"{n} idle connections: the one that was there goes on")
        turned_away = 0
        for sock in crowd:
            sock.settimeout(0.001)
            try:
                turned_away += receive(sock) in (REFUSED, None)
            except socket.timeout:
                pass
        if n > 1000:
            verdict(0 < turned_away < n, f"some of {n} are turned away ({turned_away})")
        for sock in crowd:
            sock.close()
    with connect() as sock:
        verdict(answers_to(sock, header(STATUS)) == [STATUS_REPLY, DONE],
                "when they are gone a new one is taken")


def as_stranger():
    """In a process that is nobody in particular: how far one gets."""
    try:
        with connect() as sock:
            try:
                sock.send(header(STATUS))
            except OSError:
                pass
            return 10 if receive(sock) in (REFUSED, None) else 11
    except PermissionError:
        return 12


def test_stranger(witness):
    for name, open_up in (("", False), (", though he reaches the socket", True)):
        kept = []
        if open_up:
            for path in (os.path.dirname(PATH), PATH):
                kept.append((path, os.stat(path).st_mode & 0o7777))
                os.chmod(path, 0o777)
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setresgid(54321, 54321, 54321)
            os.setresuid(54321, 54321, 54321)
            os._exit(as_stranger())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for path, mode in kept:
            os.chmod(path, mode)
        verdict(status == 10 or (status == 12 and not open_up),
                f"a user without rights is refused{name}")
    verdict(answers_to(witness, header(STATUS)) == [STATUS_REPLY, DONE], "the other one goes on")


def main():
    with connect() as witness:
        test_bad_packets(witness)
        test_refused_with_a_sentence(witness)
        test_manners(witness)
        test_many(witness)
        test_stranger(witness)
    sys.exit(failed != 0)


main()
