/*
 * A counter is two moments: until when its failures are remembered (so many times forget_s from
 * now as there are failures), and until when its key waits. Both only grow by failures and pass by
 * themselves, so nothing ever has to be tidied up.
 *
 * Places are chosen by SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF"), keyed:
 * nobody outside can look for keys that share their places with another's.
 */
#include "throttle.h"

#include "cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define ROWS     4
#define COLUMNS  4096 /* a power of two, of 16 bits at most */
#define NS_PER_S 1000000000ull

struct counter {
    uint64_t remembered_ns, waits_ns;
};

struct throttle {
    struct throttle_limits limits;
    uint64_t key[2];
    struct counter counters[ROWS][COLUMNS];
};

/* -- SipHash -- */

static uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static void rounds(uint64_t v[4], unsigned count)
{
    while (count-- > 0) {
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
    }
}

static uint64_t little_endian(const unsigned char *bytes, size_t count)
{
    uint64_t value = 0;

    for (size_t i = 0; i < count; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

static uint64_t siphash(const uint64_t key[2], const unsigned char *bytes, size_t length)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                     key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    size_t whole = length / 8 * 8;

    for (size_t i = 0; i <= whole; i += 8) {
        uint64_t word = i < whole
                            ? little_endian(bytes + i, 8)
                            : little_endian(bytes + i, length - whole) | (uint64_t)length << 56;
        v[3] ^= word;
        rounds(v, 2);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* 16 bits of the hash choose the place in each row. */
static void find_places(const struct throttle *throttle, const void *key, size_t length,
                        size_t places[ROWS])
{
    uint64_t hash = siphash(throttle->key, key, length);

    for (unsigned row = 0; row < ROWS; row++) {
        places[row] = hash >> (16 * row) & (COLUMNS - 1);
    }
}

/* -- counting -- */

int throttle_open(const struct throttle_limits *limits, struct throttle **ret)
{
    CLEANUP_FREE struct throttle *throttle = calloc(1, sizeof *throttle);

    if (throttle == NULL) {
        return -ENOMEM;
    }
    throttle->limits = *limits;
    if (getrandom(throttle->key, sizeof throttle->key, 0) != (ssize_t)sizeof throttle->key) {
        return -EIO;
    }
    *ret = TAKE_PTR(throttle);
    return 0;
}

void throttle_close(struct throttle *throttle)
{
    free(throttle);
}

uint64_t throttle_wait(const struct throttle *throttle, const void *key, size_t length,
                       uint64_t now_ns)
{
    size_t places[ROWS];
    uint64_t least = UINT64_MAX;

    find_places(throttle, key, length, places);
    for (unsigned row = 0; row < ROWS; row++) {
        uint64_t until = throttle->counters[row][places[row]].waits_ns;
        uint64_t wait = until > now_ns ? until - now_ns : 0;
        least = wait < least ? wait : least;
    }
    return least;
}

/* The wait behind the n-th failure, ns. */
static uint64_t wait_after(const struct throttle_limits *limits, uint64_t failures)
{
    uint64_t seconds = limits->first_s;

    if (failures <= limits->free) {
        return 0;
    }
    for (uint64_t i = limits->free + 1; i < failures && seconds < limits->most_s; i++) {
        seconds *= 2;
    }
    return (seconds < limits->most_s ? seconds : limits->most_s) * NS_PER_S;
}

static void count_failure(struct counter *counter, const struct throttle_limits *limits,
                          uint64_t now_ns)
{
    uint64_t forget_ns = limits->forget_s * NS_PER_S;
    uint64_t before = counter->remembered_ns > now_ns ? counter->remembered_ns - now_ns : 0;
    uint64_t failures = (before + forget_ns - 1) / forget_ns + 1;
    uint64_t until = now_ns + wait_after(limits, failures);

    counter->remembered_ns = now_ns + before + forget_ns;
    counter->waits_ns = until > counter->waits_ns ? until : counter->waits_ns;
}

void throttle_fail(struct throttle *throttle, const void *key, size_t length, uint64_t now_ns)
{
    size_t places[ROWS];

    find_places(throttle, key, length, places);
    for (unsigned row = 0; row < ROWS; row++) {
        count_failure(&throttle->counters[row][places[row]], &throttle->limits, now_ns);
    }
}
