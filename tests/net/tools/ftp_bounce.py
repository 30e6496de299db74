"""Logs in and sends each line; prints the answers: ftp_bounce.py ADDRESS LINE..."""
import socket
import sys

with socket.create_connection((sys.argv[1], 21), 5) as sock:
    sock.settimeout(5)
    stream = sock.makefile("rwb")
    stream.readline()
    for number, line in enumerate(["USER anonymous"] + sys.argv[2:]):
        stream.write(line.encode() + b"\r\n")
        stream.flush()
        answer = stream.readline().decode().rstrip()
        if number > 0:
            print(answer)
