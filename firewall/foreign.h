/*
 * Other people's nftables: looked at, never changed. For `cdss doctor`, which says when a table of
 * the host would drop what ours lets in (an accept in one table does not overrule another's drop),
 * or translates addresses before ours.
 */
#pragma once

#include <stdbool.h>

#define FOREIGN_NAME_MAX 255 /* bytes of a name; the kernel takes no longer ones */

enum foreign_hook { FOREIGN_INPUT, FOREIGN_OUTPUT, FOREIGN_PREROUTING };

/* A base chain of another table than ours, of the families ip, ip6 and inet. */
struct foreign_chain {
    const char *family; /* "ip", "ip6", "inet" */
    char table[FOREIGN_NAME_MAX + 1], chain[FOREIGN_NAME_MAX + 1];
    enum foreign_hook hook;
    bool nat; /* it translates addresses; otherwise it filters */
    int priority;
    bool refuses;  /* what none of its rules decides is dropped: by policy, or by the last rule */
    bool by_mark;  /* a rule accepts by conntrack mark */
    bool by_state; /* a rule accepts by conntrack state */
    bool by_dnat;  /* a rule accepts by conntrack status */
};

/* Called for each of them. The chain lives for the call. */
typedef void foreign_visitor(const struct foreign_chain *chain, void *user_data);

/* Asks the kernel for all chains and rules (needs CAP_NET_ADMIN). 0 or a negative errno. */
int foreign_chains(foreign_visitor *visit, void *user_data);

/* *ret says whether there is a table of this name in any family. 0 or a negative errno. */
int foreign_has_table(const char *name, bool *ret);
