/* One row per kind of request. Nothing here waits: a peer that does not read loses its answer. */
#include "supervisor_control.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

typedef int request_handler(struct control *control, const struct supervisor_request *request,
                            int *fd, struct supervisor_reply *reply);

static int give_status(struct control *control, const struct supervisor_request *request, int *fd,
                       struct supervisor_reply *reply)
{
    (void)request;
    (void)fd;
    reply->status = *control->status;
    return 0;
}

/* The answer itself carries it. */
static int hand_status(struct control *control, const struct supervisor_request *request, int *fd,
                       struct supervisor_reply *reply)
{
    (void)request;
    (void)fd;
    (void)reply;
    return control->status_fd < 0 ? -EBADF : 0;
}

static int reload(struct control *control, const struct supervisor_request *request, int *fd,
                  struct supervisor_reply *reply)
{
    (void)request;
    (void)fd;
    (void)reply;
    deadline_set(control->deadline);
    return 0;
}

static int add_reader(struct control *control, const struct supervisor_request *request, int *fd,
                      struct supervisor_reply *reply)
{
    (void)reply;
    if (*fd < 0) {
        return -EBADF;
    }
    int r = services_add_reader(control->services, &request->service, *fd, control->status);
    if (r == 0) {
        (void)TAKE_FD(*fd);
    }
    return r;
}

static const struct {
    uint32_t kind;
    request_handler *handler;
} requests[] = {
    {SUPERVISOR_STATUS, give_status},
    {SUPERVISOR_HAND_STATUS, hand_status},
    {SUPERVISOR_RELOAD, reload},
    {SUPERVISOR_ADD_READER, add_reader},
};

static int dispatch(struct control *control, const struct supervisor_request *request, int *fd,
                    struct supervisor_reply *reply)
{
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        if (requests[i].kind == request->kind) {
            return requests[i].handler(control, request, fd, reply);
        }
    }
    return -EINVAL;
}

static int descriptor_of(struct msghdr *message)
{
    int fd = -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof fd)) {
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    }
    return fd;
}

/* 1: a request, and its descriptor or -1; 0: nothing there; -EPROTO: hang up. */
static int receive(int peer, struct supervisor_request *ret, int *ret_fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = ret, .iov_len = sizeof *ret};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(peer, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }
    if (n <= 0) {
        return -EPROTO;
    }
    *ret_fd = descriptor_of(&message);
    bool whole = n == sizeof *ret && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
    return whole ? 1 : -EPROTO;
}

static int answer(int peer, const struct supervisor_reply *reply, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = (void *)(uintptr_t)reply, .iov_len = sizeof *reply};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    }
    bool sent = sendmsg(peer, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof *reply;
    return sent ? 0 : -EPROTO;
}

static int serve(struct control *control, int peer)
{
    static struct supervisor_request request;
    struct supervisor_reply reply = {0};
    CLEANUP_CLOSE int fd = -1;
    int r = receive(peer, &request, &fd);
    if (r <= 0) {
        return r;
    }
    reply.error = dispatch(control, &request, &fd, &reply);
    bool handed = request.kind == SUPERVISOR_HAND_STATUS && reply.error == 0;
    return answer(peer, &reply, handed ? control->status_fd : -1);
}

static void peer_spoke(void *waiter, uint32_t number)
{
    struct control *control = waiter;
    if (serve(control, control->peers[number]) < 0) {
        close(control->peers[number]);
        control->peers[number] = -1;
    }
}

static void peer_came(void *waiter, uint32_t number)
{
    struct control *control = waiter;
    control->peers[number] = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

void control_open(struct control *control, int listener, struct services *services,
                  struct supervisor_status *status, int status_fd, struct deadline *deadline)
{
    *control = (struct control){.listener = listener,
                                .peers = {-1, -1, -1, -1},
                                .services = services,
                                .status = status,
                                .status_fd = status_fd,
                                .deadline = deadline};
    int flags = fcntl(listener, F_GETFL);
    if (flags >= 0) {
        fcntl(listener, F_SETFL, flags | O_NONBLOCK);
    }
}

void control_watch(struct control *control, struct events *events)
{
    bool listening = false;
    for (uint32_t i = 0; i < CONTROL_PEERS; i++) {
        if (control->peers[i] >= 0) {
            events_add(events, control->peers[i], peer_spoke, control, i);
        } else if (!listening) {
            events_add(events, control->listener, peer_came, control, i);
            listening = true;
        }
    }
}
