#include "access.h"

#include "cleanup.h"
#include "log.h"
#include "session.h"
#include "throttle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000ull
#define DENIED   "There is no such share, or its password or session is not valid."

/* -- counting -- */

enum counted { BY_USER, BY_REQUESTER, BY_PEER, COUNTED };

/* Who guesses is slowed down most. What others guess at is slowed down for its owner too, so its
 * waits are short; and a front end speaks for everybody. */
static const struct throttle_limits limits[COUNTED] = {
    [BY_USER] = {.free = 10, .forget_s = 30, .first_s = 1, .most_s = 30},
    [BY_REQUESTER] = {.free = 5, .forget_s = 60, .first_s = 1, .most_s = 300},
    [BY_PEER] = {.free = 60, .forget_s = 1, .first_s = 1, .most_s = 5},
};

struct logins {
    struct throttle *by[COUNTED];
};

int logins_open(struct logins **ret)
{
    struct logins *logins = calloc(1, sizeof *logins);
    int r = logins == NULL ? -ENOMEM : 0;

    for (size_t i = 0; r == 0 && i < COUNTED; i++) {
        r = throttle_open(&limits[i], &logins->by[i]);
    }
    if (r < 0) {
        logins_close(logins);
        return r;
    }
    *ret = logins;
    return 0;
}

void logins_close(struct logins *logins)
{
    for (size_t i = 0; logins != NULL && i < COUNTED; i++) {
        throttle_close(logins->by[i]);
    }
    free(logins);
}

struct keys {
    struct {
        const void *bytes;
        size_t length; /* 0: not counted */
    } by[COUNTED];
};

/* Of IPv6 the network's half: the other half is the guesser's to choose. */
static struct keys keys_of(const char *user, const struct access *access, const uid_t *peer)
{
    const struct address *address = &access->asker.address;

    return (struct keys){{[BY_USER] = {user, strlen(user)},
                          [BY_REQUESTER] = {address->bytes, address->family == AF_INET6 ? 8 : 4},
                          [BY_PEER] = {peer, sizeof *peer}}};
}

static uint64_t wait_of(const struct logins *logins, const struct keys *keys)
{
    uint64_t longest = 0;

    for (size_t i = 0; i < COUNTED; i++) {
        uint64_t wait = keys->by[i].length == 0 ? 0
                                                : throttle_wait(logins->by[i], keys->by[i].bytes,
                                                                keys->by[i].length, loop_now());
        longest = wait > longest ? wait : longest;
    }
    return longest;
}

static void count_failure(struct logins *logins, const struct keys *keys)
{
    for (size_t i = 0; i < COUNTED; i++) {
        if (keys->by[i].length > 0) {
            throttle_fail(logins->by[i], keys->by[i].bytes, keys->by[i].length, loop_now());
        }
    }
}

/* -- who -- */

int access_begin(struct broker *broker, struct connection *connection, uint32_t flags,
                 const char *requester, struct access *ret)
{
    const struct peer *peer = connection_peer(connection);
    struct access access = {.web = peer->role != PEER_ADMIN};
    struct refusal refusal = {0};

    if (policy_asker(broker, access.web, flags, requester, &access.asker, &refusal) < 0) {
        connection_refuse(connection, refusal.field, "%s", refusal.sentence);
        return -EPERM;
    }
    if (access.web) {
        address_format(&access.asker.address, access.name);
    } else {
        snprintf(access.name, sizeof access.name, peer->uid == 0 ? "root" : "uid %u", peer->uid);
    }
    *ret = access;
    return 0;
}

struct verify_asker access_verify_asker(const struct access *access)
{
    return (struct verify_asker){.name = access->name, .administrator = !access->web};
}

/* -- users: a password, or a token -- */

struct login {
    struct broker *broker;
    struct connection *connection;
    struct verify_order *order;
    struct access access;
    struct user_name user;  /* "" with a token */
    char id[SHARE_ID_SIZE]; /* of the share whose hash is checked; "": there is none */
    access_granted *granted;
    const void *body;
};

static void deny(struct login *login)
{
    const struct peer *peer = connection_peer(login->connection);
    const struct keys keys = keys_of(login->user.text, &login->access, &peer->uid);

    count_failure(login->broker->logins, &keys);
    log_write(LOG_LEVEL_INFO, "login.denied", login->user.text[0] != '\0' ? login->user.text : NULL,
              "asked by %s", login->access.name);
    connection_refuse(login->connection, "password", DENIED);
}

/* The share may have ended while its password was checked, and its name be another's. */
static struct share *same_share(const struct login *login)
{
    struct share *share = login->broker->shares;

