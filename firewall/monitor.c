/* A transaction arrives as its messages and, last, NFT_MSG_NEWGEN, which names the process. Each
 * carries the port id of the socket that asked for it: what we did ourselves is known by that, and
 * does not even get into the queue, since taking up a thousand shares is megabytes of messages. */
#include "monitor.h"

#include "cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>

#define READ_SIZE    65536
#define RECEIVE_SIZE (4 << 20) /* bytes of messages of others that may wait */
#define PORT_OFFSET  ((uint32_t)offsetof(struct nlmsghdr, nlmsg_pid))

/* A load of the classic filter language reads network order, the header is in the host's. */
static int drop_own(int fd, uint32_t own)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, PORT_OFFSET),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohl(own), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog filter = {.len = ARRAY_SIZE(code), .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0 ? -errno : 0;
}

static int prepare(struct monitor *monitor)
{
    int fd = mnl_socket_get_fd(monitor->socket);
    const int size = RECEIVE_SIZE;
    int group = NFNLGRP_NFTABLES;
    int error = drop_own(fd, monitor->own);
    if (error < 0) {
        return error;
    }
    /* Refused without CAP_NET_ADMIN: then what does not fit counts as a change. */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    if (mnl_socket_bind(monitor->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
        mnl_socket_setsockopt(monitor->socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0) {
        return -errno;
    }
    return 0;
}

int monitor_open(struct monitor *monitor, const struct netlink *own)
{
    struct monitor opened = {
        .socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK),
        .own = mnl_socket_get_portid(own->socket),
    };
    if (opened.socket == NULL) {
        return -errno;
    }
    int error = prepare(&opened);
    if (error < 0) {
        mnl_socket_close(opened.socket);
        return error;
    }
    *monitor = opened;
    return 0;
}

void monitor_close(struct monitor *monitor)
{
    if (monitor->socket != NULL) {
        mnl_socket_close(monitor->socket);
        monitor->socket = NULL;
    }
}

/* Of every kind of message but NFT_MSG_NEWGEN the first attribute type is the table's name: for
 * tables, chains, rules, sets, elements, objects and flow tables alike. */
_Static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 &&
                   NFTA_SET_TABLE == 1 && NFTA_SET_ELEM_LIST_TABLE == 1 && NFTA_OBJ_TABLE == 1 &&
                   NFTA_FLOWTABLE_TABLE == 1,
               "the table's name is attribute 1");

/* NULL when there is none of this type. */
static const struct nlattr *attribute(const struct nlmsghdr *message, uint16_t type)
{
    const struct nlattr *found;
    mnl_attr_for_each(found, message, sizeof(struct nfgenmsg))
    {
        if (mnl_attr_get_type(found) == type) {
            return found;
        }
    }
    return NULL;
}

static bool is_our_table(const struct nlmsghdr *message)
{
    const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
    const struct nlattr *name = attribute(message, NFTA_TABLE_NAME);
    return header->nfgen_family == NFPROTO_INET && name != NULL &&
           mnl_attr_validate(name, MNL_TYPE_NUL_STRING) == 0 &&
           strcmp(mnl_attr_get_str(name), FIREWALL_TABLE) == 0;
}

/* Who it was, of a change that was heard before. */
static void take_generation(const struct nlmsghdr *message, struct firewall_change *heard)
{
    const struct nlattr *pid = attribute(message, NFTA_GEN_PROC_PID);
    const struct nlattr *name = attribute(message, NFTA_GEN_PROC_NAME);
    if (!heard->changed || heard->pid != 0) {
        return;
    }
    if (pid != NULL && mnl_attr_validate(pid, MNL_TYPE_U32) == 0) {
        heard->pid = ntohl(mnl_attr_get_u32(pid));
    }
    if (name != NULL && mnl_attr_validate(name, MNL_TYPE_NUL_STRING) == 0) {
        size_t length = strnlen(mnl_attr_get_str(name), sizeof heard->name - 1);
        memcpy(heard->name, mnl_attr_get_str(name), length);
        heard->name[length] = '\0';
    }
}

static void take_message(const struct nlmsghdr *message, uint32_t own,
                         struct firewall_change *heard)
{
    if (message->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES || message->nlmsg_pid == own ||
        mnl_nlmsg_get_payload_len(message) < sizeof(struct nfgenmsg)) {
        return;
    }
    if ((message->nlmsg_type & 0xff) == NFT_MSG_NEWGEN) {
        take_generation(message, heard);
    } else if (is_our_table(message)) {
        heard->changed = true;
    }
}

/* mnl_nlmsg_ok() takes a length above INT_MAX for a negative one, which fits everywhere. */
void monitor_parse(const void *bytes, size_t length, uint32_t own, struct firewall_change *heard)
{
    const char *place = bytes;
    while (length >= sizeof(struct nlmsghdr)) {
        const struct nlmsghdr *message = (const struct nlmsghdr *)place;
        if (message->nlmsg_len < sizeof *message || message->nlmsg_len > length) {
            return;
        }
        take_message(message, own, heard);
        size_t taken = NLMSG_ALIGN(message->nlmsg_len);
        place += taken < length ? taken : length;
        length -= taken < length ? taken : length;
    }
}

/* Reads one datagram. -EAGAIN when there is none. */
static int receive(struct monitor *monitor, struct firewall_change *heard)
{
    _Alignas(struct nlmsghdr) char bytes[READ_SIZE];
    struct sockaddr_nl from = {0};
    socklen_t from_length = sizeof from;
    ssize_t length = recvfrom(mnl_socket_get_fd(monitor->socket), bytes, sizeof bytes,
                              MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from, &from_length);
    if (length < 0 && errno != ENOBUFS) {
        return -errno;
    }
    if (length < 0 || (size_t)length > sizeof bytes) {
        heard->lost = true;
    } else if (from.nl_pid == 0) {
        monitor_parse(bytes, (size_t)length, monitor->own, heard);
    }
    return 0;
}

int monitor_read(struct monitor *monitor, struct firewall_change *heard)
{
    int error;
    do {
        error = receive(monitor, heard);
    } while (error == 0 || error == -EINTR);
    return error == -EAGAIN ? 0 : error;
}
