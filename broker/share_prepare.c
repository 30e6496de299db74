/*
 * The loop's side of preparing: hears what the worker found, decides with the gallery who mounts
 * which image, and takes over what the worker made. A worker asks for all its images at once and
 * holds nothing while it waits, so that two of them cannot wait for each other.
 */
#include "answer.h"
#include "cleanup.h"
#include "prepare.h"
#include "share_log.h"
#include "share_steps.h"
#include "stopping_point.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_S 1000000000ull

/* -- images -- */

static bool any_busy(struct gallery *gallery, const struct prepare_images *asked)
{
    for (uint32_t i = 0; i < asked->count; i++) {
        if (asked->images[i].driver == IMAGE_DRIVER_KERNEL &&
            gallery_look(gallery, &asked->images[i].key) == GALLERY_BUSY) {
            return true;
        }
    }
    return false;
}

/* Takes a hold on each image that the kernel mounts, and says which are for this worker to mount.
 */
static int answer_images(struct share *share)
{
    struct preparation *preparation = share->preparation;
    struct gallery *gallery = share->broker->gallery;
    const struct prepare_images *asked = preparation->asked;
    struct prepare_go go = {.kind = PREPARE_GO, .count = asked->count};

    for (uint32_t i = 0; i < asked->count; i++) {
        uint32_t answer = GALLERY_FULL;
        uint32_t slot = SHARE_NO_SLOT;
        if (asked->images[i].driver == IMAGE_DRIVER_KERNEL) {
            answer = gallery_look(gallery, &asked->images[i].key);
            if (gallery_hold(gallery, &asked->images[i].key, &slot) < 0) {
                /* Full; or (BUSY) the same file twice in this share: shown raw the second time. */
                slot = SHARE_NO_SLOT;
            }
        }
        go.images[i].answer = answer;
        go.images[i].slot = slot;
        preparation->slots[i] = slot;
        preparation->mine[i] = answer == GALLERY_MOUNT && slot != SHARE_NO_SLOT;
    }
    free(TAKE_PTR(preparation->asked));
    STOPPING_POINT("prepare.images_held");
    int r = worker_send(share->worker, &go, sizeof go);
    STOPPING_POINT("prepare.images_answered");
    return r;
}

static void try_answer(struct share *share)
{
    struct preparation *preparation = share->preparation;

    if (preparation != NULL && preparation->asked != NULL && share->worker != NULL &&
        !any_busy(share->broker->gallery, preparation->asked) && answer_images(share) < 0) {
        worker_kill(share->worker);
    }
}

/* Somebody has settled: others may wait for just that. */
static void answer_others(struct broker *broker)
{
    for (struct share *share = broker->shares; share != NULL; share = share->next) {
        try_answer(share);
    }
}

/* Settles what the worker was to mount; NULL: it has mounted nothing. */
static void settle(struct share *share, const struct prepare_mounted *message)
{
    struct preparation *preparation = share->preparation;
    bool any = false;

    for (uint32_t i = 0; i < preparation->n_images; i++) {
        if (preparation->mine[i]) {
            bool mounted = message != NULL && i < message->count && message->mounted[i];
            gallery_settle(share->broker->gallery, preparation->slots[i], mounted);
            preparation->mine[i] = false;
            if (!mounted) {
                preparation->slots[i] = SHARE_NO_SLOT;
            }
            any = true;
        }
    }
    if (any) {
        answer_others(share->broker);
    }
}

/* -- messages -- */

typedef void heard(struct share *share, const void *message, size_t length, int *fds,
                   unsigned n_fds);

static void heard_progress(struct share *share, const void *message, size_t length, int *fds,
                           unsigned n_fds)
{
    struct prepare_progress progress;

    (void)length;
    (void)fds;
    (void)n_fds;
    memcpy(&progress, message, sizeof progress);
    progress.text[sizeof progress.text - 1] = '\0';
    share_progress(share, progress.step, PREPARE_STEPS, progress.text);
}

static void heard_images(struct share *share, const void *message, size_t length, int *fds,
                         unsigned n_fds)
{
    (void)fds;
    (void)n_fds;
    const struct prepare_images *images = message;

    (void)length;
    free(share->preparation->asked);
    share->preparation->asked = malloc(sizeof *images);
    if (share->preparation->asked == NULL || images->count != share->preparation->n_images) {
        worker_kill(share->worker);
        return;
    }
    *share->preparation->asked = *images;
    try_answer(share);
}

