/* What a captured server would try: a table. Each runs in a child, because some are lethal. */
#include "sandbox_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALL(name, ...)                                                                            \
    static int try_##name(void)                                                                    \
    {                                                                                              \
        return syscall(__VA_ARGS__) < 0 ? errno : 0;                                               \
    }

CALL(mount, SYS_mount, "x", "/var/tmp", "tmpfs", 0, NULL)
CALL(umount, SYS_umount2, "/proc", MNT_DETACH)
CALL(pivot_root, SYS_pivot_root, ".", ".")
CALL(fsopen, SYS_fsopen, "tmpfs", 0)
CALL(open_tree, SYS_open_tree, AT_FDCWD, "/usr", OPEN_TREE_CLONE)
CALL(move_mount, SYS_move_mount, AT_FDCWD, "/proc", AT_FDCWD, "/var", 0)
CALL(mount_setattr, SYS_mount_setattr, AT_FDCWD, "/", 0, NULL, 0)
CALL(open_tree_attr, 467, AT_FDCWD, "/usr", OPEN_TREE_CLONE, NULL, 0)
CALL(statmount, 457, NULL, NULL, 0, 0)
CALL(unshare_user, SYS_unshare, CLONE_NEWUSER)
CALL(unshare_mount, SYS_unshare, CLONE_NEWNS)
CALL(unshare_network, SYS_unshare, CLONE_NEWNET)
CALL(unshare_files, SYS_unshare, CLONE_FS)
CALL(clone3, SYS_clone3, NULL, 0)
CALL(setns, SYS_setns, 0, 0)
CALL(process_vm_readv, SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0)
CALL(pidfd_getfd, SYS_pidfd_getfd, -1, 0, 0)
CALL(io_uring_setup, SYS_io_uring_setup, 0, NULL)
CALL(bpf, SYS_bpf, 0, NULL, 0)
CALL(perf_event_open, SYS_perf_event_open, NULL, 0, 0, 0, 0)
CALL(keyctl, SYS_keyctl, 0, 0)
CALL(add_key, SYS_add_key, "user", "x", "x", 1, -1)
CALL(userfaultfd, SYS_userfaultfd, 1)
CALL(inotify, SYS_inotify_init1, 0)
CALL(open_by_handle_at, SYS_open_by_handle_at, -1, NULL, 0)
CALL(name_to_handle_at, SYS_name_to_handle_at, -1, "", NULL, NULL, 0)
CALL(reboot, SYS_reboot, 0, 0, 0, NULL)
CALL(kexec_load, SYS_kexec_load, 0, 0, NULL, 0)
CALL(init_module, SYS_init_module, NULL, 0, "")
CALL(swapon, SYS_swapon, "/nowhere", 0)
CALL(acct, SYS_acct, "/nowhere")
CALL(quotactl, SYS_quotactl, 0, NULL, 0, NULL)
CALL(sethostname, SYS_sethostname, "x", 1)
CALL(syslog, SYS_syslog, 3, NULL, 0)
CALL(tiocsti, SYS_ioctl, 0, TIOCSTI, "x")
CALL(lease, SYS_fcntl, 0, F_SETLEASE, F_RDLCK)
CALL(setuid_user, SYS_setuid, 1000)
CALL(setuid_foreign, SYS_setuid, 12345)
CALL(chroot_tree, SYS_chroot, "/srv/share")
CALL(nice, SYS_setpriority, 0, 0, -5)
CALL(mknod, SYS_mknodat, AT_FDCWD, "/var/tmp/disk", S_IFBLK | 0600, makedev(254, 0))
CALL(chown_foreign, SYS_fchownat, AT_FDCWD, "/var/tmp", 4242, 4242, 0)

/* Lowering the limit first is what would bring core(5)'s handler back. */
static int try_crash(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    raise(SIGSEGV);
    return 0;
}

static int try_core_limit(void)
{
    struct rlimit none = {0, 0}, now = {0, 0};
    if (syscall(SYS_setrlimit, RLIMIT_CORE, &none) < 0 ||
        prlimit(0, RLIMIT_CORE, &none, NULL) < 0 || prlimit(0, RLIMIT_CORE, NULL, &now) < 0) {
        return errno;
    }
    return now.rlim_cur == 1 && now.rlim_max == 1 ? 0 : ERANGE;
}

static int try_clone_user(void)
{
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) {
        _exit(0);
    }
    return pid < 0 ? errno : 0;
}

