# What a captured server might try from inside of its sandbox. Standard input is a connection; its
# first line is "GROUP NAME=VALUE...". Answers a line for each attempt, "held NAME: HOW" or "BROKE
# NAME: HOW", and then "end". tests/net/hostile.sh calls it.
import ctypes
import errno
import os
import resource
import signal
import socket
import stat
import struct
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
TREE = sys.argv[1]
NUMBERS = {  # the same on every architecture from 424 on
    "clone": {"x86_64": 56, "aarch64": 220}, "unshare": {"x86_64": 272, "aarch64": 97},
    "setns": {"x86_64": 308, "aarch64": 268}, "pivot_root": {"x86_64": 155, "aarch64": 41},
    "bpf": {"x86_64": 321, "aarch64": 280}, "keyctl": {"x86_64": 250, "aarch64": 219},
    "userfaultfd": {"x86_64": 323, "aarch64": 282}, "perf_event_open": {"x86_64": 298, "aarch64": 241},
    "open_by_handle_at": {"x86_64": 304, "aarch64": 265}, "io_uring_setup": 425, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsmount": 432, "clone3": 435, "pidfd_open": 434,
    "pidfd_getfd": 438, "mount_setattr": 442, "statmount": 457, "listmount": 458}
NAMESPACES = {"mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000,
              "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000}


def say(text):
    os.write(1, (text.replace("\n", " ") + "\n").encode())


def name_of(error):
    return errno.errorcode.get(error, str(error))


def attempt(name, function, *arguments):
    """To come back at all is to have broken out; an OSError is how it was held."""
    try:
        result = function(*arguments)
        say("BROKE %s: %s" % (name, str(result)[:100]))
    except OSError as error:
        say("held %s: %s" % (name, name_of(error.errno) if error.errno else error))
    except Held as held:
        say("held %s: %s" % (name, held))


class Held(Exception):
    pass


def checked(result):
    if result is None or result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def call(name, *arguments):
    number = NUMBERS[name]
    number = number if isinstance(number, int) else number[os.uname().machine]
    return checked(libc.syscall(ctypes.c_long(number), *[
        ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]))


def in_child(function, *arguments, seconds=5):
    """For what must not happen to this process: returns what it printed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            text = str(function(*arguments))
        except OSError as error:
            text = "!" + name_of(error.errno)
        except BaseException as error:
            text = "!" + repr(error)
        os.write(writing, text.encode()[:4000])
        os._exit(0)
    os.close(writing)
    os.set_blocking(reading, False)
    said, until = b"", time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            more = os.read(reading, 4096)
            if not more:
                break
            said += more
        except BlockingIOError:
            time.sleep(0.01)
    else:
        os.kill(child, signal.SIGKILL)
    os.close(reading)
    os.waitpid(child, 0)
    text = said.decode()
    if text.startswith("!"):
        raise Held(text[1:])
    return text


# ---- mounts ----

def mount(source, target, kind, flags, data=None):
    return checked(libc.mount(source, target, kind, ctypes.c_ulong(flags), data))


def mounts(_):
    MS_RDONLY, MS_REMOUNT, MS_BIND, MS_MOVE = 1, 32, 4096, 8192
    tree = TREE.encode()
    attempt("mount a tmpfs", mount, b"x", b"/var/tmp", b"tmpfs", 0)
    attempt("mount proc", mount, b"x", b"/var/tmp", b"proc", 0)
    attempt("bind", mount, b"/usr", b"/var/tmp", None, MS_BIND)
    for place in (b"/", tree, b"/usr", b"/proc"):
        attempt("remount %s writable" % place.decode(), mount, None, place, None, MS_REMOUNT | MS_BIND)
    attempt("remount /proc with all pids", mount, b"proc", b"/proc", b"proc", MS_REMOUNT, b"hidepid=0")
    attempt("move the tree", mount, tree, b"/var/tmp", None, MS_MOVE)
    for place in (tree, b"/proc", b"/usr", b"/var"):
        attempt("umount %s" % place.decode(), lambda: checked(libc.umount2(place, 2)))
    attempt("pivot_root", call, "pivot_root", b"/var", b"/var/tmp")
    attempt("open_tree", call, "open_tree", -100, b"/", 1)
    attempt("fsopen", call, "fsopen", b"tmpfs", 0)
    attempt("mount_setattr", call, "mount_setattr", -100, b"/", 0, b"\0" * 32, 32)
    attempt("listmount", call, "listmount", b"\0" * 32, b"\0" * 64, 8, 0)
    attempt("open_by_handle_at", call, "open_by_handle_at", 0, b"\0" * 64, 0)


# ---- namespaces ----

def join(path, flag):
    fd = os.open(path, os.O_RDONLY)
    return call("setns", fd, flag)


def namespaces(_):
    for name, flag in NAMESPACES.items():
        attempt("unshare %s" % name, in_child, call, "unshare", flag)
        attempt("clone into a new %s namespace" % name, in_child, clone_with, flag)
    attempt("clone3", call, "clone3", b"\0" * 88, 88)
    for name in ("mnt", "net", "pid", "user"):
        attempt("setns to the own %s" % name, join, "/proc/self/ns/%s" % name, 0)
        attempt("setns to PID 1's %s" % name, join, "/proc/1/ns/%s" % name, 0)


def clone_with(flag):
    child = call("clone", flag | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "a process"


# ---- other processes ----

def others():
    own = os.getpid()
    found = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit() and int(name) != own:
            try:
                with open("/proc/%s/cmdline" % name, "rb") as file:
                    found[int(name)] = file.read().split(b"\0")[0].decode()
            except OSError:
                pass
    return found


def peek(path):
    with open(path, "rb", 0) as file:
        return "%d bytes" % len(file.read(4096))


def processes(values):
    supervisors = {1} | {pid for pid, name in others().items() if "supervisor" in name}
    for pid in sorted(supervisors):
        for name in ("mem", "environ", "maps", "auxv", "stack", "syscall"):
            attempt("/proc/%s/%s" % ("1" if pid == 1 else "second", name), peek, "/proc/%d/%s" % (pid, name))
        for name in ("fd", "map_files"):
            attempt("/proc/%s/%s" % ("1" if pid == 1 else "second", name), os.listdir, "/proc/%d/%s" % (pid, name))
        for name in ("root", "cwd", "exe", "ns/mnt", "ns/user"):
            attempt("/proc/%s/%s" % ("1" if pid == 1 else "second", name), os.readlink, "/proc/%d/%s" % (pid, name))
        for number in range(12):
            for flags in (os.O_RDONLY, os.O_RDWR):
                try:
                    os.close(os.open("/proc/%d/fd/%d" % (pid, number), flags))
                    say("BROKE a descriptor of a supervisor: %d" % number)
                except OSError:
                    pass
        attempt("ptrace a supervisor", lambda: checked(libc.ptrace(16, pid, 0, 0)))
        attempt("process_vm_readv of a supervisor",
                lambda: checked(libc.process_vm_readv(pid, b"\0" * 16, 1, b"\0" * 16, 1, 0)))
        attempt("a descriptor of a supervisor", steal_descriptor, pid)
    for line in open("/proc/self/mountinfo") if os.path.isdir("/proc") else ():
        words = line.split()
        if any(word in line for word in values["host_words"].split(",")):
            say("BROKE a path of the host in mountinfo: %s" % " ".join(words[3:5]))
    strangers = [name for name in others().values()  # a zombie has no name
                 if name and not any(word in name for word in ("supervisor", "python", "lighttpd", "vsftpd", "atftpd", "fuseiso"))]
    say("%s processes of others: %s" % ("BROKE" if strangers else "held", strangers))


def steal_descriptor(pid):
    fd = call("pidfd_open", pid, 0)
    return [call("pidfd_getfd", fd, number, 0) for number in range(3, 9)]


# ---- files ----

def write_to(path):
    fd = os.open(path, os.O_WRONLY)
    return os.write(fd, b"x")


def files(values):
    for path in ("/x", "/usr/x", "/etc/x", "/libexec/x", "/dev/x", "/proc/x", "/bin/x", TREE + "/x",
                 TREE + "/mine/x"):
        attempt("make %s" % path, os.open, path, os.O_CREAT | os.O_WRONLY)
    for path in ("/usr/bin/env", "/etc/passwd", "/libexec/cdss-supervisor", TREE + "/" + values["image"],
                 "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/1/oom_score_adj"):
        attempt("write %s" % path, write_to, path)
    image = TREE + "/" + values["image"]
    attempt("truncate the image", os.truncate, image, 0)
    attempt("unlink the image", os.unlink, image)
    attempt("rename the image", os.rename, image, image + ".x")
    attempt("link the image elsewhere", os.link, image, "/var/tmp/image")
    attempt("chmod the image", os.chmod, image, 0o777)
    attempt("chown the image", os.chown, image, 0, 0)
    attempt("utimes of the image", os.utime, image)
    attempt("an attribute of the image", os.setxattr, image, "user.x", b"x")
    attempt("write the image through /proc/self/fd", rewrite, image)
    attempt("flags of the image", set_flags, image)
    attempt("a lease on the image", lease, image)
    attempt("a device", os.mknod, "/var/tmp/device", stat.S_IFBLK | 0o666, os.makedev(7, 0))
    attempt("the memory device", os.mknod, "/var/tmp/mem", stat.S_IFCHR | 0o666, os.makedev(1, 1))
    attempt("a setuid program", setuid_program)
    for path in values["secrets"].split(","):
        attempt("read a file of the host", peek, path)
        attempt("read a file of the host through PID 1", peek, "/proc/1/root" + path)
    attempt("leave by chroot", leave_by_chroot, values)
    for name in sorted(os.listdir(TREE)):
        if name not in values["names"].split(","):
            say("BROKE another share's file: %s" % name)
    for path in ("/sys", "/run/cdss", "/var/lib/cdss", "/home", "/root", "/boot", "/dev/loop0", "/dev/fuse",
                 "/dev/loop-control", "/dev/mem", "/dev/kmsg", "/dev/shm"):
        attempt("see %s" % path, os.stat, path)


def rewrite(path):
    fd = os.open(path, os.O_RDONLY)
    return write_to("/proc/self/fd/%d" % fd)


def set_flags(path):
    fd = os.open(path, os.O_RDONLY)
    return checked(libc.ioctl(fd, ctypes.c_ulong(0x40086602), ctypes.byref(ctypes.c_long(0x10))))


def lease(path):
    import fcntl
    fd = os.open(path, os.O_RDONLY)
    return fcntl.fcntl(fd, 1024, fcntl.F_RDLCK)


def setuid_program():
    with open("/var/tmp/program", "wb") as file:
        file.write(b"#!/bin/sh\nid\n")
    os.chmod("/var/tmp/program", 0o6755)
    return in_child(os.execv, "/var/tmp/program", ["program"])


def leave_by_chroot(values):
    def leave():
        os.makedirs("/var/tmp/jail", exist_ok=True)
        root = os.open("/", os.O_RDONLY)
        os.chroot("/var/tmp/jail")
        os.fchdir(root)
        for _ in range(64):
            os.chdir("..")
        os.chroot(".")
        return [peek(path) for path in values["secrets"].split(",")]
    return in_child(leave)


# ---- sockets ----

def connect(family, kind, address, data=b"x"):
    with socket.socket(family, kind) as sock:
        sock.settimeout(1)
        sock.connect(address)
        sock.send(data)
        return sock.recv(100)


def answered(family, kind, address):
    try:
        return connect(family, kind, address)
    except socket.timeout:
        raise Held("silence")


def sockets(values):
    for name, family, kind, protocol in (
            ("raw", socket.AF_INET, socket.SOCK_RAW, 255), ("raw ICMP", socket.AF_INET, socket.SOCK_RAW, 1),
            ("ping", socket.AF_INET, socket.SOCK_DGRAM, 1), ("ping6", socket.AF_INET6, socket.SOCK_DGRAM, 58),
            ("packet", socket.AF_PACKET, socket.SOCK_RAW, 0x300), ("vsock", 40, socket.SOCK_STREAM, 0),
            ("netlink route", socket.AF_NETLINK, socket.SOCK_RAW, 0), ("alg", 38, socket.SOCK_SEQPACKET, 0),
            ("netlink netfilter", socket.AF_NETLINK, socket.SOCK_RAW, 12), ("xdp", 44, socket.SOCK_RAW, 0),
            ("netlink diag", socket.AF_NETLINK, socket.SOCK_RAW, 4), ("smc", 43, socket.SOCK_STREAM, 0),
            ("sctp", socket.AF_INET, socket.SOCK_STREAM, 132), ("mptcp", socket.AF_INET, socket.SOCK_STREAM, 262),
            ("udplite", socket.AF_INET, socket.SOCK_DGRAM, 136), ("dccp", socket.AF_INET, 6, 33),
            ("tipc", 30, socket.SOCK_RDM, 0), ("can", 29, socket.SOCK_RAW, 1), ("rds", 21, 5, 0)):
        attempt("a socket of %s" % name, socket.socket, family, kind, protocol)
    attempt("detach the socket's filter", lambda: socket.socket(fileno=os.dup(0)).setsockopt(socket.SOL_SOCKET, 27, 0))
    attempt("unlock the socket's filter", lambda: socket.socket(fileno=os.dup(0)).setsockopt(socket.SOL_SOCKET, 44, 0))
    attempt("replace the socket's filter", replace_filter, socket.socket(fileno=os.dup(0)))
    attempt("mark a socket", lambda: socket.socket(fileno=os.dup(0)).setsockopt(socket.SOL_SOCKET, 36, 1))
    for family, transparent in ((socket.AF_INET, (0, 19)), (socket.AF_INET6, (41, 75))):
        attempt("a transparent socket", transparent_socket, family, transparent)
    for target in values["tcp"].split(","):
        address, port = target.rsplit("|", 1)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        attempt("TCP to %s" % target, answered, family, socket.SOCK_STREAM, (address, int(port)))
    for target in values["udp"].split(","):
        address, port = target.rsplit("|", 1)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        attempt("UDP to %s" % target, answered, family, socket.SOCK_DGRAM, (address, int(port)))
    attempt("a fast open", fast_open, values["tcp"].split(",")[0])
    for name in values["abstract"].split(","):
        attempt("the abstract socket %s" % name, answered, socket.AF_UNIX, socket.SOCK_STREAM, "\0" + name)
        attempt("a datagram to the abstract socket %s-d" % name, unix_datagram, "\0" + name + "-d")
        attempt("a pair's datagram to the abstract socket %s-d" % name, pair_datagram, "\0" + name + "-d")
    attempt("the broker's socket", answered, socket.AF_UNIX, socket.SOCK_SEQPACKET, values["broker"])
    attempt("sendmsg with a descriptor to the network", pass_descriptor)
    attempt("a port below 1024", listen_at, 22)


def replace_filter(sock):
    code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0xffffffff))
    program = struct.pack("HxxxxxxP", 1, ctypes.addressof(code))
    return sock.setsockopt(socket.SOL_SOCKET, 26, program)


def transparent_socket(family, option):
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(option[0], option[1], 1)
        return "set"


def fast_open(target):
    address, port = target.rsplit("|", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.settimeout(1)
        sock.sendto(b"x", 0x20000000, (address, int(port)))
        try:
            return sock.recv(10)
        except socket.timeout:
            raise Held("silence")


def unix_datagram(name):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        return sock.sendto(b"x", name)


def pair_datagram(name):
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return one.sendto(b"x", name)


def pass_descriptor():
    sock = socket.socket(fileno=os.dup(0))
    sock.sendmsg([b""], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", 0))])
    raise Held("ignored")


def listen_at(port):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("0.0.0.0", port))
        return "bound"


# ---- bounds ----

def fork_without_bound():
    children, why = [], "no end"
    while len(children) < 5000:
        try:
            child = os.fork()
        except OSError as error:
            why = name_of(error.errno)
            break
        if child == 0:
            signal.pause()
            os._exit(0)
        children.append(child)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return len(children), why


def fill(path, limit):
    size, block = 0, b"\1" * (1 << 20)
    with open(path, "wb", 0) as file:
        try:
            while size < limit:
                size += file.write(block)
        except OSError as error:
            return size, name_of(error.errno)
        finally:
            os.unlink(path)
    return size, "no end"


def fill_names():
    made = 0
    try:
        while made < 100000:
            os.mkdir("/var/tmp/d%d" % made)
            made += 1
    except OSError as error:
        return made, name_of(error.errno)
    finally:
        for number in range(made):
            os.rmdir("/var/tmp/d%d" % number)
    return made, "no end"


def fill_memory(limit):
    blocks = []
    while len(blocks) < limit:
        blocks.append(bytearray(b"\1" * (1 << 20)))
    return "%d MiB" % len(blocks)


def open_without_bound():
    opened = []
    try:
        while len(opened) < 100000:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        return len(opened), name_of(error.errno)
    finally:
        for fd in opened:
            os.close(fd)
    return len(opened), "no end"


def bounded(name, result, limit):
    count, why = result
    say("%s %s: %d, then %s" % ("held" if count < limit else "BROKE", name, count, why))


def bounds(values):
    bounded("processes", fork_without_bound(), 1000)
    bounded("bytes of /var", fill("/var/tmp/full", 1 << 30), 64 << 20)
    bounded("names of /var", fill_names(), 10000)
    bounded("descriptors", open_without_bound(), 5000)
    for name, limit in (("RLIMIT_NOFILE", 1 << 20), ("RLIMIT_NPROC", 1 << 20), ("RLIMIT_CORE", resource.RLIM_INFINITY),
                        ("RLIMIT_MEMLOCK", resource.RLIM_INFINITY)):
        before = resource.getrlimit(getattr(resource, name))
        try:
            resource.setrlimit(getattr(resource, name), (limit, limit))
        except (OSError, ValueError):
            pass
        after = resource.getrlimit(getattr(resource, name))
        say("%s a higher %s: %s" % ("held" if after == before else "BROKE", name, after))
    text = ""
    try:
        text = in_child(fill_memory, int(values["memory"]), seconds=20)
    except Held as held:
        text = ""
    say("%s memory: %s" % ("BROKE" if text else "held", text or "killed"))


# ---- damage to itself ----

def kill_all(_):
    for pid in (1, -1):  # kill(2): -1 spares only PID 1, which takes no SIGKILL from inside
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass


def hold_on(_):
    """A process that ignores what it can, in a session of its own, and lets go of the connection."""
    if os.fork() == 0:
        os.setsid()
        for number in range(1, 32):
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_IGN)
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.dup2(null, 2)
        while True:
            time.sleep(10)
    say("holding on")


GROUPS = {"mounts": mounts, "namespaces": namespaces, "processes": processes, "files": files,
          "sockets": sockets, "bounds": bounds, "kill": kill_all, "hold": hold_on}


def main():
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(0, 1)
        if not more:
            return
        line += more
    words = line.decode().split()
    signal.alarm(60)
    try:
        GROUPS[words[0]](dict(word.split("=", 1) for word in words[1:]))
    except BaseException as error:
        import traceback
        say("BROKE the test itself: " + traceback.format_exc())
    say("end")


main()
