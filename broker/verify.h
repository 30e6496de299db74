/*
 * Secrets are hashed, and compared with hashes, by crypt(3) in children that can do nothing else:
 * the program cdss-verify, executed anew for each comparison, under a uid that is nobody else's,
 * without capabilities, files, network or more system calls than it needs; bounded in time and
 * memory (verify_child.c), because a hash is text that somebody wrote, and may ask for hours of
 * work. The broker itself never calls crypt(3).
 *
 * Two children at most run at once. Askers take turns, whatever each has waiting, and nobody can
 * fill the queue alone. Secrets are wiped where they were: in the broker as soon as a child has
 * them, in the child before it ends.
 */
#pragma once

#include "loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define VERIFY_SECRET_MAX  128 /* bytes; more do not reach a child */
#define VERIFY_HASH_MAX    383 /* crypt(3), CRYPT_OUTPUT_SIZE */
#define VERIFY_PAIRS_MAX   64  /* of one order */
#define VERIFY_ORDERS_MAX  64  /* waiting or under way, of all askers; 3/4 of them of users */
#define VERIFY_ORDERS_EACH 4   /* of one asker that is no administrator */

struct verify;
struct verify_order;

enum verify_result {
    VERIFY_WRONG,
    VERIFY_RIGHT,
    VERIFY_FAILED /* the child died, of its limits most likely: count it as wrong, and log it */
};

struct verify_pair {
    const char *hash;   /* as crypt(3) writes it; anything else matches nothing */
    const char *secret; /* what is longer than VERIFY_SECRET_MAX matches nothing */
};

/* In whose name: a requester's address, "uid 33", ...: up to 63 bytes count. */
struct verify_asker {
    const char *name;
    bool administrator; /* the last quarter of the queue is theirs */
};

/* Called from the loop, never from within verify_check() or verify_hash(). The order is gone behind
 * the call. `results` and `hash` are borrowed for the call. */
typedef void verify_checked(const enum verify_result *results, uint32_t count, void *user_data);
/* error 0 with a yescrypt hash, or a negative errno. */
typedef void verify_hashed(int error, const char *hash, void *user_data);

/* `program` is cdss-verify; `uid` (and gid) are the children's. 0 or a negative errno. */
int verify_open(struct loop *loop, const char *program, uid_t uid, struct verify **ret);
/* For the end of the broker: nothing is begun or answered any more, children are killed, and `idle`
 * is called from the loop when the last is gone. Orders stay, for their owners to cancel. */
void verify_stop(struct verify *verify, void (*idle)(void *user_data), void *user_data);
bool verify_running(const struct verify *verify);      /* a child is */
uint64_t verify_children(const struct verify *verify); /* so far */
/* When no child runs, or the loop never will again. Orders are dropped without a call. NULL is
 * fine. */
void verify_close(struct verify *verify);

/* Checks up to VERIFY_PAIRS_MAX pairs, which are copied. All of them are checked, whatever the
 * others come to. 0; -EBUSY: this asker has too much waiting, or all of them have; -ESHUTDOWN: the
 * broker is being stopped; -E2BIG; -ENOMEM. */
int verify_check(struct verify *verify, const struct verify_asker *asker,
                 const struct verify_pair *pairs, uint32_t count, verify_checked *checked,
                 void *user_data, struct verify_order **ret);
/* Hashes one secret with a fresh salt. The same errors; -EINVAL: it is too long. */
int verify_hash(struct verify *verify, const struct verify_asker *asker, const char *secret,
                verify_hashed *hashed, void *user_data, struct verify_order **ret);
/* Nobody waits for it any more: no call will come. Sets *order to NULL; NULL is fine. */
void verify_cancel(struct verify_order **order);

/* Costs as much as a hash of verify_hash() and matches nothing: for what does not exist. */
extern const char VERIFY_DUMMY[];
