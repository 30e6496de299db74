"""Speaks the broker's protocol (docs/protocol.md, whose tables it reads) as a web front end would:
web.py [--uid UID] SOCKET REQUEST [FIELD=VALUE]...
web.py [--uid UID] --serve SOCKET

Prints one JSON object for each message of the answer; "message" is its name, and the last has the
milliseconds that it took. A list's field is given several times. --uid: connections are made as
this user. --serve: requests come on standard input, each as a count and so many words that end in
NUL; behind each answer stands a line with a dot."""
import json
import os
import re
import socket
import struct
import sys
import time

PAGE = os.path.join(os.path.dirname(__file__), "../../../docs/protocol.md")
NUMBERS = {"U32": ">I", "U64": ">Q"}


def read_page():
    """The tables of the page: messages by name, and records by name."""
    ids, fields, name = {}, {}, None
    with open(PAGE, encoding="utf-8") as page:
        for line in page:
            heading = re.match(r"### (\w+)(?: \((\d+)\))?$", line)
            row = re.match(r"\| `(\w+)` \| (\w+)(?: of (\w+))? \|", line)
            if heading:
                name = heading.group(1)
                fields[name] = []
                if heading.group(2):
                    ids[int(heading.group(2))] = name
            elif row and name:
                fields[name].append(row.groups())
    return ids, fields


IDS, FIELDS = read_page()


def pack_text(value):
    data = value.encode("utf-8", "surrogateescape")
    return struct.pack(">I", len(data)) + data


def pack(name, values):
    number = next(key for key, value in IDS.items() if value == name)
    data = struct.pack(">HHHH", 0xCD55, 1, number, 0)
    for field, kind, _ in FIELDS[name]:
        given = values.pop(field, [])
        if kind in NUMBERS:
            data += struct.pack(NUMBERS[kind], int(given[0]) if given else 0)
        elif kind in ("TEXT", "SECRET"):
            data += pack_text(given[0] if given else "")
        else:
            data += struct.pack(">H", len(given)) + b"".join(map(pack_text, given))
    if values:
        sys.exit("%s has no field %s" % (name, ", ".join(values)))
    return data


class Packet:
    def __init__(self, data):
        self.data = data
        self.at = 8

    def number(self, layout):
        value, = struct.unpack_from(layout, self.data, self.at)
        self.at += struct.calcsize(layout)
        return value

    def text(self):
        length = self.number(">I")
        self.at += length
        return self.data[self.at - length:self.at].decode("utf-8", "surrogateescape")

    def record(self, name):
        result = {}
        for field, kind, inner in FIELDS[name]:
            if kind in NUMBERS:
                result[field] = self.number(NUMBERS[kind])
            elif kind in ("TEXT", "SECRET"):
                result[field] = self.text()
            elif kind == "RECORDS":
                result[field] = [self.record(inner) for _ in range(self.number(">H"))]
            else:
                result[field] = [self.text() for _ in range(self.number(">H"))]
        return result


def ask(path, name, values):
    """The messages of the answer, without PROGRESS."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(120)
        sock.connect(path)
        sock.send(pack(name, values))
        while True:
            data = sock.recv(1 << 20)
            if not data:
                yield {"message": "HUNG UP"}
                return
            answer = IDS[struct.unpack_from(">H", data, 4)[0]]
            if answer != "PROGRESS":
                yield {"message": answer, **Packet(data).record(answer)}
            if answer in ("DONE", "REFUSED"):
                return


def converse(path, words):
    values = {}
    for word in words[1:]:
        field, _, value = word.partition("=")
        values.setdefault(field, []).append(value)
    started = time.monotonic()
    for message in ask(path, words[0], values):
        if message["message"] in ("DONE", "REFUSED"):
            message["milliseconds"] = round((time.monotonic() - started) * 1000)
        print(json.dumps(message), flush=True)


def word_of(stream):
    data = b""
    while not data.endswith(b"\0"):
        byte = stream.read(1)
        if not byte:
            sys.exit(0)
        data += byte
    return data[:-1].decode("utf-8", "surrogateescape")


def serve(path):
    while True:
        words = [word_of(sys.stdin.buffer) for _ in range(int(word_of(sys.stdin.buffer)))]
        try:
            converse(path, words)
        except OSError as error:
            print(json.dumps({"message": "NOBODY", "error": str(error)}))
        print(".", flush=True)


def main():
    words = sys.argv[1:]
    if words[0] == "--uid":
        uid = int(words[1])
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        words = words[2:]
    if words[0] == "--serve":
        serve(words[1])
    else:
        converse(words[0], words[1:])


if __name__ == "__main__":
    main()
