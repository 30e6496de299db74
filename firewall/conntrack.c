/* The mark without its mask, or a version other than 0 in the header, would be read as another
 * request by some kernels. */
#include "conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of an attribute that tells a flow; an IPv6 one with its ports has 76. */
#define TUPLE_MAX 200

static struct nlmsghdr *begin(char *message, uint16_t type, uint8_t family)
{
    struct nlmsghdr *request = mnl_nlmsg_put_header(message);
    request->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
    struct nfgenmsg *header = mnl_nlmsg_put_extra_header(request, sizeof *header);
    *header = (struct nfgenmsg){.nfgen_family = family, .version = NFNETLINK_V0};
    return request;
}

static void put_mark(struct nlmsghdr *request, uint32_t mark, uint32_t mask)
{
    mnl_attr_put_u32(request, CTA_MARK, htonl(mark));
    mnl_attr_put_u32(request, CTA_MARK_MASK, htonl(mask));
}

int conntrack_flush(struct netlink *netlink, uint32_t mark, uint32_t mask)
{
    _Alignas(struct nlmsghdr) char message[256];
    struct nlmsghdr *request = begin(message, IPCTNL_MSG_CT_DELETE, AF_UNSPEC);
    put_mark(request, mark, mask);
    return netlink_request(netlink, request, NULL, NULL);
}

/* -- of one client: the kernel lists those of the mark, and what matches is picked here -- */

/* One flow, as the kernel wants it named again. */
struct flow {
    uint8_t family;
    uint32_t id;
    uint16_t length;
    uint8_t tuple[TUPLE_MAX]; /* what is in CTA_TUPLE_ORIG */
};

struct flows {
    uint32_t mark;
    struct prefix client;
    struct flow *items; /* owned */
    size_t count;
    bool failed;
};

/* The attribute of this type among `length` bytes of them; NULL when there is none. */
static const struct nlattr *find(const void *attributes, size_t length, uint16_t type)
{
    const struct nlattr *attribute = attributes;
    for (; mnl_attr_ok(attribute, (int)length); attribute = mnl_attr_next(attribute)) {
        if (mnl_attr_get_type(attribute) == type) {
            return attribute;
        }
        size_t size = MNL_ALIGN(mnl_attr_get_len(attribute));
        length -= size < length ? size : length;
    }
    return NULL;
}

static const struct nlattr *find_in(const struct nlattr *outer, uint16_t type)
{
    return outer == NULL ? NULL
                         : find(mnl_attr_get_payload(outer), mnl_attr_get_payload_len(outer), type);
}

static bool is_of(const struct prefix *client, const struct nlattr *address)
{
    struct prefix host = {.address.family = client->address.family};
    unsigned size = address_size(&host.address);
    if (address == NULL || mnl_attr_get_payload_len(address) != size) {
        return false;
    }
    memcpy(host.address.bytes, mnl_attr_get_payload(address), size);
    host.length = (uint8_t)(8 * size);
    return prefix_contains(client, &host);
}

static void collect(const struct nlmsghdr *message, void *user_data)
{
    struct flows *flows = user_data;
    const struct nfgenmsg *header = mnl_nlmsg_get_payload(message);
    if (mnl_nlmsg_get_payload_len(message) < sizeof *header) {
        return;
    }
    const void *attributes = mnl_nlmsg_get_payload_offset(message, sizeof *header);
    size_t length = mnl_nlmsg_get_payload_len(message) - MNL_ALIGN(sizeof *header);
    const struct nlattr *tuple = find(attributes, length, CTA_TUPLE_ORIG);
    const struct nlattr *ip = find_in(tuple, CTA_TUPLE_IP);
    const struct nlattr *mark = find(attributes, length, CTA_MARK);
    const struct nlattr *id = find(attributes, length, CTA_ID);
    bool ipv4 = flows->client.address.family == AF_INET;
    if (mark == NULL || id == NULL || ntohl(mnl_attr_get_u32(mark)) != flows->mark ||
        !(is_of(&flows->client, find_in(ip, ipv4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC)) ||
          is_of(&flows->client, find_in(ip, ipv4 ? CTA_IP_V4_DST : CTA_IP_V6_DST))) ||
        mnl_attr_get_payload_len(tuple) > TUPLE_MAX) {
        return;
    }
    struct flow *more = reallocarray(flows->items, flows->count + 1, sizeof *more);
    if (more == NULL) {
        flows->failed = true;
        return;
    }
    flows->items = more;
    struct flow *flow = &more[flows->count++];
    *flow = (struct flow){.family = header->nfgen_family,
                          .id = mnl_attr_get_u32(id),
                          .length = mnl_attr_get_payload_len(tuple)};
    memcpy(flow->tuple, mnl_attr_get_payload(tuple), flow->length);
}

/* The id makes sure that no later flow between the same ports is meant. */
static int delete (struct netlink *netlink, const struct flow *flow)
{
    _Alignas(struct nlmsghdr) char message[512];
    struct nlmsghdr *request = begin(message, IPCTNL_MSG_CT_DELETE, flow->family);
    mnl_attr_put(request, CTA_TUPLE_ORIG | NLA_F_NESTED, flow->length, flow->tuple);
    mnl_attr_put_u32(request, CTA_ID, flow->id);
    int error = netlink_request(netlink, request, NULL, NULL);
    return error == -ENOENT ? 0 : error; /* it has ended meanwhile */
}

int conntrack_flush_client(struct netlink *netlink, uint32_t mark, const struct prefix *client)
{
    _Alignas(struct nlmsghdr) char message[256];
    struct flows flows = {.mark = mark, .client = *client};
    struct nlmsghdr *request = begin(message, IPCTNL_MSG_CT_GET, (uint8_t)client->address.family);
    request->nlmsg_flags = NLM_F_DUMP;
    put_mark(request, mark, UINT32_MAX);
    int error = netlink_request(netlink, request, collect, &flows);
    for (size_t i = 0; i < flows.count; i++) {
        int failure = delete (netlink, &flows.items[i]);
        error = error != 0 ? error : failure;
    }
    free(flows.items);
    return error == 0 && flows.failed ? -ENOMEM : error;
}
