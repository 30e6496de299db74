/*
 * The supervisor as PID 1 of a PID namespace, with real sockets on 127.0.0.1 and real processes.
 * The servers are this very program: the environment variable HELPER says which (see helpers[]).
 */
#include "supervisor_run.h"
#include "supervisor_words.h"
#include "test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- the servers ---- */

static void sleep_ms(int ms)
{
    poll(NULL, 0, ms);
}

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static int serve_report(void)
{
    uid_t uid[3];
    getresuid(&uid[0], &uid[1], &uid[2]);
    printf("%u %u %u %d %d %d %d %s\n", uid[0], uid[2], getgid(), getgroups(0, NULL),
           open_descriptors(), getsid(0) == getpid(), signal(SIGTERM, SIG_DFL) == SIG_DFL,
           getenv("MORE"));
    return fflush(stdout);
}

static int serve_datagrams(void)
{
    struct pollfd socket = {.fd = 0, .events = POLLIN};
    while (poll(&socket, 1, 1200) > 0) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof peer;
        char text[64];
        recvfrom(0, text, sizeof text, 0, (struct sockaddr *)&peer, &size);
        int length = snprintf(text, sizeof text, "%d", (int)getpid());
        sendto(0, text, (size_t)length, 0, (struct sockaddr *)&peer, size);
    }
    return 0;
}

static int serve_listeners(void)
{
    struct pollfd sockets[2] = {{.fd = 3, .events = POLLIN}, {.fd = 4, .events = POLLIN}};
    if (strtol(getenv("LISTEN_PID"), NULL, 10) != getpid() ||
        strcmp(getenv("LISTEN_FDS"), "2") != 0) {
        return 1;
    }
    while (poll(sockets, 2, 1200) > 0) {
        int connection = accept(sockets[0].revents ? 3 : 4, NULL, NULL);
        dprintf(connection, "%d", (int)getpid());
        close(connection);
    }
    return 0;
}

static int serve_hostile(void)
{
    kill(getppid(), SIGTERM);
    kill(getppid(), SIGHUP);
    kill(getppid(), SIGUSR1);
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    printf("alive");
    return fflush(stdout);
}

static int serve_echo(void)
{
    char text[64];
    ssize_t n;
    while ((n = read(0, text, sizeof text)) > 0 && write(1, text, (size_t)n) == n) {
    }
    return 0;
}

static int check_failing(void)
{
    fprintf(stderr, "first line\nline 7: bad\tword\n\n");
    return 1;
}

static int fail(void)
{
    return 1;
}

static int succeed(void)
{
    return 0;
}

static const struct helper {
    const char *name;
    int (*run)(void);
} helpers[] = {
    {"report", serve_report},
    {"datagrams", serve_datagrams},
    {"listeners", serve_listeners},
    {"hostile", serve_hostile},
    {"echo", serve_echo},
    {"check-failing", check_failing},
    {"fail", fail},
    {"succeed", succeed},
};

__attribute__((constructor)) static void become_helper(void)
{
    const char *name = getenv("HELPER");
    for (size_t i = 0; name != NULL && i < sizeof helpers / sizeof helpers[0]; i++) {
        if (strcmp(helpers[i].name, name) == 0) {
            _exit(helpers[i].run());
        }
    }
}

/* ---- a plan, and the process that has it ---- */

#define SERVICES 4

struct fixture {
    struct supervisor_plan *plan;
    size_t size;
    char directory[64];
    struct sockaddr_un control;
    int ready; /* our end */
    int deadline;
    struct supervisor_status *status;
    pid_t pid;
};

static uint64_t boottime_in_ms(int ms)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec + (uint64_t)ms * 1000000;
}

static void set_deadline(struct fixture *fixture, int ms)
{
    struct supervisor_deadline deadline = {boottime_in_ms(ms)};
    CHECK(pwrite(fixture->deadline, &deadline, sizeof deadline, 0) == sizeof deadline);
}

