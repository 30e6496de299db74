/* Instance ports, in a network namespace of the test's own where only loopback is. */
#include "ports.h"

#include "cleanup.h"
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define MARK  0x5b000123u
#define OTHER 0x5b000124u
#define UID   2100000000u

static bool enter_network(void)
{
    CLEANUP_CLOSE int fd = -1;
    struct ifreq request = {.ifr_name = "lo"};

    if (unshare(CLONE_NEWNET) < 0) {
        return false;
    }
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (ioctl(fd, SIOCGIFFLAGS, &request) < 0) {
        return false;
    }
    request.ifr_flags |= IFF_UP;
    return ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

static const struct ports_request both = {
    .first = 21000, .last = 21999, .tcp = 1, .udp = 1, .uid = UID, .mark = MARK};

static int family_of(int fd, uint16_t *ret_port)
{
    struct sockaddr_in6 name = {0};
    socklen_t length = sizeof name;

    CHECK(getsockname(fd, (struct sockaddr *)&name, &length) == 0);
    *ret_port = ntohs(name.sin6_port); /* at the same place in both families */
    return name.sin6_family;
}

static int option_of(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof value;

    CHECK(getsockopt(fd, level, name, &value, &length) == 0);
    return value;
}

/* A client's socket with a mark, connected to the port over loopback; -errno. */
static int connect_marked(int family, int type, uint16_t port, uint32_t mark)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    CLEANUP_CLOSE int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool is_v4 = family == AF_INET;

    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v6.sin6_addr = in6addr_loopback;
    CHECK(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0);
    if (connect(fd, is_v4 ? (void *)&v4 : (void *)&v6, is_v4 ? sizeof v4 : sizeof v6) < 0 &&
        errno != EINPROGRESS) {
        return -errno;
    }
    return TAKE_FD(fd);
}

static bool readable(int fd, int ms)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    return poll(&item, 1, ms) == 1;
}

/* Whether something with this mark reaches the instance's socket. */
static bool arrives(int fd, int type, uint32_t mark)
{
    uint16_t port;
    int family = family_of(fd, &port);
    CLEANUP_CLOSE int client = connect_marked(family, type, port, mark);

    CHECK(client >= 0);
    if (type == SOCK_DGRAM) {
        CHECK(send(client, "x", 1, 0) == 1);
    }
    bool came = readable(fd, 200);
    if (came && type == SOCK_DGRAM) {
        char byte;
        CHECK(recv(fd, &byte, 1, 0) == 1);
    } else if (came) {
        close(accept4(fd, NULL, NULL, SOCK_CLOEXEC));
    }
    return came;
}

static void test_shape(void)
{
    struct ports_bound bound = {0};

    CHECK(ports_bind(&both, &bound) == 0);
    CHECK(bound.count == 4);
    CHECK(bound.port >= both.first && bound.port <= both.last);
    int streams = 0, v6 = 0;
    for (uint32_t i = 0; i < bound.count; i++) {
        int fd = bound.fds[i];
        uint16_t port;
        bool is_v6 = family_of(fd, &port) == AF_INET6;
        CHECK(port == bound.port);
        int type = option_of(fd, SOL_SOCKET, SO_TYPE);
        CHECK((type == SOCK_STREAM) == bound.is_stream[i]);
        CHECK(option_of(fd, SOL_SOCKET, SO_ACCEPTCONN) == bound.is_stream[i]);
        CHECK(option_of(fd, SOL_SOCKET, SO_REUSEADDR) == bound.is_stream[i]);
        CHECK(option_of(fd, SOL_SOCKET, SO_REUSEPORT) == 0);
        CHECK(!is_v6 || option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1);
        CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
        CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
        streams += bound.is_stream[i];
        v6 += is_v6;
    }
    CHECK(streams == 2 && v6 == 2);
    ports_close(&bound);
    CHECK(bound.count == 0);
}

static void test_filter(void)
{
    struct ports_bound bound = {0};

    CHECK(ports_bind(&both, &bound) == 0);
    for (uint32_t i = 0; i < bound.count; i++) {
        int type = bound.is_stream[i] ? SOCK_STREAM : SOCK_DGRAM;
        CHECK(!arrives(bound.fds[i], type, 0));
        CHECK(!arrives(bound.fds[i], type, OTHER));
        CHECK(arrives(bound.fds[i], type, MARK));
    }
    ports_close(&bound);
}

/* Whoever holds the socket cannot take the filter off, nor put another in its place; what is
 * accepted is locked too. */
static void test_locked(void)
{
    struct ports_bound bound = {0};
    struct sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, UINT32_MAX)};
    const struct sock_fprog program = {.len = 1, .filter = all};
    const int none = 0;

    CHECK(ports_bind(&both, &bound) == 0);
    for (uint32_t i = 0; i < bound.count; i++) {
        int fd = bound.fds[i];
        CHECK(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none) < 0 &&
              errno == EPERM);
        CHECK(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0);
        CHECK(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &none, sizeof none) < 0);
    }
    CLEANUP_CLOSE int client = connect_marked(AF_INET, SOCK_STREAM, bound.port, MARK);
    CHECK(client >= 0);
    CHECK(readable(bound.fds[0], 1000));
    CLEANUP_CLOSE int accepted = accept4(bound.fds[0], NULL, NULL, SOCK_CLOEXEC);
    CHECK(accepted >= 0);
    CHECK(setsockopt(accepted, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none) < 0);
    ports_close(&bound);
}

