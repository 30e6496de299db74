"""Asks for a file that would hold a server up, more often than it has threads, and then for a good
one: tftp_fifo.py ADDRESS BAD GOOD. Exit 0: the good one comes."""
import socket
import sys
import time


def ask(name):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(5)
    sock.sendto(b"\0\1" + name.encode() + b"\0octet\0", (sys.argv[1], 69))
    return sock


held = []
for _ in range(80):
    held.append(ask(sys.argv[2]))
    time.sleep(0.01)
answer = ask(sys.argv[3]).recv(600)
print(answer[:4])
sys.exit(0 if answer[:4] == b"\0\3\0\1" else 1)