static void fixture_open(struct fixture *fixture)
{
    int ready[2];
    *fixture = (struct fixture){.size = sizeof *fixture->plan +
                                        SERVICES * sizeof fixture->plan->services[0]};
    fixture->plan = calloc(1, fixture->size);
    snprintf(fixture->directory, sizeof fixture->directory, "/tmp/cdss-supervisor-XXXXXX");
    CHECK(mkdtemp(fixture->directory) != NULL);
    fixture->control.sun_family = AF_UNIX;
    snprintf(fixture->control.sun_path, sizeof fixture->control.sun_path, "%s/control",
             fixture->directory);
    int control = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    CHECK(bind(control, (struct sockaddr *)&fixture->control, sizeof fixture->control) == 0);
    CHECK(listen(control, 8) == 0 && pipe(ready) == 0);
    fixture->ready = ready[0];
    fixture->deadline = memfd_create("deadline", 0);
    set_deadline(fixture, 30000);
    int status = memfd_create("status", 0);
    CHECK(ftruncate(status, sizeof *fixture->status) == 0);
    fixture->status =
        mmap(NULL, sizeof *fixture->status, PROT_READ | PROT_WRITE, MAP_SHARED, status, 0);
    *fixture->plan = (struct supervisor_plan){.magic = SUPERVISOR_MAGIC,
                                              .deadline_fd = fixture->deadline,
                                              .control_fd = control,
                                              .ready_fd = ready[1],
                                              .status_fd = status};
}

static void set_helper(struct supervisor_words *words, const char *name)
{
    char variable[64];
    snprintf(variable, sizeof variable, "HELPER=%s", name);
    *words = (struct supervisor_words){0};
    CHECK(words_add(words, variable) == 0 && words_add(words, "MORE=a b") == 0);
    /* Not by its name: the directories on the way to it may be root's alone. */
    CHECK(words_add(words, "/proc/self/exe") == 0);
}

static struct supervisor_service *add(struct fixture *fixture, uint32_t start, const char *helper)
{
    struct supervisor_service *service = &fixture->plan->services[fixture->plan->n_services++];
    service->start = start;
    service->max_processes = 2;
    snprintf(service->name, sizeof service->name, "s%u", fixture->plan->n_services);
    set_helper(&service->program, helper);
    return service;
}

/* Returns the port. */
static uint16_t add_socket(struct supervisor_service *service, int type)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, type, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, size) == 0);
    CHECK(type != SOCK_STREAM || listen(fd, 16) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    service->is_stream[service->n_sockets] = type == SOCK_STREAM;
    service->sockets[service->n_sockets++] = fd;
    return ntohs(address.sin_port);
}

/* Out of the way of descriptor 3. */
static int raise_fd(int fd)
{
    int raised = fcntl(fd, F_DUPFD, 40);
    close(fd);
    return raised;
}

static void raise_all(struct supervisor_plan *plan)
{
    plan->deadline_fd = raise_fd(plan->deadline_fd);
    plan->control_fd = raise_fd(plan->control_fd);
    plan->ready_fd = raise_fd(plan->ready_fd);
    plan->status_fd = raise_fd(plan->status_fd);
    for (uint32_t i = 0; i < plan->n_services; i++) {
        for (uint32_t k = 0; k < plan->services[i].n_sockets; k++) {
            plan->services[i].sockets[k] = raise_fd(plan->services[i].sockets[k]);
        }
    }
}

static void run_inside(struct fixture *fixture, bool second)
{
    char word[16], *none[] = {"cdss-supervisor", "none", NULL, NULL};
    char *host[] = {"cdss-supervisor", "host", NULL};
    pid_t pid = 0;
    close(fixture->ready);
    raise_all(fixture->plan);
    int memory = raise_fd(memfd_create("plan", 0));
    if (write(memory, fixture->plan, fixture->plan->size) != (ssize_t)fixture->plan->size) {
        _exit(99);
    }
    dup2(memory, SUPERVISOR_PLAN_FD);
    close(memory);
    if (second && (pid = fork()) == 0) {
        _exit(supervisor_run(2, host));
    }
    if (second) {
        snprintf(word, sizeof word, "%d", (int)pid);
        none[2] = word;
    }
    _exit(supervisor_run(second ? 3 : 2, none));
}

