/* Keys are bytes as the kernel compares them: addresses and ports in network order, marks and uids
 * in host order. One message an element: the number of the message that the kernel refuses then
 * says which. */
#include "elements.h"

#include "table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>

/* Adds 1 to a number in network order. False when it was the last one there is. */
static bool increment(uint8_t *bytes, unsigned size)
{
    for (unsigned i = size; i-- > 0;) {
        if (++bytes[i] != 0) {
            return true;
        }
    }
    return false;
}

/* Whoever made the prefix promised that its host bits are 0; here a broken promise would admit
 * others, so they are cleared again. */
static void clear_host_bits(uint8_t *bytes, unsigned size, unsigned length)
{
    for (unsigned bit = length; bit < 8 * size; bit++) {
        bytes[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
    }
}

struct element element_of_client(const struct prefix *client)
{
    bool ipv4 = client->address.family == AF_INET;
    struct element element = {.length = (uint8_t)address_size(&client->address), .redirects = true};
    memcpy(element.key, client->address.bytes, element.length);
    if (prefix_is_host(client)) {
        element.set = ipv4 ? MAP_HOSTS4 : MAP_HOSTS6;
        return element;
    }
    element.set = ipv4 ? MAP_NETWORKS4 : MAP_NETWORKS6;
    clear_host_bits(element.key, element.length, client->length);
    struct address last;
    prefix_last(client, &last);
    memcpy(element.end, last.bytes, element.length);
    /* Only a network that reaches the end of the address space has no address behind it. */
    element.has_end = increment(element.end, element.length);
    return element;
}

static struct element element_of_local(const struct address *address)
{
    struct element element = {.set = address->family == AF_INET ? MAP_LOCAL4 : MAP_LOCAL6,
                              .length = (uint8_t)address_size(address),
                              .redirects = true};
    memcpy(element.key, address->bytes, element.length);
    return element;
}

static struct element element_of_mark(uint32_t mark)
{
    struct element element = {.set = SET_LIVE, .length = sizeof mark};
    memcpy(element.key, &mark, sizeof mark);
    return element;
}

static struct element element_of_owner(uint32_t uid, uint32_t mark)
{
    struct element element = {.set = SET_OWNER, .length = sizeof uid + sizeof mark};
    memcpy(element.key, &uid, sizeof uid);
    memcpy(element.key + sizeof uid, &mark, sizeof mark);
    return element;
}

static struct element element_of_port(const char *set, uint16_t port)
{
    uint16_t key = htons(port);
    struct element element = {.set = set, .length = sizeof key};
    memcpy(element.key, &key, sizeof key);
    return element;
}

static void push(struct elements *elements, struct element element, uint64_t timeout_ms)
{
    element.timeout_ms = timeout_ms;
    elements->items[elements->count++] = element;
}

static void push_clients(struct elements *elements, const struct firewall_share *share,
                         const struct local *local)
{
    for (uint32_t i = 0; i < share->n_clients; i++) {
        push(elements, element_of_client(&share->clients[i]),
             share->timeout_ms + ELEMENTS_GRACE_MS);
    }
    for (uint32_t i = 0; local != NULL && i < local->count; i++) {
        push(elements, element_of_local(&local->addresses[i]),
             share->timeout_ms + ELEMENTS_GRACE_MS);
    }
}

/* An instance listens for several services on one port (NFS), which is one element. */
static bool port_seen(const struct firewall_share *share, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++) {
        if (share->services[i].instance_port == share->services[index].instance_port) {
            return true;
        }
    }
    return false;
}

static void push_ports(struct elements *elements, const struct firewall_share *share)
{
    for (uint32_t i = 0; i < share->n_services; i++) {
        if (!port_seen(share, i)) {
            push(elements, element_of_port(SET_PORTS, share->services[i].instance_port), 0);
        }
    }
}

static void push_owners(struct elements *elements, const struct firewall_share *share)
{
    for (uint32_t i = 0; i < share->uid_count; i++) {
        push(elements, element_of_owner(share->uid_first + i, share->mark),
             share->timeout_ms + ELEMENTS_GRACE_MS);
    }
}

