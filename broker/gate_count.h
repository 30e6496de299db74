/*
 * Wrong passwords for images, counted four times over: by who asks, by the peer that asks for him
 * (what a front end says of addresses is no better than the front end), by the image's path and by
 * each directory above. Paths count as they were asked for: one that does not exist has counters
 * like any other.
 */
#pragma once

#include "gate.h"

struct gate_counts;

int gate_counts_open(struct gate_counts **ret);
void gate_counts_close(struct gate_counts *counts);

/* Requester and peer: how long they must wait, ns; 0: not at all. */
uint64_t gate_counts_wait(const struct gate_counts *counts, const struct address *requester,
                          uid_t peer);
/* The same for an image. */
uint64_t gate_counts_wait_path(const struct gate_counts *counts, const struct image_path *path);

/* A request has failed, because of these images. Each directory counts once. */
void gate_counts_fail(struct gate_counts *counts, const struct address *requester, uid_t peer,
                      const struct image_path *const *paths, uint32_t n_paths);