static void close_ours(struct supervisor_plan *plan)
{
    close(plan->control_fd);
    close(plan->ready_fd);
    close(plan->status_fd);
    for (uint32_t i = 0; i < plan->n_services; i++) {
        for (uint32_t k = 0; k < plan->services[i].n_sockets; k++) {
            close(plan->services[i].sockets[k]);
        }
    }
}

static void fixture_start(struct fixture *fixture, bool second, struct supervisor_ready *ret)
{
    struct pollfd ready = {.fd = fixture->ready, .events = POLLIN};
    struct supervisor_plan *plan = fixture->plan;
    plan->size = (uint32_t)(sizeof *plan + plan->n_services * sizeof plan->services[0]);
    fixture->pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
    CHECK(fixture->pid >= 0);
    if (fixture->pid == 0) {
        run_inside(fixture, second);
    }
    close_ours(plan);
    memset(ret, 0xff, sizeof *ret);
    CHECK(poll(&ready, 1, 5000) == 1);
    CHECK(read(fixture->ready, ret, sizeof *ret) == sizeof *ret);
}

/* Whether PID 1 is gone, and the exit status. */
static bool has_ended(struct fixture *fixture, int within_ms, int *ret_status)
{
    for (int waited = 0; waited <= within_ms; waited += 20) {
        if (waitpid(fixture->pid, ret_status, WNOHANG) == fixture->pid) {
            fixture->pid = 0;
            return true;
        }
        sleep_ms(20);
    }
    return false;
}

static void fixture_close(struct fixture *fixture)
{
    int status;
    if (fixture->pid > 0) {
        kill(fixture->pid, SIGKILL);
        waitpid(fixture->pid, &status, 0);
    }
    unlink(fixture->control.sun_path);
    rmdir(fixture->directory);
    munmap(fixture->status, sizeof *fixture->status);
    close(fixture->ready);
    close(fixture->deadline);
    free(fixture->plan);
}

/* ---- clients ---- */

static int call(int type, uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    struct timeval limit = {.tv_sec = 2};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    /* On a single processor a server's reset may be there before connect returns. */
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == ECONNRESET);
    return fd;
}

/* Says something to a UDP server, and gives its answer; -1: none. */
static long ask(int fd, char *text, size_t size)
{
    ssize_t n = recv(fd, text, size - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return n;
}

static void get(int type, uint16_t port, char *text, size_t size)
{
    int fd = call(type, port);
    CHECK(type == SOCK_STREAM || send(fd, "x", 1, 0) == 1);
    CHECK(ask(fd, text, size) > 0);
    close(fd);
}

static int connect_control(const struct fixture *fixture)
{
    struct timeval limit = {.tv_sec = 2};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    CHECK(connect(fd, (const struct sockaddr *)&fixture->control, sizeof fixture->control) == 0);
    return fd;
}

static void send_request(int control, const struct supervisor_request *request, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } extra = {.header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec part = {(void *)request, sizeof *request};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        extra.header.cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(&extra.header), &fd, sizeof fd);
        message.msg_control = extra.bytes;
        message.msg_controllen = sizeof extra.bytes;
    }
    CHECK(sendmsg(control, &message, 0) == sizeof *request);
}

static void exchange(const struct fixture *fixture, uint32_t kind,
                     const struct supervisor_service *service, int fd, struct supervisor_reply *ret)
{
    struct supervisor_request request = {.kind = kind};
    int control = connect_control(fixture);
    if (service != NULL) {
        request.service = *service;
    }
    memset(ret, 0xff, sizeof *ret);
    send_request(control, &request, fd);
    CHECK(recv(control, ret, sizeof *ret, 0) == sizeof *ret);
    close(control);
}

