/*
 * The addresses of this host while shares live (rtnetlink(7)). A client that becomes an address of
 * this host gets nothing any more: its packets do not come from the network, and processes of the
 * host are no clients without --allow-local. Its share lives on, for its other clients and for the
 * day the address is gone again (an address may move back and forth, as with VRRP); the log says
 * so.
 */
#pragma once

#include "broker.h"

struct guard_addresses;

int guard_addresses_open(struct broker *broker, struct guard_addresses **ret);
void guard_addresses_close(struct guard_addresses *addresses); /* NULL is fine */
