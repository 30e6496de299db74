#!/usr/bin/python3 -IS
"""Stands at /usr/bin/fuseiso in a share's sandbox: a captured reader. Shows an empty file "x", then
reads requests without answering them, and waits on its own file system: it cannot be killed then.
Of an image whose path has "silent" in it, it answers nothing at all but the first request."""
import os
import struct
import sys
import threading

GETATTR, OPENDIR, READDIR, RELEASEDIR = 3, 27, 28, 29  # linux/fuse.h
FUSE = 3
ATTRIBUTES = struct.pack("<QII", 1, 0, 0) + struct.pack(
    "<QQQQQQIIIIIIIIII", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
ENTRY = struct.pack("<QQII", 5, 1, 1, 8) + b"x\0\0\0\0\0\0\0"


def request():
    data = os.read(FUSE, 1 << 20)
    return struct.unpack_from("<IIQ", data)[1:] + (data[40:],)


def answer(unique, data=b"", error=0):
    os.write(FUSE, struct.pack("<IiQ", 16 + len(data), error, unique) + data)


def wait_on_itself():
    place = os.path.splitext(sys.argv[2])[0]  # the image's contents, beside it
    while True:
        try:
            os.stat(place + "/x")
        except OSError:
            pass


_, unique, init = request()
major, minor, read_ahead, _ = struct.unpack_from("<IIII", init)
answer(unique, struct.pack("<IIIIHHIIHH", 7, minor, read_ahead, 0, 12, 9, 65536, 1, 0, 0) + bytes(32))
silent = any("silent" in word for word in sys.argv)
while True:
    kind, unique, data = request()
    if silent:
        continue
    if kind == GETATTR:
        answer(unique, ATTRIBUTES)
    elif kind == OPENDIR:
        answer(unique, struct.pack("<QII", 1, 0, 0))
    elif kind == READDIR:
        offset = struct.unpack_from("<QQ", data)[1]
        answer(unique, ENTRY if offset == 0 else b"")
        threading.Thread(target=wait_on_itself, daemon=True).start()
    elif kind == RELEASEDIR:
        answer(unique)
