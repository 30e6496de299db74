/* Tables of calls for libseccomp; the compiled BPF is taken out through a memfd. */
#include "sandbox_seccomp.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

/* By name: libseccomp knows the number on each architecture, and a name that it does not know is
 * younger than it and falls under `youngest` below. */
static const char *const denied[] = {
    /* mounts */
    "mount", "umount2", "umount", "pivot_root", "open_tree", "move_mount", "fsopen", "fsconfig",
    "fsmount", "fspick", "mount_setattr", "quotactl", "quotactl_fd", "fanotify_init",
    "name_to_handle_at", "open_by_handle_at", "swapon", "swapoff", "acct",
    /* other processes */
    "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "process_madvise",
    "process_mrelease", "move_pages", "migrate_pages", "setns",
    /* large, young or rarely used parts of the kernel */
    "io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "perf_event_open", "add_key",
    "request_key", "keyctl", "userfaultfd", "memfd_secret", "lookup_dcookie", "nfsservctl",
    "modify_ldt", "uselib", "ustat", "sysfs", "_sysctl", "mbind", "set_mempolicy",
    "set_mempolicy_home_node", "vm86", "vm86old",
    /* what counts for the host's root as well, who made the user namespace */
    "inotify_init", "inotify_init1",
    /* the machine */
    "reboot", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module",
    "create_module", "query_module", "get_kernel_syms", "settimeofday", "clock_settime",
    "clock_adjtime", "adjtimex", "stime", "sethostname", "setdomainname", "iopl", "ioperm",
    "syslog", "vhangup"};

/* Calls from here on are younger than this list (cachestat, Linux 6.5). The numbers are the same
 * on all architectures that share number 446; a program takes ENOSYS for an older kernel. */
static const int youngest[] = {451, 511};

static const unsigned long namespace_flags[] = {CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
                                                CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
                                                CLONE_NEWNET};

static int deny_named(scmp_filter_ctx filter)
{
    int r = 0;
    for (size_t i = 0; i < ARRAY_SIZE(denied) && r == 0; i++) {
        int number = seccomp_syscall_resolve_name(denied[i]);
        if (number >= 0) { /* negative: not on this architecture */
            r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
        }
    }
    return r;
}

static int deny_youngest(scmp_filter_ctx filter)
{
    int r = 0;
    if (seccomp_syscall_resolve_name("landlock_restrict_self") != 446) {
        return 0;
    }
    for (int number = youngest[0]; number <= youngest[1] && r == 0; number++) {
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), number, 0);
    }
    return r;
}

/* clone3(2) hides its flags in memory, where no filter sees them; glibc takes ENOSYS, and only
 * that, as the word to fall back to clone(2). */
static int deny_namespaces(scmp_filter_ctx filter)
{
    int r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    for (size_t i = 0; i < ARRAY_SIZE(namespace_flags) && r == 0; i++) {
        unsigned long flag = namespace_flags[i];
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
        if (r == 0) {
            r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1,
                                 SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
        }
    }
    if (r == 0) { /* in clone(2) this bit belongs to the exit signal */
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWTIME, CLONE_NEWTIME));
    }
    return r;
}

/* Typing into somebody's terminal. */
static int deny_terminals(scmp_filter_ctx filter)
{
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                            SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, TIOCSTI));
}

/* A lease on an image makes whoever opens it for writing on the host wait, and images belong to the
 * share's user here. */
static int deny_leases(scmp_filter_ctx filter)
{
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(fcntl), 1,
                            SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, F_SETLEASE));
}

/* The sockets that a server inherits belong to the host's network, also in a server that has none:
 * they would tell the host's interfaces and addresses (netdevice(7), requests 0x8910 to 0x89ff). */
static int deny_interfaces(scmp_filter_ctx filter)
{
    static const struct {
        scmp_datum_t mask, value;
    } ranges[] = {
        {0xfffffff0u, 0x8910}, {0xffffffe0u, 0x8920}, {0xffffffc0u, 0x8940}, {0xffffff80u, 0x8980}};
    int r = 0;
    for (size_t i = 0; i < ARRAY_SIZE(ranges) && r == 0; i++) {
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, ranges[i].mask, ranges[i].value));
    }
    return r;
}

/* Groups that the host would join for a server, in the sight of its network, and protocols on top
 * of TCP, which are large and which no server here needs. */
static int deny_options(scmp_filter_ctx filter)
{
    static const struct {
        unsigned level, option;
    } options[] = {{IPPROTO_IP, IP_ADD_MEMBERSHIP},
                   {IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP},
                   {IPPROTO_IP, MCAST_JOIN_GROUP},
                   {IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP},
                   {IPPROTO_IPV6, IPV6_JOIN_GROUP},
                   {IPPROTO_IPV6, IPV6_JOIN_ANYCAST},
                   {IPPROTO_IPV6, MCAST_JOIN_GROUP},
                   {IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP},
                   {IPPROTO_TCP, TCP_ULP}};
    const scmp_datum_t mask = 0xffffffffu;
    int r = 0;
    for (size_t i = 0; i < ARRAY_SIZE(options) && r == 0; i++) {
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(setsockopt), 2,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, mask, options[i].level),
                             SCMP_A2(SCMP_CMP_MASKED_EQ, mask, options[i].option));
    }
    return r;
}

/* The limit on core dumps stays what it is: below it, core(5) would run its handler outside. Done
 * nothing and said yes: programs lower it for their own good, and some end when they may not. */
