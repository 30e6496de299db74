/* The kernel's calls, other processes, files. */
#include "hostile.h"

#include "sandbox_probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#define TREE "/srv/share"

static bool is_root(void)
{
    return geteuid() == 0;
}

/* EFAULT and EBADF would mean that the call itself is allowed. */
static void try_probe(const char *name, bool lawful)
{
    int r = probe_try(name);
    if (lawful) {
        return;
    }
    bool held = r > 1000 || (r > 0 && r != EFAULT && r != EBADF);
    say("%s %s: %s", held ? "held" : "BROKE", name,
        r > 1000                     ? "killed"
        : strerrorname_np(r) != NULL ? strerrorname_np(r)
                                     : "it worked");
}

static void mounts(void)
{
    static const char *const places[] = {"/", TREE, "/usr", "/var", "/dev"};
    attempt("bind", mount("/usr", "/var/tmp", NULL, MS_BIND, NULL));
    attempt("mount proc", mount("proc", "/var/tmp", "proc", 0, NULL));
    attempt("move the tree", mount(TREE, "/var/tmp", NULL, MS_MOVE, NULL));
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        attempt("remount writable", mount(NULL, places[i], NULL, MS_REMOUNT | MS_BIND, NULL));
        attempt("umount", umount2(places[i], MNT_DETACH));
    }
}

void group_kernel(void)
{
    bool lawful;
    const char *name;
    for (size_t i = 0; (name = probe_name(i, &lawful)) != NULL; i++) {
        try_probe(name, lawful);
    }
    mounts();
}

/* --- processes --- */

static void touch_process(pid_t pid)
{
    char buffer[8];
    struct iovec here = {buffer, sizeof buffer}, there = {(void *)0x400000, sizeof buffer};
    attempt("process_vm_readv", process_vm_readv(pid, &here, 1, &there, 1, 0));
    attempt("process_vm_writev", process_vm_writev(pid, &here, 1, &there, 1, 0));
    attempt("ptrace", ptrace(PTRACE_SEIZE, pid, NULL, NULL));
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    for (int number = 3; number < 10; number++) {
        attempt("a descriptor of a supervisor", syscall(SYS_pidfd_getfd, fd, number, 0));
    }
    attempt("setns by pidfd", syscall(SYS_setns, fd, 0x20000));
    if (!is_root()) { /* the sandbox's root may end its own share */
        siginfo_t info = {.si_code = SI_QUEUE};
        attempt("kill", kill(pid, SIGKILL));
        attempt("tgkill", syscall(SYS_tgkill, pid, pid, SIGKILL));
        attempt("rt_sigqueueinfo", syscall(SYS_rt_sigqueueinfo, pid, SIGTERM, &info));
        attempt("pidfd_send_signal", syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0));
    }
    close(fd);
}

/* PID 1 and 2 are the supervisors. There is nobody here but them and what they started: numbers
 * are small in a PID namespace of its own. */
void group_processes(void)
{
    static const char *const paths[] = {"/proc/self/net/tcp",   "/proc/self/net/arp",
                                        "/proc/1/mem",          "/proc/1/environ",
                                        "/proc/1/maps",         "/proc/1/root/etc/shadow",
                                        "/proc/self/mountinfo", "/proc/sys/kernel/core_pattern",
                                        "/proc/sysrq-trigger",  "/proc/kcore"};
    for (size_t i = value_number("proc") ? sizeof paths / sizeof paths[0] : 0;
         i < sizeof paths / sizeof paths[0]; i++) {
        attempt(paths[i], open(paths[i], O_RDONLY));
    }
    touch_process(1);
    touch_process(2);
    say("%s a foreign process: %s", kill((pid_t)value_number("foreign"), 0) < 0 ? "held" : "BROKE",
        strerrorname_np(errno));
    for (pid_t pid = 1; !is_root() && pid < 1000; pid++) {
        siginfo_t info = {.si_code = SI_QUEUE};
        if (pid <= 2 && syscall(SYS_rt_tgsigqueueinfo, pid, pid, SIGSTOP, &info) == 0) {
            say("BROKE rt_tgsigqueueinfo: %d", (int)pid);
        }
    }
}

/* --- files --- */

static void read_secret(const char *path)
{
    attempt("read a file of the host", open(path, O_RDONLY));
}

static const char *listed;
static bool expected;
static void is_expected(const char *part)
{
    expected = expected || strcmp(part, listed) == 0;
}

