/*
 * The host's firewall and addresses are also in other hands: `nft flush ruleset`, a reloaded
 * firewall service, a network that is renumbered. The guard notices and puts right what is ours:
 *
 *   the table is changed by anybody else: installed again, whole, from the live shares
 *   a daemon of the host starts or stops on a public UDP port: strangers' datagrams are its, or not
 *   the machine wakes from sleep: the table's timeouts, which slept, are written anew
 *   an address of this host is a client of a share, or is it no more: said in the log
 */
#pragma once

#include "broker.h"

#include <stddef.h>

struct guard;

/* Installs the base rules and those of all shares that are alive, in one transaction. Also for the
 * start, before there is a guard. 0 or a negative errno; then nothing has changed. */
int guard_install(struct broker *broker);

/* Begins to watch. The firewall must be installed. */
int guard_open(struct broker *broker, struct guard **ret);
void guard_close(struct guard *guard);

/* "ok", or what is wrong with the firewall or was until a while ago, for `cdss status`. */
#define GUARD_TEXT_SIZE 300
void guard_describe(const struct broker *broker, char text[GUARD_TEXT_SIZE]);
