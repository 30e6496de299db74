/*
 * Whether a user may have the images that he asks for: each password file on the way to an image
 * must have one hash that one of his passwords matches. Administrators do not come here, unless
 * they ask as a user.
 *
 * What a refusal tells is the same, in words, work and time, whether an image does not exist,
 * cannot be shared, or is guarded and the password is wrong:
 *   - one sentence for all of them;
 *   - a request that fails costs as many checks as its count of passwords says, made up with checks
 *     against a hash that nothing matches;
 *   - the answer leaves GATE_MOMENT_NS after the request came, or a whole number of times that when
 *     the checks took longer. Passing is answered at once.
 * Failures are counted per requester, peer, image path and directory (gate_count.h), by the names
 * in the request, whether they exist or not.
 */
#pragma once

#include "address.h"
#include "broker.h"
#include "parse.h"
#include "sha256.h"
#include "wire.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define GATE_IMAGES_MAX    64
#define GATE_PASSWORDS_MAX 16
#define GATE_CHECKS_MAX    64 /* and GATE_CHECKS_MAX times what yescrypt's default costs */
#define GATE_MOMENT_NS     2000000000ull

struct gates; /* all that are under way; one per broker */
struct gate;  /* one request */

struct gate_image {
    struct image_path path;
    bool known; /* in the share already: let through when its guards are the same as then */
    struct sha256 guards;
};

/* What was judged, and must be what is linked (prepare.h). */
struct gate_seal {
    bool sealed;
    dev_t device;
    ino_t inode;
    struct sha256 guards;
};

struct gate_request {
    struct address requester;
    uid_t peer;
    const struct gate_image *images; /* copied */
    uint32_t n_images;
    const struct texts *passwords; /* borrowed until the answer; the same twice counts once */
};

struct gate_verdict {
    int error; /* 0; -EACCES: the passwords do not suffice; -EBUSY, -EIO, ... */
    const char *field, *sentence;
    const struct gate_seal *seals; /* of error 0; in the images' order */
};

/* Called from the loop, never from within gate_ask(); what it is given is borrowed for the call,
 * and the gate is gone behind it. */
typedef void gate_answer(const struct gate_verdict *verdict, void *user_data);

/* `moment_ns` is GATE_MOMENT_NS, but in tests. 0 or a negative errno. */
int gates_open(struct broker *broker, uint64_t moment_ns, struct gates **ret);
bool gates_reading(const struct gates *gates); /* a worker runs: the broker waits for its end */
void gates_close(struct gates *gates);         /* NULL is fine */

/* 0 or -ENOMEM. */
int gate_ask(struct gates *gates, const struct gate_request *request, gate_answer *answer,
             void *user_data, struct gate **ret);
/* Nobody waits for it any more. Sets *gate to NULL; NULL is fine. */
void gate_cancel(struct gate **gate);
