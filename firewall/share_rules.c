/* Order matters to the kernel: a chain goes after the elements that lead to it, and comes before
 * them. */
#include "share_rules.h"

#include "cleanup.h"
#include "nft.h"
#include "table.h"

#include <errno.h>
#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <string.h>

#define CHAIN_PREFIX   "s_"
#define TIMEOUT_MAX_MS (UINT64_C(1) << 53) /* far above any lifetime, far below any overflow */
#define TIMEOUT_DYING  60000 /* for elements that are taken away again in the same transaction */
#define SHARE_UIDS_MAX 64
#define SHARE_CLIENTS  4096
#define LOG_RATE       10 /* records of a service a second */

struct chain_name {
    char text[sizeof CHAIN_PREFIX + FIREWALL_NAME_MAX];
};

static struct chain_name chain_name(const struct firewall_share *share)
{
    struct chain_name name;
    snprintf(name.text, sizeof name.text, CHAIN_PREFIX "%s", share->id);
    return name;
}

static bool id_is_valid(const char *id)
{
    size_t length = strnlen(id, FIREWALL_NAME_MAX + 1);
    return length > 0 && length <= FIREWALL_NAME_MAX && strspn(id, "0123456789abcdef") == length;
}

static bool uids_are_valid(const struct firewall_settings *settings,
                           const struct firewall_share *share)
{
    return share->uid_count > 0 && share->uid_count <= SHARE_UIDS_MAX &&
           share->uid_first >= settings->uid_first && share->uid_first <= settings->uid_last &&
           share->uid_count - 1 <= settings->uid_last - share->uid_first;
}

static bool service_is_valid(const struct firewall_service *service)
{
    size_t length = strnlen(service->name, sizeof service->name);
    return (service->transport == IPPROTO_TCP || service->transport == IPPROTO_UDP) &&
           service->public_port != 0 && service->instance_port != 0 &&
           length < sizeof service->name &&
           strspn(service->name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static bool client_is_valid(const struct prefix *client)
{
    return (client->address.family == AF_INET || client->address.family == AF_INET6) &&
           client->length <= 8 * address_size(&client->address);
}

int share_rules_check(const struct firewall_settings *settings, const struct firewall_share *share)
{
    bool valid = id_is_valid(share->id) && uids_are_valid(settings, share) &&
                 (share->mark & TABLE_MARK_MASK) == table_mark(settings) && share->n_clients > 0 &&
                 share->n_clients <= SHARE_CLIENTS && share->n_services <= FIREWALL_SERVICES_MAX &&
                 share->timeout_ms < TIMEOUT_MAX_MS;
    for (uint32_t i = 0; valid && i < share->n_clients; i++) {
        valid = client_is_valid(&share->clients[i]);
    }
    for (uint32_t i = 0; valid && i < share->n_services; i++) {
        valid = service_is_valid(&share->services[i]);
    }
    return valid ? 0 : -EINVAL;
}

/* The comment is for people who read `nft list ruleset`; nothing here reads it. */
static void set_comment(struct nftnl_chain *chain, const char *id)
{
    char comment[FIREWALL_NAME_MAX + sizeof "share "];
    snprintf(comment, sizeof comment, "share %s", id);
    struct nftnl_udata_buf *user_data = nftnl_udata_buf_alloc(sizeof comment + 8);
    if (user_data != NULL) {
        nftnl_udata_put_strz(user_data, NFTNL_UDATA_CHAIN_COMMENT, comment);
        nftnl_chain_set_data(chain, NFTNL_CHAIN_USERDATA, nftnl_udata_buf_data(user_data),
                             nftnl_udata_buf_len(user_data));
        nftnl_udata_buf_free(user_data);
    }
}

static void put_chain(struct transaction *transaction, uint16_t type, uint16_t flags,
                      const char *name, const char *id)
{
    struct nftnl_chain *chain = nftnl_chain_alloc();
    if (chain == NULL) {
        transaction_fail(transaction);
        return;
    }
    nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, FIREWALL_TABLE);
    nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, name);
    if (type == NFT_MSG_NEWCHAIN) {
        set_comment(chain, id);
    }
    nftnl_chain_nlmsg_build_payload(transaction_message(transaction, type, flags), chain);
    transaction_add(transaction);
    nftnl_chain_free(chain);
}

