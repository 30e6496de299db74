/* Sockets: making, turning, calling, binding, hearing. */
#include "hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TARGETS_MAX 64
#define PATIENCE_MS 700

/* --- kinds of sockets --- */

static const struct {
    const char *name;
    int family, type, protocol;
} kinds[] = {{"raw", AF_INET, SOCK_RAW, 255},
             {"raw ICMP", AF_INET, SOCK_RAW, IPPROTO_ICMP},
             {"raw ICMPv6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6},
             {"ping", AF_INET, SOCK_DGRAM, IPPROTO_ICMP},
             {"ping6", AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6},
             {"SCTP", AF_INET, SOCK_STREAM, IPPROTO_SCTP},
             {"SCTP datagrams", AF_INET6, SOCK_SEQPACKET, IPPROTO_SCTP},
             {"MPTCP", AF_INET, SOCK_STREAM, 262},
             {"UDP-Lite", AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE},
             {"DCCP", AF_INET, 6, IPPROTO_DCCP},
             {"packet", AF_PACKET, SOCK_RAW, 0x300},
             {"netlink route", AF_NETLINK, SOCK_RAW, 0},
             {"netlink diag", AF_NETLINK, SOCK_RAW, 4},
             {"netlink netfilter", AF_NETLINK, SOCK_RAW, 12},
             {"netlink uevent", AF_NETLINK, SOCK_DGRAM, 15},
             {"netlink generic", AF_NETLINK, SOCK_RAW, 16},
             {"vsock", AF_VSOCK, SOCK_STREAM, 0},
             {"alg", AF_ALG, SOCK_SEQPACKET, 0},
             {"XDP", AF_XDP, SOCK_RAW, 0},
             {"SMC", AF_SMC, SOCK_STREAM, 0},
             {"TIPC", AF_TIPC, SOCK_RDM, 0},
             {"CAN", AF_CAN, SOCK_RAW, 1},
             {"RDS", AF_RDS, SOCK_SEQPACKET, 0},
             {"key", AF_KEY, SOCK_RAW, 2},
             {"Bluetooth", AF_BLUETOOTH, SOCK_RAW, 1},
             {"NFC", AF_NFC, SOCK_SEQPACKET, 0},
             {"QRTR", AF_QIPCRTR, SOCK_DGRAM, 0},
             {"KCM", AF_KCM, SOCK_DGRAM, 0},
             {"X.25", AF_X25, SOCK_SEQPACKET, 0}};

/* --- options of the connection that it was given --- */

static void options(int fd)
{
    int one = 1, zero = 0, big = 1 << 30;
    struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
    const struct sock_fprog program = {1, &all};
    const struct {
        const char *name;
        int level, option;
        const void *data;
        socklen_t size;
    } tries[] = {
        {"detach its filter", SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof zero},
        {"unlock its filter", SOL_SOCKET, SO_LOCK_FILTER, &zero, sizeof zero},
        {"replace its filter", SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program},
        {"replace its filter by eBPF", SOL_SOCKET, SO_ATTACH_BPF, &zero, sizeof zero},
        {"choose among sockets", SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program},
        {"mark its packets", SOL_SOCKET, SO_MARK, &one, sizeof one},
        {"a buffer above the limit", SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof big},
        {"debugging", SOL_SOCKET, SO_DEBUG, &one, sizeof one},
        {"transparent", IPPROTO_IP, IP_TRANSPARENT, &one, sizeof one},
        {"transparent IPv6", IPPROTO_IPV6, IPV6_TRANSPARENT, &one, sizeof one},
        {"repair", IPPROTO_TCP, TCP_REPAIR, &one, sizeof one},
        {"a protocol on top", IPPROTO_TCP, TCP_ULP, "tls", 3},
        {"iptables", IPPROTO_IP, 64, &zero, sizeof zero},
        {"IPsec", IPPROTO_IP, 17, &zero, sizeof zero}};
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        attempt(tries[i].name,
                setsockopt(fd, tries[i].level, tries[i].option, tries[i].data, tries[i].size));
    }
    static char room[4096];
    static const unsigned long requests[] = {0x8910, 0x8912, 0x8915, 0x8927, 0x8942,
                                             0x8946, 0x894c, 0x8954, 0x8980, 0x89f0};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        attempt("an ioctl of interfaces", ioctl(fd, requests[i], room));
    }
    struct ip_mreqn member = {.imr_multiaddr.s_addr = inet_addr("239.1.2.3")};
    attempt("join a group", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &member, sizeof member));
}

/* --- calling --- */

struct target {
    char name[80];
    struct sockaddr_storage address;
    socklen_t size;
    int fd;
};
static struct target targets[TARGETS_MAX];
static size_t n_targets;
static int target_type;

