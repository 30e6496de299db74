"""Knocks once at each target: probe.py [--source ADDRESS] tcp,ADDRESS,PORT|udp,ADDRESS,PORT...

Prints a word for each, in order: "refused" (a reset, or an ICMP message that says so), "silent", or
"answered". The datagram is a TFTP read request, which every TFTP server answers. The source address
may be one that is not this host's.
"""
import concurrent.futures
import errno
import socket
import sys

IP_FREEBIND, IPV6_FREEBIND = 15, 78
REFUSED = (errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH,
           errno.EACCES, errno.EPERM)


def bind_source(sock, family, source):
    if family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    sock.bind((source, 0))


def knock(target, source):
    kind, address, port = target.split(",")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        try:
            if source:
                bind_source(sock, family, source)
            sock.connect((address, int(port)))
            if kind == "udp":
                sock.send(b"\0\1some-file\0octet\0")
                sock.recv(2000)
            return "answered"
        except socket.timeout:
            return "silent"
        except OSError as error:
            if error.errno in REFUSED:
                return "refused"
            raise


def main(arguments):
    source = None
    if arguments[0] == "--source":
        source, arguments = arguments[1], arguments[2:]
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        print(" ".join(pool.map(lambda target: knock(target, source), arguments)))


main(sys.argv[1:])
