/* By what right a web front end gets at a share: passwords, tokens, and what is said of wrong ones.
 * Connections, the registry and the checking of hashes are functions of this file. */
#include "access.h"

#include "answer.h"
#include "cleanup.h"
#include "definition.h"
#include "gate.h"
#include "requests.h"
#include "session.h"
#include "share_steps.h"
#include "test.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#define DENIED "There is no such share, or its password or session is not valid."
#define HASH   "$y$j9T$salt$hash"

/* -- connections -- */

struct connection {
    struct peer peer;
    connection_abandoned *abandoned;
    void *user_data;
    unsigned answers, refusals, sessions;
    uint32_t outcome;
    char field[16], sentence[1000];
    char token[MESSAGE_TOKEN_LENGTH + 1];
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
    (void)connection;
    return false;
}

void connection_go_on(struct connection *connection, connection_drained *drained)
{
    (void)connection;
    (void)drained;
}

void connection_forget_request(struct connection *connection)
{
    (void)connection;
}

void connection_answered(struct connection *connection)
{
    (void)connection;
}

void connection_later(struct connection *connection, connection_abandoned *abandoned,
                      void *user_data)
{
    connection->abandoned = abandoned;
    connection->user_data = user_data;
}

void connection_send(struct connection *connection, uint16_t id, const void *body)
{
    const struct message_session *session = body;

    CHECK(connection->answers == 0);
    if (id == MESSAGE_SESSION) {
        connection->sessions++;
        snprintf(connection->token, sizeof connection->token, "%s", session->token);
        CHECK(session->seconds <= 8 * 3600);
    }
}

__attribute__((format(printf, 2, 0))) static void answer(struct connection *connection,
                                                         const char *format, va_list arguments)
{
    vsnprintf(connection->sentence, sizeof connection->sentence, format, arguments);
    connection->answers++;
    connection->abandoned = NULL;
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

    connection->refusals++;
    snprintf(connection->field, sizeof connection->field, "%s", field);
    va_start(arguments, format);
    answer(connection, format, arguments);
    va_end(arguments);
}

void answer_share(struct connection *connection, const struct share *share)
{
    (void)connection;
    (void)share;
}

/* -- the checking of hashes: one at a time -- */

struct verify_order {
    verify_checked *checked;
    verify_hashed *hashed;
    void *user_data;
    char hash[128], secret[129], asker[64];
    bool administrator;
};

static struct verify_order *order; /* waits */
static unsigned orders;
static int verify_error;
const char VERIFY_DUMMY[] = "dummy";

static int take_order(const struct verify_asker *asker, const char *hash, const char *secret,
                      verify_checked *checked, verify_hashed *hashed, void *user_data,
                      struct verify_order **ret)
{
    if (verify_error < 0) {
        return verify_error;
    }
    CHECK(order == NULL);
    order = calloc(1, sizeof *order);
    *order = (struct verify_order){.checked = checked,
                                   .hashed = hashed,
                                   .user_data = user_data,
                                   .administrator = asker->administrator};
    snprintf(order->hash, sizeof order->hash, "%s", hash);
    snprintf(order->secret, sizeof order->secret, "%s", secret);
    snprintf(order->asker, sizeof order->asker, "%s", asker->name);
    orders++;
    *ret = order;
    return 0;
}

int verify_check(struct verify *verify, const struct verify_asker *asker,
                 const struct verify_pair *pairs, uint32_t count, verify_checked *checked,
                 void *user_data, struct verify_order **ret)
{
    (void)verify;
    CHECK(count == 1);
    return take_order(asker, pairs[0].hash, pairs[0].secret, checked, NULL, user_data, ret);
}

int verify_hash(struct verify *verify, const struct verify_asker *asker, const char *secret,
                verify_hashed *hashed, void *user_data, struct verify_order **ret)
{
    (void)verify;
    return take_order(asker, "", secret, NULL, hashed, user_data, ret);
}

