/*
 * The gate (gate.h) in a request about a live share: whether its user may have the images that he
 * adds, and whether he still knows the passwords of those that he has.
 */
#pragma once

#include "access.h"
#include "gate.h"

/* Goes on with the request: the share is there and active, and the images are his. `seals` are in
 * the images' order. */
typedef void judge_passed(struct connection *connection, struct share *share,
                          const struct access *access, const void *body,
                          const struct gate_seal *seals, uint32_t n_seals);

/* Calls `passed` later, or refuses the request; the images are copied, the rest lives as long as
 * the request. */
void judge(struct connection *connection, struct share *share, const struct access *access,
           const void *body, const struct gate_image *images, uint32_t count,
           const struct texts *passwords, judge_passed *passed);