int elements_of_share(const struct firewall_share *share, const struct local *local, unsigned kinds,
                      struct elements *ret)
{
    size_t most = 1 + (size_t)share->n_clients + (local != NULL ? local->count : 0) +
                  share->n_services + share->uid_count;
    struct elements elements = {.items = calloc(most, sizeof *elements.items)};
    if (elements.items == NULL) {
        return -ENOMEM;
    }
    if (kinds & ELEMENT_CLIENT) {
        push_clients(&elements, share, local);
    }
    if (kinds & ELEMENT_LIVE) {
        push(&elements, element_of_mark(share->mark), share->timeout_ms);
    }
    if (kinds & ELEMENT_PORT) {
        push_ports(&elements, share);
    }
    if (kinds & ELEMENT_OWNER) {
        push_owners(&elements, share);
    }
    *ret = elements;
    return 0;
}

void elements_free(struct elements *elements)
{
    free(elements->items);
    *elements = (struct elements){0};
}

void elements_remove(struct elements *elements, uint32_t index)
{
    elements->count--;
    memmove(&elements->items[index], &elements->items[index + 1],
            (elements->count - index) * sizeof *elements->items);
}

/* The set owns what is added to it. False: no memory. */
static bool add_start(struct nftnl_set *set, const struct element *element, bool value,
                      const char *chain)
{
    struct nftnl_set_elem *start = nftnl_set_elem_alloc();
    if (start == NULL) {
        return false;
    }
    nftnl_set_elem_set(start, NFTNL_SET_ELEM_KEY, element->key, element->length);
    if (value && element->redirects) {
        nftnl_set_elem_set_u32(start, NFTNL_SET_ELEM_VERDICT, (uint32_t)NFT_GOTO);
        nftnl_set_elem_set_str(start, NFTNL_SET_ELEM_CHAIN, chain);
    }
    if (value && element->timeout_ms > 0) {
        nftnl_set_elem_set_u64(start, NFTNL_SET_ELEM_TIMEOUT, element->timeout_ms);
    }
    nftnl_set_elem_add(set, start);
    return true;
}

/* The end has neither value nor timeout: the kernel takes it away with its start. */
static bool add_end(struct nftnl_set *set, const struct element *element)
{
    struct nftnl_set_elem *end = nftnl_set_elem_alloc();
    if (end == NULL) {
        return false;
    }
    nftnl_set_elem_set(end, NFTNL_SET_ELEM_KEY, element->end, element->length);
    nftnl_set_elem_set_u32(end, NFTNL_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
    nftnl_set_elem_add(set, end);
    return true;
}

static void put(struct transaction *transaction, const struct element *element, uint16_t type,
                uint16_t flags, const char *chain)
{
    struct nftnl_set *set = nftnl_set_alloc();
    if (set == NULL || !add_start(set, element, type == NFT_MSG_NEWSETELEM, chain) ||
        (element->has_end && !add_end(set, element))) {
        transaction_fail(transaction);
    } else {
        nftnl_set_set_str(set, NFTNL_SET_TABLE, FIREWALL_TABLE);
        nftnl_set_set_str(set, NFTNL_SET_NAME, element->set);
        nftnl_set_elems_nlmsg_build_payload(transaction_message(transaction, type, flags), set);
        transaction_add(transaction);
    }
    if (set != NULL) {
        nftnl_set_free(set);
    }
}

void elements_put(struct transaction *transaction, const struct elements *elements, uint16_t type,
                  uint16_t flags, const char *chain)
{
    for (uint32_t i = 0; i < elements->count; i++) {
        put(transaction, &elements->items[i], type, flags, chain);
    }
}

/* A deletion that names no element empties the set. */
static void put_emptying(struct transaction *transaction, const char *name)
{
    struct nftnl_set *set = nftnl_set_alloc();
    if (set == NULL) {
        transaction_fail(transaction);
        return;
    }
    nftnl_set_set_str(set, NFTNL_SET_TABLE, FIREWALL_TABLE);
    nftnl_set_set_str(set, NFTNL_SET_NAME, name);
    nftnl_set_elems_nlmsg_build_payload(transaction_message(transaction, NFT_MSG_DELSETELEM, 0),
                                        set);
    transaction_add(transaction);
    nftnl_set_free(set);
}

int elements_replace_ports(struct netlink *netlink, const char *set, const uint16_t *ports,
                           uint32_t n_ports)
{
    CLEANUP_TRANSACTION struct transaction transaction;
    transaction_begin(&transaction, netlink);
    put_emptying(&transaction, set);
    for (uint32_t i = 0; i < n_ports; i++) {
        struct element element = element_of_port(set, ports[i]);
        put(&transaction, &element, NFT_MSG_NEWSETELEM, NLM_F_CREATE, NULL);
    }
    return transaction_commit(&transaction, NULL);
}
