"""A TFTP client that does what boot ROMs do (RFC 1350, 2348): one fixed source port for everything,
and the request again and again until something answers.

    tftp.py ADDRESS FILE OUTPUT [--source-port N] [--limit SECONDS] [--blocks N] [--pause SECONDS]
            [--size]

--blocks N walks away after N blocks, without a word. Prints the number of requests it took.
--size only asks for the file's size (tsize, RFC 2349) and prints it.
"""
import argparse
import socket
import struct
import sys
import time


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("file")
    parser.add_argument("output")
    parser.add_argument("--source-port", type=int, default=0)
    parser.add_argument("--limit", type=float, default=10)
    parser.add_argument("--blocks", type=int, default=0)
    parser.add_argument("--pause", type=float, default=0)
    parser.add_argument("--size", action="store_true")
    return parser.parse_args()


def ask_size(sock, args):
    sock.settimeout(3)
    sock.sendto(struct.pack(">H", 1) + args.file.encode() + b"\0octet\0tsize\0" + b"0\0",
                (args.address, 69))
    answer, peer = sock.recvfrom(2000)
    opcode = struct.unpack(">H", answer[:2])[0]
    if opcode == 5:
        sys.exit(f"error: {answer[4:-1].decode(errors='replace')}")
    sock.sendto(struct.pack(">HH", 5, 8) + b"only asking\0", peer)
    words = answer[2:].split(b"\0")
    if opcode != 6 or words[0].lower() != b"tsize":
        sys.exit("no size")
    return words[1].decode()


def fetch(sock, args, output):
    request = struct.pack(">H", 1) + args.file.encode() + b"\0octet\0"
    deadline = time.monotonic() + args.limit
    wanted, requests, packet, peer = 1, 0, request, (args.address, 69)
    while time.monotonic() < deadline:
        try:
            if packet is request:
                requests += 1
            sock.sendto(packet, peer)
            while True:  # until the block that is wanted, whatever else comes in
                answer, sender = sock.recvfrom(2000)
                opcode, number = struct.unpack(">HH", answer[:4])
                if opcode == 5:
                    sys.exit(f"error {number}: {answer[4:-1].decode(errors='replace')}")
                if opcode == 3 and number == wanted & 0xFFFF:
                    break
        except (socket.timeout, ConnectionRefusedError):
            time.sleep(0.1 if packet is request else 0)
            continue
        peer = sender
        output.write(answer[4:])
        packet = struct.pack(">HH", 4, number)
        if len(answer) < 516:
            sock.sendto(packet, peer)
            return requests
        if wanted == args.blocks:
            return requests
        wanted += 1
        time.sleep(args.pause)
    sys.exit(f"nothing more within {args.limit} s, after {requests} requests and {wanted - 1} blocks")


def main():
    args = arguments()
    family = socket.AF_INET6 if ":" in args.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock, open(args.output, "wb") as output:
        sock.bind(("", args.source_port))
        sock.settimeout(0.3)
        print(ask_size(sock, args) if args.size else fetch(sock, args, output))


main()
