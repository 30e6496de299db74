/*
 * What the terms of a rule are made of: nf_tables expressions, appended to a rule that is being
 * built. Values pass through register 1. Failure to allocate is noted in the build and skipped.
 */
#pragma once

#include "nft.h"

#include <libnftnl/expr.h>
#include <stdbool.h>

struct nft_build {
    struct nftnl_rule *rule;
    bool failed;
};

/* A new expression at the end of the rule, which owns it; NULL when there is no memory. */
struct nftnl_expr *nft_expression(struct nft_build *build, const char *name);

void nft_load_meta(struct nft_build *build, uint32_t key, uint32_t reg);
void nft_load_ct(struct nft_build *build, uint32_t key, uint32_t reg);
void nft_load_payload(struct nft_build *build, uint32_t base, uint32_t offset, uint32_t length);
void nft_put(struct nft_build *build, const void *data, uint32_t length); /* a constant */

void nft_mask_u32(struct nft_build *build, uint32_t mask);
void nft_compare(struct nft_build *build, uint32_t operator, const void * data, uint32_t length);
void nft_compare_u8(struct nft_build *build, uint8_t value);
void nft_compare_u32(struct nft_build *build, uint32_t value);

struct nftnl_expr *nft_look_up(struct nft_build *build, const char *set);
void nft_look_up_absent(struct nft_build *build, const char *set);

void nft_verdict(struct nft_build *build, uint32_t verdict, const char *chain);
