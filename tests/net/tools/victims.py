"""Services of the host that no share may reach: TCP 5432, UDP 5353, abstract sockets cdss-victim and
cdss-victim-d. Prints "ready", and then whatever comes."""
import selectors
import socket

selector = selectors.DefaultSelector()
for family, kind, address in (
        (socket.AF_INET6, socket.SOCK_STREAM, ("::", 5432)), (socket.AF_INET6, socket.SOCK_DGRAM, ("::", 5353)),
        (socket.AF_UNIX, socket.SOCK_STREAM, "\0cdss-victim"), (socket.AF_UNIX, socket.SOCK_DGRAM, "\0cdss-victim-d")):
    sock = socket.socket(family, kind)
    sock.bind(address)
    if kind == socket.SOCK_STREAM:
        sock.listen()
    selector.register(sock, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in selector.select():
        sock = key.fileobj
        if sock.type == socket.SOCK_STREAM:
            connection, peer = sock.accept()
            connection.send(b"answer")
            connection.close()
            print("a connection from", peer, flush=True)
        else:
            data, peer = sock.recvfrom(1000)
            print("a datagram from", peer, flush=True)
            if sock.family != socket.AF_UNIX:
                sock.sendto(b"answer", peer)