/* ---- cases ---- */

static void test_connection(void)
{
    struct fixture fixture;
    struct supervisor_ready ready;
    char text[64] = "";
    fixture_open(&fixture);
    uint16_t port = add_socket(add(&fixture, SUPERVISOR_CONNECTION, "echo"), SOCK_STREAM);
    fixture_start(&fixture, false, &ready);
    CHECK(ready.failed == 0);
    int fds[3] = {call(SOCK_STREAM, port), call(SOCK_STREAM, port), call(SOCK_STREAM, port)};
    for (int i = 0; i < 3; i++) {
        CHECK(send(fds[i], "abc", 3, 0) == 3);
    }
    CHECK(ask(fds[0], text, sizeof text) == 3 && ask(fds[1], text, sizeof text) == 3);
    CHECK(recv(fds[2], text, sizeof text, MSG_DONTWAIT) < 0); /* max_processes is 2 */
    CHECK(fixture.status->services[0].running == 2);
    close(fds[0]);
    CHECK(ask(fds[2], text, sizeof text) == 3);
    CHECK(fixture.status->services[0].started == 3);
    close(fds[1]);
    close(fds[2]);
    sleep_ms(200);
    CHECK(fixture.status->services[0].running == 0 && fixture.status->services[0].failures == 0);
    fixture_close(&fixture);
}

static void test_child(void)
{
    struct fixture fixture;
    struct supervisor_ready ready;
    char text[128] = "";
    fixture_open(&fixture);
    CHECK(setgroups(2, (gid_t[]){7, 8}) == 0); /* so that there is something to drop */
    struct supervisor_service *service = add(&fixture, SUPERVISOR_CONNECTION, "report");
    service->uid = 12345;
    service->gid = 23456;
    uint16_t port = add_socket(service, SOCK_STREAM);
    fixture_start(&fixture, false, &ready);
    CHECK(ready.failed == 0);
    get(SOCK_STREAM, port, text, sizeof text);
    CHECK_TEXT(text, "12345 12345 23456 0 3 1 1 a b\n");
    CHECK(setgroups(0, NULL) == 0);
    fixture_close(&fixture);
}

/* PID 1 is safe by its nature; the second supervisor is a process like any other. */
static void test_hostile_child(void)
{
    struct fixture fixture;
    struct supervisor_ready ready;
    char text[64] = "";
    int status;
    fixture_open(&fixture);
    struct supervisor_service *services[2] = {add(&fixture, SUPERVISOR_CONNECTION, "hostile"),
                                              add(&fixture, SUPERVISOR_CONNECTION, "hostile")};
    services[1]->network_host = 1;
    uint16_t ports[2] = {add_socket(services[0], SOCK_STREAM),
                         add_socket(services[1], SOCK_STREAM)};
    fixture_start(&fixture, true, &ready);
    for (int i = 0; i < 2; i++) {
        get(SOCK_STREAM, ports[i], text, sizeof text);
        CHECK_TEXT(text, "alive");
    }
    CHECK(!has_ended(&fixture, 200, &status));
    fixture_close(&fixture);
}

static void test_datagram(void)
{
    struct fixture fixture;
    struct supervisor_ready ready;
    char first[64], again[64], later[64];
    fixture_open(&fixture);
    uint16_t port = add_socket(add(&fixture, SUPERVISOR_DATAGRAM, "datagrams"), SOCK_DGRAM);
    fixture_start(&fixture, false, &ready);
    CHECK(ready.failed == 0);
    get(SOCK_DGRAM, port, first, sizeof first);
    get(SOCK_DGRAM, port, again, sizeof again);
    CHECK_TEXT(again, first);
    CHECK(fixture.status->services[0].running == 1);
    sleep_ms(1500);
    CHECK(fixture.status->services[0].running == 0);
    get(SOCK_DGRAM, port, later, sizeof later);
    CHECK(strcmp(later, first) != 0);
    CHECK(fixture.status->services[0].started == 2 && fixture.status->services[0].failures == 0);
    fixture_close(&fixture);
}

