/* A fenced group of a real unified hierarchy, in a network namespace of its own: what a process in
 * it gets, and what one outside. */
#include "cgroup.h"
#include "cleanup.h"
#include "fence.h"
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define GROUP "0123456789abcdef"
#define MARK  0xdb000102u /* above INT32_MAX, as with a prefix of 0x80 and more */

static const struct fence fence = {
    .mark = MARK, .passive_first = 30000, .passive_last = 30009, .sockets = 4};
static struct cgroups *cgroups;
static int group = -1;

static bool is_ready(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, 200) == 1;
}

static struct sockaddr_in at(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in address = {0};
    socklen_t size = sizeof address;
    return getsockname(fd, (struct sockaddr *)&address, &size) == 0 ? ntohs(address.sin_port) : 0;
}

static int bind_to(int fd, uint16_t port)
{
    struct sockaddr_in address = at(port);
    return bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
}

static int bind6_to(uint16_t port)
{
    struct sockaddr_in6 address = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_ANY_INIT};
    CLEANUP_CLOSE int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
}

static int marked_socket(int type, uint32_t mark)
{
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    return setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0 ? fd : -1;
}

/* Runs in the group what a captured server would; the descriptors are shared with it. */
static void inside(void (*run)(int *shared), int *shared)
{
    int ends[2], status;
    CHECK(pipe(ends) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        if (read(ends[0], &byte, 1) != 1) {
            _exit(9);
        }
        test_failed = false;
        run(shared);
        fflush(stdout);
        _exit(test_failed ? 1 : 0);
    }
    CHECK(cgroup_enter(cgroups, GROUP, pid) == 0 && write(ends[1], "", 1) == 1);
    close(ends[0]);
    close(ends[1]);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* --- cases --- */

static void binds_no_other_port(int *unused)
{
    (void)unused;
    static const uint16_t refused[] = {21, 69, 1024, 21000, 29999, 30010, 32768, 65535};
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        CLEANUP_CLOSE int stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CLEANUP_CLOSE int datagram = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        CHECK(bind_to(stream, refused[i]) == -EPERM && bind_to(datagram, refused[i]) == -EPERM);
        CHECK(bind6_to(refused[i]) == -EPERM);
    }
    static const uint16_t allowed[] = {0, 30000, 30009};
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
        CLEANUP_CLOSE int stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(bind_to(stream, allowed[i]) == 0);
    }
    CHECK(bind6_to(30005) == 0 && bind6_to(0) == 0);
}

static void ports(void)
{
    inside(binds_no_other_port, NULL);
}

static void makes_few_sockets(int *unused)
{
    (void)unused;
    for (int round = 0; round < 3; round++) { /* what was closed is free again */
        int made[8], count = 0;
        while (count < 8) {
            made[count] = socket(count % 2 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            if (made[count] < 0) {
                break;
            }
            count++;
        }
        CHECK(count == 4 && errno == EPERM);
        while (count > 0) {
            close(made[--count]);
        }
    }
    CLEANUP_CLOSE int local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(local >= 0);
}

static void sockets(void)
{
    inside(makes_few_sockets, NULL);
}

/* The sender is in this process, outside; it may mark what it sends. */
static void hears_marked_datagrams(int *senders)
{
    CLEANUP_CLOSE int own = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(bind_to(own, 30001) == 0);
    struct sockaddr_in address = at(30001);
    for (int i = 0; i < 3; i++) {
        CHECK(sendto(senders[i], "x", 1, 0, (struct sockaddr *)&address, sizeof address) == 1);
        CHECK(is_ready(own) == (i == 0));
        char byte;
        CHECK((recv(own, &byte, 1, MSG_DONTWAIT) == 1) == (i == 0));
    }
}

static void datagrams(void)
{
    int senders[] = {marked_socket(SOCK_DGRAM, MARK), marked_socket(SOCK_DGRAM, MARK + 1),
                     marked_socket(SOCK_DGRAM, 0)};
    inside(hears_marked_datagrams, senders);
    for (int i = 0; i < 3; i++) {
        close(senders[i]);
    }
}

static void hears_marked_connections(int *callers)
{
    CLEANUP_CLOSE int own = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind_to(own, 30002) == 0 && listen(own, 5) == 0);
    struct sockaddr_in address = at(30002);
    for (int i = 2; i >= 0; i--) {
        (void)connect(callers[i], (struct sockaddr *)&address, sizeof address);
        CHECK(is_ready(own) == (i == 0));
    }
    CLEANUP_CLOSE int accepted = accept4(own, NULL, NULL, SOCK_CLOEXEC);
    char byte;
    CHECK(send(callers[0], "x", 1, 0) == 1 && is_ready(accepted) &&
          recv(accepted, &byte, 1, 0) == 1);
    uint32_t other = MARK + 1; /* as if the connection were handed on */
    CHECK(setsockopt(callers[0], SOL_SOCKET, SO_MARK, &other, sizeof other) == 0);
    CHECK(send(callers[0], "x", 1, 0) == 1 && !is_ready(accepted));
}

