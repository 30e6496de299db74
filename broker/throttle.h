/*
 * Failures counted per key (a user's name, an address, a path), so that guessing becomes slow: some
 * are free, each further one doubles the time until the next attempt is worth looking at, and they
 * are forgotten one by one as time passes. Times are CLOCK_BOOTTIME in ns, as of loop_now().
 *
 * The table has a fixed size and forgets nobody early: there is nothing to evict. Each key has a
 * counter in each of four rows, at places that only a random number of this process knows, and the
 * least of the four counts (a count-min sketch). So a key never has less than its own failures,
 * whatever an attacker does with other keys; it has more only when in all four rows somebody else
 * is at its place.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct throttle;

struct throttle_limits {
    uint32_t free;     /* failures before the first wait */
    uint32_t forget_s; /* one failure is forgotten every so many seconds */
    uint32_t first_s;  /* the first wait; each further failure doubles it */
    uint32_t most_s;   /* the longest */
};

/* 0 or a negative errno. */
int throttle_open(const struct throttle_limits *limits, struct throttle **ret);
void throttle_close(struct throttle *throttle); /* NULL is fine */

/* How long the key has still to wait, ns; 0: it may try. */
uint64_t throttle_wait(const struct throttle *throttle, const void *key, size_t length,
                       uint64_t now_ns);
/* Counts a failure of the key. */
void throttle_fail(struct throttle *throttle, const void *key, size_t length, uint64_t now_ns);
