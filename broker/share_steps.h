/*
 * What the files of the share's life call of each other (share.c, share_wait.c, share_create.c,
 * share_prepare.c, share_add.c, share_extend.c, share_end.c), and nobody else.
 */
#pragma once

#include "share.h"

/* What a creator hears of a sandbox that did not last until the end of its preparation. */
#define SANDBOX_ENDED "The sandbox ended before it was ready; nothing was shared."

struct share *share_new(struct broker *broker, struct registry_share *row); /* row is taken over */
void share_free(struct share *share);
void share_release_holds(struct share *share);
/* At the deadline of the row, the share ends. 0 or -ENOMEM. */
int share_set_timer(struct share *share);

/* Takes the next waiter of this kind (WAIT_NONE: any) off the list; NULL when there is none. The
 * caller answers it. ret_what may be NULL. */
struct connection *share_next_waiter(struct share *share, enum share_waiting what,
                                     enum share_waiting *ret_what);

/* Starts the preparing worker (prepare.c, share_prepare.c). 0 or a negative errno. */
int share_prepare(struct share *share);

/* Preparing is finished, well (share->row is complete) or not (share->sentence says why). */
void share_prepared(struct share *share);
void share_preparing_failed(struct share *share, const char *field, const char *sentence);
/* PID 1 exists: watch it. `pidfd` is taken over. */
int share_born(struct share *share, pid_t pid, uint64_t start_time, int pidfd);
/* Each waiting creator hears how far it is. */
void share_progress(struct share *share, uint32_t step, uint32_t steps, const char *text);
/* The same worker for a preparation (taken over on success). */
int share_start_worker(struct share *share, struct preparation *preparation);
/* A live share goes on without what its row does not name; until that is taken back, by a worker,
 * nobody can add to it. */
void share_undo_adding(struct share *share);
/* All paths in the tree that are the share's own: for each image its link, and its contents or "".
 * To be freed; NULL: no memory. */
const char **share_paths(const struct registry_share *row);
bool share_has_contents(const struct registry_share *row, const char *contents);
/* Whether tree and sandbox of a live share hold more than its row says. */
bool share_has_strangers(const struct share *share);
/* The file that both supervisors trust. Written by root alone, with one call. 0 or a negative
 * errno; -ESTALE: the run directory is gone. */
int share_write_deadline(const struct broker *broker, const char *id, uint64_t deadline_ns);
int share_read_deadline(const struct broker *broker, const char *id, uint64_t *ret_deadline_ns);

/* Something of a share is no longer under way: a broker that is stopping may be waiting for it. */
void share_settled(struct broker *broker);
/* Goes on with ending when something that it waits for has happened. */
void share_continue_end(struct share *share);
/* `count` images at the end of the row are linked and mounted: record them, answer. */
void share_added(struct share *share, uint32_t count);
void share_add_failed(struct share *share, const char *field, const char *sentence);