void verify_cancel(struct verify_order **which)
{
    CHECK(*which == order);
    free(order);
    order = *which = NULL;
}

bool verify_running(const struct verify *verify)
{
    (void)verify;
    return false;
}

static void is_checked(enum verify_result result)
{
    CLEANUP_FREE struct verify_order *done = order;

    order = NULL;
    CHECK(done != NULL && done->checked != NULL);
    done->checked(&result, 1, done->user_data);
}

static void is_hashed(int error, const char *hash)
{
    CLEANUP_FREE struct verify_order *done = order;

    order = NULL;
    CHECK(done != NULL && done->hashed != NULL);
    done->hashed(error, hash, done->user_data);
}

/* -- the gate: lets images through, or not -- */

static struct gate {
    gate_answer *answer;
    void *user_data;
} gate;
static bool gate_asked;

int gate_ask(struct gates *gates, const struct gate_request *request, gate_answer *judged,
             void *user_data, struct gate **ret)
{
    (void)gates;
    CHECK(!gate_asked && request->n_images == 1 && request->requester.family == AF_INET);
    gate = (struct gate){judged, user_data};
    gate_asked = true;
    *ret = &gate;
    return 0;
}

void gate_cancel(struct gate **which)
{
    gate_asked = gate_asked && *which == NULL;
    *which = NULL;
}

bool gates_reading(const struct gates *gates)
{
    (void)gates;
    return false;
}

static void is_judged(int error)
{
    static const struct gate_seal seal = {.sealed = true};
    const struct gate_verdict verdict = {error, "image_password", "No such image.", &seal};

    CHECK(gate_asked);
    gate_asked = false;
    gate.answer(&verdict, gate.user_data);
}

/* -- the registry -- */

static char recorded[REGISTRY_PASSWORD_SIZE], requester[64];
static unsigned records, begun, ended;