/* The helper stands before dnat, which ends the rule. */
static void put_redirect(struct transaction *transaction, const char *chain, uint32_t mark,
                         const struct firewall_service *service)
{
    static const char *const helpers[] = {
        [FIREWALL_HELPER_FTP] = HELPER_FTP, [FIREWALL_HELPER_TFTP] = HELPER_TFTP};
    const char *helper =
        (size_t)service->helper < ARRAY_SIZE(helpers) ? helpers[service->helper] : NULL;
    const struct nft_rule with_helper = {
        /* tcp dport 21 ct mark set 0x5b000101 ct helper set "ftp-h" counter dnat to :21002 */
        chain,
        {nft_l4proto(service->transport), nft_dport(service->public_port), nft_ct_mark_set(mark),
         nft_ct_helper_set(helper), nft_counter(), nft_dnat_to_port(service->instance_port)}};
    const struct nft_rule plain = {
        /* tcp dport 8080 ct mark set 0x5b000101 counter dnat to :21001 */
        chain,
        {nft_l4proto(service->transport), nft_dport(service->public_port), nft_ct_mark_set(mark),
         nft_counter(), nft_dnat_to_port(service->instance_port)}};
    nft_add_rules(transaction, helper != NULL ? &with_helper : &plain, 1);
}

/* One record a connection, since only first packets meet a NAT chain; at most so many that a flood
 * of connections is no flood of records. */
static void put_log(struct transaction *transaction, const struct firewall_settings *settings,
                    const char *chain, const char *id, const struct firewall_service *service)
{
    char prefix[128]; /* the kernel takes 127 bytes */
    snprintf(prefix, sizeof prefix, "cdss-share %s %s ", id,
             service->name[0] != '\0' ? service->name : "-");
    const struct nft_rule rule = {
        /* tcp dport 8080 limit rate 10/second log group 5 prefix "cdss-share 1f http " */
        chain,
        {nft_l4proto(service->transport), nft_dport(service->public_port), nft_limit(LOG_RATE),
         nft_log(settings->log_group, prefix)}};
    nft_add_rules(transaction, &rule, 1);
}

int share_rules_put(struct transaction *transaction, const struct firewall_settings *settings,
                    const struct firewall_share *share, const struct local *local)
{
    struct chain_name chain = chain_name(share);
    CLEANUP_ELEMENTS struct elements elements = {0};
    int error = elements_of_share(
        share, local, ELEMENT_CLIENT | ELEMENT_LIVE | ELEMENT_PORT | ELEMENT_OWNER, &elements);
    if (error != 0) {
        return error;
    }
    put_chain(transaction, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, chain.text, share->id);
    for (uint32_t i = 0; i < share->n_services; i++) {
        if (settings->log_group != 0) {
            put_log(transaction, settings, chain.text, share->id, &share->services[i]);
        }
        put_redirect(transaction, chain.text, share->mark, &share->services[i]);
    }
    elements_put(transaction, &elements, NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, chain.text);
    return 0;
}

int share_rules_extend(struct netlink *netlink, const struct firewall_share *share,
                       const struct local *local)
{
    struct chain_name chain = chain_name(share);
    CLEANUP_ELEMENTS struct elements elements = {0};
    int error =
        elements_of_share(share, local, ELEMENT_CLIENT | ELEMENT_LIVE | ELEMENT_OWNER, &elements);
    if (error != 0) {
        return error;
    }
    CLEANUP_TRANSACTION struct transaction transaction;
    transaction_begin(&transaction, netlink);
    elements_put(&transaction, &elements, NFT_MSG_DELSETELEM, 0, chain.text);
    elements_put(&transaction, &elements, NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL,
                 chain.text);
    return transaction_commit(&transaction, NULL);
}

static void put_rule_deletion(struct transaction *transaction, const char *chain)
{
    struct nftnl_rule *rule = nftnl_rule_alloc();
    if (rule == NULL) {
        transaction_fail(transaction);
        return;
    }
    nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, FIREWALL_TABLE);
    nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, chain);
    nftnl_rule_nlmsg_build_payload(transaction_message(transaction, NFT_MSG_DELRULE, 0), rule);
    transaction_add(transaction);
    nftnl_rule_free(rule);
}

