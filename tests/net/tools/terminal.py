"""Runs a command on a terminal of its own and types what it asks for:
terminal.py ANSWER... -- COMMAND...

Each ANSWER is typed when the command has asked (its output ends in ": "). Prints what stood on the
screen, and ends with the command's status. An answer of "^C" is the key."""
import os
import pty
import select
import sys

TIMEOUT = 30


def read(fd):
    ready, _, _ = select.select([fd], [], [], TIMEOUT)
    if not ready:
        sys.exit("terminal.py: the command is silent")
    try:
        return os.read(fd, 4096)
    except OSError:  # EIO: it has closed the terminal
        return b""


def main():
    split = sys.argv.index("--")
    answers, command = sys.argv[1:split], sys.argv[split + 1:]
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    screen = b""
    while data := read(fd):
        screen += data
        if screen.endswith(b": ") and answers:
            answer = answers.pop(0)
            os.write(fd, b"\x03\n" if answer == "^C" else answer.encode() + b"\n")
    sys.stdout.buffer.write(screen)
    _, status = os.waitpid(pid, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


main()
