/* The terms that do something or decide. */
#include "nft_build.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>

static void add_meta_mark_set_ct_mark(struct nft_build *build, const struct nft_term *term)
{
    (void)term;
    nft_load_ct(build, NFT_CT_MARK, NFT_REG_1);
    struct nftnl_expr *meta = nft_expression(build, "meta");
    if (meta != NULL) {
        nftnl_expr_set_u32(meta, NFTNL_EXPR_META_KEY, NFT_META_MARK);
        nftnl_expr_set_u32(meta, NFTNL_EXPR_META_SREG, NFT_REG_1);
    }
}

struct nft_term nft_meta_mark_set_ct_mark(void)
{
    return (struct nft_term){.add = add_meta_mark_set_ct_mark};
}

static void add_ct_mark_set(struct nft_build *build, const struct nft_term *term)
{
    nft_put(build, &term->a, sizeof term->a);
    struct nftnl_expr *ct = nft_expression(build, "ct");
    if (ct != NULL) {
        nftnl_expr_set_u32(ct, NFTNL_EXPR_CT_KEY, NFT_CT_MARK);
        nftnl_expr_set_u32(ct, NFTNL_EXPR_CT_SREG, NFT_REG_1);
    }
}

struct nft_term nft_ct_mark_set(uint32_t mark)
{
    return (struct nft_term){.add = add_ct_mark_set, .a = mark};
}

static void add_ct_helper_set(struct nft_build *build, const struct nft_term *term)
{
    struct nftnl_expr *reference = nft_expression(build, "objref");
    if (reference != NULL) {
        nftnl_expr_set_u32(reference, NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_CT_HELPER);
        nftnl_expr_set_str(reference, NFTNL_EXPR_OBJREF_IMM_NAME, term->name);
    }
}

struct nft_term nft_ct_helper_set(const char *object)
{
    return (struct nft_term){.add = add_ct_helper_set, .name = object};
}

static void add_counter(struct nft_build *build, const struct nft_term *term)
{
    (void)term;
    nft_expression(build, "counter");
}

struct nft_term nft_counter(void)
{
    return (struct nft_term){.add = add_counter};
}

static void add_log(struct nft_build *build, const struct nft_term *term)
{
    struct nftnl_expr *log = nft_expression(build, "log");
    if (log != NULL) {
        nftnl_expr_set_u16(log, NFTNL_EXPR_LOG_GROUP, (uint16_t)term->a);
        nftnl_expr_set_str(log, NFTNL_EXPR_LOG_PREFIX, term->name);
    }
}

struct nft_term nft_log(uint16_t group, const char *prefix)
{
    return (struct nft_term){.add = add_log, .a = group, .name = prefix};
}

/* `a` is the family, `b` where its header holds the source address. */
static void add_saddr_vmap(struct nft_build *build, const struct nft_term *term)
{
    nft_load_meta(build, NFT_META_NFPROTO, NFT_REG_1);
    nft_compare_u8(build, (uint8_t)term->a);
    nft_load_payload(build, NFT_PAYLOAD_NETWORK_HEADER, term->b, term->a == NFPROTO_IPV4 ? 4 : 16);
    struct nftnl_expr *lookup = nft_look_up(build, term->name);
    if (lookup != NULL) {
        nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_DREG, NFT_REG_VERDICT);
    }
}

struct nft_term nft_ip_saddr_vmap(const char *map)
{
    return (struct nft_term){.add = add_saddr_vmap, .a = NFPROTO_IPV4, .b = 12, .name = map};
}

struct nft_term nft_ip6_saddr_vmap(const char *map)
{
    return (struct nft_term){.add = add_saddr_vmap, .a = NFPROTO_IPV6, .b = 8, .name = map};
}

/* The address stays the one that the client called, which `redirect` would change. */
static void add_dnat_to_port(struct nft_build *build, const struct nft_term *term)
{
    uint16_t port = htons((uint16_t)term->a);
    nft_put(build, &port, sizeof port);
    struct nftnl_expr *nat = nft_expression(build, "nat");
    if (nat != NULL) {
        nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_TYPE, NFT_NAT_DNAT);
        nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_FAMILY, NFPROTO_INET);
        nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_REG_PROTO_MIN, NFT_REG_1);
        nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
    }
}

struct nft_term nft_dnat_to_port(uint16_t port)
{
    return (struct nft_term){.add = add_dnat_to_port, .a = port};
}

static void add_reject(struct nft_build *build, const struct nft_term *term)
{
    struct nftnl_expr *reject = nft_expression(build, "reject");
    if (reject != NULL) {
        nftnl_expr_set_u32(reject, NFTNL_EXPR_REJECT_TYPE, term->a);
        nftnl_expr_set_u8(reject, NFTNL_EXPR_REJECT_CODE, (uint8_t)term->b);
    }
}

struct nft_term nft_reject(void)
{
    return (struct nft_term){
        .add = add_reject, .a = NFT_REJECT_ICMPX_UNREACH, .b = NFT_REJECT_ICMPX_PORT_UNREACH};
}

struct nft_term nft_reject_reset(void)
{
    return (struct nft_term){.add = add_reject, .a = NFT_REJECT_TCP_RST};
}

static void add_verdict(struct nft_build *build, const struct nft_term *term)
{
    nft_verdict(build, term->a, term->name);
}

struct nft_term nft_accept(void)
{
    return (struct nft_term){.add = add_verdict, .a = NF_ACCEPT};
}

struct nft_term nft_drop(void)
{
    return (struct nft_term){.add = add_verdict, .a = NF_DROP};
}

struct nft_term nft_goto(const char *chain)
{
    return (struct nft_term){.add = add_verdict, .a = (uint32_t)NFT_GOTO, .name = chain};
}

struct nft_term nft_jump(const char *chain)
{
    return (struct nft_term){.add = add_verdict, .a = (uint32_t)NFT_JUMP, .name = chain};
}

const char *nft_target(const struct nft_term *term)
{
    return term->add == add_verdict ? term->name : NULL;
}
