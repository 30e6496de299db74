"""A client for tests of the firewall: talk.py [OPTION]... tcp,ADDRESS,PORT|udp,ADDRESS,PORT

Prints what the server says first, or "refused" (a reset or an ICMP message), or "silent".
  --uid UID          speaks as this user
  --source PORT      from this port (one datagram; the answer of an old server would show)
  --via ADDRESS      an IPv4 packet with a loose source route over this address
  --hold SECONDS     then downloads for so long: "cut" or "alive", and the milliseconds it lived
  --passive          asks an FTP server for a data connection, and prints what that one says
"""
import argparse
import os
import re
import socket
import time


def connect(arguments, kind, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    sock.settimeout(0.7)
    if arguments.source:
        sock.bind(("", arguments.source))
    if arguments.via:
        route = bytes([131, 7, 4]) + socket.inet_aton(arguments.via) + b"\0"
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, route)
    sock.connect((address, int(port)))
    if kind == "udp":
        sock.send(b"hello")
    return sock


def hold(sock, seconds):
    started = time.monotonic()
    word = "alive"
    sock.send(b"x")
    try:
        while time.monotonic() < started + seconds:
            if not sock.recv(65536):
                word = "closed"
                break
            time.sleep(0.01)
    except ConnectionResetError:
        word = "cut"
    except socket.timeout:
        word = "silent"
    return "%s %d" % (word, (time.monotonic() - started) * 1000)


def passive(arguments, sock, address):
    sock.send(b"PASV\r\n")
    first, second = re.search(rb",(\d+),(\d+)\)", sock.recv(200)).groups()
    data = connect(arguments, "tcp", address, int(first) * 256 + int(second))
    return data, data.recv(200).decode().strip()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--uid", type=int)
    parser.add_argument("--source", type=int)
    parser.add_argument("--via")
    parser.add_argument("--hold", type=float)
    parser.add_argument("--passive", action="store_true")
    parser.add_argument("target")
    arguments = parser.parse_args()
    if arguments.uid:
        os.setresuid(arguments.uid, arguments.uid, arguments.uid)
    kind, address, port = arguments.target.split(",")
    try:
        sock = connect(arguments, kind, address, port)
        said = sock.recv(200).decode().strip()
        if arguments.passive:
            sock, said = passive(arguments, sock, address)
        print(said, flush=True)
        if arguments.hold:
            print(hold(sock, arguments.hold))
    except socket.timeout:
        print("silent")
    except OSError:
        print("refused")


main()
