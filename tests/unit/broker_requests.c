/* Who may ask what, and what is answered; connections, workers and the registry are functions of
 * this file. */
#include "requests.h"

#include "answer.h"
#include "catalogue.h"
#include "cleanup.h"
#include "definition.h"
#include "messages.h"
#include "share_steps.h"
#include "test.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

/* -- connections -- */

struct connection {
    struct peer peer;
    connection_abandoned *abandoned;
    connection_drained *drained;
    void *user_data;
    bool full;
    unsigned answers, refusals;
    uint32_t outcome;
    char sentence[1000];
    unsigned listed[200]; /* how often each share, by number */
    struct message_status status;
};

static struct connection peer;

const struct peer *connection_peer(const struct connection *connection)
{
    return &connection->peer;
}

int connection_fd(const struct connection *connection)
{
    (void)connection;
    return -1;
}

bool connection_full(const struct connection *connection)
{
    return connection->full;
}

void connection_go_on(struct connection *connection, connection_drained *drained)
{
    connection->drained = drained;
}

void connection_later(struct connection *connection, connection_abandoned *abandoned,
                      void *user_data)
{
    connection->abandoned = abandoned;
    connection->user_data = user_data;
}

void connection_send(struct connection *connection, uint16_t id, const void *body)
{
    CHECK(connection->answers == 0);
    if (id == MESSAGE_STATUS_REPLY) {
        connection->status = *(const struct message_status *)body;
    }
}

void connection_answered(struct connection *connection)
{
    connection->answers++;
    connection->abandoned = NULL;
}

