/*
 * What only web front ends ask for: sessions of users, and the release of an address.
 */
#include "requests.h"

#include "access.h"
#include "messages.h"
#include "session.h"
#include "share.h"
#include "share_log.h"

#include <stdio.h>
#include <string.h>

/* -- sessions -- */

static void begin_session(struct broker *broker, struct connection *connection, struct share *share,
                          const struct access *access, const void *body)
{
    (void)broker;
    (void)body;
    if (session_answer(share, connection) < 0) {
        connection_refuse(connection, "", "The session could not be begun; try again in a moment.");
        return;
    }
    share_log(LOG_LEVEL_INFO, "session.begun", &share->row, "asked by %s", access->name);
    connection_done(connection, 0, "%s", "");
}

int request_session_begin(struct broker *broker, struct connection *connection, const void *body)
{
    const struct message_session_begin *request = body;
    static char none[] = "";
    const struct message_who who = {.user = request->user,
                                    .password = request->password,
                                    .token = none,
                                    .requester = request->requester};

    access_share(broker, connection, &who, begin_session, body);
    return 0;
}

int request_session_end(struct broker *broker, struct connection *connection, const void *body)
{
    const struct message_session_end *request = body;
    struct sha256 session;
    struct share *share = session_find(broker, request->token, &session);

    if (share == NULL) {
        connection_done(connection, 3, "There is no such session.");
        return 0;
    }
    session_end(share, &session, false);
    connection_done(connection, 0, "%s", "");
    return 0;
}

/* -- addresses -- */

/* The user's share that has this address as it is, or else in a network; NULL: none. */
static struct share *holder(struct broker *broker, const struct prefix *client, bool *ret_alone)
{
    struct share *around = NULL;

    for (struct share *share = broker->shares; share != NULL; share = share->next) {
        bool counts = share->row.web && share->state != SHARE_ENDING;
        for (uint32_t i = 0; counts && i < share->row.n_clients; i++) {
            bool has = prefix_contains(&share->row.clients[i], client);
            if (has && prefix_is_host(&share->row.clients[i])) {
                *ret_alone = true;
                return share;
            }
            around = has ? share : around;
        }
    }
    *ret_alone = false;
    return around;
}

static void release(struct share *share, const struct prefix *client, const char *name,
                    struct connection *connection)
{
    char reason[128];

    share_log(LOG_LEVEL_INFO, "share.released", &share->row, "%s", name);
    if (share->row.n_clients == 1) {
        snprintf(reason, sizeof reason, "its last client was released, by %s", name);
        share_end(share, reason);
        connection_done(connection, 0, "%s was released; its share had no other client and ends.",
                        name);
        return;
    }
    int r = share_release(share, client, connection);
    if (r < 0) {
        connection_refuse(connection, "", "%s could not be released: %s.", name, strerror(-r));
    }
}

int request_release(struct broker *broker, struct connection *connection, const void *body)
{
    const struct message_client_release *request = body;
    struct access access;
    bool alone = false;

    if (access_begin(broker, connection, 0, request->requester, &access) < 0) {
        return 0;
    }
    const struct prefix client = {
        .address = access.asker.address,
        .length = (uint8_t)(8 * address_size(&access.asker.address)),
    };
    struct share *share = holder(broker, &client, &alone);
    if (share == NULL) {
        connection_done(connection, 3, "No share of a user has %s.", access.name);
    } else if (!alone) {
        connection_refuse(connection, "requester",
                          "%s is in a share as a part of a network, out of which one address "
                          "cannot be released.",
                          access.name);
    } else if (share->state != SHARE_ACTIVE) {
        connection_refuse(connection, "requester",
                          "The share that has %s is still being prepared; try again in a moment.",
                          access.name);
    } else {
        release(share, &client, access.name, connection);
    }
    return 0;
}
