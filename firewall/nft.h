/*
 * Rules that read like their nft(8) text. A rule is a chain and a list of terms, and each term is
 * one word of nft:
 *
 *   ct mark != @live goto deny
 *   {"ours", {nft_ct_mark_not_in("live"), nft_goto("deny")}}
 *
 * Each term becomes the same bytecode as nft 1.0.6 makes of it (`nft --debug=netlink`), so that
 * `nft list ruleset` shows the text again. Numbers are in host order; the terms convert.
 */
#pragma once

#include "transaction.h"

#include <stdint.h>

#define NFT_TERMS_MAX 8

struct nft_build;

struct nft_term {
    void (*add)(struct nft_build *build, const struct nft_term *term);
    uint32_t a, b;
    const char *name; /* borrowed */
};

struct nft_rule {
    const char *chain;                    /* borrowed */
    struct nft_term terms[NFT_TERMS_MAX]; /* up to the first that is empty */
};

/* Appends rules of the table to their chains. */
void nft_add_rules(struct transaction *transaction, const struct nft_rule *rules, size_t count);

/* matches */
struct nft_term nft_fib_daddr_local(void);              /* fib daddr type local */
struct nft_term nft_ip_option_exists(uint8_t option);   /* ip option OPTION exists */
struct nft_term nft_iif(uint32_t index);                /* iif INDEX */
struct nft_term nft_l4proto(uint8_t protocol);          /* meta l4proto PROTOCOL */
struct nft_term nft_l4proto_in(uint32_t set_id);        /* meta l4proto { ... } */
struct nft_term nft_dport(uint16_t port);               /* th dport PORT */
struct nft_term nft_dport_range(uint16_t, uint16_t);    /* th dport FIRST-LAST */
struct nft_term nft_dport_in(const char *set);          /* th dport @SET */
struct nft_term nft_ct_direction(uint8_t direction);    /* ct direction original|reply */
struct nft_term nft_ct_mark(uint32_t mask, uint32_t);   /* ct mark and MASK == VALUE */
struct nft_term nft_ct_mark_not_in(const char *set);    /* ct mark != @SET */
struct nft_term nft_ct_status(uint32_t mask, uint32_t); /* ct status & MASK == VALUE */
struct nft_term nft_skuid_range(uint32_t, uint32_t);    /* meta skuid FIRST-LAST */
struct nft_term nft_skuid_mark_not_in(const char *set); /* meta skuid . ct mark != @SET */
struct nft_term nft_limit(uint32_t per_second);         /* limit rate N/second */
struct nft_term nft_ct_state_new(void);                 /* ct state new */

/* add @SET { ct mark ct count over N }: matches when more connections than N have this mark. */
struct nft_term nft_mark_count_over(const char *set, uint32_t most);

/* statements */
struct nft_term nft_meta_mark_set_ct_mark(void);             /* meta mark set ct mark */
struct nft_term nft_ct_mark_set(uint32_t mark);              /* ct mark set MARK */
struct nft_term nft_ct_helper_set(const char *object);       /* ct helper set "OBJECT" */
struct nft_term nft_counter(void);                           /* counter */
struct nft_term nft_log(uint16_t group, const char *prefix); /* log group N prefix "..." */

/* verdicts */
struct nft_term nft_ip_saddr_vmap(const char *map);  /* ip saddr vmap @MAP */
struct nft_term nft_ip6_saddr_vmap(const char *map); /* ip6 saddr vmap @MAP */
struct nft_term nft_dnat_to_port(uint16_t port);     /* dnat to :PORT */
struct nft_term nft_reject(void);                    /* reject */
struct nft_term nft_reject_reset(void);              /* reject with tcp reset */
struct nft_term nft_accept(void);
struct nft_term nft_drop(void);
struct nft_term nft_goto(const char *chain);
struct nft_term nft_jump(const char *chain);

/* The chain to which a term goes or jumps; NULL for any other term. */
const char *nft_target(const struct nft_term *term);
