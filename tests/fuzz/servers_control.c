/* Requests to a supervisor, as packets of any size with and without descriptors: each is a flag and
 * two bytes of length before it. Nothing is started for them: that is the next step's. */
#include "supervisor_control.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FLAG_DESCRIPTOR 1
#define FLAG_REQUEST    2 /* filled up with zeros to a request's size */

static void send_packet(int fd, uint8_t flags, const uint8_t *data, size_t size)
{
    static uint8_t packet[sizeof(struct supervisor_request)];
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    CLEANUP_CLOSE int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    size = size < sizeof packet ? size : sizeof packet;
    memset(packet, 0, sizeof packet);
    memcpy(packet, data, size);
    struct iovec part = {packet, flags & FLAG_REQUEST ? sizeof packet : size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (flags & FLAG_DESCRIPTOR) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        control.header = (struct cmsghdr){CMSG_LEN(sizeof null), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &null, sizeof null);
    }
    sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Its answer, if any, is a reply with an errno. */
static void check_reply(int fd)
{
    static struct supervisor_reply reply;
    ssize_t length = recv(fd, &reply, sizeof reply, MSG_DONTWAIT | MSG_TRUNC);
    if (length > 0 && (length != sizeof reply || reply.error > 0 || reply.error < -4095)) {
        __builtin_trap();
    }
}

static void forget(struct services *services)
{
    for (uint32_t i = 0; i < services->count; i++) {
        struct service *service = &services->items[i];
        for (uint32_t j = 0; service->added != NULL && j < service->added->n_sockets; j++) {
            cleanup_close_fd(&service->sockets[j]);
        }
        free(service->added);
    }
    free(services->processes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct supervisor_status status;
    static struct services services;
    static struct events events;
    struct deadline deadline = {-1, -1};
    struct control control;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        return 0;
    }
    memset(&services, 0, sizeof services);
    control_open(&control, -1, &services, &status, -1, &deadline);
    control.peers[0] = ends[1];
    while (size > 3 && control.peers[0] >= 0) {
        size_t length = (size_t)data[1] | (size_t)data[2] << 8;
        length = length < size - 3 ? length : size - 3;
        if (data[3] != SUPERVISOR_RELOAD) { /* without a deadline that ends the process */
            send_packet(ends[0], data[0], data + 3, length);
            memset(&events, 0, sizeof events);
            control_watch(&control, &events);
            events_wake(&events, 1);
            events_wait(&events);
            check_reply(ends[0]);
        }
        data += 3 + length;
        size -= 3 + length;
    }
    close(ends[0]);
    if (control.peers[0] >= 0) {
        close(control.peers[0]);
    }
    forget(&services);
    return 0;
}