static bool parse_target(const char *part, struct target *ret)
{
    char host[64];
    unsigned port;
    struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->address;
    if (sscanf(part, "%63[^|]|%u", host, &port) != 2) {
        return false;
    }
    snprintf(ret->name, sizeof ret->name, "%s", part);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        ret->size = sizeof *v4;
        return true;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    ret->size = sizeof *v6;
    return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
}

static void call(const char *part)
{
    struct target *target = &targets[n_targets];
    const char *kind = target_type == SOCK_STREAM ? "TCP" : "UDP";
    if (n_targets == TARGETS_MAX || !parse_target(part, target)) {
        say("BROKE the test: no target %s", part);
        return;
    }
    target->fd = socket(target->address.ss_family, target_type | SOCK_NONBLOCK, 0);
    if (target->fd < 0) {
        say("held %s to %s: no socket", kind, part);
        return;
    }
    int r =
        target_type == SOCK_STREAM
            ? connect(target->fd, (struct sockaddr *)&target->address, target->size)
            : (int)sendto(target->fd, "x", 1, 0, (struct sockaddr *)&target->address, target->size);
    if (r < 0 && errno != EINPROGRESS) {
        say("held %s to %s: %s", kind, part, strerrorname_np(errno));
        close(target->fd);
        return;
    }
    n_targets++;
}

/* All at once: what is dropped silently takes as long as one. */
static void call_all(const char *list, int type)
{
    char byte[16];
    n_targets = 0;
    target_type = type;
    each_value(list, call);
    usleep(PATIENCE_MS * 1000);
    for (size_t i = 0; i < n_targets; i++) {
        struct target *target = &targets[i];
        struct sockaddr_storage there;
        socklen_t size = sizeof there;
        bool reached = type == SOCK_STREAM
                           ? getpeername(target->fd, (struct sockaddr *)&there, &size) == 0
                           : recv(target->fd, byte, sizeof byte, MSG_DONTWAIT) >= 0;
        say("%s %s to %s: %s", reached ? "BROKE" : "held", type == SOCK_STREAM ? "TCP" : "UDP",
            target->name, reached ? "it answered" : "silence or refusal");
        close(target->fd);
    }
}

static void call_fast(const char *part)
{
    struct target target;
    char byte[16];
    if (!parse_target(part, &target)) {
        return;
    }
    int fd = socket(target.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&target.address, target.size);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    bool reached = fd >= 0 && poll(&wait, 1, 100) == 1 && recv(fd, byte, sizeof byte, 0) > 0;
    say("%s a fast open to %s: %s", reached ? "BROKE" : "held", part,
        fd < 0 ? "no socket" : "none");
    close(fd);
}

/* --- Unix sockets --- */

static socklen_t name_abstract(struct sockaddr_un *address, const char *name)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path + 1, name, strlen(name));
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

static void call_abstract(const char *name)
{
    struct sockaddr_un address;
    char datagrams[64];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), ends[2];
    socklen_t size = name_abstract(&address, name);
    attempt("an abstract socket", fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, size));
    close(fd);
    snprintf(datagrams, sizeof datagrams, "%s-d", name);
    size = name_abstract(&address, datagrams);
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    attempt("an abstract datagram",
            fd < 0 ? -1 : sendto(fd, "x", 1, 0, (struct sockaddr *)&address, size));
    close(fd);
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0) {
        attempt("a pair's abstract datagram",
                sendto(ends[0], "x", 1, 0, (struct sockaddr *)&address, size));
        close(ends[0]);
        close(ends[1]);
    }
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0) {
        struct sockaddr none = {.sa_family = AF_UNSPEC};
        (void)connect(ends[0], &none, sizeof none);
        size = name_abstract(&address, name);
        attempt("a pair turned to an abstract name",
                connect(ends[0], (struct sockaddr *)&address, size));
        close(ends[0]);
        close(ends[1]);
    }
}

static void call_path(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    attempt(path, fd < 0 ? -1 : connect(fd, (struct sockaddr *)&address, sizeof address));
    close(fd);
}

void group_sockets(void)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        attempt(kinds[i].name, socket(kinds[i].family, kinds[i].type, kinds[i].protocol));
    }
    options(connection());
    call_all("tcp", SOCK_STREAM);
    call_all("udp", SOCK_DGRAM);
    each_value("fast", call_fast);
    each_value("abstract", call_abstract);
    each_value("paths", call_path);
}

/* --- binding --- */

static int bind_as(int type, int family, uint16_t port, int option)
{
    const int one = 1;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int fd = socket(family, type, 0);
    if (fd >= 0 && option != 0) {
        setsockopt(fd, SOL_SOCKET, option, &one, sizeof one);
    }
    int r = fd < 0 ? -1
                   : bind(fd, family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
                          family == AF_INET ? sizeof v4 : sizeof v6);
    int error = errno;
    close(fd);
    errno = error;
    return r;
}

