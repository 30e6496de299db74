"""Makes a path something else every few milliseconds, until it is killed: changing.py PATH IMAGE SECRET.
By turns the image, a cut one, one that is overwritten in place, a link to SECRET, a FIFO, a directory,
a socket, and nothing."""
import os
import shutil
import socket
import sys
import time

path, image, secret = sys.argv[1:]


def cut():
    os.truncate(path, 5000)


def overwrite():
    with open(path, "r+b") as file:
        file.seek(0)
        file.write(b"hsqs" + bytes(2000))


def copy():
    shutil.copyfile(image, path)


def unix_socket():
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)


def remove():
    if os.path.isdir(path) and not os.path.islink(path):
        os.rmdir(path)
    elif os.path.lexists(path):
        os.unlink(path)


# A change of the file itself, or (True) something new in its place.
CHANGES = [(True, copy), (False, cut), (False, copy), (False, overwrite), (True, copy),
           (True, lambda: os.symlink(secret, path)), (True, copy), (True, lambda: os.mkfifo(path)),
           (True, copy), (True, lambda: os.mkdir(path)), (True, unix_socket), (True, copy),
           (True, lambda: None)]
while True:
    for anew, change in CHANGES:
        if anew:
            remove()
        change()
        time.sleep(0.003)
