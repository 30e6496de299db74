/*
 * The addresses by which this host itself may use a share that was made with --allow-local. They
 * are remembered for the life of the share, since the host's own addresses may change, and an
 * element that nobody names any more would keep the share's chain alive.
 */
#pragma once

#include "firewall.h"

struct local {
    char id[FIREWALL_NAME_MAX + 1]; /* of the share; "" while there is none */
    struct address *addresses;      /* owned, each one once */
    uint32_t count;
};

/* 127.0.0.1 and ::1, so that the administrator can try `curl localhost`; the clients that are
 * single hosts; and of client networks the addresses that this host has now. */
int local_gather(const struct firewall_share *share, struct local *ret);
void local_free(struct local *local);
