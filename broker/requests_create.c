/*
 * A request to create: policy first, which costs nothing; then a user's images are judged, and the
 * share's password is hashed, in processes of their own; then policy again, for others did not wait
 * meanwhile.
 */
#include "requests.h"

#include "access.h"
#include "cleanup.h"
#include "gate.h"
#include "log.h"
#include "messages.h"
#include "policy.h"
#include "share.h"
#include "text.h"
#include "turns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct creation {
    struct broker *broker;
    struct connection *connection;
    const struct message_share_create *request;
    struct access access;
    struct gate *gate;          /* while the images are judged */
    struct verify_order *order; /* while the password is hashed */
    struct turn *turn;          /* while too many others are prepared */
    bool late;                  /* and it has waited long enough */
    void (*next)(struct creation *creation);
    char hash[REGISTRY_PASSWORD_SIZE];
    struct gate_seal seals[GATE_IMAGES_MAX]; /* a user's */
};

/* Answers for what went wrong. */
static void fail(struct creation *creation, int error, const struct refusal *refusal)
{
    if (error == -EPERM) {
        log_write(LOG_LEVEL_INFO, "share.refused", creation->request->user, "%s (asked by %s)",
                  refusal->sentence, creation->access.name);
        connection_refuse(creation->connection, refusal->field, "%s", refusal->sentence);
    } else {
        connection_refuse(creation->connection, "", "The share could not be made: %s.",
                          strerror(-error));
    }
}

/* "root", "uid 33 for 10.0.0.5" */
static void describe_requester(const struct creation *creation, struct registry_share *row)
{
    const struct peer *peer = connection_peer(creation->connection);
    CLEANUP_TEXT struct text who = {0};

    text_format(&who, peer->uid == 0 ? "root" : "uid %u", peer->uid);
    if (creation->access.asker.user) {
        char address[ADDRESS_TEXT_SIZE];
        address_format(&creation->access.asker.address, address);
        text_format(&who, " for %s", address);
    }
    text_copy(row->requester, sizeof row->requester, who.data != NULL ? who.data : "");
}

/* What was judged must be what is linked. */
static void seal_images(const struct creation *creation, struct registry_share *row)
{
    for (uint32_t i = 0; i < row->n_images; i++) {
        row->images[i].sealed = creation->seals[i].sealed;
        row->images[i].device = creation->seals[i].device;
        row->images[i].inode = creation->seals[i].inode;
        row->images[i].guards = creation->seals[i].guards;
    }
}

/* -- waiting until fewer others are prepared -- */

static void abandoned(struct connection *connection, void *user_data)
{
    struct creation *creation = user_data;

    (void)connection;
    gate_cancel(&creation->gate);
    verify_cancel(&creation->order);
    turn_cancel(&creation->turn);
    free(creation);
}

static void turn_has_come(bool late, void *user_data)
{
    struct creation *creation = user_data;

    creation->turn = NULL;
    creation->late = late;
    creation->next(creation);
}

/* Users are told to try again: a page can do that, and they do not keep administrators waiting.
 * True when it waits, and goes on with `next`. */
static bool waits(struct creation *creation, const struct refusal *refusal,
                  void (*next)(struct creation *))
{
    const struct message_progress progress = {
        .step = 1, .steps = 1, .text = (char[]){"waiting until fewer shares are being prepared"}};

    if (!refusal->later || creation->late || creation->access.asker.user ||
        turn_wait(creation->broker, turn_has_come, creation, &creation->turn) < 0) {
        return false;
    }
    creation->next = next;
    connection_later(creation->connection, abandoned, creation);
    connection_send(creation->connection, MESSAGE_PROGRESS, &progress);
    return true;
}

/* -- the steps -- */

