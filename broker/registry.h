/*
 * The broker's memory across restarts, and the history of who shared what, to whom, when, and why
 * it ended: SQLite in STATE/registry.sqlite (WAL, synchronous=FULL), written by a thread of its
 * own. Calls that write hand a copy of what is needed to that thread and return at once; `done` is
 * called in the loop's thread, from registry_dispatch(), when the commit is durable or has failed.
 * Ending a share or a session never depends on a successful write: an end that could not be written
 * is written with the next write that succeeds.
 *
 * The registry belongs to the process that opened it: after fork() the child must not call anything
 * here, not even registry_close() (sqlite.org/howtocorrupt.html, 2.6; the thread exists in the
 * parent alone). Its descriptors are close-on-exec. The thread has the mounts and capabilities of
 * the moment of registry_open(), and blocks all signals.
 */
#pragma once

#include "address.h"
#include "parse.h"
#include "sha256.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SHARE_ID_SIZE          17  /* 16 hexadecimal digits and NUL */
#define REGISTRY_PASSWORD_SIZE 128 /* of a crypt(5) hash */
#define REGISTRY_SESSIONS_MAX  16  /* of a share; the oldest goes */

struct registry;

struct registry_image {
    struct image_path path;
    uint64_t device, inode, size;
    char contents[IMAGE_PATH_MAX + 16];
    char type[16];
    char note[256];
    uint32_t owner, group;
    struct sha256 guards; /* the passwords on the way to it, as they were (guards.h) */
    bool sealed; /* not kept: device, inode and guards were judged, and must be found (gate.h) */
};

struct registry_protocol {
    struct protocol_name name;
    uint16_t port; /* the instance's */
};

/* Somebody who came in with the share's password, and now shows a token instead. */
struct registry_session {
    struct sha256 token; /* its hash */
    uint64_t until_ns;   /* CLOCK_BOOTTIME */
};

/* A live share as the registry keeps it; arrays owned. */
struct registry_share {
    char id[SHARE_ID_SIZE];
    struct user_name user;
    char requester[64];
    struct address address;                /* for whom it was asked; family 0: for nobody else */
    bool web;                              /* bound by user policy */
    char password[REGISTRY_PASSWORD_SIZE]; /* crypt(5); "": none */
    uint32_t mark, uid_first;
    bool local;
    bool active;            /* false: preparing */
    uint64_t created, ends; /* s since the epoch, for display and history */
    uint64_t born_ns;       /* CLOCK_BOOTTIME, when it was asked for */
    uint64_t deadline_ns;   /* the same clock */
    pid_t pid;              /* of the sandbox, and its start time (proc(5), field 22) */
    uint64_t pid_start;
    struct prefix *clients;
    uint32_t n_clients;
    struct registry_image *images;
    uint32_t n_images;
    struct registry_protocol *protocols;
    uint32_t n_protocols;
    struct registry_session sessions[REGISTRY_SESSIONS_MAX]; /* oldest first */
    uint32_t n_sessions;
};

typedef void registry_done(int error, void *user_data);

/* Opens or makes the file and its tables and starts the thread. 0 or negative errno; `why`. */
int registry_open(const char *state_directory, struct registry **ret, char *why, size_t why_size);
/* Finishes what is queued (as long as the file lets it), stops the thread, closes the file. Results
 * that were not dispatched are dropped. NULL is fine. */
void registry_close(struct registry *registry);

/* Shares that ended longer ago than this many seconds are forgotten, a few with each write. 0, as
 * at first: never. */
void registry_keep_history(struct registry *registry, uint64_t seconds);

/* When the file turns out to be damaged, or somebody has moved or removed it, it is set aside and a
 * new one begun, which knows no share: `renewed` is called then, in registry_dispatch(), and
 * records again what lives. */
typedef void registry_renewed(void *user_data);
void registry_on_renewal(struct registry *registry, registry_renewed *renewed, void *user_data);

/* Readable when results wait; then call registry_dispatch(). */
int registry_fd(const struct registry *registry);
void registry_dispatch(struct registry *registry);
/* True while the last write succeeded. */
bool registry_healthy(const struct registry *registry);

/* In the caller's thread, at start only: the live shares of this boot; rows of another boot are
 * closed ("the machine was restarted"). *ret is an array to free with registry_shares_free(). */
int registry_load(struct registry *registry, struct registry_share **ret, uint32_t *ret_count);
void registry_shares_free(struct registry_share *shares, uint32_t count);

/* Counters that survive restarts: the next mark's lower 24 bits (never 0) and the next uid block.
 * Read at open, written with each record. */
uint32_t registry_next_mark(struct registry *registry);
uint32_t registry_next_block(struct registry *registry);

/* Each takes a copy. `done` may be NULL. 0 or -ENOMEM, and then `done` is not called; what `done`
 * gets: 0; -ENOENT: there is no live share of this id; -EEXIST: the id was used before; -ENOSPC,
 * -EBUSY, -EBADMSG, ...: not written. */
int registry_record(struct registry *registry, const struct registry_share *share,
                    registry_done *done, void *user_data); /* a new row, preparing */
int registry_activate(struct registry *registry, const struct registry_share *share,
                      registry_done *done, void *user_data); /* all of it again, active */
int registry_extend(struct registry *registry, const char *id, uint64_t ends, uint64_t deadline_ns,
                    registry_done *done, void *user_data);
/* All of them or none. */
int registry_add_images(struct registry *registry, const char *id,
                        const struct registry_image *images, uint32_t count, registry_done *done,
                        void *user_data);
/* Its image at this path is guarded otherwise now, and its user knew the passwords. */
int registry_guards(struct registry *registry, const char *id, const struct registry_image *image,
                    registry_done *done, void *user_data);
/* The client is one of it no more; the history remembers it and when. */
int registry_release(struct registry *registry, const char *id, const struct prefix *client,
                     registry_done *done, void *user_data);
/* One session more; those before the newest REGISTRY_SESSIONS_MAX go. */
int registry_begin_session(struct registry *registry, const char *id,
                           const struct registry_session *session, registry_done *done,
                           void *user_data);
/* Ends this session of the share, or, with `others`, all but this one (NULL: all). That cannot be
 * written is no reason to let one live: it is tried again with the next write. */
int registry_end_sessions(struct registry *registry, const char *id, const struct sha256 *token,
                          bool others, registry_done *done, void *user_data);
/* Its password and its sessions go, too. */
int registry_end(struct registry *registry, const char *id, const char *reason, registry_done *done,
                 void *user_data);

/* The last ended share of this user, for "has ended at ...: ..."; in the caller's thread (one
 * indexed read). -ENOENT. */
int registry_last_end(struct registry *registry, const char *user, uint64_t *ret_ended,
                      char *reason, size_t reason_size);
