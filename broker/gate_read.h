/*
 * What a gate's worker finds on the disk, told to the loop in one message: of each image whether it
 * could be shared and what guards it, and all the hashes.
 */
#pragma once

#include "gate.h"
#include "guards.h"

struct gate_found_image {
    bool shareable;
    dev_t device;
    ino_t inode;
    uint64_t guards; /* bits, by `guard` below */
    struct sha256 digest;
};

struct gate_hash {
    char text[PASSWD_HASH_MAX + 1];
    uint32_t cost;  /* PASSWD_COST_DEFAULT: as the dummy */
    uint32_t guard; /* whose */
    uint32_t line;
};

struct gate_found {
    uint32_t n_images, n_hashes;
    bool too_many; /* hashes or files: not all are here */
    struct gate_found_image images[GATE_IMAGES_MAX];
    struct gate_hash hashes[GATE_CHECKS_MAX];
    char paths[GUARDS_MAX][GUARDS_PATH_SIZE]; /* of the guards, for the log */
};

/* In a worker: looks, and tells. Faults in password files are logged here. */
void gate_read(int fd, int repository_fd, const struct gate_image *images, uint32_t count);
