/* Three dumps: chains, rules and tables (linux/netfilter/nf_tables.h). */
#include "foreign.h"

#include "cleanup.h"
#include "firewall.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
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

/* -- chains -- */

struct chains {
    struct foreign_chain *items; /* owned */
    size_t count;
};

static bool hook_of(uint32_t number, enum foreign_hook *ret)
{
    static const struct {
        uint32_t number;
        enum foreign_hook hook;
    } hooks[] = {{NF_INET_LOCAL_IN, FOREIGN_INPUT},
                 {NF_INET_LOCAL_OUT, FOREIGN_OUTPUT},
                 {NF_INET_PRE_ROUTING, FOREIGN_PREROUTING}};
    for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
        if (hooks[i].number == number) {
            *ret = hooks[i].hook;
            return true;
        }
    }
    return false;
}

static void copy_name(char to[FOREIGN_NAME_MAX + 1], const char *name)
{
    size_t length = strnlen(name, FOREIGN_NAME_MAX);
    memcpy(to, name, length);
    to[length] = '\0';
}

/* False when it is none of those that are asked for. */
static bool describe_chain(const struct nftnl_chain *chain, struct foreign_chain *ret)
{
    uint32_t family = nftnl_chain_get_u32(chain, NFTNL_CHAIN_FAMILY);
    const char *type = nftnl_chain_get_str(chain, NFTNL_CHAIN_TYPE);
    if (!nftnl_chain_is_set(chain, NFTNL_CHAIN_HOOKNUM) || type == NULL ||
        (family != NFPROTO_INET && family != NFPROTO_IPV4 && family != NFPROTO_IPV6) ||
        !hook_of(nftnl_chain_get_u32(chain, NFTNL_CHAIN_HOOKNUM), &ret->hook)) {
        return false;
    }
    ret->family = family_name(family);
    copy_name(ret->table, nftnl_chain_get_str(chain, NFTNL_CHAIN_TABLE));
    copy_name(ret->chain, nftnl_chain_get_str(chain, NFTNL_CHAIN_NAME));
    ret->nat = strcmp(type, "nat") == 0;
    ret->priority = nftnl_chain_get_s32(chain, NFTNL_CHAIN_PRIO);
    ret->refuses = nftnl_chain_get_u32(chain, NFTNL_CHAIN_POLICY) == NF_DROP;
    return strcmp(ret->table, FIREWALL_TABLE) != 0;
}

static int parse_chain(const struct nlmsghdr *header, void *user_data)
{
    struct chains *chains = user_data;
    struct foreign_chain found = {0};
    struct nftnl_chain *chain = nftnl_chain_alloc();
    if (chain == NULL) {
        return MNL_CB_ERROR;
    }
    bool wanted = nftnl_chain_nlmsg_parse(header, chain) == 0 && describe_chain(chain, &found);
    nftnl_chain_free(chain);
    if (!wanted) {
        return MNL_CB_OK;
    }
    struct foreign_chain *more =
        reallocarray(chains->items, chains->count + 1, sizeof *chains->items);
    if (more == NULL) {
        return MNL_CB_ERROR;
    }
    chains->items = more;
    chains->items[chains->count++] = found;
    return MNL_CB_OK;
}

/* -- rules -- */

/* What a rule comes to, as far as it matters here. */
struct traits {
    bool accepts, refuses, matches; /* matches: it decides about some packets only */
    bool mark, state, status;
};

static void look_at_ct(const struct nftnl_expr *expression, struct traits *traits)
{
    uint32_t key = nftnl_expr_get_u32(expression, NFTNL_EXPR_CT_KEY);
    traits->mark |= key == NFT_CT_MARK;
    traits->state |= key == NFT_CT_STATE;
    traits->status |= key == NFT_CT_STATUS;
    traits->matches = true;
}

