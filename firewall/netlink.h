/*
 * A netlink socket, and the one way of asking it: send, then read what the kernel has answered.
 * The kernel does all its work inside sendmsg(2) and recvmsg(2) of the caller, so nothing here
 * waits. Sources: netlink(7), libmnl.
 */
#pragma once

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

struct netlink {
    struct mnl_socket *socket; /* owned; CLOEXEC */
    uint32_t sequence;         /* of the last message sent */
};

/* `bus` is NETLINK_NETFILTER or NETLINK_SOCK_DIAG. */
int netlink_open(struct netlink *netlink, int bus);
void netlink_close(struct netlink *netlink);

/* Called for each message that is neither an acknowledgement nor the end of a dump. */
typedef void netlink_handler(const struct nlmsghdr *message, void *user_data);

/* Messages `first` to `last` were put one after the other into `bytes`; the last (or the dump that
 * it asks for) is acknowledged. 0, or the first error of the kernel, with the sequence number of
 * the message that it is about in *ret_failed (may be NULL; 0 when it is about none). */
int netlink_exchange(struct netlink *netlink, const void *bytes, size_t length, uint32_t first,
                     uint32_t last, netlink_handler *handler, void *user_data,
                     uint32_t *ret_failed);

/* Numbers and sends a single request: NLM_F_REQUEST is set, and NLM_F_ACK unless it dumps. */
int netlink_request(struct netlink *netlink, struct nlmsghdr *request, netlink_handler *handler,
                    void *user_data);
