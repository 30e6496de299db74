/*
 * The set elements of a share, as values: which there are, with which keys and timeouts. A network
 * is one value with its start and its end, so that no message can ever hold one without the other.
 */
#pragma once

#include "local.h"
#include "transaction.h"

#include <stdbool.h>
#include <stdint.h>

/* At the end of a share's time the live mark goes, and that is what cuts it. The other elements
 * outlive it by this: owners, so that the server's own resets still get out; clients, because an
 * expired element of a hash map cannot be deleted and holds the chain until the kernel sweeps it up
 * a second or two later, and shares are mostly ended just then. */
#define ELEMENTS_GRACE_MS 60000u

enum element_kind {
    ELEMENT_CLIENT = 1, /* client addresses and networks, and those on this host */
    ELEMENT_LIVE = 2,
    ELEMENT_PORT = 4,
    ELEMENT_OWNER = 8,
};

struct element {
    const char *set; /* a constant of table.h */
    uint8_t key[sizeof(struct in6_addr)];
    uint8_t end[sizeof(struct in6_addr)]; /* with has_end: the first address behind the network */
    uint8_t length;                       /* of key and end, bytes */
    bool has_end;
    bool redirects;      /* of a map: its value is "goto the share's chain" */
    uint64_t timeout_ms; /* 0: none */
};

struct elements {
    struct element *items; /* owned */
    uint32_t count;
};

#define CLEANUP_ELEMENTS __attribute__((cleanup(elements_free)))

/* The element that sends a client to its share. The only place where intervals are made: a start
 * without its end would open the whole address space above it. */
struct element element_of_client(const struct prefix *client);

/* All elements of these kinds (or-ed). `local` is NULL when the share has none. 0 or -ENOMEM. */
int elements_of_share(const struct firewall_share *share, const struct local *local, unsigned kinds,
                      struct elements *ret);
void elements_free(struct elements *elements);
void elements_remove(struct elements *elements, uint32_t index);

/* A message for each element. `type` is NFT_MSG_NEWSETELEM or NFT_MSG_DELSETELEM; `chain` is where
 * those of maps go. */
void elements_put(struct transaction *transaction, const struct elements *elements, uint16_t type,
                  uint16_t flags, const char *chain);

/* Replaces all of a set of ports by these, in a transaction of its own. */
int elements_replace_ports(struct netlink *netlink, const char *set, const uint16_t *ports,
                           uint32_t n_ports);
