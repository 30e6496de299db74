/*
 * Preparing a share, in a worker: open the images, mount what is not mounted, link the tree, bind
 * the ports, start the sandbox, wait until its supervisor is ready. The same worker adds images to
 * a live share.
 *
 * The conversation (struct prepare_*, each one message, `kind` first):
 *   worker: PROGRESS ...           what it is doing, for the waiting caller
 *   worker: IMAGES                 what the images are
 *   broker: GO                     which to mount, which are mounted in the gallery, at which slots
 *   worker: MOUNTED                which could be mounted
 *   worker: BORN + pidfd           PID 1 exists and waits for us (creating only)
 *   worker: DONE + status memfd    everything is ready; or FAILED at any point
 * A worker that prepares undoes nothing: share_end() does. One that adds takes back what it added;
 * where it is killed, another worker does so (prepare_undo()).
 */
#pragma once

#include "gallery.h"
#include "gate.h"
#include "share.h"

#define PREPARE_IMAGES_MAX    64
#define PREPARE_PROTOCOLS_MAX 16
#define PREPARE_STEPS         6
#define PREPARE_LIMIT_S       120 /* then the worker is killed: a disk or a mount hangs */
#define PREPARE_PATIENCE_S    80  /* then the worker waits for no reader any more */

enum prepare_kind {
    PREPARE_PROGRESS = 1,
    PREPARE_IMAGES,
    PREPARE_GO,
    PREPARE_MOUNTED,
    PREPARE_BORN,
    PREPARE_DONE,
    PREPARE_FAILED
};

struct prepare_progress {
    uint32_t kind, step;
    char text[96];
};

struct prepare_image {
    struct gallery_key key;
    uint32_t type;   /* enum image_type */
    uint32_t driver; /* enum image_driver */
};

struct prepare_images {
    uint32_t kind, count;
    struct prepare_image images[PREPARE_IMAGES_MAX];
};

struct prepare_go {
    uint32_t kind, count;
    struct {
        uint32_t answer; /* enum gallery_answer; FULL: share it raw */
        uint32_t slot;   /* SHARE_NO_SLOT: not in the gallery */
    } images[PREPARE_IMAGES_MAX];
};

struct prepare_mounted {
    uint32_t kind, count;
    uint32_t mounted[PREPARE_IMAGES_MAX]; /* of those that were ours to mount */
};

struct prepare_born {
    uint32_t kind;
    int32_t pid;
    uint64_t start_time;
};

struct prepare_done {
    uint32_t kind;
    uint32_t n_images, n_protocols;
    uint16_t ports[PREPARE_PROTOCOLS_MAX];
    struct registry_image images[PREPARE_IMAGES_MAX]; /* complete */
};

struct prepare_failed {
    uint32_t kind;
    char field[16];
    char sentence[SHARE_SENTENCE_SIZE];
};

/* The worker's work: `user_data` is the struct share, of which it has a copy. */
void prepare_work(int fd, void *user_data);
/* The same for a worker that takes back what a live share has more than its row says: another one
 * was adding it when it died. */
void prepare_undo(int fd, void *user_data);

/* What is to be prepared: hangs at share->preparation while the worker lives. */
struct preparation {
    bool adding; /* to a live share */
    uint32_t n_images;
    struct image_path images[PREPARE_IMAGES_MAX];
    struct gate_seal seals[PREPARE_IMAGES_MAX]; /* what was judged, of a user's images */
    /* the loop's side */
    struct prepare_images *asked; /* waits for GO while another share mounts one of the images */
    uint32_t slots[PREPARE_IMAGES_MAX];
    bool mine[PREPARE_IMAGES_MAX]; /* this worker mounts it */
    bool finished;                 /* DONE or FAILED was heard */
    bool overdue;                  /* whoever waits was told so */
    struct loop_timer *limit;      /* PREPARE_LIMIT_S */
};
