"""Writes a tree as ISO 9660 (ECMA-119) with Rock Ridge (RRIP 1.12) for what that can say."""
import stat
import struct

import image_tree

SECTOR = 2048


def both(value):
    """7.3.3 of ECMA-119: in either byte order."""
    value &= 0xFFFFFFFF
    return struct.pack("<I", value) + struct.pack(">I", value)


def both16(value):
    return struct.pack("<H", value) + struct.pack(">H", value)


def field(name, contents, flags=None):
    head = b"" if flags is None else bytes([flags])
    return name + bytes([4 + len(head) + len(contents), 1]) + head + contents


def pieces(name, text):
    """A text in as many fields as it takes, each but the last with the flag CONTINUE."""
    parts = [text[i:i + 200] for i in range(0, len(text), 200)] or [b""]
    return [field(name, part, int(i + 1 < len(parts))) for i, part in enumerate(parts)]


def link_fields(target):
    """A component for each name in the path; ".", ".." and "/" are flags."""
    words = {b".": (2, b""), b"..": (4, b"")}
    components = [(8, b"")] if target.startswith(b"/") else []
    components += [words.get(word, (0, word)) for word in target.split(b"/") if word]
    fields, text = [], b""
    for flags, word in components:
        one = bytes([flags, len(word)]) + word
        if len(text) + len(one) > 200:
            fields.append(field(b"SL", text, 1))
            text = b""
        text += one
    return fields + [field(b"SL", text, 0)]


class Writer:
    def __init__(self, root):
        self.root = root
        self.nodes = image_tree.walk(root)
        self.continued = []  # sectors that hold what records have no room for
        self.sectors = {}

    def rock_ridge(self, name, node, first=b""):
        fields = [field(b"PX", both(node.mode) + both(1) + both(node.uid) + both(0))]
        if name is not None:
            fields += pieces(b"NM", name)
        if node.kind == stat.S_IFLNK:
            fields += link_fields(node.data)
        if node.kind in (stat.S_IFBLK, stat.S_IFCHR):
            fields.append(field(b"PN", both(node.rdev >> 8) + both(node.rdev & 0xFF)))
        return first + self.fit(fields, 150 - len(first))

    def fit(self, fields, room):
        """What has no room goes on elsewhere (CE of SUSP 5.1), a sector for each."""
        text, room = b"", room - 28
        while fields and len(text) + len(fields[0]) <= room:
            text += fields.pop(0)
        if not fields:
            return text
        rest = self.fit(fields, SECTOR)
        self.continued.append(rest)
        number = self.first_continued + len(self.continued) - 1
        return text + field(b"CE", both(number) + both(0) + both(len(rest)))

    def record(self, identifier, name, node, first=b""):
        use = self.rock_ridge(name, node, first)
        pad = b"" if len(identifier) % 2 else b"\0"
        use += b"\0" * (len(use) % 2)
        size = self.listing_size(node) if node.kind == stat.S_IFDIR else \
            node.size if node.kind == stat.S_IFREG else 0
        head = both(self.sectors[node]) + both(size) + bytes(7) + \
            bytes([2 if node.kind == stat.S_IFDIR else 0, 0, 0]) + both16(1) + \
            bytes([len(identifier)]) + identifier + pad
        return bytes([2 + len(head) + len(use), 0]) + head + use

    @staticmethod
    def listing_size(node):
        """At most 255 bytes a record, eight in a sector."""
        return -(-(len(node.entries) + 2) // 8) * SECTOR

    def listing(self, node):
        start = field(b"SP", b"\xbe\xef\0") if node is self.root else b""
        records = [self.record(b"\0", None, node, start), self.record(b"\1", None, self.root)]
        records += [self.record(b"F%d.;1" % i, name, child)
                    for i, (name, child) in enumerate(node.entries)]
        sectors = [b"".join(records[i:i + 8]).ljust(SECTOR, b"\0") for i in range(0, len(records), 8)]
        return b"".join(sectors)

    def place(self):
        at = 18
        for node in self.nodes:
            self.sectors[node] = at
            if node.kind == stat.S_IFDIR:
                at += self.listing_size(node) // SECTOR
            elif node.kind == stat.S_IFREG:
                at += -(-len(node.data) // SECTOR)
        self.first_continued = at

    def descriptor(self, blocks):
        root = self.record(b"\0", None, self.root)[:34]
        text = b"\1CD001\1\0" + b" " * 64 + bytes(8) + both(blocks) + bytes(32) + both16(1) + \
            both16(1) + both16(SECTOR) + both(0) + bytes(16) + bytes([34, 0]) + root[2:]
        return (text.ljust(881, b" ") + b"\1").ljust(SECTOR, b"\0")

    def write(self):
        self.place()
        body = b""
        for node in self.nodes:
            text = self.listing(node) if node.kind == stat.S_IFDIR else \
                node.data if node.kind == stat.S_IFREG else b""
            body += text.ljust(-(-len(text) // SECTOR) * SECTOR, b"\0")
        tail = b"".join(part.ljust(SECTOR, b"\0") for part in self.continued)
        blocks = 18 + (len(body) + len(tail)) // SECTOR
        head = bytes(16 * SECTOR) + self.descriptor(blocks) + b"\xffCD001\1".ljust(SECTOR, b"\0")
        return head + body + tail


def write(root):
    return Writer(root).write()
