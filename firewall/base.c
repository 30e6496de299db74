/* The base rules, each below its nft text. The order of rules in a chain is their order here. */
#include "nft.h"
#include "table.h"

#include "cleanup.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <netinet/ip.h>

#define LOOPBACK_INDEX 1 /* of lo, in every network namespace */
#define LOG_GROUP      5

static void redirect_rules(struct transaction *transaction)
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
    nft_add_rules(transaction, rules, ARRAY_SIZE(rules));
}

static void guard_rules(struct transaction *transaction, uint32_t mark)
{
    const struct nft_rule rules[] = {
        /* ip option lsrr exists drop */
        {"guard", {nft_ip_option_exists(IPOPT_LSRR), nft_drop()}},
        /* ip option ssrr exists drop */
        {"guard", {nft_ip_option_exists(IPOPT_SSRR), nft_drop()}},
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
    nft_add_rules(transaction, rules, ARRAY_SIZE(rules));
}

/* Entered by mark, and final: no rule of a host's own table may let in what is refused here. */
static void ours_rules(struct transaction *transaction, const struct firewall_range *passive)
{
    const uint32_t shape = IPS_EXPECTED | IPS_DST_NAT;
    const struct nft_rule rules[] = {
        /* iif lo ct direction reply accept */
        {"ours", {nft_iif(LOOPBACK_INDEX), nft_ct_direction(IP_CT_DIR_REPLY), nft_accept()}},
        /* ct mark != @live goto deny */
        {"ours", {nft_ct_mark_not_in(SET_LIVE), nft_goto("deny")}},
        /* ct direction reply meta mark set ct mark accept */
        {"ours", {nft_ct_direction(IP_CT_DIR_REPLY), nft_meta_mark_set_ct_mark(), nft_accept()}},
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
    nft_add_rules(transaction, rules, ARRAY_SIZE(rules));
}

static void egress_rules(struct transaction *transaction, const struct firewall_settings *settings)
{
    const struct nft_rule rules[] = {
        /* meta skuid 2100000000-2100003999 meta skuid . ct mark != @owner goto deny */
        {"egress",
         {nft_skuid_range(settings->uid_first, settings->uid_last),
          nft_skuid_mark_not_in(SET_OWNER), nft_goto("deny")}},
        /* ct mark and 0xff000000 == 0x5b000000 ct direction reply
         * meta skuid . ct mark != @owner goto deny */
        {"egress",
         {nft_ct_mark(TABLE_MARK_MASK, table_mark(settings)), nft_ct_direction(IP_CT_DIR_REPLY),
          nft_skuid_mark_not_in(SET_OWNER), nft_goto("deny")}},
    };
    nft_add_rules(transaction, rules, ARRAY_SIZE(rules));
}

static void deny_rules(struct transaction *transaction)
{
    const struct nft_rule rules[] = {
        /* limit rate 10/second log group 5 prefix "cdss-deny " */
        {"deny", {nft_limit(10), nft_log(LOG_GROUP, "cdss-deny ")}},
        /* counter */
        {"deny", {nft_counter()}},
        /* meta l4proto tcp reject with tcp reset */
        {"deny", {nft_l4proto(IPPROTO_TCP), nft_reject_reset()}},
        /* drop */
        {"deny", {nft_drop()}},
    };
    nft_add_rules(transaction, rules, ARRAY_SIZE(rules));
}

void base_rules(struct transaction *transaction, const struct firewall_settings *settings)
{
    redirect_rules(transaction);
    guard_rules(transaction, table_mark(settings));
    ours_rules(transaction, &settings->passive);
    egress_rules(transaction, settings);
    deny_rules(transaction);
}