static void connections(void)
{
    const int type = SOCK_STREAM | SOCK_NONBLOCK;
    int callers[] = {marked_socket(type, MARK), marked_socket(type, MARK + 1),
                     marked_socket(type, 0)};
    inside(hears_marked_connections, callers);
    for (int i = 0; i < 3; i++) {
        close(callers[i]);
    }
}

/* A connection of its instance is a socket of the host's network, also in a server that has none.
 */
static void turns_a_connection(int *accepted)
{
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    CHECK(connect(accepted[0], &none, sizeof none) == 0);
    CHECK(bind_to(accepted[0], 25000) == -EPERM && bind_to(accepted[0], 30003) == -EPERM);
    CHECK(port_of(accepted[0]) != 25000 && port_of(accepted[0]) != 30003);
}

static void listens(int *out)
{
    *out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind_to(*out, 0) == 0 && listen(*out, 5) == 0);
}

/* As the worker makes instance sockets: in the group, before the fence is there. */
static void turned_connections(void)
{
    int *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *shared = -1;
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    pid_t pid = (pid_t)fork();
    if (pid == 0) {
        char byte;
        int listener = -1;
        if (read(ends[1], &byte, 1) != 1) {
            _exit(9);
        }
        listens(&listener);
        *shared = port_of(listener);
        if (write(ends[1], "", 1) != 1) {
            _exit(9);
        }
        int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        test_failed = false;
        turns_a_connection(&accepted);
        fflush(stdout);
        _exit(test_failed ? 1 : 0);
    }
    char byte;
    int status;
    CHECK(cgroup_enter(cgroups, GROUP, pid) == 0 && write(ends[0], "", 1) == 1);
    CHECK(read(ends[0], &byte, 1) == 1);
    CLEANUP_CLOSE int caller = marked_socket(SOCK_STREAM, MARK);
    struct sockaddr_in address = at((uint16_t)*shared);
    CHECK(connect(caller, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    close(ends[0]);
    close(ends[1]);
    munmap(shared, sizeof *shared);
}

/* Of a share without servers in the host's network nobody may bind anything. */
static void binds_nothing(int *unused)
{
    (void)unused;
    CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind_to(fd, 30000) == -EPERM && bind_to(fd, 1) == -EPERM && bind6_to(30000) == -EPERM);
}

static void without_sockets(void)
{
    const struct fence closed = {.mark = MARK, .passive_first = 30000, .passive_last = 30009};
    int other = -1;
    const struct cgroup_limits limits = {.memory = 1 << 26, .processes = 50};
    CHECK(cgroup_remove(cgroups, GROUP) == 0);
    CHECK(cgroup_create(cgroups, GROUP, &limits, &other) == 0);
    CHECK(fence_attach(other, &closed) == 0);
    close(other);
    inside(binds_nothing, NULL);
}

static void refuses_a_file(void)
{
    CLEANUP_CLOSE int file = memfd_create("x", MFD_CLOEXEC);
    CHECK(fence_attach(file, &fence) < 0);
    CHECK(fence_probe() == 0);
}

static void begin(void)
{
    const struct cgroup_limits limits = {.memory = 1 << 26, .processes = 50};
    CLEANUP_CLOSE int control = -1;
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    CHECK(unshare(CLONE_NEWNET) == 0);
    control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(ioctl(control, SIOCSIFFLAGS, &lo) == 0);
    CHECK(cgroup_create(cgroups, GROUP, &limits, &group) == 0);
    CHECK(fence_attach(group, &fence) == 0);
}

static void leave(void)
{
    close(group);
    CHECK(cgroup_remove(cgroups, GROUP) == 0);
    cgroups_close(cgroups);
}

static const struct test_case cases[] = {
    {"begin", begin},
    {"no port of others is bound", ports},
    {"the number of sockets is bounded", sockets},
    {"datagrams without the share's mark do not arrive", datagrams},
    {"nor do connections", connections},
    {"a connection cannot be turned into a listener", turned_connections},
    {"a share without sockets of its own binds nothing", without_sockets},
    {"only a group is fenced", refuses_a_file},
    {"leave", leave},
};

int main(void)
{
    bool unified = geteuid() == 0 && cgroups_open(NULL, &cgroups) == 0 && cgroups_unified(cgroups);
    int failed = 0;
    if (!unified || fence_probe() < 0) {
        printf("skip fence - no root, no unified hierarchy, or a kernel without its programs\n");
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        test_failed = false;
        cases[i].run();
        printf("%s %s\n", test_failed ? "not ok" : "ok", cases[i].name);
        fflush(stdout);
        failed += test_failed;
    }
    return failed ? 1 : 0;
}
