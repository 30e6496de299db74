"""Prints the records of an NFLOG group, one a line: PREFIX, then source, destination, protocol and
destination port of the packet. Begins with "ready".

    nflog.py GROUP
"""

import ipaddress
import socket
import struct
import sys

NETLINK_NETFILTER = 12
ULOG = 4  # NFNL_SUBSYS_ULOG, linux/netfilter/nfnetlink_log.h
MSG_PACKET, MSG_CONFIG = 0, 1
CFG_CMD, CFG_MODE, CFG_TIMEOUT, CFG_QTHRESH = 1, 2, 4, 5
BIND, COPY_PACKET = 1, 2
PAYLOAD, PREFIX = 9, 10


def attribute(kind, data):
    length = 4 + len(data)
    return struct.pack("=HH", length, kind) + data + bytes(-length % 4)


def configure(netlink, group, *attributes):
    body = struct.pack("!BBH", socket.AF_UNSPEC, 0, group) + b"".join(attributes)
    netlink.send(struct.pack("=IHHII", 16 + len(body), ULOG << 8 | MSG_CONFIG, 5, 0, 0) + body)
    error = struct.unpack_from("=i", netlink.recv(4096), 16)[0]
    if error:
        sys.exit(f"nflog.py: group {group}: errno {-error}")


def attributes_of(data):
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        yield kind & 0x7FFF, data[4:length]
        data = data[length + -length % 4 :]


def packet(data):
    if data[0] >> 4 == 4:
        offset, protocol, source, target = data[0] % 16 * 4, data[9], data[12:16], data[16:20]
    else:
        offset, protocol, source, target = 40, data[6], data[8:24], data[24:40]
    port = struct.unpack_from("!H", data, offset + 2)[0]
    name = {6: "tcp", 17: "udp"}.get(protocol, protocol)
    return f"{ipaddress.ip_address(source)} {ipaddress.ip_address(target)} {name} {port}"


def main():
    group = int(sys.argv[1])
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    netlink.bind((0, 0))
    configure(netlink, group, attribute(CFG_CMD, bytes([BIND])))
    configure(netlink, group, attribute(CFG_MODE, struct.pack("!IBB", 128, COPY_PACKET, 0)))
    configure(netlink, group, attribute(CFG_TIMEOUT, struct.pack("!I", 1)))
    configure(netlink, group, attribute(CFG_QTHRESH, struct.pack("!I", 1)))
    print("ready", flush=True)
    while True:
        data = netlink.recv(65536)
        while len(data) >= 16:
            length, kind = struct.unpack_from("=IH", data)
            if kind == ULOG << 8 | MSG_PACKET:
                found = dict(attributes_of(data[20:length]))
                prefix = found.get(PREFIX, b"").rstrip(b"\0").decode(errors="replace")
                print(f"{prefix}{packet(found[PAYLOAD])}", flush=True)
            data = data[max(length + -length % 4, 16) :]


main()
