/* Two dumps, NFT_MSG_GETCHAIN and NFT_MSG_GETTABLE (linux/netfilter/nf_tables.h). */
#include "foreign.h"

#include "firewall.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>
#include <time.h>

#define DUMP_SIZE 32768 /* what libmnl advises for dumps */

/* Sends a dump request of this type and gives every answer to `parse`. */
static int dump(uint16_t type, mnl_cb_t parse, void *user_data)
{
    char buffer[DUMP_SIZE];
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
    if (socket == NULL) {
        return -errno;
    }
    uint32_t sequence = (uint32_t)time(NULL);
    struct nlmsghdr *header =
        nftnl_nlmsg_build_hdr(buffer, type, NFPROTO_UNSPEC, NLM_F_DUMP, sequence);
    ssize_t result = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID);
    if (result == 0) {
        result = mnl_socket_sendto(socket, header, header->nlmsg_len);
    }
    int more = MNL_CB_OK;
    while (result >= 0 && more == MNL_CB_OK) {
        result = mnl_socket_recvfrom(socket, buffer, sizeof buffer);
        if (result >= 0) {
            more = mnl_cb_run(buffer, (size_t)result, sequence, mnl_socket_get_portid(socket),
                              parse, user_data);
        }
    }
    int error = result < 0 || more == MNL_CB_ERROR ? -errno : 0;
    mnl_socket_close(socket);
    return error;
}

static const char *family_name(uint32_t family)
{
    return family == NFPROTO_INET ? "inet" : family == NFPROTO_IPV6 ? "ip6" : "ip";
}

static bool is_input_drop(const struct nftnl_chain *chain)
{
    uint32_t family = nftnl_chain_get_u32(chain, NFTNL_CHAIN_FAMILY);
    return nftnl_chain_is_set(chain, NFTNL_CHAIN_HOOKNUM) &&
           nftnl_chain_get_u32(chain, NFTNL_CHAIN_HOOKNUM) == NF_INET_LOCAL_IN &&
           nftnl_chain_get_u32(chain, NFTNL_CHAIN_POLICY) == NF_DROP &&
           (family == NFPROTO_INET || family == NFPROTO_IPV4 || family == NFPROTO_IPV6);
}

struct chain_visit {
    foreign_visitor *visit;
    void *user_data;
};

static int parse_chain(const struct nlmsghdr *header, void *user_data)
{
    const struct chain_visit *visit = user_data;
    struct nftnl_chain *chain = nftnl_chain_alloc();
    if (chain == NULL) {
        return MNL_CB_ERROR;
    }
    if (nftnl_chain_nlmsg_parse(header, chain) == 0 && is_input_drop(chain)) {
        struct foreign_chain found = {
            .family = family_name(nftnl_chain_get_u32(chain, NFTNL_CHAIN_FAMILY)),
            .table = nftnl_chain_get_str(chain, NFTNL_CHAIN_TABLE),
            .chain = nftnl_chain_get_str(chain, NFTNL_CHAIN_NAME),
        };
        if (strcmp(found.table, FIREWALL_TABLE) != 0) {
            visit->visit(&found, visit->user_data);
        }
    }
    nftnl_chain_free(chain);
    return MNL_CB_OK;
}

int foreign_input_drops(foreign_visitor *visit, void *user_data)
{
    struct chain_visit context = {visit, user_data};
    return dump(NFT_MSG_GETCHAIN, parse_chain, &context);
}

struct table_search {
    const char *name;
    bool found;
};

static int parse_table(const struct nlmsghdr *header, void *user_data)
{
    struct table_search *search = user_data;
    struct nftnl_table *table = nftnl_table_alloc();
    if (table == NULL) {
        return MNL_CB_ERROR;
    }
    if (nftnl_table_nlmsg_parse(header, table) == 0 &&
        strcmp(nftnl_table_get_str(table, NFTNL_TABLE_NAME), search->name) == 0) {
        search->found = true;
    }
    nftnl_table_free(table);
    return MNL_CB_OK;
}

int foreign_has_table(const char *name, bool *ret)
{
    struct table_search search = {.name = name};
    int error = dump(NFT_MSG_GETTABLE, parse_table, &search);
    if (error == 0) {
        *ret = search.found;
    }
    return error;
}