static void test_owner(void)
{
    struct ports_bound bound = {0};
    struct stat status;

    CHECK(ports_bind(&both, &bound) == 0);
    for (uint32_t i = 0; i < bound.count; i++) {
        CHECK(fstat(bound.fds[i], &status) == 0 && status.st_uid == UID);
    }
    CHECK(setfsuid((uid_t)-1) == 0); /* ours is back */
    CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(fstat(fd, &status) == 0 && status.st_uid == 0);
    ports_close(&bound);
}

/* A pool of one port that is taken, be it by TCP or UDP, IPv4 or IPv6. */
static void test_taken(void)
{
    static const struct {
        int family, type;
    } rows[] = {{AF_INET, SOCK_STREAM},
                {AF_INET, SOCK_DGRAM},
                {AF_INET6, SOCK_STREAM},
                {AF_INET6, SOCK_DGRAM}};
    const struct ports_request one = {
        .first = 22000, .last = 22000, .tcp = 1, .udp = 1, .uid = UID, .mark = MARK};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct sockaddr_in6 name = {.sin6_family = (sa_family_t)rows[i].family,
                                    .sin6_port = htons(22000)};
        struct ports_bound bound = {.count = 77};
        CLEANUP_CLOSE int fd = socket(rows[i].family, rows[i].type | SOCK_CLOEXEC, 0);
        const int on = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        CHECK(bind(fd, (void *)&name,
                   rows[i].family == AF_INET ? sizeof(struct sockaddr_in) : sizeof name) == 0);
        CHECK(rows[i].type == SOCK_DGRAM || listen(fd, 1) == 0);
        CHECK(ports_bind(&one, &bound) == -EADDRINUSE);
        CHECK(bound.count == 77);
    }
    struct ports_bound bound = {0};
    CHECK(ports_bind(&one, &bound) == 0 && bound.port == 22000); /* nothing was left open */
    ports_close(&bound);
}

/* Every port of a pool is found, whatever the stride; and the next finds none. */
static void test_whole_pool(void)
{
    enum { SIZE = 24 };
    const struct ports_request pool = {
        .first = 23000, .last = 23000 + SIZE - 1, .udp = 1, .uid = UID, .mark = MARK};
    struct ports_bound bound[SIZE] = {0}, none = {0};
    bool seen[SIZE] = {false};

    for (int i = 0; i < SIZE; i++) {
        CHECK(ports_bind(&pool, &bound[i]) == 0 && bound[i].count == 2);
        CHECK(!seen[bound[i].port - 23000]);
        seen[bound[i].port - 23000] = true;
    }
    CHECK(ports_bind(&pool, &none) == -EADDRINUSE);
    for (int i = 0; i < SIZE; i++) {
        ports_close(&bound[i]);
    }
}

/* The firewall knows instance ports by number alone: one transport takes the number in both. */
static void test_one_number_one_instance(void)
{
    struct ports_request request = {
        .first = 22500, .last = 22500, .tcp = 1, .uid = UID, .mark = MARK};

    for (int i = 0; i < 2; i++) {
        struct ports_bound bound = {0}, other = {0};
        request.tcp = i == 0;
        request.udp = i == 1;
        CHECK(ports_bind(&request, &bound) == 0 && bound.count == 2);
        request.tcp = i == 1;
        request.udp = i == 0;
        CHECK(ports_bind(&request, &other) == -EADDRINUSE);
        ports_close(&bound);
        CHECK(ports_bind(&request, &other) == 0);
        ports_close(&other);
    }
}

static void test_again_after_connections(void)
{
    const struct ports_request one = {
        .first = 24000, .last = 24000, .tcp = 1, .uid = UID, .mark = MARK};
    struct ports_bound bound = {0};

    CHECK(ports_bind(&one, &bound) == 0 && bound.count == 2);
    int client = connect_marked(AF_INET, SOCK_STREAM, 24000, MARK);
    CHECK(readable(bound.fds[0], 1000));
    close(accept4(bound.fds[0], NULL, NULL, SOCK_CLOEXEC)); /* our end is in TIME_WAIT then */
    CHECK(readable(client, 1000));
    close(client);
    ports_close(&bound);
    CHECK(ports_bind(&one, &bound) == 0);
    ports_close(&bound);
}

static void test_nonsense(void)
{
    struct ports_request request = both;
    struct ports_bound bound = {0};

    request.first = 0;
    CHECK(ports_bind(&request, &bound) == -EINVAL);
    request = both;
    request.last = request.first - 1;
    CHECK(ports_bind(&request, &bound) == -EINVAL);
    request = both;
    request.tcp = request.udp = 0;
    CHECK(ports_bind(&request, &bound) == -EINVAL);
    CHECK(ports_lock(-1, MARK) == -EBADF);
}

static void test_namespace(void)
{
    bool there = enter_network();
    CHECK(there);
    if (!there) { /* never on the machine's own network */
        exit(1);
    }
}

TEST_MAIN({"a network of its own", test_namespace}, {"four sockets on one number", test_shape},
          {"only what is marked arrives", test_filter}, {"the filter stays", test_locked},
          {"sockets belong to the share's uid", test_owner}, {"a taken port", test_taken},
          {"a whole pool", test_whole_pool},
          {"one number, one instance", test_one_number_one_instance},
          {"again after connections", test_again_after_connections}, {"nonsense", test_nonsense})
