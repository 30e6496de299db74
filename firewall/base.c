/* The base rules, each below its nft text. The order of rules in a chain is their order here. They
 * are gone through for two things: to be put into a table, and to be counted. */
#include "nft.h"
#include "table.h"

#include "cleanup.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <netinet/ip.h>
#include <string.h>

#define LOOPBACK_INDEX 1  /* of lo, in every network namespace */
#define LOG_RATE       10 /* records of a kind a second */

/* What is done with the rules of one group. */
struct visit {
    void (*take)(const struct nft_rule *rules, size_t count, void *user_data);
    void *user_data;
};

static void visit_rules(const struct visit *visit, const struct nft_rule *rules, size_t count)
{
    visit->take(rules, count, visit->user_data);
}

static void redirect_rules(const struct visit *visit)
{
    const struct nft_rule rules[] = {
        /* fib daddr type local jump remote */
        {"pre", {nft_fib_daddr_local(), nft_jump("remote")}},
        /* fib daddr type local jump local */
        {"out", {nft_fib_daddr_local(), nft_jump("local")}},

        /* ip saddr vmap @h4 */
        {"remote", {nft_ip_saddr_vmap(MAP_HOSTS4)}},
        /* ip6 saddr vmap @h6 */
        {"remote", {nft_ip6_saddr_vmap(MAP_HOSTS6)}},
        /* ip saddr vmap @n4 */
        {"remote", {nft_ip_saddr_vmap(MAP_NETWORKS4)}},
        /* ip6 saddr vmap @n6 */
        {"remote", {nft_ip6_saddr_vmap(MAP_NETWORKS6)}},

        /* ip saddr vmap @l4 */
        {"local", {nft_ip_saddr_vmap(MAP_LOCAL4)}},
        /* ip6 saddr vmap @l6 */
        {"local", {nft_ip6_saddr_vmap(MAP_LOCAL6)}},
    };
    visit_rules(visit, rules, ARRAY_SIZE(rules));
}

static void guard_rules(const struct visit *visit, uint32_t mark)
{
    const struct nft_rule rules[] = {
        /* ip option lsrr exists goto source_route */
        {"guard", {nft_ip_option_exists(IPOPT_LSRR), nft_goto("source_route")}},
        /* ip option ssrr exists goto source_route */
        {"guard", {nft_ip_option_exists(IPOPT_SSRR), nft_goto("source_route")}},
        /* ct mark and 0xff000000 == 0x5b000000 goto ours */
        {"guard", {nft_ct_mark(TABLE_MARK_MASK, mark), nft_goto("ours")}},
        /* ct direction original meta l4proto { tcp, udp } th dport @ports goto deny */
        {"guard",
         {nft_ct_direction(IP_CT_DIR_ORIGINAL), nft_l4proto_in(TABLE_TRANSPORTS_ID),
          nft_dport_in(SET_PORTS), nft_goto("deny")}},
        /* ct direction original udp dport @public_udp counter reject */
        {"guard",
         {nft_ct_direction(IP_CT_DIR_ORIGINAL), nft_l4proto(IPPROTO_UDP),
          nft_dport_in(SET_PUBLIC_UDP), nft_counter(), nft_reject()}},
    };
    visit_rules(visit, rules, ARRAY_SIZE(rules));
}

/* A share's connections are counted where each has its first packet: what clients open comes in,
 * and the data connections that servers open (active FTP, TFTP) go out. */
static void count_rule(const struct visit *visit, const char *chain,
                       const struct firewall_settings *settings)
{
    const struct nft_rule rule = {
        /* ct mark and 0xff000000 == 0x5b000000 ct state new
         * add @flows { ct mark ct count over 4000 } goto excess */
        chain,
        {nft_ct_mark(TABLE_MARK_MASK, table_mark(settings)), nft_ct_state_new(),
         nft_mark_count_over(SET_FLOWS, settings->max_flows), nft_goto("excess")}};
    if (settings->max_flows != 0) {
        visit_rules(visit, &rule, 1);
    }
}

/* Entered by mark, and final: no rule of a host's own table may let in what is refused here. */
static void living_rules(const struct visit *visit)
{
    const struct nft_rule rules[] = {
        /* iif lo ct direction reply meta mark set ct mark accept */
        {"ours",
         {nft_iif(LOOPBACK_INDEX), nft_ct_direction(IP_CT_DIR_REPLY), nft_meta_mark_set_ct_mark(),
          nft_accept()}},
        /* ct mark != @live goto deny */
        {"ours", {nft_ct_mark_not_in(SET_LIVE), nft_goto("deny")}},
        /* ct direction reply meta mark set ct mark accept */
        {"ours", {nft_ct_direction(IP_CT_DIR_REPLY), nft_meta_mark_set_ct_mark(), nft_accept()}},
    };
    visit_rules(visit, rules, ARRAY_SIZE(rules));
}

