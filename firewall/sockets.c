/* The kernel lists the sockets of one family and transport; what matches is picked here, since its
 * filter language knows no uids. */
#include "sockets.h"

#include "cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#define STATE_SYN_RECV_NEW 12 /* TCP_NEW_SYN_RECV of the kernel: a handshake that is not over */
#define STATES_ALL         UINT32_MAX
#define STATES_LISTENING   (1u << TCP_LISTEN)

/* All that have a peer who waits for something. Not TIME_WAIT, whose peer has heard the end. And
 * not LISTEN: after the first step of ending nobody reaches the listener any more; it dies with its
 * process, and a supervisor that is still alive would spin on a dead one. */
#define STATES_CONNECTED                                                                           \
    (1u << TCP_ESTABLISHED | 1u << TCP_SYN_SENT | 1u << TCP_SYN_RECV | 1u << TCP_FIN_WAIT1 |       \
     1u << TCP_FIN_WAIT2 | 1u << TCP_CLOSE_WAIT | 1u << TCP_LAST_ACK | 1u << TCP_CLOSING |         \
     1u << STATE_SYN_RECV_NEW)

static const uint8_t families[] = {AF_INET, AF_INET6};

static struct inet_diag_req_v2 *put_request(char *message, uint16_t type, uint8_t family,
                                            uint8_t transport)
{
    struct nlmsghdr *header = mnl_nlmsg_put_header(message);
    header->nlmsg_type = type;
    struct inet_diag_req_v2 *request = mnl_nlmsg_put_extra_header(header, sizeof *request);
    request->sdiag_family = family;
    request->sdiag_protocol = transport;
    return request;
}

static int list(struct netlink *diag, uint8_t family, uint8_t transport, uint32_t states,
                netlink_handler *handler, void *user_data)
{
    _Alignas(struct nlmsghdr) char message[256];
    put_request(message, SOCK_DIAG_BY_FAMILY, family, transport)->idiag_states = states;
    struct nlmsghdr *header = (struct nlmsghdr *)message;
    header->nlmsg_flags = NLM_F_DUMP;
    return netlink_request(diag, header, handler, user_data);
}

/* NULL when the message is no socket. */
static const struct inet_diag_msg *socket_of(const struct nlmsghdr *message)
{
    return message->nlmsg_type == SOCK_DIAG_BY_FAMILY &&
                   mnl_nlmsg_get_payload_len(message) >= sizeof(struct inet_diag_msg)
               ? mnl_nlmsg_get_payload(message)
               : NULL;
}

struct found {
    const struct firewall_share *share;
    const struct prefix *client; /* NULL: any */
    struct inet_diag_msg *items; /* owned */
    size_t count;
    bool failed;
};

static bool is_instance_port(const struct firewall_share *share, uint16_t port)
{
    for (uint32_t i = 0; i < share->n_services; i++) {
        if (share->services[i].transport == IPPROTO_TCP &&
            share->services[i].instance_port == port) {
            return true;
        }
    }
    return false;
}

/* FTP opens its data connections itself, from any port, or listens in the range of passive ports
 * that all shares have in common: the owner says whose they are. */
static bool is_of_share(const struct firewall_share *share, const struct inet_diag_msg *socket)
{
    return is_instance_port(share, ntohs(socket->id.idiag_sport)) ||
           socket->idiag_uid - share->uid_first < share->uid_count;
}

static bool is_peer(const struct prefix *client, const struct inet_diag_msg *socket)
{
    bool ipv4 = socket->idiag_family == AF_INET;
    struct prefix host = {.address.family = ipv4 ? AF_INET : AF_INET6, .length = ipv4 ? 32 : 128};
    memcpy(host.address.bytes, socket->id.idiag_dst, address_size(&host.address));
    return prefix_contains(client, &host);
}

/* Sockets are collected first: destroying them would change the list that is being read. */
static void collect(const struct nlmsghdr *message, void *user_data)
{
    struct found *found = user_data;
    const struct inet_diag_msg *socket = socket_of(message);
    if (socket == NULL || !is_of_share(found->share, socket) ||
        (found->client != NULL && !is_peer(found->client, socket))) {
        return;
    }
    struct inet_diag_msg *more = reallocarray(found->items, found->count + 1, sizeof *found->items);
    if (more == NULL) {
        found->failed = true;
        return;
    }
    found->items = more;
    found->items[found->count++] = *socket;
}

/* The cookie in the id makes sure that no later socket on the same addresses is meant. */
static int destroy(struct netlink *diag, const struct inet_diag_msg *socket)
{
    _Alignas(struct nlmsghdr) char message[256];
    struct inet_diag_req_v2 *request =
        put_request(message, SOCK_DESTROY, socket->idiag_family, IPPROTO_TCP);
    request->id = socket->id;
    int error = netlink_request(diag, (struct nlmsghdr *)message, NULL, NULL);
    if (error == -ENOENT) {
        return 0; /* it has closed meanwhile */
    }
    /* What is left of a connection after a full close has no socket any more, and older kernels
     * refuse to destroy that; nothing waits for it either. */
    return error == -EOPNOTSUPP && socket->idiag_state == TCP_FIN_WAIT2 ? 0 : error;
}

static int reset_family(struct netlink *diag, const struct firewall_share *share,
                        const struct prefix *client, uint8_t family)
{
    struct found found = {.share = share, .client = client};
    int error = list(diag, family, IPPROTO_TCP, STATES_CONNECTED, collect, &found);
    for (size_t i = 0; i < found.count; i++) {
        int failure = destroy(diag, &found.items[i]);
        error = error != 0 ? error : failure;
    }
    free(found.items);
    return error == 0 && found.failed ? -ENOMEM : error;
}

/* What fails in one family does not keep the other from being reset. */
int sockets_reset(struct netlink *diag, const struct firewall_share *share,
                  const struct prefix *client)
{
    int error = 0;
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        int failure = reset_family(diag, share, client, families[i]);
        error = error != 0 ? error : failure;
    }
    return error;
}

struct question {
    const struct firewall_settings *settings;
    uint16_t port;
    bool served;
};

static void look(const struct nlmsghdr *message, void *user_data)
{
    struct question *question = user_data;
    const struct inet_diag_msg *socket = socket_of(message);
    if (socket != NULL && ntohs(socket->id.idiag_sport) == question->port &&
        (socket->idiag_uid < question->settings->uid_first ||
         socket->idiag_uid > question->settings->uid_last)) {
        question->served = true;
    }
}

int sockets_served(struct netlink *diag, const struct firewall_settings *settings,
                   uint8_t transport, uint16_t port, bool *ret_served)
{
    struct question question = {.settings = settings, .port = port};
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        int error = list(diag, families[i], transport,
                         transport == IPPROTO_TCP ? STATES_LISTENING : STATES_ALL, look, &question);
        if (error != 0) {
            return error;
        }
    }
    *ret_served = question.served;
    return 0;
}