    while (share != NULL &&
           (strcmp(share->row.id, login->id) != 0 || share->state == SHARE_ENDING)) {
        share = share->next;
    }
    return share;
}

static void checked(const enum verify_result *results, uint32_t count, void *user_data)
{
    CLEANUP_FREE struct login *login = user_data;
    struct share *share = same_share(login);

    connection_later(login->connection, NULL, NULL);
    if (count == 1 && results[0] == VERIFY_RIGHT && share != NULL) {
        login->granted(login->broker, login->connection, share, &login->access, login->body);
    } else {
        deny(login);
    }
}

static void abandoned(struct connection *connection, void *user_data)
{
    struct login *login = user_data;

    (void)connection;
    verify_cancel(&login->order);
    free(login);
}

/* `hash` is what the secret must match; what cannot be known is checked all the same. */
static void check(struct login *given, const char *hash, const char *secret)
{
    const struct verify_asker asker = access_verify_asker(&given->access);
    const struct verify_pair pair = {.hash = hash, .secret = secret};
    struct login *login = malloc(sizeof *login);
    int r = -ENOMEM;

    if (login != NULL) {
        *login = *given;
        r = verify_check(login->broker->verify, &asker, &pair, 1, checked, login, &login->order);
    }
    if (r < 0) {
        free(login);
        connection_refuse(given->connection, "",
                          "The password cannot be checked just now (%s); try again in a moment.",
                          strerror(-r));
        return;
    }
    connection_later(login->connection, abandoned, login);
}

/* True when somebody has guessed too often, and is told so. */
static bool must_wait(const struct login *login)
{
    const struct peer *peer = connection_peer(login->connection);
    const struct keys keys = keys_of(login->user.text, &login->access, &peer->uid);
    uint64_t wait = wait_of(login->broker->logins, &keys);

    if (wait > 0) {
        connection_refuse(login->connection, "password",
                          "There were too many wrong passwords; try again in %llu s.",
                          (unsigned long long)((wait + NS_PER_S - 1) / NS_PER_S));
    }
    return wait > 0;
}

/* Who is in a session does not wait for those who guess. */
static void by_token(struct login *login, const struct message_who *who)
{
    struct access *access = &login->access;
    struct share *share = session_find(login->broker, who->token, &access->session);

    if (share != NULL && (who->user[0] == '\0' || strcmp(share->row.user.text, who->user) == 0)) {
        access->in_session = true;
        login->granted(login->broker, login->connection, share, access, login->body);
    } else if (!must_wait(login)) {
        check(login, VERIFY_DUMMY, who->token);
    }
}

static void by_password(struct login *login, const struct message_who *who)
{
    struct share *share = share_find(login->broker, login->user.text);
    bool guarded = share != NULL && share->state != SHARE_ENDING && share->row.password[0] != '\0';

    if (must_wait(login)) {
        return;
    }
    if (guarded) {
        memcpy(login->id, share->row.id, sizeof login->id);
    }
    check(login, guarded ? share->row.password : VERIFY_DUMMY, who->password);
}

static void enter(struct login *login, const struct message_who *who)
{
    const char *why = NULL;
    bool with_token = who->token[0] != '\0';

    if (with_token == (who->password[0] != '\0')) {
        connection_refuse(login->connection, "password",
                          "A user's request needs the share's password or a session's token, one "
                          "of the two.");
    } else if (!with_token && parse_user(who->user, strlen(who->user), &login->user, &why) < 0) {
        connection_refuse(login->connection, "user", "That user name %s.", why);
    } else {
        (with_token ? by_token : by_password)(login, who);
    }
}

/* -- administrators -- */

static void administer(struct login *login, const struct message_who *who)
{
    const char *why = NULL;

    if (who->password[0] != '\0' || who->token[0] != '\0') {
        connection_refuse(login->connection, "password",
                          "An administrator needs no password, and none is looked at.");
    } else if (parse_user(who->user, strlen(who->user), &login->user, &why) < 0) {
        connection_refuse(login->connection, "user", "That user name %s.", why);
    } else {
        login->granted(login->broker, login->connection,
                       share_find(login->broker, login->user.text), &login->access, login->body);
    }
}

void access_share(struct broker *broker, struct connection *connection,
                  const struct message_who *who, access_granted *granted, const void *body)
{
    struct login login = {
        .broker = broker, .connection = connection, .granted = granted, .body = body};

    if (access_begin(broker, connection, 0, who->requester, &login.access) == 0) {
        (login.access.web ? enter : administer)(&login, who);
    }
}