static void heard_mounted(struct share *share, const void *message, size_t length, int *fds,
                          unsigned n_fds)
{
    (void)length;
    (void)fds;
    (void)n_fds;
    settle(share, message);
    STOPPING_POINT("prepare.images_settled");
}

static void heard_born(struct share *share, const void *message, size_t length, int *fds,
                       unsigned n_fds)
{
    const struct prepare_born *born = message;

    (void)length;
    if (n_fds == 1 && share_born(share, born->pid, born->start_time, TAKE_FD(fds[0])) < 0) {
        worker_kill(share->worker);
    }
    STOPPING_POINT("create.sandbox_watched");
}

static void keep_holds(struct share *share)
{
    struct preparation *preparation = share->preparation;
    uint32_t count = share->holds.count + preparation->n_images;
    uint32_t *slots = realloc(share->holds.slots, count * sizeof *slots);

    if (slots == NULL) {
        return; /* given up with the worker: the share has clones, others mount the images again */
    }
    memcpy(slots + share->holds.count, preparation->slots, preparation->n_images * sizeof *slots);
    share->holds = (struct share_holds){.slots = slots, .count = count};
    for (uint32_t i = 0; i < preparation->n_images; i++) {
        preparation->slots[i] = SHARE_NO_SLOT;
    }
}

static int take_images(struct share *share, const struct prepare_done *done)
{
    struct registry_share *row = &share->row;
    uint32_t count = row->n_images + done->n_images;
    struct registry_image *images = realloc(row->images, count * sizeof *images);

    if (images == NULL) {
        return -ENOMEM;
    }
    memcpy(images + row->n_images, done->images, done->n_images * sizeof *images);
    row->images = images;
    row->n_images = count;
    return 0;
}

static void heard_done(struct share *share, const void *message, size_t length, int *fds,
                       unsigned n_fds)
{
    const struct prepare_done *done = message;
    struct preparation *preparation = share->preparation;

    if (done->n_images != preparation->n_images ||
        length < offsetof(struct prepare_done, images) + done->n_images * sizeof done->images[0]) {
        worker_kill(share->worker);
        return;
    }
    preparation->finished = true;
    STOPPING_POINT("prepare.end_heard");
    keep_holds(share);
    if (!preparation->adding) {
        share->row.n_images = 0; /* the rows so far were names only */
    }
    if (take_images(share, done) < 0) {
        share_end(share, "the broker is out of memory");
        return;
    }
    if (preparation->adding) {
        share_added(share, done->n_images);
        return;
    }
    for (uint32_t i = 0; i < done->n_protocols && i < share->row.n_protocols; i++) {
        share->row.protocols[i].port = done->ports[i];
    }
    if (n_fds == 1) {
        share->status_fd = TAKE_FD(fds[0]);
    }
    share_prepared(share);
}

static void heard_failed(struct share *share, const void *message, size_t length, int *fds,
                         unsigned n_fds)
{
    const struct prepare_failed *failed = message;

    (void)length;
    (void)fds;
    (void)n_fds;
    share->preparation->finished = true;
    if (share->preparation->adding) {
        share_add_failed(share, failed->field, failed->sentence);
    } else {
        share_preparing_failed(share, failed->field, failed->sentence);
    }
}

static const struct {
    size_t least; /* bytes */
    heard *hear;
} messages[] = {
    [PREPARE_PROGRESS] = {sizeof(struct prepare_progress), heard_progress},
    [PREPARE_IMAGES] = {sizeof(struct prepare_images), heard_images},
    [PREPARE_MOUNTED] = {sizeof(struct prepare_mounted), heard_mounted},
    [PREPARE_BORN] = {sizeof(struct prepare_born), heard_born},
    [PREPARE_DONE] = {offsetof(struct prepare_done, images), heard_done},
    [PREPARE_FAILED] = {sizeof(struct prepare_failed), heard_failed},
};

