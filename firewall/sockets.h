/*
 * Sockets of the network namespace by local port and owner: asking for them and resetting them.
 * Sources: sock_diag(7), linux/inet_diag.h; SOCK_DESTROY as ss(8) -K uses it.
 */
#pragma once

#include "firewall.h"
#include "netlink.h"

/* As firewall_share_reset(); only those whose peer is a host of `client`, unless that is NULL. */
int sockets_reset(struct netlink *diag, const struct firewall_share *share,
                  const struct prefix *client);

/* True when a socket of a uid that is no share's is bound to the port: TCP that listens, or UDP. */
int sockets_served(struct netlink *diag, const struct firewall_settings *settings,
                   uint8_t transport, uint16_t port, bool *ret_served);