static void squat(const char *part)
{
    static const int options_to_try[] = {0, SO_REUSEADDR, SO_REUSEPORT};
    uint16_t port = (uint16_t)strtol(part, NULL, 10);
    for (size_t i = 0; i < 3; i++) {
        for (int family = 0; family < 2; family++) {
            attempt(part,
                    bind_as(SOCK_STREAM, family ? AF_INET6 : AF_INET, port, options_to_try[i]));
            attempt(part,
                    bind_as(SOCK_DGRAM, family ? AF_INET6 : AF_INET, port, options_to_try[i]));
        }
    }
}

static int bind_foreign(const char *part)
{
    const int one = 1;
    struct target from;
    if (!parse_target(part, &from)) {
        return -1;
    }
    int fd = socket(from.address.ss_family, SOCK_DGRAM, 0);
    setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof one);
    setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&from.address, from.size) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int foreign = -1;
static void speak_as_foreign(const char *part)
{
    struct target to;
    if (parse_target(part, &to)) {
        attempt("speak from a foreign address",
                sendto(foreign, "x", 1, 0, (struct sockaddr *)&to.address, to.size));
    }
}

static void as_foreign(const char *part)
{
    foreign = bind_foreign(part);
    if (foreign >= 0) {
        each_value("udp", speak_as_foreign);
        close(foreign);
    }
}

/* As many sockets as there are to be had: on passive ports, and on those that the kernel picks. */
static long count_bound(uint16_t first)
{
    static int made[2000];
    long count = 0;
    for (uint16_t i = 0; i < 2000; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons(first > 0 ? (uint16_t)(first + i) : 0)};
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0) {
            made[count++] = fd;
        } else if (fd >= 0) {
            close(fd);
        }
    }
    for (long i = 0; i < count; i++) {
        close(made[i]);
    }
    return count;
}

void group_ports(void)
{
    each_value("ports", squat);
    each_value("spoof", as_foreign);
    bounded("passive ports", count_bound(30000), value_number("sockets") + 1);
    bounded("sockets", count_bound(0), value_number("sockets") + 1);
}

/* Listens where strangers then call: nothing may come. */
void group_hear(void)
{
    uint16_t port = (uint16_t)value_number("port");
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int stream = socket(AF_INET6, SOCK_STREAM, 0), datagram = socket(AF_INET6, SOCK_DGRAM, 0);
    if (bind(stream, (struct sockaddr *)&address, sizeof address) < 0 || listen(stream, 10) < 0 ||
        bind(datagram, (struct sockaddr *)&address, sizeof address) < 0) {
        say("BROKE the test: it cannot listen at %u: %s", port, strerrorname_np(errno));
        return;
    }
    say("listening");
    struct pollfd wait[] = {{.fd = stream, .events = POLLIN}, {.fd = datagram, .events = POLLIN}};
    int ready = poll(wait, 2, (int)value_number("ms"));
    say("%s strangers: %s", ready == 0 ? "held" : "BROKE",
        wait[0].revents   ? "a connection"
        : wait[1].revents ? "a datagram"
                          : "nobody");
}

/* Its own connection, which is a socket of the host's network, turned into something else. The
 * answer is in a file then: there is nobody to tell. */
void group_turn(void)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    struct sockaddr_in port = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)value_number("port"))};
    int fd = connection();
    char line[200];
    usleep(100000);
    int turned = connect(fd, &none, sizeof none);
    int bound = bind(fd, (const struct sockaddr *)&port, sizeof port);
    const char *why = bound < 0 ? strerrorname_np(errno) : "bound";
    struct target target;
    bool reached = false;
    if (parse_target(value("tcp"), &target)) {
        (void)connect(fd, &none, sizeof none);
        int flags = fcntl(fd, F_GETFL);
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        (void)connect(fd, (struct sockaddr *)&target.address, target.size);
        usleep(PATIENCE_MS * 1000);
        struct sockaddr_storage there;
        socklen_t size = sizeof there;
        reached = getpeername(fd, (struct sockaddr *)&there, &size) == 0;
    }
    int length = snprintf(line, sizeof line, "%s a connection turned round (%d): %s, %s\n",
                          bound < 0 && !reached ? "held" : "BROKE", turned, why,
                          reached ? "connected" : "not connected");
    int file = open("/var/tmp/turned", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (write(file, line, (size_t)length) < 0) {
        close(file);
    }
}

void group_turned(void)
{
    char line[200] = "";
    int file = open("/var/tmp/turned", O_RDONLY);
    ssize_t length = read(file, line, sizeof line - 1);
    say("%.*s", length > 0 ? (int)length - 1 : 0, line);
    unlink("/var/tmp/turned");
}
