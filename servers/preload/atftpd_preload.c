/*
 * What atftpd lacks, preloaded into it (LD_PRELOAD; templates/tftp/server.conf):
 *
 * - It has no chroot and follows symlinks: one in an image led to any file of the sandbox. The
 *   constructor, which runs when all libraries are loaded and before main(), makes CDSS_CHROOT the
 *   root and becomes CDSS_UID. The kernel keeps it there; nothing looks at names. The dynamic
 *   linker goes on without a library that it cannot load: so the last word of the command line is
 *   --cdss-tree, which atftpd refuses, and which is "/" once the constructor was here.
 * - Over IPv6 it answers from whatever address the route suggests, not from the one that was
 *   called, although it would use IPV6_PKTINFO (tftp_io.c) if somebody had asked for it.
 * - Each copy of a request starts a transfer of its own; boot firmware sends three at once. The
 *   same request from the same port within two seconds is dropped.
 * - It grants any windowsize; here it is 64 at most (RFC 7440 lets the server answer with less).
 * - libwrap would read /etc/hosts.allow, which is then a file of the tree.
 */
#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_SOCKET 0
#define WINDOW_MAX     64
#define RECENT         32
#define RECENT_SECONDS 2
#define TFTP_RRQ       1

int hosts_ctl(char *daemon, char *name, char *address, char *user);

/* ---- the root ---- */

static _Noreturn void give_up(const char *what)
{
    dprintf(STDERR_FILENO, "atftpd: %s: %s\n", what, strerror(errno));
    _exit(126);
}

static void leave_root(const char *id)
{
    char *end = NULL;
    unsigned long number = strtoul(id, &end, 10);
    if (*id == '\0' || *end != '\0' || number == 0 || number >= UINT32_MAX) {
        errno = EINVAL;
        give_up("CDSS_UID");
    }
    uid_t uid = (uid_t)number;
    if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0) {
        give_up("its user could not be taken");
    }
}

/* glibc calls constructors with main's arguments. */
__attribute__((constructor)) static void enter_tree(int argc, char **argv)
{
    static char root[] = "/";
    const char *tree = getenv("CDSS_CHROOT"), *uid = getenv("CDSS_UID");
    const int on = 1;
    if (tree == NULL || uid == NULL) {
        errno = EINVAL;
        give_up("CDSS_CHROOT and CDSS_UID are needed");
    }
    /* pthread_exit(3) loads it when a first transfer ends, and there is none in the tree */
    if (dlopen("libgcc_s.so.1", RTLD_NOW) == NULL) {
        errno = ENOENT;
        give_up("libgcc_s.so.1");
    }
    if (chdir(tree) < 0 || chroot(".") < 0) {
        give_up(tree);
    }
    leave_root(uid);
    if (argc < 2 || strcmp(argv[argc - 1], "--cdss-tree") != 0) {
        errno = EINVAL;
        give_up("--cdss-tree is missing");
    }
    argv[argc - 1] = root;
    setsockopt(REQUEST_SOCKET, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on); /* not on IPv4 */
}

int hosts_ctl(char *daemon, char *name, char *address, char *user)
{
    (void)daemon;
    (void)name;
    (void)address;
    (void)user;
    return 1;
}

/* ---- requests ---- */

struct recent {
    struct sockaddr_storage peer;
    uint64_t request; /* a hash of its bytes */
    time_t until;
};

static struct recent recent[RECENT];
static unsigned next_recent;
static pthread_mutex_t recent_lock = PTHREAD_MUTEX_INITIALIZER;

/* FNV-1a: to tell requests of one client's one port apart is no matter of security. */
static uint64_t hash(const unsigned char *bytes, size_t length)
{
    uint64_t value = 0xcbf29ce484222325;
    for (size_t i = 0; i < length; i++) {
        value = (value ^ bytes[i]) * 0x100000001b3;
    }
    return value;
}

static bool find_recent(const struct recent *wanted, time_t now)
{
    for (size_t i = 0; i < RECENT; i++) {
        if (recent[i].until > now && recent[i].request == wanted->request &&
            memcmp(&recent[i].peer, &wanted->peer, sizeof wanted->peer) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_repeated(const struct sockaddr_storage *peer, const unsigned char *bytes,
                        size_t length)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct recent wanted = {*peer, hash(bytes, length), now.tv_sec + RECENT_SECONDS};
    pthread_mutex_lock(&recent_lock);
    bool repeated = find_recent(&wanted, now.tv_sec);
    if (!repeated) {
        recent[next_recent++ % RECENT] = wanted;
    }
    pthread_mutex_unlock(&recent_lock);
    return repeated;
}

/* The string behind the one at `at`, or `length`; every string must have its NUL. */
static size_t next_string(const char *bytes, size_t length, size_t at)
{
    const char *end = at < length ? memchr(bytes + at, '\0', length - at) : NULL;
    return end == NULL ? length : (size_t)(end - bytes) + 1;
}

/* Options are pairs of strings behind opcode, file name and mode. Returns the new length. */
static size_t limit_window(char *bytes, size_t length)
{
    char granted[8];
    size_t option = next_string(bytes, length, next_string(bytes, length, 2));
    while (option < length) {
        size_t value = next_string(bytes, length, option);
        size_t next = next_string(bytes, length, value);
        if (value < length && bytes[next - 1] == '\0' &&
            strcasecmp(bytes + option, "windowsize") == 0 &&
            strtoul(bytes + value, NULL, 10) > WINDOW_MAX) {
            size_t size = (size_t)snprintf(granted, sizeof granted, "%d", WINDOW_MAX) + 1;
            if (size > next - value) {
                return length;
            }
            memcpy(bytes + value, granted, size);
            memmove(bytes + value + size, bytes + next, length - next);
            return length - (next - value - size);
        }
        option = next;
    }
    return length;
}

/* What atftpd calls, in its request threads and in its transfers. */
ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    static ssize_t (*original)(int, struct msghdr *, int);
    if (original == NULL) {
        *(void **)&original = dlsym(RTLD_NEXT, "recvmsg");
    }
    ssize_t n = original(fd, message, flags);
    if (fd != REQUEST_SOCKET || n < 4 || message->msg_namelen > sizeof(struct sockaddr_storage)) {
        return n;
    }
    char *bytes = message->msg_iov[0].iov_base;
    struct sockaddr_storage peer = {0};
    memcpy(&peer, message->msg_name, message->msg_namelen);
    if (bytes[0] != 0 || bytes[1] != TFTP_RRQ) {
        return n;
    }
    if (is_repeated(&peer, (const unsigned char *)bytes, (size_t)n)) {
        memset(message->msg_name, 0, message->msg_namelen);
        errno = EAGAIN; /* atftpd gives the thread up without a word to the client */
        return -1;
    }
    return (ssize_t)limit_window(bytes, (size_t)n);
}
