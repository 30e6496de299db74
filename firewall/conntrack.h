/*
 * Conntrack entries by mark, and by client. Sources: linux/netfilter/nfnetlink_conntrack.h, and the
 * kernel's ctnetlink_flush_conntrack().
 */
#pragma once

#include "address.h"
#include "netlink.h"

/* Deletes every entry of any family whose mark & mask is `mark`. 0 also when there was none. */
int conntrack_flush(struct netlink *netlink, uint32_t mark, uint32_t mask);

/* Deletes those of this mark that a host of `client` began, or that were begun towards it (data of
 * active FTP, TFTP). 0 also when there was none. */
int conntrack_flush_client(struct netlink *netlink, uint32_t mark, const struct prefix *client);
