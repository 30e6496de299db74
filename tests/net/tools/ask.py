"""Sends a line and prints what comes, at once, until the other side hangs up or says "end":
ask.py tcp|udp ADDRESS PORT LINE"""
import socket
import sys

family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
kind = socket.SOCK_DGRAM if sys.argv[1] == "udp" else socket.SOCK_STREAM
with socket.socket(family, kind) as sock:
    data = b"\n"
    try:
        sock.settimeout(65)
        if kind == socket.SOCK_DGRAM:  # a line each, which nobody sends again: room for all (SO_RCVBUFFORCE)
            sock.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)
        sock.connect((sys.argv[2], int(sys.argv[3])))
        sock.sendall((sys.argv[4] + "\n").encode())
        while not data.endswith(b"\nend\n"):
            more = sock.recv(65536)
            if not more:
                break
            data = data[-16:] + more
            print(more.decode(errors="replace"), end="", flush=True)
    except OSError as error:
        print("(%s)" % error)
