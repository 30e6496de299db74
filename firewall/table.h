/*
 * The table `inet cdss` without its shares: helpers, sets, chains, base rules. docs/architecture.md
 * draws it. The names of the sets are used all over this folder.
 */
#pragma once

#include "firewall.h"
#include "transaction.h"

#define SET_LIVE       "live"       /* marks of the shares that are alive */
#define SET_OWNER      "owner"      /* uid . mark: who may send on flows of that mark */
#define SET_PORTS      "ports"      /* instance ports bound now */
#define SET_PUBLIC_UDP "public_udp" /* UDP ports that only clients may call */
#define SET_FLOWS      "flows"      /* marks, each with its connections counted */
#define MAP_HOSTS4     "h4"
#define MAP_HOSTS6     "h6"
#define MAP_NETWORKS4  "n4"
#define MAP_NETWORKS6  "n6"
#define MAP_LOCAL4     "l4"
#define MAP_LOCAL6     "l6"
#define HELPER_FTP     "ftp-h"
#define HELPER_TFTP    "tftp-h"

#define TABLE_MARK_MASK 0xff000000u

/* The anonymous set { tcp, udp } of the base rules, known by this id inside its transaction. */
#define TABLE_TRANSPORTS_ID 100u

/* All marks of ours: the prefix in the upper 8 bits. */
static inline uint32_t table_mark(const struct firewall_settings *settings)
{
    return (uint32_t)settings->mark_prefix << 24;
}

/* Messages that replace what there may be by an empty table. The flags are those by which a table
 * that exists is taken over, and those of the new one. */
void table_replace(struct transaction *transaction, uint32_t take_flags, uint32_t flags);

/* Messages for helpers, sets, chains and rules, into an empty table. */
void table_fill(struct transaction *transaction, const struct firewall_settings *settings);

/* The rules alone (base.c); part of table_fill(). */
void base_rules(struct transaction *transaction, const struct firewall_settings *settings);

/* How often these rules use a chain, as the kernel counts: the rules in it and the jumps to it. */
uint32_t base_use(const struct firewall_settings *settings, const char *chain);

/* How often the kernel counts a chain of the table as used; -ENOENT: there is no such chain. */
int table_chain_use(struct netlink *netlink, const char *name, uint32_t *ret_use);

/* As firewall_uninstall() and firewall_check(). */
int table_remove(struct netlink *netlink);
int table_check(struct netlink *netlink, const struct firewall_settings *settings);
