"""Downloads slowly, for as long as it is asked to: patient.py URL RATE FLAG OUTPUT

Reads RATE bytes a second over one connection until the file FLAG exists, then the rest at once, and
writes to OUTPUT one line: the SHA-256 of what came, and its length. A connection that ends before
FLAG is there, or before the announced length, is written as "broken: ...".
"""
import hashlib
import http.client
import os
import sys
import time
import urllib.parse

CHUNK = 16384


def main():
    url, rate, flag, output = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    digest, length = hashlib.sha256(), 0
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        expected = int(answer.getheader("Content-Length"))
        with open(output + ".began", "w", encoding="ascii"):
            pass
        while length < expected:
            slow = not os.path.exists(flag)
            data = answer.read(CHUNK if slow else 1 << 20)
            if not data:
                raise ValueError("the connection ended")
            digest.update(data)
            length += len(data)
            if slow:
                if length == expected:
                    raise ValueError("the file was too short for this test")
                time.sleep(len(data) / rate)
        line = f"{digest.hexdigest()} {length}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        line = f"broken: {error!r} after {length} bytes"
    with open(output + ".new", "w", encoding="ascii") as file:
        print(line, file=file)
    os.rename(output + ".new", output)


main()