static void only_its_own(void)
{
    DIR *directory = opendir(TREE);
    struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        listed = entry->d_name;
        expected = false;
        each_value("names", is_expected);
        say("%s what the tree holds: %s", expected ? "held" : "BROKE", entry->d_name);
    }
    if (directory != NULL) {
        closedir(directory);
    }
}

static int leave_by_chroot(void)
{
    int root = open("/", O_RDONLY);
    mkdir("/var/tmp/jail", 0755);
    if (root < 0 || chroot("/var/tmp/jail") < 0 || fchdir(root) < 0) {
        return 0;
    }
    for (int i = 0; i < 64 && chdir("..") == 0; i++) {
    }
    if (chroot(".") < 0) {
        return 0;
    }
    struct stat status;
    return stat("/proc/1/cmdline", &status) == 0 || stat("/boot", &status) == 0 ||
           stat("/root", &status) == 0;
}

static int run_setuid(void)
{
    int fd = open("/var/tmp/program", O_WRONLY | O_CREAT, 0755);
    if (fd < 0 || write(fd, "#!/bin/sh\n", 10) != 10 || fchmod(fd, 06755) < 0) {
        return 0;
    }
    close(fd);
    execl("/var/tmp/program", "program", NULL);
    return 0;
}

static void change_image(const char *image)
{
    char path[512], magic[64];
    long flags = FS_IMMUTABLE_FL;
    snprintf(path, sizeof path, TREE "/%s", image);
    attempt("write an image", open(path, O_WRONLY));
    attempt("truncate an image", truncate(path, 0));
    attempt("unlink an image", unlink(path));
    attempt("rename an image", rename(path, TREE "/renamed"));
    attempt("link an image", link(path, "/var/tmp/linked"));
    attempt("chmod an image", chmod(path, 0777));
    attempt("chown an image", chown(path, 0, 0));
    attempt("touch an image", utimensat(AT_FDCWD, path, NULL, 0));
    attempt("an attribute of an image", setxattr(path, "user.x", "x", 1, 0));
    int fd = open(path, O_RDONLY);
    attempt("flags of an image", ioctl(fd, FS_IOC_SETFLAGS, &flags));
    attempt("a lease on an image", fcntl(fd, F_SETLEASE, F_RDLCK));
    attempt("punch a hole", fallocate(fd, 3, 0, 4096));
    snprintf(magic, sizeof magic, "/proc/self/fd/%d", fd);
    attempt("open an image again", open(magic, O_RDWR));
    close(fd);
}

void group_files(void)
{
    static const char *const places[] = {"/x",         "/usr/x", "/etc/x",
                                         "/libexec/x", "/dev/x", "/srv/share/x"};
    static const char *const shut[] = {"/usr/bin/env", "/etc/passwd", "/libexec/cdss-supervisor"};
    static const char *const absent[] = {
        "/sys",        "/run/cdss",    "/var/lib/cdss",
        "/home",       "/root",        "/boot",
        "/dev/loop0",  "/dev/fuse",    "/dev/loop-control",
        "/dev/mem",    "/dev/kmsg",    "/dev/shm",
        "/dev/mqueue", "/dev/net/tun", "/run/dbus/system_bus_socket",
        "/run/systemd"};
    struct stat status;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        attempt(places[i], open(places[i], O_CREAT | O_WRONLY, 0644));
    }
    for (size_t i = 0; i < sizeof shut / sizeof shut[0]; i++) {
        attempt(shut[i], open(shut[i], O_WRONLY));
    }
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        attempt(absent[i], stat(absent[i], &status));
    }
    attempt("a block device", mknod("/var/tmp/disk", S_IFBLK | 0666, makedev(7, 0)));
    attempt("a character device", mknod("/var/tmp/mem", S_IFCHR | 0666, makedev(1, 1)));
    each_value("secrets", read_secret);
    each_value("image", change_image);
    only_its_own();
    say("%s a chroot: %s", in_child(leave_by_chroot, 5) == 0 ? "held" : "BROKE", "left");
    say("%s a setuid program: %s", in_child(run_setuid, 5) == 0 ? "held" : "BROKE", "run");
    if (!is_root()) { /* what belongs to the servers that start as root */
        attempt("another server's configuration", open("/var/cfg/mark.conf", O_RDONLY));
    }
}
