/* Tables of what the table holds. Types, lengths and user data of sets are those that nft gives
 * them, so that nft can list them; the kernel itself only looks at lengths and flags. */
#include "table.h"

#include "cleanup.h"

#include <errno.h>
#include <libnftnl/chain.h>
#include <libnftnl/object.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <limits.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4.h>

/* nft's numbers of data types and byte orders */
enum { TYPE_IPV4 = 7, TYPE_IPV6 = 8, TYPE_PROTOCOL = 12, TYPE_PORT = 13, TYPE_MARK = 19 };
enum { TYPE_UID_AND_MARK = 24 << 6 | TYPE_MARK, TYPE_VERDICT = 0xffffff00 };
enum { ORDER_MIXED = 0, ORDER_HOST = 1, ORDER_NETWORK = 2 };

struct set_row {
    const char *name;
    uint32_t flags, type, length, order, most;
};

#define HOSTS    (NFT_SET_MAP | NFT_SET_TIMEOUT)
#define NETWORKS (NFT_SET_MAP | NFT_SET_TIMEOUT | NFT_SET_INTERVAL)

static const struct set_row sets[] = {
    {SET_LIVE, NFT_SET_TIMEOUT, TYPE_MARK, 4, ORDER_HOST, 0},
    {SET_OWNER, NFT_SET_TIMEOUT, TYPE_UID_AND_MARK, 8, ORDER_MIXED, 0},
    {SET_PORTS, 0, TYPE_PORT, 2, ORDER_NETWORK, 0},
    {SET_PUBLIC_UDP, 0, TYPE_PORT, 2, ORDER_NETWORK, 0},
    {MAP_HOSTS4, HOSTS, TYPE_IPV4, 4, ORDER_NETWORK, 0},
    {MAP_HOSTS6, HOSTS, TYPE_IPV6, 16, ORDER_NETWORK, 0},
    {MAP_NETWORKS4, NETWORKS, TYPE_IPV4, 4, ORDER_NETWORK, 0},
    {MAP_NETWORKS6, NETWORKS, TYPE_IPV6, 16, ORDER_NETWORK, 0},
    {MAP_LOCAL4, HOSTS, TYPE_IPV4, 4, ORDER_NETWORK, 0},
    {MAP_LOCAL6, HOSTS, TYPE_IPV6, 16, ORDER_NETWORK, 0},
};

static const struct set_row transports = {
    "__set%d", NFT_SET_ANONYMOUS | NFT_SET_CONSTANT, TYPE_PROTOCOL, 1, ORDER_MIXED, 0};

/* Only where connections are counted: a mark comes in with a share's first connection. */
static const struct set_row flows = {SET_FLOWS, NFT_SET_EVAL, TYPE_MARK, 4, ORDER_HOST, 65535};

struct chain_row {
    const char *name;
    const char *type; /* NULL: not a base chain */
    uint32_t hook;
    int32_t priority;
};

static const struct chain_row chains[] = {
    {.name = "pre", .type = "nat", NF_INET_PRE_ROUTING, FIREWALL_NAT_PRIORITY},
    {.name = "out", .type = "nat", NF_INET_LOCAL_OUT, FIREWALL_NAT_PRIORITY},
    {.name = "remote"},
    {.name = "local"},
    {.name = "guard", .type = "filter", NF_INET_LOCAL_IN, NF_IP_PRI_FILTER - 10},
    {.name = "ours"},
    {.name = "egress", .type = "filter", NF_INET_LOCAL_OUT, NF_IP_PRI_FILTER - 10},
    {.name = "source_route"},
    {.name = "deny"},
    {.name = "captured"},
    {.name = "excess"},
    {.name = "refuse"},
};

static void put_table(struct transaction *transaction, uint16_t type, uint16_t message_flags,
                      uint32_t flags)
{
    struct nftnl_table *table = nftnl_table_alloc();
    if (table == NULL) {
        transaction_fail(transaction);
        return;
    }
    nftnl_table_set_str(table, NFTNL_TABLE_NAME, FIREWALL_TABLE);
    if (type == NFT_MSG_NEWTABLE) {
        nftnl_table_set_u32(table, NFTNL_TABLE_FLAGS, flags);
    }
    nftnl_table_nlmsg_build_payload(transaction_message(transaction, type, message_flags), table);
    transaction_add(transaction);
    nftnl_table_free(table);
}