static void answer(struct connection *connection, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void answer(struct connection *connection, const char *format, va_list arguments)
{
    vsnprintf(connection->sentence, sizeof connection->sentence, format, arguments);
    connection_answered(connection);
}

void connection_done(struct connection *connection, uint32_t outcome, const char *format, ...)
{
    va_list arguments;

    connection->outcome = outcome;
    va_start(arguments, format);
    answer(connection, format, arguments);
    va_end(arguments);
}

void connection_refuse(struct connection *connection, const char *field, const char *format, ...)
{
    va_list arguments;

    (void)field;
    connection->refusals++;
    va_start(arguments, format);
    answer(connection, format, arguments);
    va_end(arguments);
}

void answer_share(struct connection *connection, const struct share *share)
{
    connection->listed[share->number]++;
}

void connection_forget_request(struct connection *connection)
{
    (void)connection;
}

/* -- workers -- */

struct worker {
    worker_message *message;
    worker_gone *gone;
    void *user_data;
    bool killed;
};

static struct worker worker;
static int worker_error;

int worker_start(struct loop *loop, worker_work *work, worker_message *message, worker_gone *gone,
                 void *user_data, struct worker **ret)
{
    (void)loop;
    (void)work;
    worker = (struct worker){.message = message, .gone = gone, .user_data = user_data};
    *ret = &worker;
    return worker_error;
}

int worker_send(struct worker *w, const void *message, size_t length)
{
    (void)w;
    (void)message;
    (void)length;
    return 0;
}

void worker_kill(struct worker *w)
{
    w->killed = true;
}

int worker_tell(int fd, const void *message, size_t length, const int *fds, unsigned n_fds)
{
    (void)fd;
    (void)message;
    (void)length;
    (void)fds;
    (void)n_fds;
    return 0;
}

ssize_t worker_hear(int fd, void *buffer, size_t size, int *ret_fds, unsigned *n_fds)
{
    (void)fd;
    (void)buffer;
    (void)size;
    (void)ret_fds;
    *n_fds = 0;
    return 0;
}

/* -- the registry -- */

static const char *last_reason; /* of a share that has ended; NULL: there was none */

int registry_last_end(struct registry *registry, const char *user, uint64_t *ret_ended,
                      char *reason, size_t reason_size)
{
    (void)registry;
    (void)user;
    if (last_reason == NULL) {
        return -ENOENT;
    }
    *ret_ended = 86400;
    snprintf(reason, reason_size, "%s", last_reason);
    return 0;
}

bool registry_healthy(const struct registry *registry)
{
    (void)registry;
    return true;
}

#define WRITES(name, ...)                                                                          \
    int name(struct registry *registry, __VA_ARGS__, registry_done *done, void *user_data)         \
    {                                                                                              \
        (void)registry;                                                                            \
        (void)done;                                                                                \
        (void)user_data;                                                                           \
        return 0;                                                                                  \
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
WRITES(registry_record, const struct registry_share *share)
WRITES(registry_activate, const struct registry_share *share)
WRITES(registry_extend, const char *id, uint64_t ends, uint64_t deadline_ns)
WRITES(registry_add_images, const char *id, const struct registry_image *images, uint32_t count)
WRITES(registry_guards, const char *id, const struct registry_image *image)
WRITES(registry_end, const char *id, const char *reason)
WRITES(registry_release, const char *id, const struct prefix *client)
WRITES(registry_begin_session, const char *id, const struct registry_session *session)
WRITES(registry_end_sessions, const char *id, const struct sha256 *token, bool others)
#pragma GCC diagnostic pop

uint32_t registry_next_mark(struct registry *registry)
{
    (void)registry;
    return 1;
}

uint32_t registry_next_block(struct registry *registry)
{
    (void)registry;
    return 0;
}

/* -- a broker -- */

static struct broker broker;
static struct definitions definitions;

static void begin(enum peer_role role)
{
    last_reason = NULL;
    worker_error = 0;
    broker = (struct broker){.definitions = &definitions};
    settings_defaults(&broker.settings);
    peer = (struct connection){.peer = {.uid = 0, .role = role}};
}

static struct share *add_share(const char *user)
{
    struct registry_share row = {0};

    snprintf(row.user.text, sizeof row.user.text, "%s", user);
    struct share *share = share_new(&broker, &row);
    share->state = SHARE_ACTIVE;
    share->row.deadline_ns = UINT64_MAX;
    return share;
}

static void end(void)
{
    while (broker.shares != NULL) {
        share_free(broker.shares);
    }
}

static int ask(uint16_t id, const void *body)
{
    struct wire_message message = {.id = id, .body = (void *)(uintptr_t)body};

    peer.answers = peer.refusals = 0;
    return request_handle(&broker, &peer, &message);
}

static bool is_refused(const char *part)
{
    return peer.answers == 1 && peer.refusals == 1 && strstr(peer.sentence, part) != NULL;
}

/* As an administrator says it. */
#define WHO(name)                                                                                  \
    {                                                                                              \
        (char *)(name), (char *)"", (char *)"", (char *)""                                         \
    }

/* -- roles -- */

static void what_is_not_for_the_web(void)
{
    static const uint16_t ids[] = {MESSAGE_SHARE_LIST, MESSAGE_REAP, MESSAGE_PASSWORD_ADD,
                                   MESSAGE_PASSWORD_REMOVE, MESSAGE_PASSWORD_LIST};

    begin(PEER_WEB);
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        CHECK(ask(ids[i], NULL) == -EACCES && peer.answers == 0);
    }
    begin(PEER_STRANGER);
    for (uint16_t id = 0; id < 256; id++) {
        CHECK(ask(id, NULL) < 0 && peer.answers == 0);
    }
    begin(PEER_ADMIN);
    CHECK(ask(MESSAGE_SESSION_BEGIN, NULL) == -EACCES);
    CHECK(ask(MESSAGE_SESSION_END, NULL) == -EACCES);
    CHECK(ask(MESSAGE_CLIENT_RELEASE, NULL) == -EACCES);
    CHECK(ask(MESSAGE_DONE, NULL) == -EPROTO);
    CHECK(ask(0, NULL) == -EPROTO);
}

static void nothing_begins_while_stopping(void)
{
    struct message_share_user user = {.who = WHO("alice")};
    struct message_share_extend extend = {.who = WHO("alice"), .seconds = 1};

    begin(PEER_ADMIN);
    add_share("alice");
    broker.stopping = true;
    CHECK(ask(MESSAGE_SHARE_EXTEND, &extend) == 0 && is_refused("being stopped"));
    CHECK(ask(MESSAGE_SHARE_CREATE, NULL) == 0 && is_refused("being stopped"));
    CHECK(ask(MESSAGE_SHARE_ADD, NULL) == 0 && is_refused("being stopped"));
    CHECK(ask(MESSAGE_SHARE_SHOW, &user) == 0 && peer.refusals == 0);
    broker.stopping = false;
    end();
}

/* -- shares -- */

static void no_such_share(void)
{
    struct message_share_user user = {.who = WHO("alice")};
    struct message_share_user bad = {.who = WHO("a/b")};

    begin(PEER_ADMIN);
    CHECK(ask(MESSAGE_SHARE_SHOW, &user) == 0 && is_refused("alice has no share."));
    CHECK(ask(MESSAGE_SHARE_REMOVE, &user) == 0 && peer.refusals == 0 && peer.outcome == 3);
    last_reason = "expired";
    CHECK(ask(MESSAGE_SHARE_SHOW, &user) == 0 && is_refused("has ended"));
    CHECK(is_refused(": expired."));
    CHECK(ask(MESSAGE_SHARE_REMOVE, &bad) == 0 && is_refused("user name"));
}

static void a_share_that_is_not_active(void)
{
    struct message_share_extend extend = {.who = WHO("alice"), .seconds = 1};

    begin(PEER_ADMIN);
    struct share *share = add_share("alice");
    share->state = SHARE_PREPARING;
    CHECK(ask(MESSAGE_SHARE_EXTEND, &extend) == 0 && is_refused("still being prepared"));
    share->state = SHARE_ENDING;
    CHECK(ask(MESSAGE_SHARE_EXTEND, &extend) == 0 && is_refused("has ended"));
    end();
}

/* While the list is sent, some end and others begin. */
static void a_list_in_turns(void)
{
    char user[16];
    unsigned turns = 1;

    begin(PEER_ADMIN);
    for (unsigned i = 1; i <= 150; i++) {
        snprintf(user, sizeof user, "u%u", i);
        CHECK(add_share(user)->number == i);
    }
    CHECK(ask(MESSAGE_SHARE_LIST, NULL) == 0);
    while (peer.answers == 0 && turns < 100) {
        if (turns == 1) { /* the last that was listed, the next one, and the oldest */
            share_free(share_find(&broker, "u119"));
            share_free(share_find(&broker, "u118"));
            share_free(share_find(&broker, "u1"));
            add_share("new");
        }
        peer.full = turns == 2; /* nothing fits at all in that turn */
        peer.drained(&peer, peer.user_data);
        turns++;
    }
    CHECK(peer.answers == 1 && peer.refusals == 0 && turns > 4);
    for (unsigned i = 2; i <= 150; i++) {
        CHECK(peer.listed[i] == (i != 118));
    }
    CHECK(peer.listed[1] == 0 && peer.listed[151] == 0);
    end();
}

static void a_list_that_nobody_waits_for(void)
{
    begin(PEER_ADMIN);
    for (unsigned i = 1; i <= 40; i++) {
        add_share("somebody");
    }
    CHECK(ask(MESSAGE_SHARE_LIST, NULL) == 0 && peer.answers == 0);
    peer.abandoned(&peer, peer.user_data); /* a leak or not: the sanitizers see it */
    end();
}

static void reaping(void)
{
    begin(PEER_ADMIN);
    CHECK(ask(MESSAGE_REAP, NULL) == 0 && peer.outcome == 3);
    CHECK_TEXT(peer.sentence, "No share has expired.");
}

/* -- the repository -- */

static const struct message_image_list all_images = {.pattern = (char *)""};

static void a_listing(void)
{
    begin(PEER_WEB);
    CHECK(ask(MESSAGE_IMAGE_LIST, &all_images) == 0 && peer.answers == 0);
    worker.message("answered", 9, NULL, 0, worker.user_data);
    worker.gone(worker.user_data);
    CHECK(peer.answers == 1 && peer.refusals == 0);
}

/* Whoever waits must hear of it. */
static void a_listing_that_dies(void)
{
    begin(PEER_WEB);
    CHECK(ask(MESSAGE_IMAGE_LIST, &all_images) == 0 && peer.answers == 0);
    worker.gone(worker.user_data);
    CHECK(is_refused("ended unexpectedly"));
}

static void a_listing_that_is_abandoned(void)
{
    begin(PEER_WEB);
    CHECK(ask(MESSAGE_IMAGE_LIST, &all_images) == 0);
    peer.abandoned(&peer, peer.user_data);
    CHECK(worker.killed);
    memset(&peer, 0xa5, sizeof peer);
    worker.gone(worker.user_data);
}

static void a_listing_without_a_process(void)
{
    begin(PEER_WEB);
    worker_error = -EAGAIN;
    CHECK(ask(MESSAGE_IMAGE_LIST, &all_images) == 0 && is_refused("could not be listed"));
}

TEST_MAIN({"what is not for the web", what_is_not_for_the_web},
          {"nothing begins while the broker stops", nothing_begins_while_stopping},
          {"no such share", no_such_share},
          {"a share that is not active", a_share_that_is_not_active},
          {"a list in turns", a_list_in_turns},
          {"a list that nobody waits for", a_list_that_nobody_waits_for}, {"reaping", reaping},
          {"a listing", a_listing}, {"a listing that dies", a_listing_that_dies},
          {"a listing that is abandoned", a_listing_that_is_abandoned},
          {"a listing without a process", a_listing_without_a_process})
