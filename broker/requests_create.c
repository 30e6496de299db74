/*
 * A request to create: policy first, which costs nothing; then the share's password is hashed, in a
 * process of its own; then policy again, for others did not wait meanwhile.
 */
#include "requests.h"

#include "access.h"
#include "cleanup.h"
#include "log.h"
#include "messages.h"
#include "policy.h"
#include "share.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct creation {
    struct broker *broker;
    struct connection *connection;
    const struct message_share_create *request;
    struct access access;
    struct verify_order *order; /* while the password is hashed */
    char hash[REGISTRY_PASSWORD_SIZE];
};

/* Answers for what went wrong. */
static void fail(struct creation *creation, int error, const struct refusal *refusal)
{
    if (error == -EPERM) {
        log_write(LOG_LEVEL_INFO, "share.refused", NULL, "%s (asked by %s)", refusal->sentence,
                  creation->access.name);
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

static void create(struct creation *creation)
{
    struct registry_share row = {0};
    struct refusal refusal = {0};

    int r =
        policy_create(creation->broker, creation->request, &creation->access.asker, &row, &refusal);
    if (r == 0) {
        describe_requester(creation, &row);
        memcpy(row.password, creation->hash, sizeof row.password);
        connection_forget_request(creation->connection);
        r = share_create(creation->broker, &row, creation->connection);
        share_free_row(&row);
    }
    if (r < 0) {
        fail(creation, r, &refusal);
    }
}

static void hashed(int error, const char *hash, void *user_data)
{
    CLEANUP_FREE struct creation *creation = user_data;

    connection_later(creation->connection, NULL, NULL);
    if (error < 0 || strlen(hash) >= sizeof creation->hash) {
        connection_refuse(creation->connection, "",
                          "The password could not be hashed, see the broker's log; nothing was "
                          "shared.");
        return;
    }
    memcpy(creation->hash, hash, strlen(hash) + 1);
    create(creation);
}

static void abandoned(struct connection *connection, void *user_data)
{
    struct creation *creation = user_data;

    (void)connection;
    verify_cancel(&creation->order);
    free(creation);
}

static void hash_password(const struct creation *given)
{
    const struct verify_asker asker = access_verify_asker(&given->access);
    struct creation *creation = malloc(sizeof *creation);
    int r = -ENOMEM;

    if (creation != NULL) {
        *creation = *given;
        r = verify_hash(creation->broker->verify, &asker, creation->request->password, hashed,
                        creation, &creation->order);
    }
    if (r < 0) {
        free(creation);
        connection_refuse(given->connection, "",
                          "The password cannot be hashed just now (%s); try again in a moment.",
                          strerror(-r));
        return;
    }
    connection_later(creation->connection, abandoned, creation);
}

int request_create(struct broker *broker, struct connection *connection, const void *body)
{
    struct creation creation = {.broker = broker, .connection = connection, .request = body};
    struct registry_share row = {0};
    struct refusal refusal = {0};
    bool guarded = creation.request->password[0] != '\0';

    if (access_begin(broker, connection, creation.request->flags, creation.request->requester,
                     &creation.access) < 0) {
        return 0;
    }
    if (creation.access.web && !guarded) {
        connection_refuse(connection, "password",
                          "The share needs a password, with which you come back to it.");
        return 0;
    }
    int r = policy_create(broker, creation.request, &creation.access.asker, &row, &refusal);
    share_free_row(&row);
    if (r < 0) {
        fail(&creation, r, &refusal);
    } else if (guarded) {
        hash_password(&creation);
    } else {
        create(&creation);
    }
    return 0;
}
