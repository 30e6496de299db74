"""Walks through what a share shows, as a client that wants to see everything:

    crawl.py http|ftp|tftp ADDRESS FORBIDDEN DIRECTORY...

Lists directories (TFTP: takes the names from HTTP) three levels deep and fetches the first 100,000 bytes
of each of the first files. FORBIDDEN is a file with a regular expression a line, of what no answer may hold. Prints
"forbidden PATH", or "hung PATH" where an answer took more than 20 s, for what is wrong; at the end
"DIRECTORY lists N files M failed F" for each directory. A server that answers "no" to everything is
right; one that does not answer is not.
"""
import ftplib
import html.parser
import http.client
import re
import socket
import struct
import sys
import time
import urllib.parse

LIMIT = 20
DEPTH, ENTRIES, BYTES = 3, 300, 100_000
RETRIES = 3, 3, 3, 3, 8  # s; more than the two in which the server takes it for a copy
FILES = 200  # of an image; a share has no more than some thousand flows in a minute
WHOLE = 64  # entries of a directory below the first that are visited


class Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if tag == "a" and name == "href" and value:
                self.found.append(value)


class Http:
    """Paths are quoted, as the listings have them."""
    def __init__(self, address):
        self.address = address

    def get(self, path):
        connection = http.client.HTTPConnection(self.address, 8080, timeout=LIMIT)
        connection.putrequest("GET", path, skip_accept_encoding=True)
        connection.putheader("Range", f"bytes=0-{BYTES}")
        connection.endheaders()
        answer = connection.getresponse()
        text = answer.read(BYTES * (50 if path.endswith("/") else 1))
        connection.close()
        if answer.status not in (200, 206):
            raise FileNotFoundError(answer.status)
        return text

    def list(self, path):
        links = Links()
        text = self.get(path).decode("latin-1")
        if "Shared with CDSS" not in text:
            raise OSError("a listing that was cut")
        links.feed(text)
        if "<img" in text or "<script>alert" in text:
            say("forbidden", path + " (a name of an image is part of the page)")
        return [link for link in links.found if not link.startswith(("?", "/", ".."))]


class Tftp:
    def __init__(self, address):
        self.address = address
        self.list = Http(address).list

    def get(self, path):
        name = urllib.parse.unquote_to_bytes(path).lstrip(b"/")
        if b"\0" in name or len(name) > 480:
            raise OSError("no name for TFTP")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            request = b"\0\1" + name + b"\0octet\0blksize\0" + b"8192\0"
            return self.receive(sock, request, (self.address, 69))

    @staticmethod
    def answer(sock, packet, peer):
        """What comes upon a packet, which is sent again after a while as any client would."""
        for seconds in RETRIES:
            sock.settimeout(seconds)
            sock.sendto(packet, peer)
            try:
                return sock.recvfrom(70000)
            except (TimeoutError, socket.timeout):
                pass
        raise TimeoutError

    def receive(self, sock, packet, peer):
        text, wanted, size = b"", 1, 512
        while True:
            packet, peer = self.answer(sock, packet, peer)
            kind, number = struct.unpack(">HH", packet[:4])
            if kind == 5:
                raise FileNotFoundError(packet[4:])
            if kind == 6:
                size, number = 8192, 0
            elif kind == 3 and number == wanted:
                text, wanted = text + packet[4:], wanted + 1
            if len(text) > BYTES:
                sock.sendto(b"\0\5\0\0enough\0", peer)
                return text
            last = kind == 3 and len(packet) < size + 4
            packet = struct.pack(">HH", 4, number)
            if last:
                sock.sendto(packet, peer)
                return text


class Ftp:
    """A connection that has failed is made again, once for each path."""
    def __init__(self, address):
        self.address = address
        self.session = None

    def ready(self):
        if self.session is None:
            self.session = ftplib.FTP(self.address, timeout=LIMIT, encoding="latin-1")
            self.session.login("anonymous", "x")
            self.session.voidcmd("TYPE I")
        return self.session

    def lose(self):
        if self.session is not None:
            self.session.close()
        self.session = None

    def get(self, path):
        parts = []
        try:
            connection = self.ready().transfercmd("RETR " + urllib.parse.unquote(path, "latin-1"))
            while sum(map(len, parts)) < BYTES and (part := connection.recv(65536)):
                parts.append(part)
            connection.close()
            try:
                self.session.voidresp()
            except ftplib.Error:
                pass
        except ValueError as error:
            raise OSError(error) from error
        except ftplib.error_perm as error:
            raise FileNotFoundError(error) from error
        except (OSError, EOFError, ftplib.Error):
            self.lose()
            raise
        return b"".join(parts)

    def list(self, path):
        """What it can enter is a directory; the names are NLST's, of one directory."""
        names = []
        try:
            self.ready().cwd(urllib.parse.unquote(path, "latin-1"))
            self.session.retrlines("NLST", names.append)
            result = []
            for name in names[:ENTRIES]:
                quoted = urllib.parse.quote(name, encoding="latin-1")
                result.append(quoted + ("/" if self.enters(path, name) else ""))
            return result
        except ValueError as error:
            raise OSError(error) from error
        except ftplib.error_perm as error:
            raise FileNotFoundError(error) from error
        except (OSError, EOFError, ftplib.Error):
            self.lose()
            raise

    def enters(self, path, name):
        try:
            self.ready().cwd(urllib.parse.unquote(path, "latin-1") + name)
            return True
        except (ftplib.error_perm, ValueError):
            return False


def say(word, path):
    print(word, path, flush=True)


class Walk:
    def __init__(self, server, forbidden):
        self.server, self.forbidden = server, forbidden
        self.files = self.lists = self.failed = 0

    def tried(self, action, path):
        began = time.monotonic()
        try:
            return action(path)
        except (TimeoutError, socket.timeout):
            say("hung", path)
        except (OSError, EOFError, http.client.HTTPException, ftplib.Error):
            self.failed += 1
            if time.monotonic() - began > LIMIT:
                say("hung", path)
        return None

    def file(self, path):
        text = self.tried(self.server.get, path)
        if text is None:
            return
        self.files += 1
        if self.forbidden.search(text):
            say("forbidden", path)

    def directory(self, path, depth=0):
        entries = self.tried(self.server.list, path)
        if entries is None:
            return
        self.lists += 1
        entries = entries[:ENTRIES if depth == 0 else WHOLE]
        for entry in entries:
            if not entry.endswith("/") and self.files + self.failed < FILES:
                self.file(path + entry)
        for entry in entries:
            if entry.endswith("/") and entry not in ("./", "../") and depth < DEPTH and \
                    self.files + self.failed < FILES:
                self.directory(path + entry, depth + 1)


def main():
    kind, address, forbidden = sys.argv[1:4]
    with open(forbidden, "rb") as file:
        expression = re.compile(b"|".join(line for line in file.read().split(b"\n") if line))
    server = {"http": Http, "ftp": Ftp, "tftp": Tftp}[kind](address)
    for path in sys.argv[4:]:
        walk = Walk(server, expression)
        walk.directory(f"/{path}/")
        print(path, "lists", walk.lists, "files", walk.files, "failed", walk.failed, flush=True)


main()