int registry_record(struct registry *registry, const struct registry_share *share,
                    registry_done *done, void *user_data)
{
    (void)registry;
    (void)done;
    (void)user_data;
    records++;
    memcpy(recorded, share->password, sizeof recorded);
    memcpy(requester, share->requester, sizeof requester);
    return 0;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
int registry_last_end(struct registry *registry, const char *user, uint64_t *ret_ended,
                      char *reason, size_t reason_size)
{
    return -ENOENT;
}

bool registry_healthy(const struct registry *registry)
{
    return true;
}

#define WRITES(name, counter, ...)                                                                 \
    int name(struct registry *registry, __VA_ARGS__, registry_done *done, void *user_data)         \
    {                                                                                              \
        counter++;                                                                                 \
        return 0;                                                                                  \
    }
static unsigned others;
WRITES(registry_activate, others, const struct registry_share *share)
WRITES(registry_extend, others, const char *id, uint64_t ends, uint64_t deadline_ns)
WRITES(registry_add_images, others, const char *id, const struct registry_image *images,
       uint32_t count)
WRITES(registry_guards, others, const char *id, const struct registry_image *image)
WRITES(registry_end, others, const char *id, const char *reason)
WRITES(registry_release, others, const char *id, const struct prefix *client)
WRITES(registry_begin_session, begun, const char *id, const struct registry_session *session)
WRITES(registry_end_sessions, ended, const char *id, const struct sha256 *token, bool all)

uint32_t registry_next_mark(struct registry *registry)
{
    static uint32_t mark;
    return ++mark;
}

uint32_t registry_next_block(struct registry *registry)
{
    static uint32_t block;
    return block++;
}
#pragma GCC diagnostic pop

/* -- a broker, and who asks it -- */

static struct broker broker;
static struct definitions definitions;
static struct share *granted;
static struct access granted_access;
static unsigned grants;

static void begin(enum peer_role role)
{
    definitions = (struct definitions){.count = 1};
    snprintf(definitions.items[0].name.text, sizeof definitions.items[0].name.text, "http");
    definitions.items[0].n_ports = 1;
    definitions.items[0].ports[0] = (struct definition_port){6, 80};
    broker = (struct broker){.definitions = &definitions};
    settings_defaults(&broker.settings);
    CHECK(logins_open(&broker.logins) == 0);
    peer = (struct connection){.peer = {.uid = role == PEER_WEB ? 33 : 0, .role = role}};
    verify_error = 0;
    orders = records = begun = ended = grants = 0;
}

static void end(void)
{
    CHECK(order == NULL);
    while (broker.shares != NULL) {
        share_free(broker.shares);
    }
    logins_close(broker.logins);
}

static struct share *add_share(const char *user, const char *hash)
{
    static unsigned number;
    struct registry_share row = {.deadline_ns = loop_now() + 3600 * 1000000000ull};

    snprintf(row.id, sizeof row.id, "%016x", ++number);
    snprintf(row.user.text, sizeof row.user.text, "%s", user);
    snprintf(row.password, sizeof row.password, "%s", hash);
    struct share *share = share_new(&broker, &row);
    share->state = SHARE_ACTIVE;
    return share;
}

static void grant(struct broker *b, struct connection *connection, struct share *share,
                  const struct access *access, const void *body)
{
    CHECK(b == &broker && connection == &peer && body == &granted);
    granted = share;
    granted_access = *access;
    grants++;
    connection_done(connection, 0, "%s", "");
}

static void ask(const char *user, const char *password, const char *token, const char *from)
{
    const struct message_who who = {(char *)(uintptr_t)user, (char *)(uintptr_t)password,
                                    (char *)(uintptr_t)token, (char *)(uintptr_t)from};

    peer.answers = peer.refusals = 0;
    peer.field[0] = peer.sentence[0] = '\0';
    granted = NULL;
    access_share(&broker, &peer, &who, grant, &granted);
}

static bool is_refused(const char *field, const char *part)
{
    bool right = peer.answers == 1 && peer.refusals == 1 && strcmp(peer.field, field) == 0 &&
                 strstr(peer.sentence, part) != NULL && peer.abandoned == NULL;
    if (!right) {
        printf("# %s: %s\n", peer.field, peer.sentence);
    }
    return right;
}

/* -- passwords -- */

static void administrators(void)
{
    begin(PEER_ADMIN);
    struct share *share = add_share("alice", HASH);
    ask("alice", "", "", "");
    CHECK(grants == 1 && granted == share && !granted_access.web && orders == 0);
    CHECK_TEXT(granted_access.name, "root");
    ask("bob", "", "", "");
    CHECK(grants == 2 && granted == NULL);
    ask("alice", "tiger", "", "");
    CHECK(is_refused("password", "needs no password"));
    ask("alice", "", "00", "");
    CHECK(is_refused("password", "needs no password"));
    ask("alice", "", "", "10.0.0.5");
    CHECK(is_refused("requester", "10.0.0.5"));
    ask("a/b", "", "", "");
    CHECK(is_refused("user", "user name"));
    end();
}

static void what_is_missing(void)
{
    begin(PEER_WEB);
    add_share("alice", HASH);
    ask("alice", "tiger", "", "");
    CHECK(is_refused("requester", "does not say"));
    ask("alice", "tiger", "", "localhost");
    CHECK(is_refused("requester", "localhost"));
    ask("alice", "", "", "10.0.0.5");
    CHECK(is_refused("password", "one of the two"));
    ask("alice", "tiger", "00", "10.0.0.5");
    CHECK(is_refused("password", "one of the two"));
    ask("", "tiger", "", "10.0.0.5");
    CHECK(is_refused("user", "is empty"));
    CHECK(orders == 0 && grants == 0);
    verify_error = -EBUSY;
    ask("alice", "tiger", "", "10.0.0.5");
    CHECK(is_refused("", "cannot be checked just now"));
    end();
}

static void right_and_wrong(void)
{
    begin(PEER_WEB);
    struct share *share = add_share("alice", HASH);
    ask("alice", "tiger", "", "::ffff:10.0.0.5");
    CHECK(peer.answers == 0 && grants == 0 && orders == 1);
    CHECK_TEXT(order->hash, HASH);
    CHECK_TEXT(order->secret, "tiger");
    CHECK_TEXT(order->asker, "10.0.0.5");
    CHECK(!order->administrator);
    is_checked(VERIFY_RIGHT);
    CHECK(grants == 1 && granted == share && granted_access.web && !granted_access.in_session);
    CHECK(granted_access.asker.user);
    ask("alice", "lion", "", "10.0.0.5");
    is_checked(VERIFY_WRONG);
    CHECK(is_refused("password", DENIED));
    ask("alice", "lion", "", "10.0.0.5");
    is_checked(VERIFY_FAILED);
    CHECK(is_refused("password", DENIED) && grants == 1);
    end();
}

/* One check against what nothing matches, and the same words: even if it matched. */
static void who_has_no_share(void)
{
    begin(PEER_WEB);
    add_share("unguarded", "");
    add_share("ending", HASH)->state = SHARE_ENDING;
    static const char *const users[] = {"nobody", "unguarded", "ending"};
    for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
        ask(users[i], "tiger", "", "10.0.0.5");
        CHECK(peer.answers == 0 && orders == i + 1);
        CHECK_TEXT(order->hash, VERIFY_DUMMY);
        is_checked(VERIFY_RIGHT);
        CHECK(is_refused("password", DENIED));
        CHECK_TEXT(peer.sentence, DENIED);
    }
    CHECK(grants == 0);
    end();
}

