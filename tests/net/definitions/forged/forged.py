# "PASV PORT" is answered with that port, whoever's it is. Runs with the connection as standard
# input and output.
import os

os.write(1, b"220 ready\r\n")
buffer = b""
while True:
    data = os.read(0, 1000)
    if not data:
        break
    buffer += data
    while b"\r\n" in buffer:
        line, buffer = buffer.split(b"\r\n", 1)
        words = line.split()
        if words[:1] == [b"PASV"] and len(words) == 3:
            port = int(words[2])
            answer = "227 Entering Passive Mode (%s,%d,%d).\r\n" % (
                words[1].decode().replace(".", ","), port >> 8, port & 255)
        else:
            answer = "230 as you say\r\n"
        os.write(1, answer.encode())
