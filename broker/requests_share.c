/*
 * Requests about a share that is there: what each does when access.h has granted it.
 */
#include "requests.h"

#include "access.h"
#include "answer.h"
#include "cleanup.h"
#include "judge.h"
#include "messages.h"
#include "policy.h"
#include "session.h"
#include "share.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What an administrator hears of a share that is not there: "has ended" where that is known. */
static void no_share(struct broker *broker, struct connection *connection, const char *user,
                     bool refuse)
{
    char reason[128] = "";
    char sentence[400];
    uint64_t ended = 0;

    if (registry_last_end(broker->registry, user, &ended, reason, sizeof reason) == 0) {
        char when[32] = "";
        time_t at = (time_t)ended;
        struct tm local;
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime_r(&at, &local));
        snprintf(sentence, sizeof sentence, "The share of %s has ended, at %s: %s.", user, when,
                 reason);
    } else {
        snprintf(sentence, sizeof sentence, "%s has no share.", user);
    }
    if (refuse) {
        connection_refuse(connection, "user", "%s", sentence);
    } else {
        connection_done(connection, 3, "%s", sentence);
    }
}

/* -- show -- */

static void show(struct broker *broker, struct connection *connection, struct share *share,
                 const struct access *access, const void *body)
{
    const struct message_share_user *request = body;

    (void)access;
    if (share == NULL) {
        no_share(broker, connection, request->who.user, true);
        return;
    }
    answer_share(connection, share);
    connection_done(connection, 0, "%s", "");
}

int request_show(struct broker *broker, struct connection *connection, const void *body)
{
    const struct message_share_user *request = body;

    access_share(broker, connection, &request->who, show, body);
    return 0;
}

/* -- remove -- */

static void remove_share(struct broker *broker, struct connection *connection, struct share *share,
                         const struct access *access, const void *body)
{
    const struct message_share_user *request = body;
    char reason[128];

    if (share == NULL) {
        no_share(broker, connection, request->who.user, false);
        return;
    }
    if (share_wait(share, connection, WAIT_REMOVE) < 0) {
        connection_refuse(connection, "", "The broker is out of memory.");
        return;
    }
    snprintf(reason, sizeof reason, access->web ? "removed by its user, from %s" : "removed by %s",
             access->name);
    share_end(share, reason);
}

int request_remove(struct broker *broker, struct connection *connection, const void *body)
{
    const struct message_share_user *request = body;

    access_share(broker, connection, &request->who, remove_share, body);
    return 0;
}

/* -- changes -- */

/* Whether a share can be changed; otherwise answers the connection itself. */
static bool can_change(struct broker *broker, struct connection *connection,
                       const struct share *share, const char *user)
{
    if (share == NULL) {
        no_share(broker, connection, user, true);
        return false;
    }
    if (share->state != SHARE_ACTIVE) {
        connection_refuse(connection, "user", "The share of %s %s.", share->row.user.text,
                          share->state == SHARE_ENDING ? "has ended" : "is still being prepared");
        return false;
    }
    return true;
}

/* Whoever changes a share in a session keeps that one; all others have to come in again. */
static void end_sessions(struct share *share, const struct access *access)
{
    session_end(share, access->in_session ? &access->session : NULL, true);
}

/* Passwords that changed since were known to him just now. `seals` are of the first images; the
 * others were judged when they were added. */
static void keep_guards(struct share *share, const struct gate_seal *seals, uint32_t count)
{
    for (uint32_t i = 0; i < count && i < share->row.n_images; i++) {
        struct registry_image *image = &share->row.images[i];
        if (!sha256_equal(&image->guards, &seals[i].guards)) {
            image->guards = seals[i].guards;
            registry_guards(share->broker->registry, share->row.id, image, NULL, NULL);
        }
    }
}

