#include "requests.h"

#include "answer.h"
#include "cleanup.h"
#include "log.h"
#include "messages.h"
#include "policy.h"
#include "share.h"
#include "version.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LIST_TURN 32 /* shares, before others have their turn */

typedef int handler(struct broker *broker, struct connection *connection, const void *body);

/* Asked of who is there now, answered with "has ended" where that is known. */
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

/* Parses the user; answers the connection itself when that is no name. */
static int take_user(struct connection *connection, const char *given, struct user_name *ret)
{
    const char *why = NULL;

    if (parse_user(given, strlen(given), ret, &why) < 0) {
        connection_refuse(connection, "user", "That user name %s.", why);
        return -EINVAL;
    }
    return 0;
}

static int handle_create(struct broker *broker, struct connection *connection, const void *body)
{
    struct registry_share row = {0};
    struct refusal refusal = {0};

    const struct message_share_create *request = body;
    struct policy_asker asker = {0};
    int r = policy_asker(broker, false, request->flags, request->requester, &asker, &refusal);
    r = r < 0 ? r : policy_create(broker, body, &asker, &row, &refusal);
    if (r == 0) {
        const struct peer *peer = connection_peer(connection);
        snprintf(row.requester, sizeof row.requester, peer->uid == 0 ? "root" : "uid %u",
                 peer->uid);
        r = share_create(broker, &row, connection);
        share_free_row(&row);
    }
    if (r == -EPERM) {
        log_write(LOG_LEVEL_INFO, "share.refused", NULL, "%s", refusal.sentence);
        connection_refuse(connection, refusal.field, "%s", refusal.sentence);
    } else if (r < 0) {
        connection_refuse(connection, "", "The share could not be made: %s.", strerror(-r));
    }
    return 0;
}

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

static int handle_show(struct broker *broker, struct connection *connection, const void *body)
{
    const struct message_share_user *request = body;
    struct user_name user;

    if (take_user(connection, request->who.user, &user) < 0) {
        return 0;
    }
    const struct share *share = share_find(broker, user.text);
    if (share == NULL) {
        no_share(broker, connection, user.text, true);
        return 0;
    }
    answer_share(connection, share);
    connection_done(connection, 0, "%s", "");
    return 0;
}

static int handle_remove(struct broker *broker, struct connection *connection, const void *body)
{
    const struct message_share_user *request = body;
    struct user_name user;

    if (take_user(connection, request->who.user, &user) < 0) {
        return 0;
    }
    struct share *share = share_find(broker, user.text);
    if (share == NULL) {
        no_share(broker, connection, user.text, false);
        return 0;
    }
    int r = share_wait(share, connection, WAIT_REMOVE);
    if (r < 0) {
        connection_refuse(connection, "", "The broker is out of memory.");
        return 0;
    }
    const struct peer *peer = connection_peer(connection);
    char reason[64];
    snprintf(reason, sizeof reason, peer->uid == 0 ? "removed by root" : "removed by uid %u",
             peer->uid);
    share_end(share, reason);
    return 0;
}

/* A share that can be changed; otherwise answers the connection itself. */
static struct share *live_share(struct broker *broker, struct connection *connection,
                                const char *given)
{
    struct user_name user;

    if (take_user(connection, given, &user) < 0) {
        return NULL;
    }
    struct share *share = share_find(broker, user.text);
    if (share == NULL) {
        no_share(broker, connection, user.text, true);
        return NULL;
    }
    if (share->state != SHARE_ACTIVE) {
        connection_refuse(connection, "user", "The share of %s %s.", user.text,
                          share->state == SHARE_ENDING ? "has ended" : "is still being prepared");
        return NULL;
    }
    return share;
}

static int handle_extend(struct broker *broker, struct connection *connection, const void *body)
{
    const struct message_share_extend *request = body;
    struct refusal refusal = {0};
    uint64_t seconds = 0;
    struct share *share = live_share(broker, connection, request->who.user);

    if (share == NULL) {
        return 0;
    }
    if (policy_lifetime(broker, share, false, request->seconds, &seconds, &refusal) < 0) {
        connection_refuse(connection, refusal.field, "%s", refusal.sentence);
        return 0;
    }
    int r = share_extend(share, seconds, connection);
    if (r == -ENOENT) {
        connection_refuse(connection, "user", "The share of %s has ended.", request->who.user);
    } else if (r < 0) {
        connection_refuse(connection, "", "The share of %s could not be extended: %s.",
                          request->who.user, strerror(-r));
    }
    return 0;
}

static int handle_add(struct broker *broker, struct connection *connection, const void *body)
{
    const struct message_share_add *request = body;
    CLEANUP_FREE struct image_path *paths = calloc(MESSAGE_IMAGES_MAX, sizeof *paths);
    struct refusal refusal = {0};
    struct share *share = live_share(broker, connection, request->who.user);

    if (share == NULL) {
        return 0;
    }
    if (paths == NULL) {
        connection_refuse(connection, "", "The broker is out of memory.");
        return 0;
    }
    int r = policy_add(share, &request->images, paths, &refusal);
    if (r < 0) {
        connection_refuse(connection, refusal.field, "%s", refusal.sentence);
        return 0;
    }
    r = share_add_images(share, paths, NULL, (uint32_t)request->images.count, connection);
    if (r == -EBUSY) {
        connection_refuse(connection, "",
                          "Images are just being added to the share of %s; try "
                          "again in a moment.",
                          request->who.user);
    } else if (r < 0) {
        connection_refuse(connection, "", "The images could not be added: %s.", strerror(-r));
    }
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
    int firewall = firewall_check(broker->firewall);
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
        .firewall = firewall == 0 ? ok : strerror(-firewall),
        .registry = registry_healthy(broker->registry) ? ok : bad,
    };

    (void)body;
    connection_send(connection, MESSAGE_STATUS_REPLY, &status);
    connection_done(connection, 0, "%s", "");
    return 0;
}

/* -- what is not there yet -- */

static int handle_absent(struct broker *broker, struct connection *connection, const void *body)
{
    (void)broker;
    (void)body;
    connection_refuse(connection, "", "This broker cannot do that yet.");
    return 0;
}

/* -- the table -- */

static const struct {
    uint16_t id;
    unsigned roles;
    bool begins; /* something that a broker which is stopping would have to wait for */
    handler *handle;
} requests[] = {
    {MESSAGE_SHARE_CREATE, PEER_ADMIN, true, handle_create},
    {MESSAGE_SHARE_LIST, PEER_ADMIN, false, handle_list},
    {MESSAGE_SHARE_SHOW, PEER_ADMIN, false, handle_show},
    {MESSAGE_SHARE_REMOVE, PEER_ADMIN, false, handle_remove},
    {MESSAGE_SHARE_EXTEND, PEER_ADMIN, true, handle_extend},
    {MESSAGE_SHARE_ADD, PEER_ADMIN, true, handle_add},
    {MESSAGE_IMAGE_LIST, PEER_ADMIN | PEER_WEB, false, request_images},
    {MESSAGE_REAP, PEER_ADMIN, false, handle_reap},
    {MESSAGE_STATUS, PEER_ADMIN | PEER_WEB, false, handle_status},
    {MESSAGE_SESSION_BEGIN, PEER_WEB, false, handle_absent},
    {MESSAGE_SESSION_END, PEER_WEB, false, handle_absent},
    {MESSAGE_CLIENT_RELEASE, PEER_WEB, false, handle_absent},
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
