/*
 * Stands in place of cdss-supervisor, for tests/net/captured_supervisor.sh: a supervisor that has
 * been taken over by a server that it started. It does what the file /libexec/mode names.
 */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PEERS 16

static const struct supervisor_plan *read_plan(void)
{
    struct stat status;
    if (fstat(SUPERVISOR_PLAN_FD, &status) < 0) {
        return NULL;
    }
    struct supervisor_plan *plan = malloc((size_t)status.st_size);
    ssize_t length = plan == NULL ? -1 : pread(SUPERVISOR_PLAN_FD, plan, (size_t)status.st_size, 0);
    return length == status.st_size ? plan : NULL;
}

static void read_mode(char *mode, size_t size)
{
    int fd = open("/libexec/mode", O_RDONLY);
    ssize_t length = read(fd, mode, size - 1);
    mode[length > 0 ? length : 0] = '\0';
    mode[strcspn(mode, "\n")] = '\0';
    close(fd);
}

/* --- readiness --- */

static void say_nothing(int fd)
{
    (void)fd;
    pause();
}

static void say_end(int fd)
{
    close(fd);
}

static void say_little(int fd)
{
    if (write(fd, "\1\0\0", 3) < 0) {
        _exit(1);
    }
}

static void say_much(int fd)
{
    static char garbage[65536];
    memset(garbage, 0xa5, sizeof garbage);
    signal(SIGPIPE, SIG_IGN);
    while (write(fd, garbage, sizeof garbage) > 0) {
    }
}

static void say_controls(int fd)
{
    struct supervisor_ready ready = {.failed = 0x80000000u};
    memset(ready.service, '\n', sizeof ready.service);
    memset(ready.reason, 0x1b, sizeof ready.reason);
    memcpy(ready.reason, "\033[2J\033]0;x\007; nothing\r\nrefused\xff", 30);
    if (write(fd, &ready, sizeof ready) < 0) {
        _exit(1);
    }
}

static void say_ready(int fd)
{
    static const struct supervisor_ready ready;
    if (write(fd, &ready, sizeof ready) < 0) {
        _exit(1);
    }
    close(fd);
}

static void die(int fd)
{
    (void)fd;
    _exit(0);
}

/* --- answers --- */

static void answer(int peer, const void *data, size_t size)
{
    send(peer, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void answer_nothing(int peer)
{
    (void)peer;
}

static void answer_little(int peer)
{
    answer(peer, "x", 1);
}

static void answer_wild(int peer)
{
    static struct supervisor_reply reply;
    memset(&reply, 0xff, sizeof reply);
    reply.error = 0x7fffffff;
    answer(peer, &reply, sizeof reply);
}

static void answer_much(int peer)
{
    static char much[2 * sizeof(struct supervisor_reply)];
    for (int i = 0; i < 1000; i++) {
        answer(peer, much, sizeof much);
    }
}

static void answer_descriptors(int peer)
{
    static struct supervisor_reply reply;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(200 * sizeof(int))];
    } control = {0};
    struct iovec part = {&reply, sizeof reply};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    control.header = (struct cmsghdr){CMSG_LEN(200 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    for (int i = 0; i < 200; i++) {
        memcpy(CMSG_DATA(&control.header) + i * (int)sizeof(int), &peer, sizeof peer);
    }
    for (int i = 0; i < 20; i++) {
        sendmsg(peer, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

static void answer_end(int peer)
{
    shutdown(peer, SHUT_RDWR);
}

/* --- what it is --- */

static const struct {
    const char *name;
    void (*ready)(int fd);
    void (*answer)(int peer);
} modes[] = {{"silent", say_nothing, NULL},
             {"closes", say_end, NULL},
             {"short", say_little, NULL},
             {"floods", say_much, NULL},
             {"controls", say_controls, NULL},
             {"dies", die, NULL},
             {"answers-nothing", say_ready, answer_nothing},
             {"answers-little", say_ready, answer_little},
             {"answers-wild", say_ready, answer_wild},
             {"answers-much", say_ready, answer_much},
             {"answers-descriptors", say_ready, answer_descriptors},
             {"hangs-up", say_ready, answer_end}};

/* The file that tells the broker how the servers do is its to write. */
static void lie(const struct supervisor_plan *plan)
{
    static struct supervisor_status status;
    memset(&status, 0xff, sizeof status);
    for (size_t i = 0; i < 1000; i++) {
        if (pwrite(plan->status_fd, &status, sizeof status, 0) < 0) {
            return;
        }
    }
    if (ftruncate(plan->status_fd, 0) == 0) {
        return; /* sealed: it fails */
    }
}

/* For ever: no deadline, no signal, nothing. */
static void serve(const struct supervisor_plan *plan, void (*respond)(int peer))
{
    struct pollfd peers[PEERS] = {{.fd = plan->control_fd, .events = POLLIN}};
    static char request[sizeof(struct supervisor_request)];
    nfds_t count = 1;
    for (;;) {
        poll(peers, count, -1);
        if (peers[0].revents != 0 && count < PEERS) {
            int fd = accept(plan->control_fd, NULL, NULL);
            peers[count] = (struct pollfd){.fd = fd, .events = POLLIN};
            count += fd >= 0;
        }
        for (nfds_t i = 1; i < count; i++) {
            if (peers[i].revents == 0) {
                continue;
            }
            if (recv(peers[i].fd, request, sizeof request, MSG_DONTWAIT) <= 0) {
                close(peers[i].fd);
                peers[i] = peers[--count];
            } else {
                respond(peers[i].fd);
            }
        }
    }
}

int main(int argc, char **argv)
{
    char mode[64];
    const struct supervisor_plan *plan = read_plan();
    for (int number = 1; number < 65; number++) {
        signal(number, SIG_IGN);
    }
    if (plan == NULL) {
        return 1;
    }
    if (argc > 1 && strcmp(argv[1], "host") == 0) {
        close(plan->ready_fd); /* the other speaks for both */
        pause();
    }
    read_mode(mode, sizeof mode);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(modes[i].name, mode) != 0) {
            continue;
        }
        modes[i].ready(plan->ready_fd);
        if (modes[i].answer != NULL) {
            lie(plan);
            serve(plan, modes[i].answer);
        }
        pause();
    }
    return 1;
}
