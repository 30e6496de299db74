/*
 * What may be shared with whom, for how long: everything about a request that can be judged without
 * touching the disk. A refusal is one sentence that names the value and the limit, and the setting.
 */
#pragma once

#include "broker.h"
#include "messages.h"

struct refusal {
    char field[16]; /* user, image, client, protocol, lifetime, requester, or "" */
    char sentence[600];
    bool later; /* it is the limit of shares being prepared: others are ready in a moment */
};

/* Who asks. Users are those behind a web front end, and administrators who ask as one. */
struct policy_asker {
    bool user;              /* bound by user policy */
    struct address address; /* for whom it is asked; family 0: for nobody else */
};

/* From the peer's role and what the request says: a web front end names a requester always, an
 * administrator only with SHARE_AS_USER. 0; -EPERM with *ret_refusal filled. */
int policy_asker(const struct broker *broker, bool web, uint32_t flags, const char *requester,
                 struct policy_asker *ret, struct refusal *ret_refusal);

/* Checks a request to create and fills the row: user, clients, images (paths), protocols, local,
 * web, address, created, ends, born, deadline. 0 with *ret_row to be freed by share_free_row();
 * -EPERM with *ret_refusal filled; -ENOMEM. */
int policy_create(struct broker *broker, const struct message_share_create *request,
                  const struct policy_asker *asker, struct registry_share *ret_row,
                  struct refusal *ret_refusal);

/* Image paths to add to a share: syntax, repetitions, limits. `paths` has room for
 * MESSAGE_IMAGES_MAX. */
int policy_add(const struct share *share, const struct texts *images, struct image_path *paths,
               struct refusal *ret_refusal);

/* A lifetime for a new share (NULL) or one that is to be extended, in seconds, counted from now; 0
 * asks for the default. The limit is that of who asks (`user`), and counts from the share's
 * creation, however often it is extended. The result is in *ret_seconds. */
int policy_lifetime(const struct broker *broker, const struct share *share, bool user,
                    uint64_t wanted, uint64_t *ret_seconds, struct refusal *ret_refusal);