static void message_heard(const void *message, size_t length, int *fds, unsigned n_fds,
                          void *user_data)
{
    struct share *share = user_data;
    uint32_t kind = 0;

    memcpy(&kind, message, length < sizeof kind ? 0 : sizeof kind);
    if (kind < ARRAY_SIZE(messages) && messages[kind].hear != NULL &&
        length >= messages[kind].least) {
        messages[kind].hear(share, message, length, fds, n_fds);
    } else {
        share_log(LOG_LEVEL_ERROR, "share.prepare", &share->row,
                  "a message of kind %u and %zu bytes", kind, length);
    }
    for (unsigned i = 0; i < n_fds; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

/* -- the worker's beginning and end -- */

static void undone(void *user_data)
{
    struct share *share = user_data;

    share->worker = NULL;
    if (share->state == SHARE_ENDING) {
        share_continue_end(share);
    } else {
        share_settled(share->broker);
    }
}

void share_undo_adding(struct share *share)
{
    int r = worker_start(share->broker->loop, prepare_undo, NULL, undone, share, &share->worker);
    if (r < 0) {
        share_log(LOG_LEVEL_ERROR, "share.add", &share->row,
                  "what was added stays until the share ends: %s", strerror(-r));
    }
}

static void worker_ended(void *user_data)
{
    struct share *share = user_data;
    struct preparation *preparation = share->preparation;

    share->worker = NULL;
    loop_cancel(&preparation->limit);
    settle(share, NULL);
    for (uint32_t i = 0; i < preparation->n_images; i++) {
        if (preparation->slots[i] != SHARE_NO_SLOT) {
            gallery_release(share->broker->gallery, preparation->slots[i]);
        }
    }
    bool unexpected = !preparation->finished && share->state != SHARE_ENDING;
    if (unexpected && preparation->adding) {
        if (!preparation->overdue) {
            share_add_failed(share, "", "The process that added the images ended unexpectedly.");
        }
        share_undo_adding(share);
    } else if (unexpected) {
        share_preparing_failed(share, "",
                               "The process that prepared the share ended unexpectedly; nothing "
                               "was shared.");
    }
    free(preparation->asked);
    free(TAKE_PTR(share->preparation));
    if (share->state == SHARE_ENDING) {
        share_continue_end(share);
    } else {
        share_settled(share->broker);
    }
}

/* What the worker does by itself ends earlier, with a better sentence: it waits for the kernel. */
static void limit_reached(void *user_data)
{
    struct share *share = user_data;
    char sentence[200];

    share->preparation->limit = NULL;
    if (!share->preparation->finished && share->preparation->adding) {
        share->preparation->overdue = true;
        snprintf(sentence, sizeof sentence,
                 "The images could not be added within %d seconds; does the disk answer?",
                 PREPARE_LIMIT_S);
        share_add_failed(share, "", sentence);
    } else if (!share->preparation->finished) {
        snprintf(sentence, sizeof sentence,
                 "The share was not ready within %d seconds; nothing was shared. Does the disk "
                 "answer?",
                 PREPARE_LIMIT_S);
        share_preparing_failed(share, "", sentence);
    }
    worker_kill(share->worker);
}

int share_start_worker(struct share *share, struct preparation *preparation)
{
    for (uint32_t i = 0; i < PREPARE_IMAGES_MAX; i++) {
        preparation->slots[i] = SHARE_NO_SLOT;
    }
    share->preparation = preparation;
    int r = loop_at(share->broker->loop, loop_now() + PREPARE_LIMIT_S * NS_PER_S, limit_reached,
                    share, &preparation->limit);
    if (r == 0) {
        r = worker_start(share->broker->loop, prepare_work, message_heard, worker_ended, share,
                         &share->worker);
    }
    if (r < 0) {
        loop_cancel(&preparation->limit);
        share->preparation = NULL;
    }
    return r;
}

int share_prepare(struct share *share)
{
    CLEANUP_FREE struct preparation *preparation = calloc(1, sizeof *preparation);

    if (preparation == NULL || share->row.n_images > PREPARE_IMAGES_MAX) {
        return preparation == NULL ? -ENOMEM : -E2BIG;
    }
    preparation->n_images = share->row.n_images;
    for (uint32_t i = 0; i < share->row.n_images; i++) {
        const struct registry_image *image = &share->row.images[i];
        preparation->images[i] = image->path;
        preparation->seals[i] = (struct gate_seal){.sealed = image->sealed,
                                                   .device = image->device,
                                                   .inode = image->inode,
                                                   .guards = image->guards};
    }
    int r = share_start_worker(share, preparation);
    if (r == 0) {
        TAKE_PTR(preparation);
    }
    return r;
}