/* It ends while its password is checked, and its name is another's by then. */
static void another_share_of_that_name(void)
{
    begin(PEER_WEB);
    struct share *share = add_share("alice", HASH);
    ask("alice", "tiger", "", "10.0.0.5");
    share_free(share);
    add_share("alice", "another");
    is_checked(VERIFY_RIGHT);
    CHECK(is_refused("password", DENIED) && grants == 0);
    ask("alice", "tiger", "", "10.0.0.5");
    broker.shares->state = SHARE_ENDING;
    is_checked(VERIFY_RIGHT);
    CHECK(is_refused("password", DENIED) && grants == 0);
    end();
}

static void hanging_up(void)
{
    begin(PEER_WEB);
    add_share("alice", HASH);
    ask("alice", "tiger", "", "10.0.0.5");
    CHECK(order != NULL && peer.abandoned != NULL);
    peer.abandoned(&peer, peer.user_data);
    CHECK(order == NULL);
    end();
}

/* -- guessing -- */

static void guess(const char *user, const char *from)
{
    ask(user, "guess", "", from);
    if (order != NULL) {
        is_checked(VERIFY_WRONG);
    }
}

static bool must_wait(const char *user, const char *from)
{
    unsigned before = orders;

    ask(user, "tiger", "", from);
    if (orders > before) {
        is_checked(VERIFY_RIGHT);
        return false;
    }
    return is_refused("password", "too many wrong passwords; try again in ");
}

static void a_requester_that_guesses(void)
{
    begin(PEER_WEB);
    add_share("alice", HASH);
    char user[16];
    for (int i = 0; i < 7; i++) { /* whatever the names */
        snprintf(user, sizeof user, "u%d", i);
        guess(user, "fd00:1::1");
    }
    CHECK(must_wait("alice", "fd00:1::1"));
    char token[SESSION_TOKEN_SIZE];
    uint64_t seconds = 0;
    CHECK(session_begin(broker.shares, token, &seconds) == 0);
    ask("alice", "", token, "fd00:1::1"); /* who is in does not wait */
    CHECK(grants == 1);
    token[0] ^= 1;
    ask("alice", "", token, "fd00:1::1");
    CHECK(is_refused("password", "too many wrong passwords"));
    CHECK(must_wait("alice", "fd00:1::2")); /* the same /64 */
    CHECK(!must_wait("alice", "fd00:2::1"));
    end();
}