static void look_at_verdict(const struct nftnl_expr *expression, struct traits *traits)
{
    if (nftnl_expr_is_set(expression, NFTNL_EXPR_IMM_VERDICT)) {
        uint32_t verdict = nftnl_expr_get_u32(expression, NFTNL_EXPR_IMM_VERDICT);
        traits->accepts |= verdict == NF_ACCEPT;
        traits->refuses |= verdict == NF_DROP;
    }
}

static void look_at_reject(const struct nftnl_expr *expression, struct traits *traits)
{
    (void)expression;
    traits->refuses = true;
}

/* Of iptables-nft, which keeps its own matches. */
static void look_at_match(const struct nftnl_expr *expression, struct traits *traits)
{
    const char *name = nftnl_expr_get_str(expression, NFTNL_EXPR_MT_NAME);
    traits->mark |= name != NULL && strcmp(name, "connmark") == 0;
    traits->matches = true;
}

static void look_at_target(const struct nftnl_expr *expression, struct traits *traits)
{
    const char *name = nftnl_expr_get_str(expression, NFTNL_EXPR_TG_NAME);
    traits->refuses |= name != NULL && strcmp(name, "REJECT") == 0;
}

static void look_past(const struct nftnl_expr *expression, struct traits *traits)
{
    (void)expression;
    (void)traits;
}

static int look_at(struct nftnl_expr *expression, void *user_data)
{
    static const struct {
        const char *name;
        void (*look)(const struct nftnl_expr *expression, struct traits *traits);
    } kinds[] = {{"ct", look_at_ct},         {"immediate", look_at_verdict},
                 {"reject", look_at_reject}, {"match", look_at_match},
                 {"target", look_at_target}, {"counter", look_past},
                 {"log", look_past}};
    struct traits *traits = user_data;
    const char *name = nftnl_expr_get_str(expression, NFTNL_EXPR_NAME);
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            kinds[i].look(expression, traits);
            return 0;
        }
    }
    traits->matches = true;
    return 0;
}

static struct foreign_chain *chain_of(const struct chains *chains, const struct nftnl_rule *rule)
{
    const char *family = family_name(nftnl_rule_get_u32(rule, NFTNL_RULE_FAMILY));
    for (size_t i = 0; i < chains->count; i++) {
        struct foreign_chain *chain = &chains->items[i];
        if (strcmp(chain->family, family) == 0 &&
            strcmp(chain->table, nftnl_rule_get_str(rule, NFTNL_RULE_TABLE)) == 0 &&
            strcmp(chain->chain, nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN)) == 0) {
            return chain;
        }
    }
    return NULL;
}

/* Rules come in their order: behind one that refuses everything there is nothing any more. */
static int parse_rule(const struct nlmsghdr *header, void *user_data)
{
    struct chains *chains = user_data;
    struct nftnl_rule *rule = nftnl_rule_alloc();
    if (rule == NULL) {
        return MNL_CB_ERROR;
    }
    struct foreign_chain *chain =
        nftnl_rule_nlmsg_parse(header, rule) == 0 ? chain_of(chains, rule) : NULL;
    if (chain != NULL) {
        struct traits traits = {0};
        nftnl_expr_foreach(rule, look_at, &traits);
        chain->by_mark |= traits.accepts && traits.mark;
        chain->by_state |= traits.accepts && traits.state;
        chain->by_dnat |= traits.accepts && traits.status;
        chain->refuses |= traits.refuses && !traits.matches;
    }
    nftnl_rule_free(rule);
    return MNL_CB_OK;
}

int foreign_chains(foreign_visitor *visit, void *user_data)
{
    struct chains chains = {0};
    int error = dump(NFT_MSG_GETCHAIN, parse_chain, &chains);
    if (error == 0 && chains.count > 0) {
        error = dump(NFT_MSG_GETRULE, parse_rule, &chains);
    }
    for (size_t i = 0; i < chains.count && error == 0; i++) {
        visit(&chains.items[i], user_data);
    }
    free(chains.items);
    return error;
}

/* -- tables -- */

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