static int deny_core_limit(scmp_filter_ctx filter)
{
    uint32_t action = SCMP_ACT_ERRNO(0);
    const scmp_datum_t mask = 0xffffffffu;
    int r = seccomp_rule_add(filter, action, SCMP_SYS(setrlimit), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, mask, RLIMIT_CORE));
    if (r == 0) { /* reading it, without a new limit, is allowed */
        r = seccomp_rule_add(filter, action, SCMP_SYS(prlimit64), 2,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, mask, RLIMIT_CORE),
                             SCMP_A2(SCMP_CMP_NE, 0, 0));
    }
    return r;
}

/* Denies a call whose argument `index` is not one of `allowed` (ascending). A rule holds one
 * comparison of an argument, so this is "below the first", "above the last", and each in between:
 * the lists are short. */
static int allow_only(scmp_filter_ctx filter, int call, unsigned index, int error,
                      const unsigned *allowed, size_t count)
{
    unsigned first = allowed[0], last = allowed[count - 1];
    uint32_t action = SCMP_ACT_ERRNO((unsigned)error);
    int r = seccomp_rule_add(filter, action, call, 1, SCMP_CMP(index, SCMP_CMP_GT, last, 0));
    if (r == 0 && first > 0) {
        r = seccomp_rule_add(filter, action, call, 1, SCMP_CMP(index, SCMP_CMP_LT, first, 0));
    }
    for (size_t i = 0; i + 1 < count; i++) {
        for (unsigned value = allowed[i] + 1; value < allowed[i + 1] && r == 0; value++) {
            r = seccomp_rule_add(filter, action, call, 1, SCMP_CMP(index, SCMP_CMP_EQ, value, 0));
        }
    }
    return r;
}

static int restrict_none(scmp_filter_ctx filter)
{
    static const unsigned families[] = {AF_UNIX};
    return allow_only(filter, SCMP_SYS(socket), 0, EAFNOSUPPORT, families, ARRAY_SIZE(families));
}

/* AF_UNIX is denied here because abstract names belong to the network namespace, which is the
 * host's. For the same reason a pair of datagram sockets is denied: each of them can send to any
 * such name. A pair of streams cannot, and vsftpd needs one. */
static int restrict_host(scmp_filter_ctx filter)
{
    static const unsigned families[] = {AF_INET, AF_INET6};
    static const unsigned protocols[] = {0, IPPROTO_TCP, IPPROTO_UDP};
    const scmp_datum_t type_mask = 0xf;
    int r = allow_only(filter, SCMP_SYS(socket), 0, EAFNOSUPPORT, families, ARRAY_SIZE(families));
    if (r == 0) {
        r = allow_only(filter, SCMP_SYS(socket), 2, EPROTONOSUPPORT, protocols,
                       ARRAY_SIZE(protocols));
    }
    for (scmp_datum_t type = SOCK_RAW; type <= type_mask && r == 0; type++) {
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, type_mask, type));
    }
    for (scmp_datum_t type = 0; type <= type_mask && r == 0; type++) {
        if (type != SOCK_STREAM && type != SOCK_SEQPACKET) {
            r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socketpair), 1,
                                 SCMP_A1(SCMP_CMP_MASKED_EQ, type_mask, type));
        }
    }
    return r;
}

static int restrict_pairs(scmp_filter_ctx filter)
{
    static const unsigned families[] = {AF_UNIX};
    return allow_only(filter, SCMP_SYS(socketpair), 0, EAFNOSUPPORT, families,
                      ARRAY_SIZE(families));
}

typedef int filter_part(scmp_filter_ctx filter);

static int fill(scmp_filter_ctx filter, enum sandbox_network network)
{
    filter_part *const parts[] = {
        deny_named,      deny_youngest,
        deny_namespaces, deny_terminals,
        deny_leases,     deny_core_limit,
        deny_interfaces, deny_options,
        restrict_pairs,  network == SANDBOX_NETWORK_HOST ? restrict_host : restrict_none};
    int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r == 0) { /* a binary tree; without it every call would pass the whole list */
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    }
    for (size_t i = 0; i < ARRAY_SIZE(parts) && r == 0; i++) {
        r = parts[i](filter);
    }
    return r;
}

static int take_out(scmp_filter_ctx filter, struct sock_fprog *ret)
{
    CLEANUP_CLOSE int fd = memfd_create("seccomp", MFD_CLOEXEC);
    CLEANUP_FREE struct sock_filter *code = NULL;
    struct stat status;
    if (fd < 0) {
        return -errno;
    }
    int r = seccomp_export_bpf(filter, fd);
    if (r < 0) {
        return r;
    }
    if (fstat(fd, &status) < 0) {
        return -errno;
    }
    size_t size = (size_t)status.st_size, count = size / sizeof *code;
    if (count == 0 || count > BPF_MAXINSNS) {
        return -E2BIG;
    }
    code = malloc(size);
    if (code == NULL) {
        return -ENOMEM;
    }
    if (pread(fd, code, size, 0) != (ssize_t)size) {
        return -EIO;
    }
    *ret = (struct sock_fprog){.len = (unsigned short)count, .filter = TAKE_PTR(code)};
    return 0;
}

int sandbox_seccomp_compile(enum sandbox_network network, struct sock_fprog *ret)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL) {
        return -ENOMEM;
    }
    int r = fill(filter, network);
    if (r == 0) {
        r = take_out(filter, ret);
    }
    seccomp_release(filter);
    return r;
}

int sandbox_seccomp_load(const struct sock_fprog *program)
{
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program) < 0 ? -errno : 0;
}