/* From anywhere; whether there is such a share or not. */
static void a_user_who_is_guessed_at(void)
{
    static const char *const users[] = {"alice", "nobody"};
    begin(PEER_WEB);
    add_share("alice", HASH);
    for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
        char from[32];
        for (int j = 0; j < 12; j++) {
            snprintf(from, sizeof from, "10.%zu.0.%d", i, j + 1);
            guess(users[i], from);
        }
        CHECK(must_wait(users[i], "10.9.9.9"));
        CHECK(!must_wait("carol", "10.9.9.9"));
    }
    end();
}

/* -- sessions -- */

static void tokens(void)
{
    char token[SESSION_TOKEN_SIZE];
    uint64_t seconds = 0;

    begin(PEER_WEB);
    struct share *share = add_share("alice", HASH);
    add_share("bob", HASH);
    CHECK(session_begin(share, token, &seconds) == 0 && seconds <= 3600 && seconds >= 3590);
    CHECK(share->row.sessions[0].until_ns == share->row.deadline_ns && begun == 1);
    ask("", "", token, "10.0.0.5");
    CHECK(grants == 1 && granted == share && orders == 0 && granted_access.in_session);
    CHECK(sha256_equal(&granted_access.session, &share->row.sessions[0].token));
    ask("alice", "", token, "10.0.0.5");
    CHECK(grants == 2);
    ask("bob", "", token, "10.0.0.5"); /* as much work as a wrong password, and as many words */
    CHECK(orders == 1 && strcmp(order->hash, VERIFY_DUMMY) == 0);
    is_checked(VERIFY_RIGHT);
    CHECK(is_refused("password", DENIED));
    token[63] = token[63] == '0' ? '1' : '0';
    ask("alice", "", token, "10.0.0.6");
    is_checked(VERIFY_RIGHT);
    CHECK(is_refused("password", DENIED) && grants == 2);
    end();
}

static void a_token_that_is_old(void)
{
    char token[SESSION_TOKEN_SIZE];
    uint64_t seconds = 0;

    begin(PEER_WEB);
    struct share *share = add_share("alice", HASH);
    share->row.deadline_ns += 86400 * 1000000000ull;
    CHECK(session_begin(share, token, &seconds) == 0 && seconds <= 8 * 3600);
    CHECK(seconds >= 8 * 3600 - 10);
    share->row.sessions[0].until_ns = loop_now();
    ask("", "", token, "10.0.0.5");
    is_checked(VERIFY_RIGHT);
    CHECK(is_refused("password", DENIED));
    share->row.sessions[0].until_ns = UINT64_MAX;
    share->state = SHARE_ENDING;
    ask("", "", token, "10.0.0.5");
    is_checked(VERIFY_RIGHT);
    CHECK(is_refused("password", DENIED) && grants == 0);
    end();
}

static bool is_open(const char *token)
{
    struct sha256 hash;

    return session_find(&broker, token, &hash) != NULL;
}

static void ending_sessions(void)
{
    char token[REGISTRY_SESSIONS_MAX + 1][SESSION_TOKEN_SIZE];
    uint64_t seconds = 0;

    begin(PEER_WEB);
    struct share *share = add_share("alice", HASH);
    for (size_t i = 0; i < ARRAY_SIZE(token); i++) {
        CHECK(session_begin(share, token[i], &seconds) == 0);
    }
    CHECK(share->row.n_sessions == REGISTRY_SESSIONS_MAX && !is_open(token[0]));
    for (size_t i = 1; i < ARRAY_SIZE(token); i++) {
        CHECK(is_open(token[i]));
    }
    const struct sha256 kept = share->row.sessions[4].token; /* token[5] */
    session_end(share, &share->row.sessions[0].token, false);
    CHECK(!is_open(token[1]) && is_open(token[2]) && ended == 1);
    session_end(share, &kept, true);
    CHECK(share->row.n_sessions == 1 && is_open(token[5]) && ended == 2);
    session_end(share, &kept, true); /* nothing to do, nothing to write */
    CHECK(ended == 2);
    session_end(share, NULL, true);
    CHECK(share->row.n_sessions == 0 && !is_open(token[5]) && ended == 3);
    end();
}

