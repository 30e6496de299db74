"""Speaks the broker's protocol (docs/protocol.md, whose tables it reads) as a web front end would:
web.py [--uid UID] [--time] SOCKET REQUEST [FIELD=VALUE]...

Prints one JSON object for each message of the answer; "message" is its name. A list's field is
given several times. --uid: the connection is made as this user. --time: the milliseconds from the
request to the last message stand in it."""
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


def main():
    words = sys.argv[1:]
    timed = False
    while words[0].startswith("--"):
        option = words.pop(0)
        if option == "--uid":
            uid = int(words.pop(0))
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        timed = timed or option == "--time"
    values = {}
    for word in words[2:]:
        field, _, value = word.partition("=")
        values.setdefault(field, []).append(value)
    started = time.monotonic()
    for message in ask(words[0], words[1], values):
        if timed and message["message"] in ("DONE", "REFUSED"):
            message["milliseconds"] = round((time.monotonic() - started) * 1000)
        print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