void table_replace(struct transaction *transaction, uint32_t take_flags, uint32_t flags)
{
    put_table(transaction, NFT_MSG_NEWTABLE, NLM_F_CREATE, take_flags);
    put_table(transaction, NFT_MSG_DELTABLE, 0, 0);
    put_table(transaction, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, flags);
}

static void put_helper(struct transaction *transaction, const char *name, const char *helper,
                       uint8_t transport)
{
    struct nftnl_obj *object = nftnl_obj_alloc();
    if (object == NULL) {
        transaction_fail(transaction);
        return;
    }
    nftnl_obj_set_str(object, NFTNL_OBJ_TABLE, FIREWALL_TABLE);
    nftnl_obj_set_str(object, NFTNL_OBJ_NAME, name);
    nftnl_obj_set_u32(object, NFTNL_OBJ_TYPE, NFT_OBJECT_CT_HELPER);
    nftnl_obj_set_str(object, NFTNL_OBJ_CT_HELPER_NAME, helper);
    nftnl_obj_set_u8(object, NFTNL_OBJ_CT_HELPER_L4PROTO, transport);
    nftnl_obj_nlmsg_build_payload(
        transaction_message(transaction, NFT_MSG_NEWOBJ, NLM_F_CREATE | NLM_F_EXCL), object);
    transaction_add(transaction);
    nftnl_obj_free(object);
}

static void describe_set(struct nftnl_set *set, const struct set_row *row, uint32_t id)
{
    nftnl_set_set_str(set, NFTNL_SET_TABLE, FIREWALL_TABLE);
    nftnl_set_set_str(set, NFTNL_SET_NAME, row->name);
    nftnl_set_set_u32(set, NFTNL_SET_ID, id);
    nftnl_set_set_u32(set, NFTNL_SET_FLAGS, row->flags);
    nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, row->type);
    nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, row->length);
    if (row->flags & NFT_SET_MAP) {
        nftnl_set_set_u32(set, NFTNL_SET_DATA_TYPE, TYPE_VERDICT);
        nftnl_set_set_u32(set, NFTNL_SET_DATA_LEN, 0);
    }
    if (row->most != 0) {
        nftnl_set_set_u32(set, NFTNL_SET_DESC_SIZE, row->most);
    }
    struct nftnl_udata_buf *user_data = nftnl_udata_buf_alloc(64);
    if (user_data != NULL) {
        nftnl_udata_put_u32(user_data, NFTNL_UDATA_SET_KEYBYTEORDER, row->order);
        nftnl_set_set_data(set, NFTNL_SET_USERDATA, nftnl_udata_buf_data(user_data),
                           nftnl_udata_buf_len(user_data));
        nftnl_udata_buf_free(user_data);
    }
}

static void put_set(struct transaction *transaction, const struct set_row *row, uint32_t id)
{
    struct nftnl_set *set = nftnl_set_alloc();
    if (set == NULL) {
        transaction_fail(transaction);
        return;
    }
    describe_set(set, row, id);
    nftnl_set_nlmsg_build_payload(
        transaction_message(transaction, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL), set);
    transaction_add(transaction);
    nftnl_set_free(set);
}

/* Without an element of this set strangers would pass: so a missing one fails the transaction. */
static void add_transport(struct transaction *transaction, struct nftnl_set *set, uint8_t transport)
{
    struct nftnl_set_elem *element = nftnl_set_elem_alloc();
    if (element == NULL) {
        transaction_fail(transaction);
        return;
    }
    nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, &transport, sizeof transport);
    nftnl_set_elem_add(set, element);
}