static void test_listen(void)
{
    struct fixture fixture;
    struct supervisor_ready ready;
    char first[64], other[64], later[64];
    fixture_open(&fixture);
    struct supervisor_service *service = add(&fixture, SUPERVISOR_LISTEN, "listeners");
    uint16_t ports[2] = {add_socket(service, SOCK_STREAM), add_socket(service, SOCK_STREAM)};
    fixture_start(&fixture, false, &ready);
    CHECK(ready.failed == 0);
    get(SOCK_STREAM, ports[0], first, sizeof first);
    get(SOCK_STREAM, ports[1], other, sizeof other);
    CHECK_TEXT(other, first);
    sleep_ms(1500);
    get(SOCK_STREAM, ports[1], later, sizeof later);
    CHECK(strcmp(later, first) != 0);
    CHECK(fixture.status->services[0].started == 2);
    fixture_close(&fixture);
}

/* Clients that try again and again for a second do not make it start more than four times. */
static void check_backs_off(uint32_t start, int type, const char *helper)
{
    struct fixture fixture;
    struct supervisor_ready ready;
    char byte;
    fixture_open(&fixture);
    uint16_t port = add_socket(add(&fixture, start, helper), type);
    fixture_start(&fixture, false, &ready);
    CHECK(ready.failed == 0);
    for (int i = 0; i < 50; i++) {
        int fd = call(type, port);
        send(fd, "x", 1, MSG_NOSIGNAL);
        sleep_ms(20);
        CHECK(type == SOCK_DGRAM || recv(fd, &byte, 1, 0) <= 0);
        close(fd);
    }
    struct supervisor_service_status *status = &fixture.status->services[0];
    CHECK(status->started >= 2 && status->started <= 6);
    CHECK(status->failures == status->started && status->running == 0);
    fixture_close(&fixture);
}

static void test_back_off_listen(void)
{
    check_backs_off(SUPERVISOR_LISTEN, SOCK_STREAM, "fail");
    check_backs_off(SUPERVISOR_LISTEN, SOCK_STREAM, "succeed"); /* and so one that goes at once */
}

static void test_back_off_datagram(void)
{
    check_backs_off(SUPERVISOR_DATAGRAM, SOCK_DGRAM, "fail");
    check_backs_off(SUPERVISOR_DATAGRAM, SOCK_DGRAM, "succeed");
}

static void test_back_off_resets(void)
{
    struct fixture fixture;
    struct supervisor_ready ready;
    char byte;
    fixture_open(&fixture);
    uint16_t port = add_socket(add(&fixture, SUPERVISOR_LISTEN, "fail"), SOCK_STREAM);
    fixture_start(&fixture, false, &ready);
    int fd = call(SOCK_STREAM, port);
    CHECK(recv(fd, &byte, 1, 0) < 0 && errno == ECONNRESET);
    close(fd);
    CHECK(fixture.status->services[0].backing_off == 1);
    CHECK(WEXITSTATUS(fixture.status->services[0].last_exit) == 1);
    fixture_close(&fixture);
}

/* A client that makes its own process fail does not shut out the next one. */
static void test_back_off_connection(void)
{
    struct fixture fixture;
    struct supervisor_ready ready;
    char byte;
    fixture_open(&fixture);
    uint16_t port = add_socket(add(&fixture, SUPERVISOR_CONNECTION, "fail"), SOCK_STREAM);
    fixture_start(&fixture, false, &ready);
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = call(SOCK_STREAM, port);
    }
    for (int i = 0; i < 3; i++) {
        CHECK(recv(fds[i], &byte, 1, 0) == 0); /* closed by its process, after at most 300 ms */
        close(fds[i]);
    }
    CHECK(fixture.status->services[0].started == 3);
    fixture_close(&fixture);
}