static void put_chain_deletion(struct transaction *transaction, const char *chain)
{
    put_chain(transaction, NFT_MSG_DELCHAIN, 0, chain, NULL);
}

/* Deleting what is missing aborts a transaction, and the kernel may have expired any part of the
 * share. So each element is added first, which does nothing where it is alive. */
static int take_away(struct netlink *netlink, const struct elements *elements, const char *chain,
                     void (*put_rest)(struct transaction *, const char *), uint32_t *ret_failed)
{
    CLEANUP_TRANSACTION struct transaction transaction;
    transaction_begin(&transaction, netlink);
    elements_put(&transaction, elements, NFT_MSG_NEWSETELEM, NLM_F_CREATE, chain);
    elements_put(&transaction, elements, NFT_MSG_DELSETELEM, 0, chain);
    if (put_rest != NULL) {
        put_rest(&transaction, chain);
    }
    return transaction_commit(&transaction, ret_failed);
}

/* -EEXIST says that an address of this share, expired meanwhile, leads to another share: that
 * element is not ours any more. */
static int take_away_ours(struct netlink *netlink, struct elements *elements, const char *chain,
                          void (*put_rest)(struct transaction *, const char *))
{
    uint32_t failed = TRANSACTION_NONE;
    int error = take_away(netlink, elements, chain, put_rest, &failed);
    while (error == -EEXIST && failed < elements->count) {
        elements_remove(elements, failed);
        error = take_away(netlink, elements, chain, put_rest, &failed);
    }
    return error;
}

/* -EEXIST: it has expired, and leads to another share by now. -ENOENT: as below. */
int share_rules_release(struct netlink *netlink, const struct firewall_share *share,
                        const struct prefix *client)
{
    struct element element = element_of_client(client);
    element.timeout_ms = TIMEOUT_DYING;
    const struct elements one = {.items = &element, .count = 1};
    int error = take_away(netlink, &one, chain_name(share).text, NULL, NULL);
    return error == -EEXIST || error == -ENOENT ? 0 : error;
}

/* -ENOENT says that the chain (or the table) is gone, and with it, in the same transaction of long
 * ago, all the rest: the ports may be another share's by now, and are left alone. -EBUSY says that
 * an expired element still holds the chain: it is emptied now, and goes when the share is
 * forgotten. */
int share_rules_end(struct netlink *netlink, const struct firewall_share *share,
                    const struct local *local)
{
    struct chain_name chain = chain_name(share);
    struct firewall_share dying = *share;
    dying.timeout_ms = TIMEOUT_DYING;
    CLEANUP_ELEMENTS struct elements elements = {0};
    int error =
        elements_of_share(&dying, local, ELEMENT_CLIENT | ELEMENT_LIVE | ELEMENT_PORT, &elements);
    if (error == 0) {
        error = take_away_ours(netlink, &elements, chain.text, put_chain_deletion);
    }
    if (error == -EBUSY) {
        error = take_away_ours(netlink, &elements, chain.text, put_rule_deletion);
    }
    return error == -ENOENT ? 0 : error;
}

/* It is asked for first: mostly it went when the share ended, and a transaction that fails makes
 * the kernel wait for an RCU grace period, some 10 ms in which the broker would do nothing else. */
static int delete_chain(struct netlink *netlink, const char *chain)
{
    const struct elements none = {0};
    uint32_t use = 0;
    if (table_chain_use(netlink, chain, &use) == -ENOENT) {
        return 0;
    }
    int error = take_away(netlink, &none, chain, put_chain_deletion, NULL);
    return error == -ENOENT ? 0 : error;
}

int share_rules_forget(struct netlink *netlink, const struct firewall_share *share)
{
    struct firewall_share dying = *share;
    dying.timeout_ms = TIMEOUT_DYING;
    CLEANUP_ELEMENTS struct elements elements = {0};
    int error = elements_of_share(&dying, NULL, ELEMENT_OWNER, &elements);
    if (error == 0) {
        error = take_away(netlink, &elements, NULL, NULL, NULL);
    }
    if (error != 0) {
        return error == -ENOENT ? 0 : error;
    }
    return delete_chain(netlink, chain_name(share).text);
}
