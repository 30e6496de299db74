/*
 * Conntrack entries by mark. Sources: linux/netfilter/nfnetlink_conntrack.h, and the kernel's
 * ctnetlink_flush_conntrack().
 */
#pragma once

#include "netlink.h"

/* Deletes every entry of any family whose mark & mask is `mark`. 0 also when there was none. */
int conntrack_flush(struct netlink *netlink, uint32_t mark, uint32_t mask);
