/*
 * One user's grant and its life: preparing -> active -> ending -> gone. The steps are in
 * docs/architecture.md; here is who drives them: share.c (finding, PID 1, expiry), share_create.c,
 * prepare.c (what the preparing worker does), share_prepare.c (the loop's side of that
 * conversation), share_add.c, share_extend.c, share_release.c, share_end.c, and share_wait.c (who
 * waits for it).
 *
 * A share begins with a row in the registry and ends with that row closed; whatever was acquired in
 * between is undone by share_end(), which may be called in any state, any number of times.
 */
#pragma once

#include "broker.h"
#include "control.h"
#include "worker.h"

#include <stdbool.h>

enum share_state { SHARE_PREPARING, SHARE_ACTIVE, SHARE_ENDING };

#define SHARE_SENTENCE_SIZE 900
#define SHARE_NO_SLOT       UINT32_MAX

/* Somebody who waits for this share to become something. */
enum share_waiting { WAIT_NONE, WAIT_CREATE, WAIT_REMOVE, WAIT_ADD };

struct share_waiter {
    struct share_waiter *next;
    struct share *share;
    struct connection *connection;
    enum share_waiting what;
};

/* What the share holds in the gallery, by its images' order; SHARE_NO_SLOT for none. */
struct share_holds {
    uint32_t *slots;
    uint32_t count;
};

struct preparation;
struct gate_seal;

struct share {
    struct broker *broker;
    struct share *next;
    uint64_t number; /* 1 for the first, and so on: the list is in falling order */
    struct registry_share row;
    enum share_state state;
    bool firewall_up;   /* its chain and elements were added */
    bool client_is_own; /* one of its clients is an address of this host now; it was said */
    unsigned writes;    /* to the registry, not yet answered: the struct must live */
    int pidfd;          /* of PID 1, -1 before and after */
    int status_fd;      /* struct supervisor_status, written by the sandbox; -1 when unknown */
    struct supervision_question *status_question; /* after a restart; NULL: nothing is asked */
    struct loop_watch *pid_watch;
    struct loop_timer *timer; /* the deadline */
    unsigned clearings;    /* workers that were to clear away; one that is killed is not the last */
    bool cleared;          /* one of them came to its end */
    struct worker *worker; /* preparing, adding or clearing away */
    struct preparation *preparation;
    struct share_holds holds;
    struct share_waiter *waiters;
    struct sha256 adding_session;       /* of whoever adds images; zeros: it is no session */
    char reason[128];                   /* why it ends, for the history */
    char sentence[SHARE_SENTENCE_SIZE]; /* what a waiting creator is told; "" when he is not to
                                           blame */
    char field[16];
};

struct share *share_find(struct broker *broker, const char *user);
unsigned share_count(const struct broker *broker, enum share_state state);

/* Makes a share from a checked row (taken over) and begins to prepare it; the connection is
 * answered when it is active or undone. 0 or a negative errno (then the row is still the caller's).
 */
int share_create(struct broker *broker, struct registry_share *row, struct connection *connection);

/* Takes up a share that lived through a restart of the broker: row (taken over), PID 1's pidfd
 * (owned). It is active already; the firewall is installed by the caller. 0 or a negative errno
 * (then the row is still the caller's). */
int share_adopt(struct broker *broker, struct registry_share *row, int pidfd);

/* For the end of the broker: ends the shares that are being prepared, and stops the loop when
 * nothing is under way any more: no share prepared or ended, no images added, no row written, no
 * password checked. */
void share_settle_all(struct broker *broker);
/* Then: frees what it knows of its shares and lets them live on (broker->n_left). */
void share_forget_all(struct broker *broker);

/* Begins to end it; `reason` is for the history and counts only the first time. */
void share_end(struct share *share, const char *reason);

/* Answers the connection when the share is gone. */
int share_wait(struct share *share, struct connection *connection, enum share_waiting what);

/* Sets a new end, `seconds` from now: deadline, firewall, timer, row. 0; -ENOENT: it has ended. The
 * connection is answered when that is durable. */
int share_extend(struct share *share, uint64_t seconds, struct connection *connection);

/* Adds images to a live share; the connection is answered when they are there. `seals` are what a
 * user was let through for; NULL for an administrator. 0 or a negative errno. */
int share_add_images(struct share *share, const struct image_path *paths,
                     const struct gate_seal *seals, uint32_t count, struct connection *connection);

/* Takes this client out of an active share that has others (share_release.c); the connection is
 * answered when that is durable. 0 or a negative errno. */
int share_release(struct share *share, const struct prefix *client, struct connection *connection);

/* The firewall's view of a share; `services` has room for FIREWALL_SERVICES_MAX. */
void share_firewall(const struct share *share, struct firewall_service *services,
                    struct firewall_share *ret);

/* The public port of a protocol's n-th port: [ports] may name another for the first. */
uint16_t share_public_port(const struct broker *broker, const struct definition *definition,
                           uint32_t n);

/* Tells the firewall on which UDP ports datagrams of strangers are refused: all public ones that no
 * process of the host serves at this moment. At start and before each share. */
void share_refuse_strangers(struct broker *broker);

/* Seconds left; 0 when the deadline has passed. */
uint64_t share_remaining(const struct share *share);

/* Frees what a row points to, and empties it. */
void share_free_row(struct registry_share *row);
