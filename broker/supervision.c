#include "supervision.h"

#include "cleanup.h"
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

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
