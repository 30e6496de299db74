/* The rule itself, and the loads and comparisons that all terms are made of. */
#include "nft_build.h"
#include "table.h"

#include <libnftnl/rule.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

struct nftnl_expr *nft_expression(struct nft_build *build, const char *name)
{
    struct nftnl_expr *expression = nftnl_expr_alloc(name);
    if (expression == NULL) {
        build->failed = true;
        return NULL;
    }
    nftnl_rule_add_expr(build->rule, expression);
    return expression;
}

void nft_load_meta(struct nft_build *build, uint32_t key, uint32_t reg)
{
    struct nftnl_expr *meta = nft_expression(build, "meta");
    if (meta != NULL) {
        nftnl_expr_set_u32(meta, NFTNL_EXPR_META_KEY, key);
        nftnl_expr_set_u32(meta, NFTNL_EXPR_META_DREG, reg);
    }
}

void nft_load_ct(struct nft_build *build, uint32_t key, uint32_t reg)
{
    struct nftnl_expr *ct = nft_expression(build, "ct");
    if (ct != NULL) {
        nftnl_expr_set_u32(ct, NFTNL_EXPR_CT_KEY, key);
        nftnl_expr_set_u32(ct, NFTNL_EXPR_CT_DREG, reg);
    }
}

void nft_load_payload(struct nft_build *build, uint32_t base, uint32_t offset, uint32_t length)
{
    struct nftnl_expr *payload = nft_expression(build, "payload");
    if (payload != NULL) {
        nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_DREG, NFT_REG_1);
        nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_BASE, base);
        nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
        nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_LEN, length);
    }
}

void nft_compare(struct nft_build *build, uint32_t operator, const void * data, uint32_t length)
{
    struct nftnl_expr *cmp = nft_expression(build, "cmp");
    if (cmp != NULL) {
        nftnl_expr_set_u32(cmp, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
        nftnl_expr_set_u32(cmp, NFTNL_EXPR_CMP_OP, operator);
        nftnl_expr_set(cmp, NFTNL_EXPR_CMP_DATA, data, length);
    }
}

void nft_compare_u8(struct nft_build *build, uint8_t value)
{
    nft_compare(build, NFT_CMP_EQ, &value, sizeof value);
}

void nft_compare_u32(struct nft_build *build, uint32_t value)
{
    nft_compare(build, NFT_CMP_EQ, &value, sizeof value);
}

void nft_mask_u32(struct nft_build *build, uint32_t mask)
{
    const uint32_t nothing = 0;
    struct nftnl_expr *bitwise = nft_expression(build, "bitwise");
    if (bitwise != NULL) {
        nftnl_expr_set_u32(bitwise, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
        nftnl_expr_set_u32(bitwise, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
        nftnl_expr_set_u32(bitwise, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
        nftnl_expr_set_u32(bitwise, NFTNL_EXPR_BITWISE_LEN, sizeof mask);
        nftnl_expr_set(bitwise, NFTNL_EXPR_BITWISE_MASK, &mask, sizeof mask);
        nftnl_expr_set(bitwise, NFTNL_EXPR_BITWISE_XOR, &nothing, sizeof nothing);
    }
}

/* With a verdict map, the verdict goes to register 0. */
struct nftnl_expr *nft_look_up(struct nft_build *build, const char *set)
{
    struct nftnl_expr *lookup = nft_expression(build, "lookup");
    if (lookup != NULL) {
        nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
        nftnl_expr_set_str(lookup, NFTNL_EXPR_LOOKUP_SET, set);
    }
    return lookup;
}

void nft_look_up_absent(struct nft_build *build, const char *set)
{
    struct nftnl_expr *lookup = nft_look_up(build, set);
    if (lookup != NULL) {
        nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
    }
}

void nft_put(struct nft_build *build, const void *data, uint32_t length)
{
    struct nftnl_expr *immediate = nft_expression(build, "immediate");
    if (immediate != NULL) {
        nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_DREG, NFT_REG_1);
        nftnl_expr_set(immediate, NFTNL_EXPR_IMM_DATA, data, length);
    }
}

void nft_verdict(struct nft_build *build, uint32_t verdict, const char *chain)
{
    struct nftnl_expr *immediate = nft_expression(build, "immediate");
    if (immediate != NULL) {
        nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
        nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_VERDICT, verdict);
        if (chain != NULL) {
            nftnl_expr_set_str(immediate, NFTNL_EXPR_IMM_CHAIN, chain);
        }
    }
}

static void add_rule(struct transaction *transaction, const struct nft_rule *rule)
{
    struct nft_build build = {.rule = nftnl_rule_alloc()};
    if (build.rule == NULL) {
        transaction_fail(transaction);
        return;
    }
    nftnl_rule_set_str(build.rule, NFTNL_RULE_TABLE, FIREWALL_TABLE);
    nftnl_rule_set_str(build.rule, NFTNL_RULE_CHAIN, rule->chain);
    for (int i = 0; i < NFT_TERMS_MAX && rule->terms[i].add != NULL; i++) {
        rule->terms[i].add(&build, &rule->terms[i]);
    }
    struct nlmsghdr *message =
        transaction_message(transaction, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    nftnl_rule_nlmsg_build_payload(message, build.rule);
    transaction_add(transaction);
    if (build.failed) {
        transaction_fail(transaction);
    }
    nftnl_rule_free(build.rule);
}

void nft_add_rules(struct transaction *transaction, const struct nft_rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add_rule(transaction, &rules[i]);
    }
}
