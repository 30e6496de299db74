"""What hostile images have in them, whatever their format: nodes, and the trees made of them.

A directory is a list of (name, node) and may hold any node any number of times, itself and its
parents included, under any name: the writers (image_iso.py, image_squashfs.py, image_erofs.py) write
down what they are given. `claim` is the size that a file's inode gives, when it is not the true one.
"""
import dataclasses
import stat


@dataclasses.dataclass(eq=False)
class Node:
    mode: int
    data: bytes = b""  # a file's; a link's target
    entries: list = dataclasses.field(default_factory=list)
    uid: int = 0
    rdev: int = 0
    claim: int = None

    @property
    def kind(self):
        return stat.S_IFMT(self.mode)

    @property
    def size(self):
        return len(self.data) if self.claim is None else self.claim


def file(data, mode=0o644, uid=0, claim=None):
    return Node(stat.S_IFREG | mode, data, uid=uid, claim=claim)


def link(target):
    return Node(stat.S_IFLNK | 0o777, target)


def directory(entries, mode=0o755):
    return Node(stat.S_IFDIR | mode, entries=sorted(entries, key=lambda entry: entry[0]))


def special(kind, rdev=0, mode=0o666):
    return Node(kind | mode, rdev=rdev)


def walk(root):
    """Every node once, the root first."""
    seen, todo = {root: True}, [root]
    for node in todo:
        for _, child in node.entries:
            if child not in seen:
                seen[child] = True
                todo.append(child)
    return todo


GOOD = b"a good file\n"


def links():
    """Out of the tree and to the sandbox's own files, by every way that there is."""
    targets = {
        b"absolute": b"/etc/passwd", b"relative": b"../../../../../../etc/passwd",
        b"root": b"/", b"up": b"../../../..", b"process": b"/proc/self/root",
        b"init": b"/proc/1/root/etc/passwd", b"cwd": b"/proc/self/cwd/../../../etc/passwd",
        b"fd": b"/proc/self/fd/3", b"environment": b"/proc/self/environ", b"config": b"/var/cfg",
        b"lighttpd": b"/var/cfg/lighttpd.conf", b"vsftpd": b"/var/cfg/vsftpd.conf",
        b"programs": b"/libexec", b"devices": b"/dev/zero", b"self": b"self", b"dot": b".",
        b"loop1": b"loop2", b"loop2": b"loop1", b"inside": b"good", b"through": b"absolute",
        b"dangling": b"/nowhere/at/all", b"long": b"x/" * 500, b"newline": b"/etc/pass\nwd",
    }
    chain = [(b"chain%02d" % i, link(b"chain%02d" % (i + 1))) for i in range(45)]
    return directory([(b"good", file(GOOD)), (b"chain45", link(b"/etc/passwd"))] + chain +
                     [(name, link(target)) for name, target in targets.items()])


def specials():
    """Devices of the host (memory, its disks, a loop device), FIFOs, sockets, setuid and setgid."""
    devices = {b"memory": (stat.S_IFCHR, 1, 1), b"kernel": (stat.S_IFCHR, 1, 11),
               b"fuse": (stat.S_IFCHR, 10, 229), b"loop-control": (stat.S_IFCHR, 10, 237),
               b"disk": (stat.S_IFBLK, 254, 0), b"sda": (stat.S_IFBLK, 8, 0),
               b"loop": (stat.S_IFBLK, 7, 0)}
    nodes = [(name, special(kind, major << 8 | minor))
             for name, (kind, major, minor) in devices.items()]
    return directory(nodes + [
        (b"fifo", special(stat.S_IFIFO)), (b"socket", special(stat.S_IFSOCK)),
        (b"setuid", file(b"#!/bin/sh\nid\n", 0o6755)), (b"sticky", file(GOOD, 0o1644)),
        (b"good", file(GOOD))])


def names():
    """What a name may hold on a disk and not in a path, and what a page or a terminal may take amiss."""
    odd = [b"new\nline", b"carriage\r\n200 injected", b"quote\"double", b"quote'single", b"tab\there",
           b"<script>alert(1)", b"&amp;\"><img src=x>", b"latin1-\xe4\xff", b"\xff\xfe\xfd",
           b"escape\x1b[31mred\x1b[2J", b"n" * 255, b"percent%2f%00%zz", b"{{user}}", b"-rf", b"--help",
           b"back\\slash", b"colon:name", b" ", b"trailing ", b"umlaut-\xc3\xa4", b"bell\a",
           "\u202egnp.exe".encode()]
    return directory([(name, file(b"named " + name)) for name in odd] + [(b"good", file(GOOD))])


def broken_names():
    """Names that no file can have: none of them may be followed to anywhere."""
    wrong = [b"", b".", b"..", b"a/b", b"/etc/passwd", b"../../etc/passwd", b"/", b"nul\0byte"]
    return directory([(name, file(b"named " + name)) for name in wrong] + [(b"good", file(GOOD))])


def loops():
    """Directories in themselves, in each other, and the root in all of them."""
    root, one, two = directory([]), directory([]), directory([])
    one.entries = [(b"good", file(GOOD)), (b"one", one), (b"root", root), (b"two", two)]
    two.entries = [(b"one", one), (b"root", root), (b"two", two)]
    root.entries = [(b"good", file(GOOD)), (b"one", one), (b"root", root), (b"two", two)]
    return root


def deep():
    """A path of 400 directories, longer than a path may be."""
    node = directory([(b"end", file(GOOD))])
    for _ in range(400):
        node = directory([(b"a-directory", node), (b"good", file(GOOD))])
    return node


def lies():
    """Sizes that the image does not hold."""
    claims = {b"zero": 0, b"more": 100_000, b"gigabytes": 0xFFFFF000, b"most": 0xFFFFFFFF}
    return directory([(name, file(GOOD * 100, claim=claim)) for name, claim in claims.items()] +
                     [(b"good", file(GOOD))])


def private():
    """Files that not everybody may read, of root and of others."""
    modes = {b"mode0000": (0, 0), b"root0600": (0o600, 0), b"root0644": (0o644, 0),
             b"user0600": (0o600, 1000), b"nobody0600": (0o600, 65534), b"share0600": (0o600, 1234)}
    closed = directory([(b"inner", file(GOOD))], 0o700)
    return directory([(name, file(b"private " + name, mode, uid))
                      for name, (mode, uid) in modes.items()] + [(b"closed", closed), (b"good", file(GOOD))])


def many():
    """100,000 names of one file."""
    good = file(GOOD)
    return directory([(b"name%06d" % i, good) for i in range(100_000)])


TREES = {"links": links, "specials": specials, "names": names, "broken_names": broken_names,
         "loops": loops, "deep": deep, "lies": lies, "private": private, "many": many}
