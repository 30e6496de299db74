"""Asks a lying FTP server for a port, and calls it: forged_client.py ADDRESS CONTROL-PORT PORT

Prints "answered", "refused" or "silent".
"""
import socket
import sys

address, control_port, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with socket.create_connection((address, control_port), 5) as control:
    lines = control.makefile("rb")
    lines.readline()
    control.sendall(b"USER anybody\r\n")
    lines.readline()
    control.sendall(b"PASV %s %d\r\n" % (address.encode(), port))
    answer = lines.readline()
    if not answer.startswith(b"227"):
        sys.exit(f"not the forged answer but {answer!r}")
    try:
        with socket.create_connection((address, port), 1.5):
            print("answered")
    except socket.timeout:
        print("silent")
    except OSError:
        print("refused")