static void shape_rules(const struct visit *visit, const struct firewall_range *passive)
{
    const uint32_t shape = IPS_EXPECTED | IPS_DST_NAT;
    const struct nft_rule rules[] = {
        /* ct status & (expected | dnat) == dnat th dport @ports meta mark set ct mark accept */
        {"ours",
         {nft_ct_status(shape, IPS_DST_NAT), nft_dport_in(SET_PORTS), nft_meta_mark_set_ct_mark(),
          nft_accept()}},
        /* ct status & (expected | dnat) == expected th dport 30000-31999
         * meta mark set ct mark accept */
        {"ours",
         {nft_ct_status(shape, IPS_EXPECTED), nft_dport_range(passive->first, passive->last),
          nft_meta_mark_set_ct_mark(), nft_accept()}},
        /* goto deny */
        {"ours", {nft_goto("deny")}},
    };
    visit_rules(visit, rules, ARRAY_SIZE(rules));
}

static void egress_rules(const struct visit *visit, const struct firewall_settings *settings)
{
    const struct nft_rule rules[] = {
        /* meta skuid 2100000000-2100003999 meta skuid . ct mark != @owner goto captured */
        {"egress",
         {nft_skuid_range(settings->uid_first, settings->uid_last),
          nft_skuid_mark_not_in(SET_OWNER), nft_goto("captured")}},
        /* ct mark and 0xff000000 == 0x5b000000 ct direction reply
         * meta skuid . ct mark != @owner goto captured */
        {"egress",
         {nft_ct_mark(TABLE_MARK_MASK, table_mark(settings)), nft_ct_direction(IP_CT_DIR_REPLY),
          nft_skuid_mark_not_in(SET_OWNER), nft_goto("captured")}},
    };
    visit_rules(visit, rules, ARRAY_SIZE(rules));
}

/* limit rate 10/second log group 5 prefix "cdss-deny ": docs/logging.md lists the categories. */
static void log_rule(const struct visit *visit, uint16_t group, const char *chain,
                     const char *prefix)
{
    const struct nft_rule rule = {chain, {nft_limit(LOG_RATE), nft_log(group, prefix)}};
    if (group != 0) {
        visit_rules(visit, &rule, 1);
    }
}

static void refusal_rules(const struct visit *visit, uint16_t group)
{
    const struct nft_rule dropped[] = {
        /* counter drop */
        {"source_route", {nft_counter(), nft_drop()}},
    };
    const struct nft_rule refused[] = {
        /* goto refuse */
        {"deny", {nft_goto("refuse")}},
        {"captured", {nft_goto("refuse")}},
        {"excess", {nft_goto("refuse")}},

        /* counter */
        {"refuse", {nft_counter()}},
        /* meta l4proto tcp reject with tcp reset */
        {"refuse", {nft_l4proto(IPPROTO_TCP), nft_reject_reset()}},
        /* drop */
        {"refuse", {nft_drop()}},
    };
    log_rule(visit, group, "source_route", "cdss-source-route ");
    log_rule(visit, group, "deny", "cdss-deny ");
    log_rule(visit, group, "captured", "cdss-server ");
    log_rule(visit, group, "excess", "cdss-limit ");
    visit_rules(visit, dropped, ARRAY_SIZE(dropped));
    visit_rules(visit, refused, ARRAY_SIZE(refused));
}

static void visit_all(const struct visit *visit, const struct firewall_settings *settings)
{
    redirect_rules(visit);
    guard_rules(visit, table_mark(settings));
    living_rules(visit);
    count_rule(visit, "ours", settings);
    shape_rules(visit, &settings->passive);
    egress_rules(visit, settings);
    count_rule(visit, "egress", settings);
    refusal_rules(visit, settings->log_group);
}

static void put(const struct nft_rule *rules, size_t count, void *user_data)
{
    nft_add_rules(user_data, rules, count);
}

void base_rules(struct transaction *transaction, const struct firewall_settings *settings)
{
    const struct visit visit = {put, transaction};
    visit_all(&visit, settings);
}

struct use {
    const char *chain;
    uint32_t count;
};

static void count(const struct nft_rule *rules, size_t n_rules, void *user_data)
{
    struct use *use = user_data;
    for (size_t i = 0; i < n_rules; i++) {
        use->count += strcmp(rules[i].chain, use->chain) == 0;
        for (int j = 0; j < NFT_TERMS_MAX && rules[i].terms[j].add != NULL; j++) {
            const char *target = nft_target(&rules[i].terms[j]);
            use->count += target != NULL && strcmp(target, use->chain) == 0;
        }
    }
}

uint32_t base_use(const struct firewall_settings *settings, const char *chain)
{
    struct use use = {.chain = chain};
    const struct visit visit = {count, &use};
    visit_all(&visit, settings);
    return use.count;
}
