#include "requests.h"

#include "answer.h"
#include "cleanup.h"
#include "guard.h"
#include "log.h"
#include "messages.h"
#include "share.h"
#include "version.h"

#include <errno.h>
#include <string.h>

#define LIST_TURN 32 /* shares, before others have their turn */

/* -- all shares: a few at a time, for there may be thousands, and they may end meanwhile -- */

struct share_list {
    struct broker *broker;
    uint64_t below; /* the number of the last one that was sent */
};

static void list_some(struct connection *connection, void *user_data)
{
    struct share_list *list = user_data;
    const struct share *share = list->broker->shares;
    unsigned n = 0;

    for (; share != NULL && n < LIST_TURN && !connection_full(connection); share = share->next) {
        if (share->number < list->below) {
            list->below = share->number;
            answer_share(connection, share);
            n++;
        }
    }
    if (share != NULL) {
        connection_go_on(connection, list_some);
        return;
    }
    connection_done(connection, 0, "%s", "");
    free(list);
}

static void list_abandoned(struct connection *connection, void *user_data)
{
    (void)connection;
    free(user_data);
}

static int handle_list(struct broker *broker, struct connection *connection, const void *body)
{
    struct share_list *list = malloc(sizeof *list);

    (void)body;
    if (list == NULL) {
        connection_refuse(connection, "", "The broker is out of memory.");
        return 0;
    }
    *list = (struct share_list){.broker = broker, .below = UINT64_MAX};
    connection_later(connection, list_abandoned, list);
    list_some(connection, list);
    return 0;
}

/* -- the broker itself -- */

static int handle_reap(struct broker *broker, struct connection *connection, const void *body)
{
    unsigned ended = 0;

    (void)body;
    for (struct share *share = broker->shares, *next; share != NULL; share = next) {
        next = share->next;
        if (share->state == SHARE_ACTIVE && share->row.deadline_ns <= loop_now()) {
            share_end(share, "expired");
            ended++;
        }
    }
    if (ended == 0) {
        connection_done(connection, 3, "No share has expired.");
    } else {
        connection_done(connection, 0, "%u expired %s.", ended,
                        ended == 1 ? "share was ended" : "shares were ended");
    }
    return 0;
}

static uint32_t ports_used(const struct broker *broker)
{
    uint32_t n = 0;

    for (const struct share *share = broker->shares; share != NULL; share = share->next) {
        n += share->row.n_protocols;
    }
    return n;
}

static int handle_status(struct broker *broker, struct connection *connection, const void *body)
{
    static char ok[] = "ok";
    static char bad[] = "the last write failed";
    char firewall[GUARD_TEXT_SIZE];
    struct message_status status = {
        .version = (char *)(uintptr_t)version_number(),
        .commit = (char *)(uintptr_t)version_commit(),
        .pid = (uint64_t)getpid(),
        .started = broker->started,
        .active = share_count(broker, SHARE_ACTIVE),
        .preparing = share_count(broker, SHARE_PREPARING),
        .ending = share_count(broker, SHARE_ENDING),
        .images_mounted = gallery_count(broker->gallery),
        .ports_used = ports_used(broker),
        .firewall = firewall,
        .registry = registry_healthy(broker->registry) ? ok : bad,
    };

    (void)body;
    guard_describe(broker, firewall);
    connection_send(connection, MESSAGE_STATUS_REPLY, &status);
    connection_done(connection, 0, "%s", "");
    return 0;
}

/* -- the table -- */

static const struct {
    uint16_t id;
    unsigned roles;
    bool begins; /* something that a broker which is stopping would have to wait for */
    request_handler *handle;
} requests[] = {
    {MESSAGE_SHARE_CREATE, PEER_ADMIN | PEER_WEB, true, request_create},
    {MESSAGE_SHARE_LIST, PEER_ADMIN, false, handle_list},
    {MESSAGE_SHARE_SHOW, PEER_ADMIN | PEER_WEB, false, request_show},
    {MESSAGE_SHARE_REMOVE, PEER_ADMIN | PEER_WEB, false, request_remove},
    {MESSAGE_SHARE_EXTEND, PEER_ADMIN | PEER_WEB, true, request_extend},
    {MESSAGE_SHARE_ADD, PEER_ADMIN | PEER_WEB, true, request_add},
    {MESSAGE_IMAGE_LIST, PEER_ADMIN | PEER_WEB, false, request_images},
    {MESSAGE_REAP, PEER_ADMIN, false, handle_reap},
    {MESSAGE_STATUS, PEER_ADMIN | PEER_WEB, false, handle_status},
    {MESSAGE_SESSION_BEGIN, PEER_WEB, true, request_session_begin},
    {MESSAGE_SESSION_END, PEER_WEB, false, request_session_end},
    {MESSAGE_CLIENT_RELEASE, PEER_WEB, true, request_release},
    {MESSAGE_PASSWORD_ADD, PEER_ADMIN, true, request_password_add},
    {MESSAGE_PASSWORD_REMOVE, PEER_ADMIN, true, request_password_remove},
    {MESSAGE_PASSWORD_LIST, PEER_ADMIN, false, request_password_list},
};

int request_handle(struct broker *broker, struct connection *connection,
                   const struct wire_message *message)
{
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        if (requests[i].id == message->id) {
            if ((requests[i].roles & connection_peer(connection)->role) == 0) {
                return -EACCES;
            }
            if (requests[i].begins && broker->stopping) {
                connection_refuse(connection, "", "The broker is just being stopped.");
                return 0;
            }
            return requests[i].handle(broker, connection, message->body);
        }
    }
    return -EPROTO;
}
