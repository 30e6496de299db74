/* One sendto(2), then recvfrom(2) without waiting until the last message is acknowledged. Answers
 * to an earlier exchange, and messages of anybody but the kernel, are skipped. */
#include "netlink.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#define NETLINK_READ_SIZE  32768 /* what the kernel puts at most into one datagram of a dump */
#define NETLINK_SEND_SMALL 65536 /* fits every default send buffer */

struct exchange {
    uint32_t first, last;
    netlink_handler *handler;
    void *user_data;
    bool finished;
    int error;
    uint32_t failed;
};

int netlink_open(struct netlink *netlink, int bus)
{
    struct mnl_socket *socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
    if (socket == NULL) {
        return -errno;
    }
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
        int error = -errno;
        mnl_socket_close(socket);
        return error;
    }
    *netlink = (struct netlink){.socket = socket};
    return 0;
}

void netlink_close(struct netlink *netlink)
{
    if (netlink->socket != NULL) {
        mnl_socket_close(netlink->socket);
        netlink->socket = NULL;
    }
}

/* Errors, acknowledgements and ends of dumps all begin with an errno. */
static void take_verdict(struct exchange *exchange, const struct nlmsghdr *message)
{
    int error = 0;
    if (mnl_nlmsg_get_payload_len(message) >= sizeof error) {
        memcpy(&error, mnl_nlmsg_get_payload(message), sizeof error);
    }
    if (error != 0 && exchange->error == 0) {
        exchange->error = error;
        exchange->failed = message->nlmsg_seq;
    }
    exchange->finished |= error != 0 || message->nlmsg_seq == exchange->last;
}

static void take_message(struct exchange *exchange, const struct nlmsghdr *message)
{
    if (message->nlmsg_seq - exchange->first > exchange->last - exchange->first) {
        return;
    }
    if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
        take_verdict(exchange, message);
    } else if (exchange->handler != NULL) {
        exchange->handler(message, exchange->user_data);
    }
}

static void take_datagram(struct exchange *exchange, const void *bytes, int length)
{
    const struct nlmsghdr *message = bytes;
    while (mnl_nlmsg_ok(message, length)) {
        take_message(exchange, message);
        message = mnl_nlmsg_next(message, &length);
    }
}

/* Reads one datagram. -EAGAIN when there is none. */
static int receive(struct netlink *netlink, struct exchange *exchange)
{
    _Alignas(struct nlmsghdr) char bytes[NETLINK_READ_SIZE];
    struct sockaddr_nl from = {0};
    socklen_t from_length = sizeof from;
    ssize_t length = recvfrom(mnl_socket_get_fd(netlink->socket), bytes, sizeof bytes,
                              MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from, &from_length);
    if (length < 0) {
        return -errno;
    }
    if ((size_t)length > sizeof bytes) {
        return -EMSGSIZE;
    }
    if (from.nl_pid == 0) {
        take_datagram(exchange, bytes, (int)length);
    }
    return 0;
}

/* Several errors may come for one batch, and none may stay behind: reads until nothing is left. */
static int receive_all(struct netlink *netlink, struct exchange *exchange)
{
    int error;
    do {
        error = receive(netlink, exchange);
    } while (error == 0 || error == -EINTR);
    if (error != -EAGAIN) {
        return error;
    }
    return exchange->finished ? exchange->error : -EIO;
}

/* The kernel takes a batch as one datagram, which has to fit the send buffer: thousands of shares
 * are megabytes. */
static int send_bytes(struct netlink *netlink, const void *bytes, size_t length)
{
    int fd = mnl_socket_get_fd(netlink->socket);
    int size = (int)length;
    if (length > NETLINK_SEND_SMALL &&
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0) {
        return -errno;
    }
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    if (sendto(fd, bytes, length, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0) {
        return -errno;
    }
    return 0;
}

int netlink_exchange(struct netlink *netlink, const void *bytes, size_t length, uint32_t first,
                     uint32_t last, netlink_handler *handler, void *user_data, uint32_t *ret_failed)
{
    struct exchange exchange = {
        .first = first, .last = last, .handler = handler, .user_data = user_data};
    int error = send_bytes(netlink, bytes, length);
    if (error == 0) {
        error = receive_all(netlink, &exchange);
    }
    if (error != 0 && ret_failed != NULL) {
        *ret_failed = exchange.failed;
    }
    return error;
}

int netlink_request(struct netlink *netlink, struct nlmsghdr *request, netlink_handler *handler,
                    void *user_data)
{
    bool dump = (request->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    request->nlmsg_flags |= NLM_F_REQUEST | (dump ? 0 : NLM_F_ACK);
    request->nlmsg_seq = ++netlink->sequence;
    return netlink_exchange(netlink, request, request->nlmsg_len, request->nlmsg_seq,
                            request->nlmsg_seq, handler, user_data, NULL);
}
