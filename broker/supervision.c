#include "supervision.h"

#include "cleanup.h"
#include "loop.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define ANSWER_NS 10000000000ull

/* The directory's path may be longer than a socket's address: name it by descriptor. */
static int supervision_connect(int run_shares_fd, const char *id)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return -errno;
    }
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s/control",
             run_shares_fd, id);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        return -errno;
    }
    return TAKE_FD(fd);
}

int supervision_parse_ready(const void *bytes, size_t length, struct supervisor_ready *ret)
{
    if (length != sizeof *ret) {
        return -EPROTO;
    }
    memcpy(ret, bytes, sizeof *ret);
    ret->service[sizeof ret->service - 1] = '\0';
    ret->reason[sizeof ret->reason - 1] = '\0';
    return 0;
}

int supervision_parse_reply(const void *bytes, size_t length)
{
    struct supervisor_reply reply;

    if (length != sizeof reply) {
        return -EPROTO;
    }
    memcpy(&reply, bytes, sizeof reply);
    return reply.error <= 0 && reply.error > -4096 ? reply.error : -EPROTO;
}

void supervision_reload(int run_shares_fd, const char *id)
{
    static const struct supervisor_request request = {.kind = SUPERVISOR_RELOAD};
    CLEANUP_CLOSE int fd = supervision_connect(run_shares_fd, id);

    if (fd >= 0) {
        worker_tell(fd, &request, sizeof request, NULL, 0);
    }
}

int supervision_add_reader(int run_shares_fd, const char *id,
                           const struct supervisor_service *service, int fuse_fd, int timeout_ms)
{
    struct supervisor_request request = {.kind = SUPERVISOR_ADD_READER, .service = *service};
    struct supervisor_reply reply;
    CLEANUP_CLOSE int fd = supervision_connect(run_shares_fd, id);

    if (fd < 0) {
        return fd;
    }
    int r = worker_tell(fd, &request, sizeof request, &fuse_fd, 1);
    if (r < 0) {
        return r;
    }
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (poll(&wait, 1, timeout_ms) <= 0) {
        return -ETIMEDOUT;
    }
    ssize_t length = recv(fd, &reply, sizeof reply, MSG_TRUNC);
    return length < 0 ? -errno : supervision_parse_reply(&reply, (size_t)length);
}

int supervision_status(int status_fd, struct supervisor_status *ret)
{
    struct supervisor_status status;

    /* Never mapped: the other side could shrink a file under our feet. */
    if (status_fd < 0 || pread(status_fd, &status, sizeof status, 0) != (ssize_t)sizeof status) {
        return -EIO;
    }
    *ret = status;
    return 0;
}

/* -- asking for a status -- */

struct supervision_question {
    struct loop_watch *watch;
    struct loop_timer *limit;
    int fd;
    supervision_came *came;
    void *user_data;
};

/* Reading from it must not wait for anybody, nor find less than was there: only of a memfd the
 * kernel tells seals. */
static bool is_status(int fd)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW;
    struct stat status;
    int has = fcntl(fd, F_GET_SEALS);

    return has >= 0 && (has & seals) == seals && fstat(fd, &status) == 0 &&
           status.st_size == (off_t)sizeof(struct supervisor_status);
}

static void settle(struct supervision_question *question, int status_fd)
{
    loop_unwatch(&question->watch);
    loop_cancel(&question->limit);
    close(TAKE_FD(question->fd));
    question->came(status_fd, question->user_data);
}

static void answered(uint32_t events, void *user_data)
{
    struct supervision_question *question = user_data;
    struct supervisor_reply reply;
    int fds[4] = {-1, -1, -1, -1};
    unsigned n_fds = 0;

    (void)events;
    ssize_t length = worker_hear(question->fd, &reply, sizeof reply, fds, &n_fds);
    for (unsigned i = 1; i < n_fds; i++) {
        close(fds[i]);
    }
    CLEANUP_CLOSE int fd = n_fds > 0 ? fds[0] : -1;
    bool believed = length == (ssize_t)sizeof reply && reply.error == 0 && is_status(fd);
    settle(question, believed ? TAKE_FD(fd) : -1);
}

static void not_answered(void *user_data)
{
    struct supervision_question *question = user_data;

    question->limit = NULL;
    settle(question, -1);
}

void supervision_drop(struct supervision_question **question)
{
    if (*question != NULL) {
        loop_unwatch(&(*question)->watch);
        loop_cancel(&(*question)->limit);
        cleanup_close_fd(&(*question)->fd);
        free(TAKE_PTR(*question));
    }
}

int supervision_ask_status(struct loop *loop, int run_shares_fd, const char *id,
                           supervision_came *came, void *user_data,
                           struct supervision_question **ret)
{
    static const struct supervisor_request request = {.kind = SUPERVISOR_HAND_STATUS};
    struct supervision_question *question = calloc(1, sizeof *question);

    if (question == NULL) {
        return -ENOMEM;
    }
    *question = (struct supervision_question){.came = came, .user_data = user_data};
    question->fd = supervision_connect(run_shares_fd, id);
    int r = question->fd < 0 ? question->fd
                             : worker_tell(question->fd, &request, sizeof request, NULL, 0);
    r = r < 0 ? r : loop_watch(loop, question->fd, EPOLLIN, answered, question, &question->watch);
    r = r < 0 ? r : loop_at(loop, loop_now() + ANSWER_NS, not_answered, question, &question->limit);
    if (r < 0) {
        supervision_drop(&question);
        return r;
    }
    *ret = question;
    return 0;
}