/* Descriptor 0 is no socket: what is refused is refused by the filter, not by the socket. */
CALL(interfaces, SYS_ioctl, 0, SIOCGIFCONF, NULL)
CALL(multicast, SYS_setsockopt, 0, IPPROTO_IP, IP_ADD_MEMBERSHIP, NULL, 0)
CALL(multicast6, SYS_setsockopt, 0, IPPROTO_IPV6, IPV6_JOIN_GROUP, NULL, 0)
CALL(ulp, SYS_setsockopt, 0, IPPROTO_TCP, TCP_ULP, "tls", 3)

static int try_ptrace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? errno : 0;
}

static int try_pair_stream(void)
{
    int ends[2];
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ? errno : 0;
}

static int try_pair_datagram(void)
{
    int ends[2];
    return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) < 0 ? errno : 0;
}

/* Through the back door, if there were one: a datagram socket of a pair, sent to an abstract name
 * of the host. */
static int try_abstract(void)
{
    int ends[2];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, "\0cdss-abstract", 14);
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) < 0) {
        return errno;
    }
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + 14;
    return sendto(ends[0], "x", 1, 0, (struct sockaddr *)&address, length) < 0 ? errno : 0;
}

#ifdef __x86_64__
static int try_i386(void)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory"); /* getpid */
    return result < 0 ? (int)-result : 0;
}

CALL(x32, 0x40000000 + 39) /* getpid */
#endif

static const struct {
    const char *name;
    int (*run)(void);
    bool lawful; /* a server may, or it is harmless */
} tries[] = {
#define TRY(name)                                                                                  \
    {                                                                                              \
#name, try_##name, false                                                                   \
    }
#define LAWFUL(name)                                                                               \
    {                                                                                              \
#name, try_##name, true                                                                    \
    }
    TRY(mount),
    TRY(umount),
    TRY(pivot_root),
    TRY(fsopen),
    TRY(open_tree),
    TRY(move_mount),
    TRY(mount_setattr),
    TRY(open_tree_attr),
    TRY(statmount),
    TRY(unshare_user),
    TRY(unshare_mount),
    TRY(unshare_network),
    LAWFUL(unshare_files),
    TRY(clone3),
    TRY(setns),
    TRY(process_vm_readv),
    TRY(pidfd_getfd),
    TRY(io_uring_setup),
    TRY(bpf),
    TRY(perf_event_open),
    TRY(keyctl),
    TRY(add_key),
    TRY(userfaultfd),
    TRY(open_by_handle_at),
    TRY(name_to_handle_at),
    TRY(reboot),
    TRY(kexec_load),
    TRY(init_module),
    TRY(swapon),
    TRY(acct),
    TRY(quotactl),
    TRY(sethostname),
    TRY(syslog),
    TRY(tiocsti),
    TRY(lease),
    LAWFUL(setuid_user),
    TRY(setuid_foreign),
    LAWFUL(chroot_tree),
    TRY(nice),
    TRY(mknod),
    TRY(chown_foreign),
    TRY(clone_user),
    TRY(ptrace),
    TRY(inotify),
    TRY(interfaces),
    TRY(multicast),
    TRY(multicast6),
    TRY(ulp),
    LAWFUL(crash),
    LAWFUL(core_limit),
    LAWFUL(pair_stream),
    LAWFUL(pair_datagram),
    TRY(abstract),
#ifdef __x86_64__
    TRY(i386),
    TRY(x32),
#endif
};

/* "socket FAMILY TYPE PROTOCOL" */
static int try_socket(const char *words)
{
    char *end;
    long family = strtol(words, &end, 10), type = strtol(end, &end, 10);
    return socket((int)family, (int)type, (int)strtol(end, NULL, 10)) < 0 ? errno : 0;
}

static int run(const char *name)
{
    if (strncmp(name, "socket ", 7) == 0) {
        return try_socket(name + 7);
    }
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        if (strcmp(tries[i].name, name) == 0) {
            return tries[i].run();
        }
    }
    return 255;
}

int probe_try(const char *name)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(run(name));
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0) {
        return errno;
    }
    if (WIFSIGNALED(status)) {
        return WTERMSIG(status) + 1000;
    }
    return WEXITSTATUS(status) == 255 ? -1 : WEXITSTATUS(status);
}

const char *probe_name(size_t index, bool *ret_lawful)
{
    if (index >= sizeof tries / sizeof tries[0]) {
        return NULL;
    }
    *ret_lawful = tries[index].lawful;
    return tries[index].name;
}
