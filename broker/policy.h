/*
 * What may be shared with whom, for how long: everything about a request that can be judged without
 * touching the disk. A refusal is one sentence that names the value and the limit.
 */
#pragma once

#include "broker.h"
#include "messages.h"

struct refusal {
    char field[16]; /* user, image, client, protocol, lifetime, or "" */
    char sentence[600];
};

/* Checks a request to create and fills the row: user, clients, images (paths), protocols, local,
 * created, ends, deadline. 0 with *ret_row to be freed by share_free_row(); -EPERM with
 * *ret_refusal filled; -ENOMEM. */
int policy_create(struct broker *broker, const struct message_share_create *request,
                  struct registry_share *ret_row, struct refusal *ret_refusal);

/* Image paths to add to a share: syntax, repetitions, limits. `paths` has room for
 * MESSAGE_IMAGES_MAX. */
int policy_add(const struct share *share, const struct texts *images, struct image_path *paths,
               struct refusal *ret_refusal);

/* A lifetime for a new share (NULL) or one that is to be extended, in seconds, counted from now; 0
 * asks for the default. The limit counts from the share's creation, however often it is extended.
 * The result is in *ret_seconds. */
int policy_lifetime(const struct broker *broker, const struct share *share, uint64_t wanted,
                    uint64_t *ret_seconds, struct refusal *ret_refusal);