static void put_transports(struct transaction *transaction)
{
    put_set(transaction, &transports, TABLE_TRANSPORTS_ID);
    struct nftnl_set *set = nftnl_set_alloc();
    if (set == NULL) {
        transaction_fail(transaction);
        return;
    }
    nftnl_set_set_str(set, NFTNL_SET_TABLE, FIREWALL_TABLE);
    nftnl_set_set_str(set, NFTNL_SET_NAME, transports.name);
    nftnl_set_set_u32(set, NFTNL_SET_ID, TABLE_TRANSPORTS_ID);
    add_transport(transaction, set, IPPROTO_TCP);
    add_transport(transaction, set, IPPROTO_UDP);
    nftnl_set_elems_nlmsg_build_payload(
        transaction_message(transaction, NFT_MSG_NEWSETELEM, NLM_F_CREATE), set);
    transaction_add(transaction);
    nftnl_set_free(set);
}

static void put_chain(struct transaction *transaction, const struct chain_row *row)
{
    struct nftnl_chain *chain = nftnl_chain_alloc();
    if (chain == NULL) {
        transaction_fail(transaction);
        return;
    }
    nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, FIREWALL_TABLE);
    nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, row->name);
    if (row->type != NULL) {
        nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, row->type);
        nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, row->hook);
        nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, row->priority);
        nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY, NF_ACCEPT);
    }
    nftnl_chain_nlmsg_build_payload(
        transaction_message(transaction, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL), chain);
    transaction_add(transaction);
    nftnl_chain_free(chain);
}

void table_fill(struct transaction *transaction, const struct firewall_settings *settings)
{
    put_helper(transaction, HELPER_FTP, "ftp", IPPROTO_TCP);
    put_helper(transaction, HELPER_TFTP, "tftp", IPPROTO_UDP);
    for (uint32_t i = 0; i < ARRAY_SIZE(sets); i++) {
        put_set(transaction, &sets[i], i + 1);
    }
    if (settings->max_flows != 0) {
        put_set(transaction, &flows, ARRAY_SIZE(sets) + 1);
    }
    for (size_t i = 0; i < ARRAY_SIZE(chains); i++) {
        put_chain(transaction, &chains[i]);
    }
    put_transports(transaction);
    base_rules(transaction, settings);
}

int table_remove(struct netlink *netlink)
{
    CLEANUP_TRANSACTION struct transaction transaction;
    transaction_begin(&transaction, netlink);
    put_table(&transaction, NFT_MSG_DELTABLE, 0, 0);
    int error = transaction_commit(&transaction, NULL);
    return error == -ENOENT ? 0 : error;
}

static void take_use(const struct nlmsghdr *message, void *user_data)
{
    uint32_t *use = user_data;
    struct nftnl_chain *chain = nftnl_chain_alloc();
    if (chain != NULL && nftnl_chain_nlmsg_parse(message, chain) == 0) {
        *use = nftnl_chain_get_u32(chain, NFTNL_CHAIN_USE);
    }
    nftnl_chain_free(chain);
}

int table_chain_use(struct netlink *netlink, const char *name, uint32_t *ret_use)
{
    _Alignas(struct nlmsghdr) char message[512];
    struct nftnl_chain *chain = nftnl_chain_alloc();
    if (chain == NULL) {
        return -ENOMEM;
    }
    nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, FIREWALL_TABLE);
    nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, name);
    struct nlmsghdr *request = nftnl_nlmsg_build_hdr(message, NFT_MSG_GETCHAIN, NFPROTO_INET, 0, 0);
    nftnl_chain_nlmsg_build_payload(request, chain);
    nftnl_chain_free(chain);
    return netlink_request(netlink, request, take_use, ret_use);
}

static int check_chain(struct netlink *netlink, const struct chain_row *row, uint32_t want)
{
    uint32_t use = 0;
    int error = table_chain_use(netlink, row->name, &use);
    if (error != 0) {
        return error;
    }
    return use == want ? 0 : -ENOENT; /* emptied by `nft flush table` */
}

int table_check(struct netlink *netlink, const struct firewall_settings *settings)
{
    for (size_t i = 0; i < ARRAY_SIZE(chains); i++) {
        int error = check_chain(netlink, &chains[i], base_use(settings, chains[i].name));
        if (error != 0) {
            return error;
        }
    }
    return 0;
}
