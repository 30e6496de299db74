"""Opens COUNT connections and keeps them: connect.py ADDRESS PORT COUNT

Prints how many were accepted and how many refused, then, for each line on standard input: "again",
one more attempt ("accepted" or "refused"); "close", closes all.
"""

import socket
import sys


def attempt(address, port):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    sock.settimeout(5)
    try:
        sock.connect((address, port))
    except ConnectionRefusedError:
        return None
    return sock


def main():
    address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    kept = [attempt(address, port) for _ in range(count)]
    print(sum(s is not None for s in kept), sum(s is None for s in kept), flush=True)
    for line in sys.stdin:
        if line == "again\n":
            kept.append(attempt(address, port))
            print("refused" if kept[-1] is None else "accepted", flush=True)
        elif line == "close\n":
            for sock in filter(None, kept):
                sock.close()
            kept = []
            print("closed", flush=True)


main()
