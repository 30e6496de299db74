/*
 * What one share has in the table: a chain s_ID with a redirect per service, and its elements.
 * `local` is NULL when the share is not for clients on this host.
 */
#pragma once

#include "elements.h"

/* 0, or -EINVAL when a field is out of range or belongs to somebody else by the settings. */
int share_rules_check(const struct firewall_settings *settings, const struct firewall_share *share);

/* Messages that let the share live. Each fails the transaction (-EEXIST) when it is there. */
int share_rules_put(struct transaction *transaction, const struct firewall_settings *settings,
                    const struct firewall_share *share, const struct local *local);

/* Transactions of their own; as the functions of firewall.h. */
int share_rules_extend(struct netlink *netlink, const struct firewall_share *share,
                       const struct local *local);
int share_rules_release(struct netlink *netlink, const struct firewall_share *share,
                        const struct prefix *client);
int share_rules_end(struct netlink *netlink, const struct firewall_share *share,
                    const struct local *local);
int share_rules_forget(struct netlink *netlink, const struct firewall_share *share);
