"""Sends a line over TCP and prints what comes until the other side hangs up:
ask.py ADDRESS PORT LINE"""
import socket
import sys

with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5) as sock:
    sock.settimeout(65)
    sock.sendall((sys.argv[3] + "\n").encode())
    data = b""
    try:
        while True:
            more = sock.recv(65536)
            if not more:
                break
            data += more
    except OSError as error:
        data += ("(%s)\n" % error).encode()
    print(data.decode(errors="replace"), end="")