/* -- requests -- */

static void request(uint16_t id, const void *body)
{
    struct wire_message message = {.id = id, .body = (void *)(uintptr_t)body};

    peer.answers = peer.refusals = peer.sessions = 0;
    CHECK(request_handle(&broker, &peer, &message) == 0);
}

static void logging_in_and_out(void)
{
    static char user[] = "alice", password[] = "tiger", from[] = "10.0.0.5";
    struct message_session_begin in = {user, password, from};

    begin(PEER_WEB);
    struct share *share = add_share("alice", HASH);
    request(MESSAGE_SESSION_BEGIN, &in);
    CHECK(peer.answers == 0);
    is_checked(VERIFY_RIGHT);
    CHECK(peer.answers == 1 && peer.refusals == 0 && peer.sessions == 1);
    CHECK(share->row.n_sessions == 1 && is_open(peer.token));
    struct message_session_end out = {peer.token};
    request(MESSAGE_SESSION_END, &out);
    CHECK(peer.refusals == 0 && peer.outcome == 0 && share->row.n_sessions == 0);
    request(MESSAGE_SESSION_END, &out);
    CHECK(peer.refusals == 0 && peer.outcome == 3);
    request(MESSAGE_SESSION_BEGIN, &in);
    is_checked(VERIFY_WRONG);
    CHECK(is_refused("password", DENIED) && peer.sessions == 0);
    end();
}

static struct message_share_create creation(void)
{
    static char user[] = "alice", password[] = "tiger", from[] = "10.0.0.5";
    static char *images[] = {(char *)"a.iso"}, *clients[] = {from}, *protocols[] = {(char *)"http"};

    return (struct message_share_create){.user = user,
                                         .password = password,
                                         .images = {images, 1},
                                         .clients = {clients, 1},
                                         .protocols = {protocols, 1},
                                         .requester = from};
}

static void creating(void)
{
    static char none[] = "";
    struct message_share_create body = creation();

    begin(PEER_WEB);
    body.password = none;
    request(MESSAGE_SHARE_CREATE, &body);
    CHECK(is_refused("password", "needs a password"));
    body = creation();
    body.requester = none;
    request(MESSAGE_SHARE_CREATE, &body);
    CHECK(is_refused("requester", "does not say"));
    body = creation();
    body.flags = SHARE_ALLOW_LOCAL;
    request(MESSAGE_SHARE_CREATE, &body);
    CHECK(is_refused("client", "--allow-local") && orders == 0); /* nothing is hashed for that */
    body.flags = 0;
    request(MESSAGE_SHARE_CREATE, &body);
    CHECK(peer.answers == 0);
    is_judged(-EACCES);
    CHECK(is_refused("image_password", "No such image") && orders == 0);
    request(MESSAGE_SHARE_CREATE, &body);
    is_judged(0);
    CHECK(peer.answers == 0 && orders == 1 && records == 0);
    CHECK_TEXT(order->secret, "tiger");
    is_hashed(0, HASH);
    CHECK(peer.answers == 0 && records == 1 && broker.n_shares == 1);
    CHECK_TEXT(recorded, HASH);
    CHECK_TEXT(requester, "uid 33 for 10.0.0.5");
    CHECK(broker.shares->row.web);
    peer.abandoned(&peer, peer.user_data);
    end();
}

