"""Types lines and a TAB each into an interactive bash, and prints the words that bash then has.

tab.py COMPLETION-FILE LINE...: the words come one a line, and END behind those of a line. A ^ is typed
behind the TAB: where bash has ended the last word, it is a word of its own.
"""
import os
import pty
import select
import sys
import tempfile
import time

rc = """. '%s'
words() { printf '%%s\\n' "$@"; echo END; }
PS1=PROMPT
bind 'set bell-style none'
bind 'set enable-bracketed-paste off'
""" % sys.argv[1]
seen = b""


def read_until(mark, seconds=20):
    global seen
    end = time.monotonic() + seconds
    while mark not in seen:
        left = end - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            sys.exit("tab.py: bash did not answer: %r" % seen)
        seen += os.read(fd, 65536)
    part, _, seen = seen.partition(mark)
    return part


with tempfile.NamedTemporaryFile("w", suffix=".rc") as file:
    file.write(rc)
    file.flush()
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(TERM="dumb", HISTFILE="/dev/null", INPUTRC="/dev/null", COLUMNS="2000")
        os.execvp("bash", ["bash", "--noprofile", "--rcfile", file.name, "-i"])
    read_until(b"PROMPT")
for line in sys.argv[2:]:
    # readline reads what follows the TAB when the completion has ended. Then the line becomes arguments.
    os.write(fd, (line + "\t^\x01words \r").encode())
    read_until(b"\r\n")
    print(read_until(b"END\r\n").decode(errors="surrogateescape").replace("\r\n", "\n") + "END")
    read_until(b"PROMPT")
os.kill(pid, 9)
os.waitpid(pid, 0)
