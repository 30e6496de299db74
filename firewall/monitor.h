/*
 * Listens to what the kernel tells everybody who asks about changes of nftables, and picks what
 * somebody else did to our table. Sources: linux/netfilter/nfnetlink.h (NFNLGRP_NFTABLES),
 * linux/netfilter/nf_tables.h.
 */
#pragma once

#include "firewall.h"
#include "netlink.h"

#include <stddef.h>

struct monitor {
    struct mnl_socket *socket; /* owned; CLOEXEC, does not block */
    uint32_t own;              /* port id of the socket by which we change the table ourselves */
};

int monitor_open(struct monitor *monitor, const struct netlink *own);
void monitor_close(struct monitor *monitor);

/* Reads all there is. What was heard is or-ed into *heard. 0 or a negative errno; messages that the
 * kernel had to leave out count as a change (ret->lost). */
int monitor_read(struct monitor *monitor, struct firewall_change *heard);

/* One datagram of the kernel: the part without a socket, for tests. */
void monitor_parse(const void *bytes, size_t length, uint32_t own, struct firewall_change *heard);
