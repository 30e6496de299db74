"""A share's server for tests of the firewall: instance.py UID NAME KIND,PORT[,ANNOUNCED]...

Listens on IPv4 and IPv6 as UID and prints "ready". KIND is
  tcp  says NAME, then sends for ever once it was sent a byte
  udp  answers every datagram with NAME
  ftp  says NAME; answers "PASV" with the server's address and the port ANNOUNCED (227), where the
       same process listens for `tcp` when ANNOUNCED is in its list, or nobody of this share does
"""
import os
import socket
import sys
import threading

IP_PKTINFO = 8


def bind(kind, port, family):
    sock = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if kind != "udp":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    elif family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    sock.bind(("", port))
    if kind != "udp":
        sock.listen(16)
    return sock


def serve_udp(sock, name):
    """Answers from the address that was called, as a careful server does."""
    while True:
        _, control, _, sender = sock.recvmsg(2000, 200)
        try:
            sock.sendmsg([name], control, 0, sender)
        except OSError:
            pass  # the firewall lets nobody hear it


def talk(connection, kind, name, announced):
    try:
        connection.sendall(name + b"\r\n")
        said = connection.recv(100)
        if kind == "ftp" and said:
            address = connection.getsockname()[0].replace(".", ",")
            connection.sendall(b"227 Entering Passive Mode (%s,%d,%d)\r\n"
                               % (address.encode(), announced >> 8, announced & 255))
            connection.recv(100)
        while said and kind == "tcp":
            connection.sendall(bytes(10000))
    except OSError:
        pass
    connection.close()


def serve_tcp(sock, kind, name, announced):
    while True:
        connection, _ = sock.accept()
        threading.Thread(target=talk, args=(connection, kind, name, announced), daemon=True).start()


def main(uid, name, *services):
    os.setgroups([])
    os.setresgid(int(uid), int(uid), int(uid))
    os.setresuid(int(uid), int(uid), int(uid))
    for service in services:
        kind, port, announced = (service.split(",") + ["0"])[:3]
        for family in socket.AF_INET, socket.AF_INET6:
            sock = bind(kind, int(port), family)
            if kind == "udp":
                run, arguments = serve_udp, (sock, name.encode())
            else:
                run, arguments = serve_tcp, (sock, kind, name.encode(), int(announced))
            threading.Thread(target=run, args=arguments, daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait(600)


main(*sys.argv[1:])
