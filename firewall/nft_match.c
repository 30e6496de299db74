/* The terms that match. Byte orders follow the kernel: what comes out of a packet is in network
 * order; conntrack and meta values are in host order, and have to be turned before they can be
 * compared as ranges, since the kernel compares bytes. */
#include "nft_build.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>

#define DPORT_OFFSET 2 /* the same in TCP and UDP */

static void add_fib_daddr_local(struct nft_build *build, const struct nft_term *term)
{
    (void)term;
    struct nftnl_expr *fib = nft_expression(build, "fib");
    if (fib != NULL) {
        nftnl_expr_set_u32(fib, NFTNL_EXPR_FIB_DREG, NFT_REG_1);
        nftnl_expr_set_u32(fib, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
        nftnl_expr_set_u32(fib, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
    }
    nft_compare_u32(build, RTN_LOCAL);
}

struct nft_term nft_fib_daddr_local(void)
{
    return (struct nft_term){.add = add_fib_daddr_local};
}

static void add_ip_option_exists(struct nft_build *build, const struct nft_term *term)
{
    nft_load_meta(build, NFT_META_NFPROTO, NFT_REG_1);
    nft_compare_u8(build, NFPROTO_IPV4);
    struct nftnl_expr *option = nft_expression(build, "exthdr");
    if (option != NULL) {
        nftnl_expr_set_u32(option, NFTNL_EXPR_EXTHDR_DREG, NFT_REG_1);
        nftnl_expr_set_u8(option, NFTNL_EXPR_EXTHDR_TYPE, (uint8_t)term->a);
        nftnl_expr_set_u32(option, NFTNL_EXPR_EXTHDR_OFFSET, 0);
        nftnl_expr_set_u32(option, NFTNL_EXPR_EXTHDR_LEN, 1);
        nftnl_expr_set_u32(option, NFTNL_EXPR_EXTHDR_OP, NFT_EXTHDR_OP_IPV4);
        nftnl_expr_set_u32(option, NFTNL_EXPR_EXTHDR_FLAGS, NFT_EXTHDR_F_PRESENT);
    }
    nft_compare_u8(build, 1);
}

struct nft_term nft_ip_option_exists(uint8_t option)
{
    return (struct nft_term){.add = add_ip_option_exists, .a = option};
}

static void add_iif(struct nft_build *build, const struct nft_term *term)
{
    nft_load_meta(build, NFT_META_IIF, NFT_REG_1);
    nft_compare_u32(build, term->a);
}

struct nft_term nft_iif(uint32_t index)
{
    return (struct nft_term){.add = add_iif, .a = index};
}

static void add_l4proto(struct nft_build *build, const struct nft_term *term)
{
    nft_load_meta(build, NFT_META_L4PROTO, NFT_REG_1);
    nft_compare_u8(build, (uint8_t)term->a);
}

struct nft_term nft_l4proto(uint8_t protocol)
{
    return (struct nft_term){.add = add_l4proto, .a = protocol};
}

/* An anonymous set has no name yet inside its transaction: it is found by its id. */
static void add_l4proto_in(struct nft_build *build, const struct nft_term *term)
{
    nft_load_meta(build, NFT_META_L4PROTO, NFT_REG_1);
    struct nftnl_expr *lookup = nft_look_up(build, "__set%d");
    if (lookup != NULL) {
        nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_SET_ID, term->a);
    }
}

struct nft_term nft_l4proto_in(uint32_t set_id)
{
    return (struct nft_term){.add = add_l4proto_in, .a = set_id};
}

static void load_dport(struct nft_build *build)
{
    nft_load_payload(build, NFT_PAYLOAD_TRANSPORT_HEADER, DPORT_OFFSET, sizeof(uint16_t));
}

static void add_dport_range(struct nft_build *build, const struct nft_term *term)
{
    uint16_t first = htons((uint16_t)term->a), last = htons((uint16_t)term->b);
    load_dport(build);
    if (first == last) {
        nft_compare(build, NFT_CMP_EQ, &first, sizeof first);
        return;
    }
    nft_compare(build, NFT_CMP_GTE, &first, sizeof first);
    nft_compare(build, NFT_CMP_LTE, &last, sizeof last);
}

struct nft_term nft_dport_range(uint16_t first, uint16_t last)
{
    return (struct nft_term){.add = add_dport_range, .a = first, .b = last};
}

struct nft_term nft_dport(uint16_t port)
{
    return nft_dport_range(port, port);
}

static void add_dport_in(struct nft_build *build, const struct nft_term *term)
{
    load_dport(build);
    nft_look_up(build, term->name);
}

struct nft_term nft_dport_in(const char *set)
{
    return (struct nft_term){.add = add_dport_in, .name = set};
}

static void add_ct_direction(struct nft_build *build, const struct nft_term *term)
{
    nft_load_ct(build, NFT_CT_DIRECTION, NFT_REG_1);
    nft_compare_u8(build, (uint8_t)term->a);
}

struct nft_term nft_ct_direction(uint8_t direction)
{
    return (struct nft_term){.add = add_ct_direction, .a = direction};
}

static void add_ct_mark(struct nft_build *build, const struct nft_term *term)
{
    nft_load_ct(build, NFT_CT_MARK, NFT_REG_1);
    nft_mask_u32(build, term->a);
    nft_compare_u32(build, term->b);
}

struct nft_term nft_ct_mark(uint32_t mask, uint32_t value)
{
    return (struct nft_term){.add = add_ct_mark, .a = mask, .b = value};
}

static void add_ct_mark_not_in(struct nft_build *build, const struct nft_term *term)
{
    nft_load_ct(build, NFT_CT_MARK, NFT_REG_1);
    nft_look_up_absent(build, term->name);
}

struct nft_term nft_ct_mark_not_in(const char *set)
{
    return (struct nft_term){.add = add_ct_mark_not_in, .name = set};
}

static void add_ct_status(struct nft_build *build, const struct nft_term *term)
{
    nft_load_ct(build, NFT_CT_STATUS, NFT_REG_1);
    nft_mask_u32(build, term->a);
    nft_compare_u32(build, term->b);
}

struct nft_term nft_ct_status(uint32_t mask, uint32_t value)
{
    return (struct nft_term){.add = add_ct_status, .a = mask, .b = value};
}

static void add_ct_state_new(struct nft_build *build, const struct nft_term *term)
{
    const uint32_t nothing = 0;
    (void)term;
    nft_load_ct(build, NFT_CT_STATE, NFT_REG_1);
    nft_mask_u32(build, NF_CT_STATE_BIT(IP_CT_NEW));
    nft_compare(build, NFT_CMP_NEQ, &nothing, sizeof nothing);
}

struct nft_term nft_ct_state_new(void)
{
    return (struct nft_term){.add = add_ct_state_new};
}

/* The set has an element per mark, which keeps the connections counted under it; the kernel sweeps
 * up those that have none any more. */
static void add_mark_count_over(struct nft_build *build, const struct nft_term *term)
{
    nft_load_ct(build, NFT_CT_MARK, NFT_REG_1);
    struct nftnl_expr *add = nft_expression(build, "dynset");
    struct nftnl_expr *count = nftnl_expr_alloc("connlimit");
    if (add == NULL || count == NULL) {
        nftnl_expr_free(count);
        build->failed = true;
        return;
    }
    nftnl_expr_set_u32(count, NFTNL_EXPR_CONNLIMIT_COUNT, term->a);
    nftnl_expr_set_u32(count, NFTNL_EXPR_CONNLIMIT_FLAGS, NFT_CONNLIMIT_F_INV);
    nftnl_expr_set_str(add, NFTNL_EXPR_DYNSET_SET_NAME, term->name);
    nftnl_expr_set_u32(add, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_ADD);
    nftnl_expr_set_u32(add, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG_1);
    nftnl_expr_set(add, NFTNL_EXPR_DYNSET_EXPR, count, 0);
}

struct nft_term nft_mark_count_over(const char *set, uint32_t most)
{
    return (struct nft_term){.add = add_mark_count_over, .a = most, .name = set};
}

static void add_skuid_range(struct nft_build *build, const struct nft_term *term)
{
    uint32_t first = htonl(term->a), last = htonl(term->b);
    nft_load_meta(build, NFT_META_SKUID, NFT_REG_1);
    struct nftnl_expr *byteorder = nft_expression(build, "byteorder");
    if (byteorder != NULL) {
        nftnl_expr_set_u32(byteorder, NFTNL_EXPR_BYTEORDER_SREG, NFT_REG_1);
        nftnl_expr_set_u32(byteorder, NFTNL_EXPR_BYTEORDER_DREG, NFT_REG_1);
        nftnl_expr_set_u32(byteorder, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
        nftnl_expr_set_u32(byteorder, NFTNL_EXPR_BYTEORDER_LEN, sizeof first);
        nftnl_expr_set_u32(byteorder, NFTNL_EXPR_BYTEORDER_SIZE, sizeof first);
    }
    nft_compare(build, NFT_CMP_GTE, &first, sizeof first);
    nft_compare(build, NFT_CMP_LTE, &last, sizeof last);
}

struct nft_term nft_skuid_range(uint32_t first, uint32_t last)
{
    return (struct nft_term){.add = add_skuid_range, .a = first, .b = last};
}

/* A concatenation lies in neighbouring 32-bit registers: 1 is the first four of them together. */
static void add_skuid_mark_not_in(struct nft_build *build, const struct nft_term *term)
{
    nft_load_meta(build, NFT_META_SKUID, NFT_REG_1);
    nft_load_ct(build, NFT_CT_MARK, NFT_REG32_01);
    nft_look_up_absent(build, term->name);
}

struct nft_term nft_skuid_mark_not_in(const char *set)
{
    return (struct nft_term){.add = add_skuid_mark_not_in, .name = set};
}

static void add_limit(struct nft_build *build, const struct nft_term *term)
{
    struct nftnl_expr *limit = nft_expression(build, "limit");
    if (limit != NULL) {
        nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_RATE, term->a);
        nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_UNIT, 1); /* seconds */
        nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_BURST, 5);
        nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
        nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_FLAGS, 0);
    }
}

struct nft_term nft_limit(uint32_t per_second)
{
    return (struct nft_term){.add = add_limit, .a = per_second};
}