/* The last step; the creation is gone behind it, unless it waits. */
static void create(struct creation *owned)
{
    CLEANUP_FREE struct creation *creation = owned;
    struct registry_share row = {0};
    struct refusal refusal = {0};

    connection_later(creation->connection, NULL, NULL);
    int r =
        policy_create(creation->broker, creation->request, &creation->access.asker, &row, &refusal);
    if (r < 0 && waits(creation, &refusal, create)) {
        TAKE_PTR(creation);
        return;
    }
    if (r == 0) {
        describe_requester(creation, &row);
        seal_images(creation, &row);
        memcpy(row.password, creation->hash, sizeof row.password);
        connection_forget_request(creation->connection);
        r = share_create(creation->broker, &row, creation->connection);
        share_free_row(&row);
    }
    if (r < 0) {
        fail(creation, r, &refusal);
    }
}

/* Answered otherwise. */
static void give_up(struct creation *creation, const char *field, const char *sentence)
{
    connection_refuse(creation->connection, field, "%s", sentence);
    free(creation);
}

static void hashed(int error, const char *hash, void *user_data)
{
    struct creation *creation = user_data;

    creation->order = NULL;
    if (error < 0 || strlen(hash) >= sizeof creation->hash) {
        give_up(creation, "",
                "The password could not be hashed, see the broker's log; nothing was shared.");
        return;
    }
    memcpy(creation->hash, hash, strlen(hash) + 1);
    create(creation);
}

static void hash_password(struct creation *creation)
{
    const struct verify_asker asker = access_verify_asker(&creation->access);

    if (creation->request->password[0] == '\0') {
        create(creation);
        return;
    }
    int r = verify_hash(creation->broker->verify, &asker, creation->request->password, hashed,
                        creation, &creation->order);
    if (r < 0) {
        connection_refuse(creation->connection, "",
                          "The password cannot be hashed just now (%s); try again in a moment.",
                          strerror(-r));
        free(creation);
    }
}

static void judged(const struct gate_verdict *verdict, void *user_data)
{
    struct creation *creation = user_data;

    creation->gate = NULL;
    if (verdict->error < 0) {
        give_up(creation, verdict->field, verdict->sentence);
        return;
    }
    memcpy(creation->seals, verdict->seals,
           creation->request->images.count * sizeof creation->seals[0]);
    hash_password(creation);
}

/* `row` has passed policy: its images are paths, and not too many. */
static void judge_images(struct creation *creation, const struct registry_share *row)
{
    CLEANUP_FREE struct gate_image *images = calloc(row->n_images, sizeof *images);
    int r = -ENOMEM;

    for (uint32_t i = 0; images != NULL && i < row->n_images; i++) {
        images[i].path = row->images[i].path;
    }
    const struct gate_request request = {.requester = creation->access.asker.address,
                                         .peer = connection_peer(creation->connection)->uid,
                                         .images = images,
                                         .n_images = row->n_images,
                                         .passwords = &creation->request->image_passwords};
    if (images != NULL) {
        r = gate_ask(creation->broker->gates, &request, judged, creation, &creation->gate);
    }
    if (r < 0) {
        give_up(creation, "", "The broker is out of memory.");
    }
}

/* Takes `creation` over. */
static void begin(struct creation *creation)
{
    struct registry_share row = {0};
    struct refusal refusal = {0};

    int r =
        policy_create(creation->broker, creation->request, &creation->access.asker, &row, &refusal);
    if (r < 0 && waits(creation, &refusal, begin)) {
        return;
    }
    if (r < 0) {
        fail(creation, r, &refusal);
        free(creation);
        return;
    }
    connection_later(creation->connection, abandoned, creation);
    if (creation->access.asker.user) {
        judge_images(creation, &row);
    } else {
        hash_password(creation);
    }
    share_free_row(&row);
}

int request_create(struct broker *broker, struct connection *connection, const void *body)
{
    const struct message_share_create *request = body;
    struct access access = {0};

    if (access_begin(broker, connection, request->flags, request->requester, &access) < 0) {
        return 0;
    }
    if (access.web && request->password[0] == '\0') {
        connection_refuse(connection, "password",
                          "The share needs a password, with which you come back to it.");
        return 0;
    }
    struct creation *creation = calloc(1, sizeof *creation);
    if (creation == NULL) {
        connection_refuse(connection, "", "The broker is out of memory.");
        return 0;
    }
    creation->broker = broker;
    creation->connection = connection;
    creation->request = request;
    creation->access = access;
    begin(creation);
    return 0;
}
