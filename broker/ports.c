/*
 * The pool is walked in a random order that meets every port once: a random start and a random
 * stride that has no divisor in common with the pool's size.
 */
#include "ports.h"

#include "cleanup.h"
#include "process.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/random.h>
#include <sys/socket.h>

#define BACKLOG 256

enum { PORTS_TAKEN = 1, PORTS_NO_FAMILY = 2 }; /* beside 0 and a negative errno */

static const struct kind {
    sa_family_t family;
    int type;
} kinds[] = {
    {AF_INET, SOCK_STREAM}, {AF_INET6, SOCK_STREAM}, {AF_INET, SOCK_DGRAM}, {AF_INET6, SOCK_DGRAM}};

_Static_assert(ARRAY_SIZE(kinds) == ARRAY_SIZE(((struct ports_bound *)NULL)->fds),
               "one descriptor for each kind");

int ports_lock(int fd, uint32_t mark)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_MARK)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mark, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog program = {.len = ARRAY_SIZE(code), .filter = code};
    const int on = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on) < 0) {
        return -errno;
    }
    return 0;
}

/* A socket belongs to the fsuid of the moment it is made. setfsuid(2) tells no failure: only asking
 * again does (-1 is no uid and changes nothing). A worker must go on dying with the broker. */
static int socket_as(uid_t uid, const struct kind *kind)
{
    const pid_t parent = getppid();
    const bool dies_with_it = process_dies_with_parent();
    const int before = setfsuid(uid);
    const bool is_uid = (uid_t)setfsuid((uid_t)-1) == uid;
    const int fd = is_uid ? socket(kind->family, kind->type | SOCK_CLOEXEC, 0) : -1;
    const int error = is_uid ? errno : EPERM;

    setfsuid((uid_t)before);
    if (dies_with_it) {
        process_die_with(parent);
    }
    return fd < 0 ? -error : fd;
}

static int set_options(int fd, const struct kind *kind)
{
    const int on = 1;

    if (kind->family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) {
        return -errno;
    }
    /* The connections of an ended share may be in TIME_WAIT. On UDP it would let others in. */
    if (kind->type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) {
        return -errno;
    }
    return 0;
}

static int bind_any(int fd, const struct kind *kind, uint16_t port)
{
    const struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    const struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    const bool is_v4 = kind->family == AF_INET;

    if (bind(fd, is_v4 ? (const struct sockaddr *)&v4 : (const struct sockaddr *)&v6,
             is_v4 ? sizeof v4 : sizeof v6) < 0 ||
        (kind->type == SOCK_STREAM && listen(fd, BACKLOG) < 0)) {
        return errno == EADDRINUSE ? PORTS_TAKEN : -errno;
    }
    return 0;
}

/* Locked before it is bound: there is no moment in which a packet could come in. */
static int open_socket(const struct ports_request *request, const struct kind *kind, uint16_t port,
                       int *ret)
{
    CLEANUP_CLOSE int fd = socket_as(request->uid, kind);
    int r = fd < 0 ? fd : set_options(fd, kind);

    if (r == 0) {
        r = ports_lock(fd, request->mark);
    }
    if (r == 0) {
        r = bind_any(fd, kind, port);
    }
    if (r == 0) {
        *ret = TAKE_FD(fd);
    } else if (kind->family == AF_INET6 && (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL)) {
        r = PORTS_NO_FAMILY;
    }
    return r;
}

static bool is_wanted(const struct ports_request *request, const struct kind *kind)
{
    return kind->type == SOCK_STREAM ? request->tcp : request->udp;
}

/*
 * A number belongs to one instance in both transports, for the firewall knows instance ports by
 * number alone: the transport that is not wanted is bound for a moment, too. Of two who try the
 * same number at once, one at least sees the other.
 */
static int try_port(const struct ports_request *request, uint16_t port, struct ports_bound *ret)
{
    struct ports_bound bound = {.port = port};
    struct ports_bound others = {.port = port};
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++) {
        struct ports_bound *to = is_wanted(request, &kinds[i]) ? &bound : &others;
        r = open_socket(request, &kinds[i], port, &to->fds[to->count]);
        if (r == 0) {
            to->is_stream[to->count++] = kinds[i].type == SOCK_STREAM;
        } else if (r == PORTS_NO_FAMILY) {
            r = 0;
        }
    }
    ports_close(&others);
    if (r != 0) {
        ports_close(&bound);
        return r;
    }
    *ret = bound;
    return 0;
}

static uint32_t greatest_common_divisor(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

int ports_bind(const struct ports_request *request, struct ports_bound *ret)
{
    uint32_t random[2];

    if (request->first == 0 || request->last < request->first || !(request->tcp || request->udp)) {
        return -EINVAL;
    }
    if (getrandom(random, sizeof random, 0) != sizeof random) {
        return -errno;
    }
    const uint32_t size = (uint32_t)request->last - request->first + 1;
    uint32_t place = random[0] % size, stride = random[1] % size;
    while (greatest_common_divisor(stride, size) != 1) {
        stride++;
    }
    for (uint32_t i = 0; i < size; i++, place = (place + stride) % size) {
        int r = try_port(request, (uint16_t)(request->first + place), ret);
        if (r != PORTS_TAKEN) {
            return r;
        }
    }
    return -EADDRINUSE;
}

void ports_close(struct ports_bound *ports)
{
    while (ports->count > 0) {
        close(ports->fds[--ports->count]);
    }
}