static void extend_now(struct connection *connection, struct share *share,
                       const struct access *access, const void *body, const struct gate_seal *seals,
                       uint32_t n_seals)
{
    const struct message_share_extend *request = body;
    struct refusal refusal = {0};
    uint64_t seconds = 0;

    if (policy_lifetime(share->broker, share, access->asker.user, request->seconds, &seconds,
                        &refusal) < 0) {
        connection_refuse(connection, refusal.field, "%s", refusal.sentence);
        return;
    }
    int r = share_extend(share, seconds, connection);
    if (r == 0) {
        end_sessions(share, access);
    } else if (r == -ENOENT) {
        connection_refuse(connection, "user", "The share of %s has ended.", share->row.user.text);
    } else {
        connection_refuse(connection, "", "The share of %s could not be extended: %s.",
                          share->row.user.text, strerror(-r));
    }
    if (r == 0) {
        keep_guards(share, seals, n_seals);
    }
}

static void extend(struct broker *broker, struct connection *connection, struct share *share,
                   const struct access *access, const void *body)
{
    const struct message_share_extend *request = body;
    CLEANUP_FREE struct gate_image *images = calloc(GATE_IMAGES_MAX, sizeof *images);

    if (!can_change(broker, connection, share, request->who.user)) {
        return;
    }
    if (!access->asker.user) {
        extend_now(connection, share, access, body, NULL, 0);
        return;
    }
    if (images == NULL) {
        connection_refuse(connection, "", "The broker is out of memory.");
        return;
    }
    for (uint32_t i = 0; i < share->row.n_images && i < GATE_IMAGES_MAX; i++) {
        images[i] = (struct gate_image){.path = share->row.images[i].path,
                                        .known = true,
                                        .guards = share->row.images[i].guards};
    }
    judge(connection, share, access, body, images, share->row.n_images, &request->image_passwords,
          extend_now);
}

int request_extend(struct broker *broker, struct connection *connection, const void *body)
{
    const struct message_share_extend *request = body;

    access_share(broker, connection, &request->who, extend, body);
    return 0;
}

/* `seals` NULL: an administrator adds what he likes. */
static void add_now(struct connection *connection, struct share *share, const struct access *access,
                    const void *body, const struct gate_seal *seals, uint32_t n_seals)
{
    const struct message_share_add *request = body;
    CLEANUP_FREE struct image_path *paths = calloc(MESSAGE_IMAGES_MAX, sizeof *paths);
    struct refusal refusal = {0};

    (void)n_seals; /* one for each of the request's images */
    if (paths == NULL) {
        connection_refuse(connection, "", "The broker is out of memory.");
        return;
    }
    if (policy_add(share, &request->images, paths, &refusal) < 0) {
        connection_refuse(connection, refusal.field, "%s", refusal.sentence);
        return;
    }
    int r = share_add_images(share, paths, seals, (uint32_t)request->images.count, connection);
    if (r == 0) {
        share->adding_session = access->in_session ? access->session : (struct sha256){{0}};
    } else if (r == -EBUSY) {
        connection_refuse(connection, "",
                          "Images are just being added to the share of %s; try again in a moment.",
                          share->row.user.text);
    } else {
        connection_refuse(connection, "", "The images could not be added: %s.", strerror(-r));
    }
}

static void add(struct broker *broker, struct connection *connection, struct share *share,
                const struct access *access, const void *body)
{
    const struct message_share_add *request = body;
    CLEANUP_FREE struct image_path *paths = calloc(MESSAGE_IMAGES_MAX, sizeof *paths);
    CLEANUP_FREE struct gate_image *images = calloc(GATE_IMAGES_MAX, sizeof *images);
    struct refusal refusal = {0};

    if (!can_change(broker, connection, share, request->who.user)) {
        return;
    }
    if (!access->asker.user) {
        add_now(connection, share, access, body, NULL, 0);
        return;
    }
    if (paths == NULL || images == NULL) {
        connection_refuse(connection, "", "The broker is out of memory.");
        return;
    }
    if (policy_add(share, &request->images, paths, &refusal) < 0) {
        connection_refuse(connection, refusal.field, "%s", refusal.sentence);
        return;
    }
    for (size_t i = 0; i < request->images.count; i++) {
        images[i].path = paths[i];
    }
    judge(connection, share, access, body, images, (uint32_t)request->images.count,
          &request->image_passwords, add_now);
}

int request_add(struct broker *broker, struct connection *connection, const void *body)
{
    const struct message_share_add *request = body;

    access_share(broker, connection, &request->who, add, body);
    return 0;
}