/* Two at once for one user, or one address: the second is refused when its password is hashed. */
static void creating_twice(void)
{
    struct message_share_create body = creation();

    begin(PEER_WEB);
    request(MESSAGE_SHARE_CREATE, &body);
    is_judged(0);
    add_share("alice", HASH);
    is_hashed(0, HASH);
    CHECK(is_refused("user", "has a share already") && records == 0);
    body.user = (char[]){"bob"};
    request(MESSAGE_SHARE_CREATE, &body);
    is_judged(0);
    is_hashed(-ENOMEM, NULL);
    CHECK(is_refused("", "could not be hashed") && records == 0);
    request(MESSAGE_SHARE_CREATE, &body);
    peer.abandoned(&peer, peer.user_data);
    CHECK(!gate_asked && orders == 2);
    request(MESSAGE_SHARE_CREATE, &body);
    is_judged(0);
    peer.abandoned(&peer, peer.user_data);
    CHECK(order == NULL && records == 0);
    end();
}

static void creating_as_a_user(void)
{
    struct message_share_create body = creation();

    begin(PEER_ADMIN);
    body.flags = SHARE_AS_USER;
    body.requester = (char[]){"10.0.0.6"};
    request(MESSAGE_SHARE_CREATE, &body);
    CHECK(is_refused("client", "not your own address, 10.0.0.6"));
    body.requester = body.clients.items[0];
    body.password = (char[]){""}; /* an administrator may leave it out */
    request(MESSAGE_SHARE_CREATE, &body);
    is_judged(0);
    CHECK(records == 1 && orders == 0);
    CHECK_TEXT(requester, "root for 10.0.0.5");
    peer.abandoned(&peer, peer.user_data);
    end();
}

/* -- addresses -- */

static struct share *add_holder(const char *user, const char *client, bool web)
{
    struct share *share = add_share(user, HASH);

    share->row.clients = calloc(1, sizeof *share->row.clients);
    share->row.n_clients = 1;
    share->row.web = web;
    CHECK(parse_client(client, strlen(client), share->row.clients, NULL) == 0);
    return share;
}

static void releasing(void)
{
    static char from[] = "10.0.0.5";
    struct message_client_release body = {from};

    begin(PEER_WEB);
    request(MESSAGE_CLIENT_RELEASE, &body);
    CHECK(peer.refusals == 0 && peer.outcome == 3);
    add_holder("admin", "10.0.0.5", false); /* of an administrator: not to be released */
    request(MESSAGE_CLIENT_RELEASE, &body);
    CHECK(peer.refusals == 0 && peer.outcome == 3 && broker.shares->row.n_clients == 1);
    share_free(broker.shares);
    struct share *share = add_holder("alice", "10.0.0.0/24", true);
    request(MESSAGE_CLIENT_RELEASE, &body);
    CHECK(is_refused("requester", "part of a network"));
    struct share *other = add_holder("bob", "10.0.0.5", true); /* out of that network */
    other->state = SHARE_PREPARING;
    share->next = NULL; /* looked at in both orders */
    request(MESSAGE_CLIENT_RELEASE, &body);
    CHECK(is_refused("requester", "still being prepared"));
    share->next = other;
    other->next = NULL;
    broker.shares = share;
    request(MESSAGE_CLIENT_RELEASE, &body);
    CHECK(is_refused("requester", "still being prepared"));
    share_free(other);
    share_free(share);
    share = add_holder("alice", "10.0.0.5", true);
    share->state = SHARE_PREPARING;
    request(MESSAGE_CLIENT_RELEASE, &body);
    CHECK(is_refused("requester", "still being prepared"));
    end();
}

TEST_MAIN({"administrators", administrators}, {"what is missing", what_is_missing},
          {"right and wrong passwords", right_and_wrong}, {"who has no share", who_has_no_share},
          {"another share of that name", another_share_of_that_name}, {"hanging up", hanging_up},
          {"a requester that guesses", a_requester_that_guesses},
          {"a user who is guessed at", a_user_who_is_guessed_at}, {"tokens", tokens},
          {"a token that is old", a_token_that_is_old}, {"ending sessions", ending_sessions},
          {"logging in and out", logging_in_and_out}, {"creating", creating},
          {"creating twice", creating_twice}, {"creating as a user", creating_as_a_user},
          {"releasing an address", releasing})
