/*
 * Other people's nftables: looked at, never changed. For `cdss doctor`, which says when a table of
 * the host would drop what ours lets in (an accept in one table does not overrule another's drop).
 */
#pragma once

#include <stdbool.h>

struct foreign_chain {
    const char *family; /* "ip", "ip6", "inet" */
    const char *table, *chain;
};

/* Called for each base chain of another table than ours at the input hook whose policy is drop.
 * The strings live for the call. */
typedef void foreign_visitor(const struct foreign_chain *chain, void *user_data);

/* Asks the kernel for all chains (needs CAP_NET_ADMIN). 0 or a negative errno. */
int foreign_input_drops(foreign_visitor *visit, void *user_data);

/* *ret says whether there is a table of this name in any family. 0 or a negative errno. */
int foreign_has_table(const char *name, bool *ret);
