/*
 * The images that are mounted now, each once for all shares that have it: RUN/gallery/N in the
 * broker's private mount namespace, on a tmpfs that nobody else sees. The loop knows who holds
 * what; the mounting itself is done by workers, which share the mount namespace.
 *
 * An image is told by device, inode, size and modification time: another file under the same name
 * is another image.
 */
#pragma once

#include "image.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct gallery;

struct gallery_key {
    dev_t device;
    ino_t inode;
    uint64_t size;
    uint64_t modified_ns;
};

/* Makes RUN/gallery and mounts the tmpfs there. Call it when the mount namespace is private. */
int gallery_open(const char *run_directory, uint32_t max_mounts, struct gallery **ret);
/* Unmounts all; the clones in sandboxes stay. */
void gallery_close(struct gallery *gallery);

enum gallery_answer {
    GALLERY_MOUNTED, /* is there: clone it */
    GALLERY_MOUNT,   /* yours to mount, then call gallery_settle() */
    GALLERY_BUSY,    /* somebody else mounts it at this moment: ask again when he has settled */
    GALLERY_FULL,    /* max_mounts is reached */
};

/* What holding this image would mean now. Changes nothing. */
enum gallery_answer gallery_look(struct gallery *gallery, const struct gallery_key *key);

/* Takes a hold (MOUNTED or MOUNT of the above); *ret_slot names the mount, RUN/gallery/SLOT.
 * 0; -EBUSY or -ENOSPC as above; -ENOMEM. */
int gallery_hold(struct gallery *gallery, const struct gallery_key *key, uint32_t *ret_slot);

/* The one who was told MOUNT says how it went. On failure the slot is gone with his hold. */
void gallery_settle(struct gallery *gallery, uint32_t slot, bool mounted);

/* Gives up a hold; the last one unmounts. */
void gallery_release(struct gallery *gallery, uint32_t slot);

/* A descriptor (O_PATH) of the directory of a slot, for workers: made when missing. */
int gallery_directory(const struct gallery *gallery, uint32_t slot);

uint32_t gallery_count(const struct gallery *gallery);
