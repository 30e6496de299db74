/*
 * A worker is told by its pidfd alone: the loop reaps on SIGCHLD, and the number may be another
 * process's by then.
 */
#include "worker.h"

#include "cleanup.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define FDS_MAX       4
#define MESSAGES_TURN 64 /* heard of one worker before the loop looks at others */

struct worker {
    int pidfd, fd;
    struct loop_watch *pid_watch, *message_watch;
    worker_message *message;
    worker_gone *gone;
    void *user_data;
};

int worker_tell(int fd, const void *message, size_t length, const int *fds, unsigned n_fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
    } control = {0};
    struct iovec part = {.iov_base = (void *)message, .iov_len = length};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

    if (n_fds > FDS_MAX) {
        return -EINVAL;
    }
    if (n_fds > 0) {
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(rights), fds, sizeof(int) * n_fds);
    }
    return sendmsg(fd, &header, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

ssize_t worker_hear(int fd, void *buffer, size_t size, int *ret_fds, unsigned *n_fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
    } control;
    struct iovec part = {.iov_base = buffer, .iov_len = size};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes};
    ssize_t length;

    *n_fds = 0;
    do {
        length = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
    } while (length < 0 && errno == EINTR);
    if (length < 0) {
        return -errno;
    }
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c != NULL; c = CMSG_NXTHDR(&header, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            *n_fds = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            memcpy(ret_fds, CMSG_DATA(c), sizeof(int) * *n_fds);
        }
    }
    if (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        while (*n_fds > 0) {
            close(ret_fds[--*n_fds]);
        }
        return -EMSGSIZE;
    }
    return length;
}

int worker_send(struct worker *worker, const void *message, size_t length)
{
    return worker_tell(worker->fd, message, length, NULL, 0);
}

void worker_kill(struct worker *worker)
{
    syscall(SYS_pidfd_send_signal, worker->pidfd, SIGKILL, NULL, 0);
}

/* Hands over at most `most` of the messages that are there; 0 when no more will come. */
static int hear_messages(struct worker *worker, unsigned most)
{
    static _Alignas(max_align_t) char buffer[WORKER_MESSAGE_MAX]; /* read as a struct */
    int fds[FDS_MAX];
    unsigned n_fds;

    for (unsigned heard = 0; heard < most;) {
        ssize_t length = worker_hear(worker->fd, buffer, sizeof buffer, fds, &n_fds);
        if (length == -EAGAIN) {
            return 1;
        }
        if (length == -ECONNRESET) {
            continue; /* said once, ahead of its last messages: it never read one of ours */
        }
        if (length < 0) {
            worker_kill(worker); /* nobody would hear the rest of it */
        }
        if (length <= 0) {
            return 0;
        }
        worker->message(buffer, (size_t)length, fds, n_fds, worker->user_data);
        heard++;
    }
    return 1;
}

static void message_ready(uint32_t events, void *user_data)
{
    struct worker *worker = user_data;

    (void)events;
    if (hear_messages(worker, MESSAGES_TURN) == 0) {
        loop_unwatch(&worker->message_watch);
    }
}

static void pid_ready(uint32_t events, void *user_data)
{
    struct worker *worker = user_data;

    (void)events;
    /* Its last messages came before its end: hear them first. */
    if (worker->message_watch != NULL) {
        hear_messages(worker, UINT_MAX);
    }
    waitid(P_PIDFD, (id_t)worker->pidfd, NULL, WEXITED | WNOHANG);
    loop_unwatch(&worker->message_watch);
    loop_unwatch(&worker->pid_watch);
    close(worker->pidfd);
    close(worker->fd);
    worker->gone(worker->user_data);
    free(worker);
}

static void become_worker(pid_t broker)
{
    sigset_t none;

    process_die_with(broker);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
    /* A terminal and a service manager tell the whole group to end. The broker then sees to it that
     * what has begun is finished or undone, and needs its workers for that. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
}

/* Both ends must hold the longest message, whatever net.core.wmem_default is. */
static int make_pair(int pair[2])
{
    const int size = 2 * WORKER_MESSAGE_MAX;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return -errno;
    }
    for (int i = 0; i < 2; i++) {
        setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    }
    return 0;
}

static int watch_worker(struct loop *loop, struct worker *worker)
{
    int r = 0;

    if (worker->message != NULL) {
        r = loop_watch(loop, worker->fd, EPOLLIN, message_ready, worker, &worker->message_watch);
    }
    if (r == 0) {
        r = loop_watch(loop, worker->pidfd, EPOLLIN, pid_ready, worker, &worker->pid_watch);
    }
    return r;
}

int worker_start(struct loop *loop, worker_work *work, worker_message *message, worker_gone *gone,
                 void *user_data, struct worker **ret)
{
    CLEANUP_FREE struct worker *worker = calloc(1, sizeof *worker);
    int pair[2];
    pid_t broker = getpid();

    if (worker == NULL) {
        return -ENOMEM;
    }
    int r = make_pair(pair);
    if (r < 0) {
        return r;
    }
    CLEANUP_CLOSE int mine = pair[0];
    CLEANUP_CLOSE int its = pair[1];
    pid_t pid = fork();
    if (pid < 0) {
        return -errno;
    }
    if (pid == 0) {
        become_worker(broker);
        close(mine);
        work(its, user_data);
        _exit(0);
    }
    *worker = (struct worker){.pidfd = (int)syscall(SYS_pidfd_open, pid, 0),
                              .message = message,
                              .gone = gone,
                              .user_data = user_data};
    worker->fd = mine;
    fcntl(mine, F_SETFL, O_NONBLOCK); /* this end only: the loop never waits, the worker does */
    r = worker->pidfd < 0 ? -errno : watch_worker(loop, worker);
    if (r < 0) {
        loop_unwatch(&worker->message_watch);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        if (worker->pidfd >= 0) {
            close(worker->pidfd);
        }
        return r;
    }
    TAKE_FD(mine);
    *ret = TAKE_PTR(worker);
    return 0;
}
