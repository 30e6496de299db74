"""Writes a tree as erofs, nothing compressed (the kernel's fs/erofs/erofs_fs.h). With `device`, a file
"device" whose contents are on another block device, which the image names."""
import stat
import struct

import image_tree

BLOCK = 4096
SLOT = 32  # an inode's number is its place in slots
SLOTS = 2  # an extended inode, and in slot 3 the chunk of "device"
MAGIC = 0xE0F5E1E2
TYPES = {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFBLK: 4, stat.S_IFIFO: 5,
         stat.S_IFSOCK: 6, stat.S_IFLNK: 7}
CHUNKED, DEVICES = 0x4, 0x8  # incompatible features
PLAIN, CHUNKS = 0, 4         # data layouts


def directory_blocks(entries):
    """Entries of 12 bytes, then their names; as many as fit into each block."""
    blocks, part = [], []
    for entry in entries + [None]:
        size = sum(12 + len(name) for name, _, _ in part + ([entry] if entry else []))
        if entry is None or size > BLOCK:
            at, heads, names = 12 * len(part), b"", b""
            for name, number, kind in part:
                heads += struct.pack("<QHBB", number, at + len(names), kind, 0)
                names += name
            blocks.append((heads + names).ljust(BLOCK, b"\0"))
            part = []
        part.append(entry)
    return b"".join(blocks)


def inode(node, number, block, size, layout=PLAIN):
    where = node.rdev if node.kind in (stat.S_IFBLK, stat.S_IFCHR) else block
    return struct.pack("<HHHHQIIIIQII16x", 1 | layout << 1, 0, node.mode, 0, size, where, number,
                       node.uid, 0, 0, 0, 1)


def write(root, device=None):
    chunked = image_tree.file(b"", claim=BLOCK)
    if device is not None:
        root.entries = sorted(root.entries + [(b"device", chunked)], key=lambda entry: entry[0])
    nodes = image_tree.walk(root)
    numbers = {node: BLOCK // SLOT + 4 * i for i, node in enumerate(nodes)}
    data_block = 1 + -(-len(nodes) * 4 * SLOT // BLOCK)
    inodes, data = b"", b""
    for node in nodes:
        contents = node.data
        if node.kind == stat.S_IFDIR:
            entries = [(b".", numbers[node], 2), (b"..", numbers[root], 2)]
            entries += [(name, numbers[child], TYPES[child.kind]) for name, child in node.entries]
            contents = directory_blocks(sorted(entries, key=lambda entry: entry[0]))
        size = len(contents) if node.claim is None else node.claim
        if node is chunked:
            # One chunk of one block, at block 0 of device 1.
            inodes += inode(node, numbers[node], 0x20, size, CHUNKS)
            inodes += struct.pack("<HHI", 0, 1, 0).ljust(2 * SLOT, b"\0")
        else:
            inodes += inode(node, numbers[node], data_block + len(data) // BLOCK, size)
            inodes += bytes(2 * SLOT)
        data += contents.ljust(-(-len(contents) // BLOCK) * BLOCK, b"\0")
    features = 0 if device is None else CHUNKED | DEVICES
    blocks = data_block + len(data) // BLOCK
    super_block = struct.pack("<IIIBBHQQIIII16s16sIHHHBB36x", MAGIC, 0, 0, 12, 0, numbers[root],
                              len(nodes), 0, 0, blocks, 0, 0, b"", b"", features, 0,
                              int(device is not None), (1024 + 128) // 128, 0, 0)
    slot = b"" if device is None else struct.pack("<64sII56x", device, 1, 0)
    head = bytes(1024) + super_block + slot
    return head.ljust(BLOCK, b"\0") + inodes.ljust((data_block - 1) * BLOCK, b"\0") + data
