"""Writes a tree as squashfs 4.0, nothing compressed (the kernel's fs/squashfs/squashfs_fs.h)."""
import stat
import struct

import image_tree

BLOCK = 131072
METADATA = 8192
NONE = 0xFFFFFFFFFFFFFFFF
STORED = 1 << 24  # a data block that is not compressed
TYPES = {stat.S_IFDIR: 8, stat.S_IFREG: 2, stat.S_IFLNK: 3, stat.S_IFBLK: 4, stat.S_IFCHR: 5,
         stat.S_IFIFO: 6, stat.S_IFSOCK: 7}
SHORT = {**TYPES, stat.S_IFDIR: 1}  # what a directory's entry says


def metadata(table):
    blocks = [table[i:i + METADATA] for i in range(0, len(table), METADATA)]
    return b"".join(struct.pack("<H", 0x8000 | len(block)) + block for block in blocks)


def reference(offset):
    """Where byte `offset` of a table is: the block's place among the written ones, and the rest."""
    return offset // METADATA * (METADATA + 2), offset % METADATA


def blocks_of(node):
    return [node.data[i:i + BLOCK] for i in range(0, len(node.data), BLOCK)]


def inode(node, number, ids, data_at, listing):
    """listing: offset and size in the directory table."""
    head = struct.pack("<HHHHII", TYPES[node.kind], stat.S_IMODE(node.mode), ids.index(node.uid), 0,
                       0, number)
    if node.kind == stat.S_IFDIR:
        block, offset = reference(listing[0])
        return head + struct.pack("<IIIIHHI", 2, listing[1] + 3, block, 1, 0, offset, 0xFFFFFFFF)
    if node.kind == stat.S_IFREG:
        blocks = blocks_of(node)
        return head + struct.pack("<IIII", data_at, 0xFFFFFFFF, 0, node.size) + \
            b"".join(struct.pack("<I", len(block) | STORED) for block in blocks)
    if node.kind == stat.S_IFLNK:
        return head + struct.pack("<II", 1, len(node.data)) + node.data
    if node.kind in (stat.S_IFBLK, stat.S_IFCHR):
        return head + struct.pack("<II", 1, node.rdev)
    return head + struct.pack("<I", 1)


def listing_of(node, offsets, numbers):
    """A header for each entry: it names the block of inodes, which few share."""
    parts = []
    for name, child in node.entries:
        block, offset = reference(offsets[child])
        parts += [struct.pack("<III", 0, block, numbers[child]),
                  struct.pack("<HhHH", offset, 0, SHORT[child.kind], (len(name) - 1) & 0xFFFF), name]
    return b"".join(parts)


def write(root):
    nodes = image_tree.walk(root)
    numbers = {node: i + 1 for i, node in enumerate(nodes)}
    ids = sorted({node.uid for node in nodes})
    data, places = b"", {}
    for node in nodes:
        places[node] = 96 + len(data)
        data += node.data if node.kind == stat.S_IFREG else b""
    offsets, at = {}, 0
    for node in nodes:
        offsets[node] = at
        at += len(inode(node, 1, ids, 0, (0, 0)))
    listings, table = {}, b""
    for node in nodes:
        if node.kind == stat.S_IFDIR:
            text = listing_of(node, offsets, numbers)
            listings[node] = (len(table), len(text))
            table += text
    inodes = b"".join(inode(node, numbers[node], ids, places[node], listings.get(node))
                      for node in nodes)
    body = data
    inode_table = 96 + len(body)
    body += metadata(inodes)
    directory_table = 96 + len(body)
    body += metadata(table)
    id_block = 96 + len(body)
    body += metadata(struct.pack(f"<{len(ids)}I", *ids))
    id_table = 96 + len(body)
    body += struct.pack("<Q", id_block)
    block, offset = reference(offsets[root])
    used = 96 + len(body)
    head = struct.pack("<IIIIIHHHHHHQQQQQQQQ", 0x73717368, len(nodes), 0, BLOCK, 0, 1, 17,
                       0x1 | 0x2 | 0x8 | 0x10, len(ids), 4, 0, block << 16 | offset, used, id_table,
                       NONE, inode_table, directory_table, NONE, NONE)
    return head + body + bytes(-used % 4096)
