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
 * - It keeps a file's size in an int: it tells a wrong tsize from 2 GiB on, and refuses what takes
 *   more than 2^23 blocks, 4 GiB with the usual 512 bytes. Block numbers themselves roll over
 *   rightly for as long as one likes. So it is told that every file is UNTOLD bytes long, which
 *   passes its test, and where it says so to a client (RFC 2349) the file's size is put in.
 * - It opens whatever has the name: a FIFO in an image would hold a thread for ever, and some
 *   dozens of requests for it the whole server. Only regular files are opened.
 * - It takes a file that cannot be read further, in a damaged image or cut short meanwhile, for one
 *   that ends there, and the client for one that is whole; then it sends on behind the end, ten
 *   seconds long. The client is told, and the transfer ends.
 * - libwrap would read /etc/hosts.allow, which is then a file of the tree.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_SOCKET 0
#define WINDOW_MAX     64
#define RECENT         32
#define RECENT_SECONDS 2
#define TFTP_RRQ       1
#define TFTP_DATA      3
#define TFTP_OACK      6
#define OACK_MAX       512
#define UNTOLD         (-1) /* no client that keeps to the RFC says so */
#define UNTOLD_TEXT    "-1"

_Static_assert(sizeof(long) == sizeof(int64_t), "atftpd seeks with a long");

static __typeof__(recvmsg) *original_recvmsg;
static __typeof__(sendto) *original_sendto;
static __typeof__(fstat) *original_fstat;
static __typeof__(fread) *original_fread;
static __typeof__(select) *original_select;

/* Of the file that this thread sends: a transfer is a thread. */
static _Thread_local int64_t file_size;
static _Thread_local bool unreadable;

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

static void find_originals(void)
{
    original_recvmsg = (__typeof__(recvmsg) *)dlsym(RTLD_NEXT, "recvmsg");
    original_sendto = (__typeof__(sendto) *)dlsym(RTLD_NEXT, "sendto");
    original_fstat = (__typeof__(fstat) *)dlsym(RTLD_NEXT, "fstat");
    original_fread = (__typeof__(fread) *)dlsym(RTLD_NEXT, "fread");
    original_select = (__typeof__(select) *)dlsym(RTLD_NEXT, "select");
    if (original_recvmsg == NULL || original_sendto == NULL || original_fstat == NULL ||
        original_fread == NULL || original_select == NULL) {
        errno = ENOSYS;
        give_up("a function of libc");
    }
}

/* glibc calls constructors with main's arguments. */
__attribute__((constructor)) static void enter_tree(int argc, char **argv)
{
    static char root[] = "/";
    const char *tree = getenv("CDSS_CHROOT"), *uid = getenv("CDSS_UID");
    const int on = 1;
    find_originals();
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
    if (unreadable) {
        errno = ECONNREFUSED; /* upon which atftpd ends a transfer */
        return -1;
    }
    ssize_t n = original_recvmsg(fd, message, flags);
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

/* ---- files ---- */

static bool is_regular(int fd)
{
    struct stat status;
    return original_fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/* atftpd opens what it sends with this, for reading. */
FILE *fopen(const char *restrict path, const char *restrict mode)
{
    bool reading = strcmp(mode, "r") == 0;
    int fd = reading ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
    if (!reading || (fd >= 0 && !is_regular(fd))) {
        errno = EACCES;
    } else if (fd >= 0) {
        FILE *file = fdopen(fd, mode);
        if (file != NULL) {
            return file;
        }
    }
    if (fd >= 0) {
        int error = errno;
        close(fd);
        errno = error;
    }
    return NULL;
}

size_t fread(void *restrict buffer, size_t size, size_t count, FILE *restrict file)
{
    size_t got = original_fread(buffer, size, count, file);
    unreadable |= got < count && (ferror(file) != 0 || ftello(file) < file_size);
    return got;
}

/* What atftpd waits for with this will not come when it has sent no data. */
int select(int count, fd_set *restrict reading, fd_set *restrict writing,
           fd_set *restrict exceptional, struct timeval *restrict timeout)
{
    return unreadable ? 1 : original_select(count, reading, writing, exceptional, timeout);
}

/* ---- sizes ---- */

/* atftpd asks of nothing but what it sends, and uses st_size alone. */
int fstat(int fd, struct stat *ret)
{
    int result = original_fstat(fd, ret);
    if (result == 0) {
        file_size = ret->st_size;
        ret->st_size = UNTOLD;
    }
    return result;
}

/* Where tsize's value stands in an OACK, when it is UNTOLD; otherwise `length`. */
static size_t find_untold(const char *bytes, size_t length)
{
    size_t option = 2;
    while (option < length) {
        size_t value = next_string(bytes, length, option);
        size_t next = next_string(bytes, length, value);
        if (value < length && bytes[next - 1] == '\0' && strcasecmp(bytes + option, "tsize") == 0 &&
            strcmp(bytes + value, UNTOLD_TEXT) == 0) {
            return value;
        }
        option = next;
    }
    return length;
}

/* Copies an OACK with the size in it, and returns its new length; 0: there is nothing to put in. */
static size_t tell_size(const char *bytes, size_t length, char copy[static OACK_MAX])
{
    char size[24];
    size_t value = find_untold(bytes, length);
    size_t n = (size_t)snprintf(size, sizeof size, "%lld", (long long)file_size) + 1;
    size_t rest = value + sizeof UNTOLD_TEXT;
    if (value >= length || length - sizeof UNTOLD_TEXT + n > OACK_MAX) {
        return 0;
    }
    memcpy(copy, bytes, value);
    memcpy(copy + value, size, n);
    memcpy(copy + value + n, bytes + rest, length - rest);
    return value + n + length - rest;
}

ssize_t sendto(int fd, const void *packet, size_t length, int flags, __CONST_SOCKADDR_ARG to,
               socklen_t to_length)
{
    const char *bytes = packet;
    char copy[OACK_MAX];
    size_t told = 0;
    if (unreadable && length > 2 && bytes[0] == 0 && bytes[1] == TFTP_DATA) {
        static const char error[] = "\0\5\0\0The file cannot be read to its end";
        original_sendto(fd, error, sizeof error, flags, to, to_length);
        return (ssize_t)length;
    }
    if (length > 2 && bytes[0] == 0 && bytes[1] == TFTP_OACK) {
        told = tell_size(bytes, length, copy);
    }
    if (told == 0) {
        return original_sendto(fd, packet, length, flags, to, to_length);
    }
    return original_sendto(fd, copy, told, flags, to, to_length);
}