static void test_ready(void)
{
    static const struct {
        const char *program, *check;
        bool listening;
        const char *reason;
    } rows[] = {
        {NULL, "succeed", true, ""},
        {NULL, "check-failing", true, "line 7: bad?word"},
        {NULL, "fail", true, "its check ended with status 1"},
        {"/nonexistent/server", NULL, true, "/nonexistent/server: No such file or directory"},
        {"/etc/passwd", NULL, true, "/etc/passwd is not executable"},
        {NULL, NULL, false, "socket 0 does not listen"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture fixture;
        struct supervisor_ready ready;
        int status;
        fixture_open(&fixture);
        struct supervisor_service *service = add(&fixture, SUPERVISOR_LISTEN, "listeners");
        add_socket(service, rows[i].listening ? SOCK_STREAM : SOCK_DGRAM);
        if (!rows[i].listening) {
            close(service->sockets[0]);
            service->sockets[0] = socket(AF_INET, SOCK_STREAM, 0);
            service->is_stream[0] = 1;
        }
        if (rows[i].program != NULL) {
            CHECK(words_split(rows[i].program, &service->program) == 0);
        }
        if (rows[i].check != NULL) {
            set_helper(&service->check, rows[i].check);
        }
        fixture_start(&fixture, false, &ready);
        CHECK_TEXT(ready.reason, rows[i].reason);
        CHECK(ready.failed == (rows[i].reason[0] != '\0'));
        CHECK(has_ended(&fixture, 200, &status) == ready.failed);
        if (ready.failed) {
            CHECK_TEXT(ready.service, "s1");
        }
        fixture_close(&fixture);
    }
}

static void test_deadline(void)
{
    struct fixture fixture;
    struct supervisor_ready ready;
    struct supervisor_reply reply;
    int status = -1;
    fixture_open(&fixture);
    add_socket(add(&fixture, SUPERVISOR_LISTEN, "listeners"), SOCK_STREAM);
    set_deadline(&fixture, 600);
    fixture_start(&fixture, false, &ready);
    CHECK(ready.failed == 0);
    set_deadline(&fixture, 20000); /* nobody tells it: it reads again when the old end comes */
    CHECK(!has_ended(&fixture, 900, &status));
    set_deadline(&fixture, 300);
    CHECK(!has_ended(&fixture, 500, &status));
    set_deadline(&fixture, 300);
    exchange(&fixture, SUPERVISOR_RELOAD, NULL, -1, &reply);
    CHECK(reply.error == 0);
    CHECK(has_ended(&fixture, 800, &status) && status == 0);
    fixture_close(&fixture);
}

static void test_deadline_unreadable(void)
{
    struct fixture fixture;
    struct supervisor_ready ready;
    struct supervisor_reply reply;
    int status = -1;
    fixture_open(&fixture);
    add_socket(add(&fixture, SUPERVISOR_LISTEN, "listeners"), SOCK_STREAM);
    fixture_start(&fixture, false, &ready);
    CHECK(ftruncate(fixture.deadline, 4) == 0);
    struct supervisor_request request = {.kind = SUPERVISOR_RELOAD};
    int control = connect_control(&fixture);
    send_request(control, &request, -1);
    CHECK(recv(control, &reply, sizeof reply, 0) <= 0);
    CHECK(has_ended(&fixture, 800, &status));
    close(control);
    fixture_close(&fixture);
}

static void test_control(void)
{
    struct fixture fixture;
    struct supervisor_ready ready;
    struct supervisor_reply reply;
    struct supervisor_request request = {.kind = SUPERVISOR_STATUS};
    char text[64];
    fixture_open(&fixture);
    uint16_t port = add_socket(add(&fixture, SUPERVISOR_CONNECTION, "echo"), SOCK_STREAM);
    fixture_start(&fixture, false, &ready);
    int fd = call(SOCK_STREAM, port);
    CHECK(send(fd, "x", 1, 0) == 1 && ask(fd, text, sizeof text) == 1);
    exchange(&fixture, SUPERVISOR_STATUS, NULL, -1, &reply);
    CHECK(reply.error == 0 && reply.status.services[0].running == 1);
    exchange(&fixture, 77, NULL, -1, &reply);
    CHECK(reply.error == -EINVAL);
    exchange(&fixture, SUPERVISOR_ADD_READER, NULL, -1, &reply);
    CHECK(reply.error == -EBADF);
    exchange(&fixture, SUPERVISOR_ADD_READER, NULL, 0, &reply);
    CHECK(reply.error == -EINVAL);
    int control = connect_control(&fixture);
    CHECK(send(control, &request, sizeof request - 1, 0) > 0);
    CHECK(recv(control, &reply, sizeof reply, 0) <= 0);
    close(control);
    int idle[6];
    for (int i = 0; i < 6; i++) {
        idle[i] = connect_control(&fixture); /* the fifth and sixth wait */
    }
    for (int i = 0; i < 6; i++) {
        send_request(idle[i], &request, -1);
        CHECK(recv(idle[i], &reply, sizeof reply, 0) == sizeof reply && reply.error == 0);
        close(idle[i]);
    }
    close(fd);
    fixture_close(&fixture);
}

static void test_second(void)
{
    struct fixture fixture;
    struct supervisor_ready ready;
    char text[64];
    int status = 0;
    fixture_open(&fixture);
    uint16_t mine = add_socket(add(&fixture, SUPERVISOR_CONNECTION, "report"), SOCK_STREAM);
    struct supervisor_service *host = add(&fixture, SUPERVISOR_CONNECTION, "report");
    host->network_host = 1;
    uint16_t other = add_socket(host, SOCK_STREAM);
    struct supervisor_service *killer = add(&fixture, SUPERVISOR_CONNECTION, "");
    CHECK(words_split("/bin/kill -9 2", &killer->program) == 0); /* the second one's pid */
    uint16_t kill_port = add_socket(killer, SOCK_STREAM);
    fixture_start(&fixture, true, &ready);
    CHECK(ready.failed == 0);
    get(SOCK_STREAM, mine, text, sizeof text);
    get(SOCK_STREAM, other, text, sizeof text);
    CHECK(fixture.status->services[0].started == 1 && fixture.status->services[1].started == 1);
    CHECK(!has_ended(&fixture, 100, &status));
    int fd = call(SOCK_STREAM, kill_port);
    CHECK(has_ended(&fixture, 2000, &status) && status != 0);
    close(fd);
    fixture_close(&fixture);
}

/* Mounts FUSE at `directory` in a mount namespace of this process's own. */
static int mount_fuse(const char *directory)
{
    char options[128];
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
    CHECK(mkdir(directory, 0700) == 0);
    CHECK(mount("test", directory, "fuse", MS_RDONLY | MS_NOSUID | MS_NODEV, options) == 0);
    return fd;
}

static void make_reader(struct supervisor_service *reader, const char *helper)
{
    *reader = (struct supervisor_service){.start = SUPERVISOR_READER, .n_sockets = 1};
    snprintf(reader->name, sizeof reader->name, "reader");
    set_helper(&reader->program, helper);
}

static void test_reader(void)
{
    struct fixture fixture;
    struct supervisor_ready ready;
    struct supervisor_reply reply;
    struct supervisor_service reader;
    struct stat status;
    char directory[128];
    CHECK(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    fixture_open(&fixture);
    add_socket(add(&fixture, SUPERVISOR_CONNECTION, "echo"), SOCK_STREAM);
    fixture_start(&fixture, false, &ready);
    CHECK(ready.failed == 0);
    snprintf(directory, sizeof directory, "%s/mount", fixture.directory);
    int fuse = mount_fuse(directory);

    /* one that lives */
    make_reader(&reader, "");
    CHECK(words_split("/bin/sleep 60", &reader.program) == 0);
    exchange(&fixture, SUPERVISOR_ADD_READER, &reader, fuse, &reply);
    CHECK(reply.error == 0);
    sleep_ms(200);
    CHECK(fixture.status->services[1].running == 1);

    /* one that fails: tried again five times, then whoever reads there gets an error */
    char other[160];
    snprintf(other, sizeof other, "%s/other", fixture.directory);
    int second = mount_fuse(other);
    make_reader(&reader, "fail");
    exchange(&fixture, SUPERVISOR_ADD_READER, &reader, second, &reply);
    CHECK(reply.error == 0);
    close(second);
    sleep_ms(500); /* and is not started again */
    CHECK(fixture.status->services[2].started == 1 && fixture.status->services[2].failures == 1);
    CHECK(fixture.status->services[2].backing_off == 0);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(2); /* the attributes of the root come from the reader */
        char below[200];
        snprintf(below, sizeof below, "%s/x", other);
        _exit(stat(below, &status) < 0 && errno == ENOTCONN ? 0 : 1);
    }
    int result = -1;
    CHECK(waitpid(pid, &result, 0) == pid && result == 0);

    /* its place is taken by the next */
    CHECK(umount2(other, MNT_DETACH) == 0);
    make_reader(&reader, "");
    CHECK(words_split("/bin/sleep 60", &reader.program) == 0);
    exchange(&fixture, SUPERVISOR_ADD_READER, &reader, fuse, &reply);
    sleep_ms(100);
    CHECK(reply.error == 0 && fixture.status->services[2].running == 1);
    CHECK(fixture.status->services[2].failures == 0 && fixture.status->services[3].started == 0);

    close(fuse);
    umount2(directory, MNT_DETACH);
    rmdir(directory);
    rmdir(other);
    fixture_close(&fixture);
}

static void test_words(void)
{
    struct supervisor_words words;
    const char *argv[WORDS_MAX + 1], *env[WORDS_VALUE_MAX + 1];
    char line[SUPERVISOR_WORDS_SIZE + 8];
    CHECK(words_split("  A=1 B=2\t/bin/x  C=3 -o  ", &words) == 0);
    CHECK(words_vectors(&words, argv, env) == 0);
    CHECK_TEXT(env[1], "B=2");
    CHECK_TEXT(argv[0], "/bin/x");
    CHECK_TEXT(argv[1], "C=3");
    CHECK(env[2] == NULL && argv[3] == NULL);
    CHECK(words_add(&words, "") == -EINVAL && words_add(&words, "a b\n") == 0);
    CHECK(words_vectors(&words, argv, env) == 0);
    CHECK_TEXT(argv[3], "a b\n");
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    CHECK(words_split(line, &words) == -E2BIG);
    memset(line, ' ', sizeof line - 1);
    CHECK(words_split(line, &words) == 0 && words_program(&words) == NULL);
    for (size_t i = 0; i < sizeof line - 1; i += 2) {
        line[i] = 'x';
    }
    CHECK(words_split(line, &words) == -E2BIG);
    memset(&words, 'x', sizeof words);
    CHECK(words_vectors(&words, argv, env) == -EINVAL);
}

TEST_MAIN({"words", test_words}, {"a process per connection", test_connection},
          {"what a child gets", test_child}, {"a child that signals", test_hostile_child},
          {"datagram", test_datagram}, {"listen", test_listen},
          {"back-off: listen", test_back_off_listen},
          {"back-off: datagram", test_back_off_datagram},
          {"back-off: connections are reset", test_back_off_resets},
          {"back-off: connection", test_back_off_connection}, {"ready", test_ready},
          {"deadline", test_deadline}, {"deadline that cannot be read", test_deadline_unreadable},
          {"control", test_control}, {"the second supervisor", test_second},
          {"readers", test_reader})
