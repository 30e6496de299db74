/*
 * A share's life against a world of puppets: loop, workers, registry, firewall and connections are
 * functions of this file, so that everything can happen at every moment. What is watched: everybody
 * is answered exactly once, and nothing is left when the share is gone.
 */
#include "share.h"

#include "beneath.h"
#include "cleanup.h"
#include "definition.h"
#include "messages.h"
#include "prepare.h"
#include "readers.h"
#include "share_steps.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define NS_PER_S 1000000000ull

/* -- the loop -- */

struct loop_watch {
    struct loop_watch *next;
    int fd;
    loop_ready *ready;
    void *user_data;
};

struct loop_timer {
    struct loop_timer *next;
    uint64_t deadline_ns;
    loop_elapsed *elapsed;
    void *user_data;
};

static struct loop_watch *watches;
static struct loop_timer *timers;
static uint64_t now_ns;
static int watch_error;
static bool loop_stopped;

uint64_t loop_now(void)
{
    return now_ns;
}

int loop_watch(struct loop *loop, int fd, uint32_t events, loop_ready *ready, void *user_data,
               struct loop_watch **ret)
{
    (void)loop;
    (void)events;
    if (watch_error != 0) {
        return watch_error;
    }
    *ret = calloc(1, sizeof **ret);
    **ret = (struct loop_watch){.next = watches, .fd = fd, .ready = ready, .user_data = user_data};
    watches = *ret;
    return 0;
}

void loop_unwatch(struct loop_watch **watch)
{
    struct loop_watch **place = &watches;

    if (*watch == NULL) {
        return;
    }
    while (*place != *watch) {
        place = &(*place)->next;
    }
    *place = (*watch)->next;
    free(TAKE_PTR(*watch));
}

int loop_at(struct loop *loop, uint64_t deadline_ns, loop_elapsed *elapsed, void *user_data,
            struct loop_timer **ret)
{
    (void)loop;
    *ret = calloc(1, sizeof **ret);
    **ret = (struct loop_timer){
        .next = timers, .deadline_ns = deadline_ns, .elapsed = elapsed, .user_data = user_data};
    timers = *ret;
    return 0;
}

void loop_cancel(struct loop_timer **timer)
{
    struct loop_timer **place = &timers;

    if (*timer == NULL) {
        return;
    }
    while (*place != *timer) {
        place = &(*place)->next;
    }
    *place = (*timer)->next;
    free(TAKE_PTR(*timer));
}

void loop_stop(struct loop *loop)
{
    (void)loop;
    loop_stopped = true;
}

static void pass(uint64_t seconds)
{
    now_ns += seconds * NS_PER_S;
    for (struct loop_timer **place = &timers; *place != NULL;) {
        struct loop_timer *timer = *place;
        if (timer->deadline_ns > now_ns) {
            place = &timer->next;
            continue;
        }
        *place = timer->next;
        timer->elapsed(timer->user_data);
        free(timer);
        place = &timers;
    }
}

/* -- workers -- */

struct worker {
    worker_work *work;
    worker_message *message;
    worker_gone *gone;
    void *user_data;
    bool killed;
    unsigned sent;
    struct prepare_go go;
};

static struct worker *workers[8]; /* in the order of their beginning; NULL when gone */
static unsigned n_workers;
static int worker_error;

int worker_start(struct loop *loop, worker_work *work, worker_message *message, worker_gone *gone,
                 void *user_data, struct worker **ret)
{
    (void)loop;
    if (worker_error != 0 || n_workers == ARRAY_SIZE(workers)) {
        return worker_error != 0 ? worker_error : -EAGAIN;
    }
    *ret = calloc(1, sizeof **ret);
    **ret = (struct worker){.work = work, .message = message, .gone = gone, .user_data = user_data};
    workers[n_workers++] = *ret;
    return 0;
}

int worker_send(struct worker *worker, const void *message, size_t length)
{
    CHECK(length == sizeof worker->go);
    memcpy(&worker->go, message, sizeof worker->go);
    worker->sent++;
    return 0;
}

void worker_kill(struct worker *worker)
{
    worker->killed = true;
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

void prepare_work(int fd, void *user_data)
{
    (void)fd;
    (void)user_data;
}

void prepare_undo(int fd, void *user_data)
{
    (void)fd;
    (void)user_data;
}

/* One that clears away says so; those that prepare are made to speak below. */
static void worker_ends(unsigned n)
{
    struct worker *worker = TAKE_PTR(workers[n]);

    if (worker->work != prepare_work && worker->work != prepare_undo && !worker->killed) {
        worker->message("cleared", 8, NULL, 0, worker->user_data);
    }
    worker->gone(worker->user_data);
    free(worker);
}

static void worker_says(unsigned n, const void *message, size_t length, int fd)
{
    CLEANUP_FREE char *copy = malloc(length);
    int fds[4] = {fd, -1, -1, -1};

    memcpy(copy, message, length);
    workers[n]->message(copy, length, fds, fd >= 0, workers[n]->user_data);
}

/* -- the registry -- */

struct write {
    char kind; /* r a x i c e */
    registry_done *done;
    void *user_data;
};

static struct write writes[64];
static unsigned first_write, n_writes;
static char history[65]; /* the kinds, in order */

static int queue(char kind, registry_done *done, void *user_data)
{
    history[n_writes] = kind;
    history[n_writes + 1] = '\0';
    writes[n_writes++] = (struct write){kind, done, user_data};
    return 0;
}

uint32_t registry_next_mark(struct registry *registry)
{
    static uint32_t mark;

    (void)registry;
    return ++mark;
}

uint32_t registry_next_block(struct registry *registry)
{
    static uint32_t block;

    (void)registry;
    return block++;
}

int registry_record(struct registry *registry, const struct registry_share *share,
                    registry_done *done, void *user_data)
{
    (void)registry;
    (void)share;
    return queue('r', done, user_data);
}

int registry_activate(struct registry *registry, const struct registry_share *share,
                      registry_done *done, void *user_data)
{
    (void)registry;
    CHECK(share->active);
    return queue('a', done, user_data);
}

int registry_extend(struct registry *registry, const char *id, uint64_t ends, uint64_t deadline_ns,
                    registry_done *done, void *user_data)
{
    (void)registry;
    (void)id;
    (void)ends;
    (void)deadline_ns;
    return queue('x', done, user_data);
}

int registry_add_images(struct registry *registry, const char *id,
                        const struct registry_image *images, uint32_t count, registry_done *done,
                        void *user_data)
{
    (void)registry;
    (void)id;
    (void)images;
    (void)count;
    return queue('i', done, user_data);
}

int registry_end(struct registry *registry, const char *id, const char *reason, registry_done *done,
                 void *user_data)
{
    (void)registry;
    (void)id;
    CHECK(reason[0] != '\0');
    return queue('e', done, user_data);
}

/* Sessions are begun and ended without waiting. */
static unsigned sessions_begun, sessions_ended;

int registry_begin_session(struct registry *registry, const char *id,
                           const struct registry_session *session, registry_done *done,
                           void *user_data)
{
    (void)registry;
    (void)id;
    CHECK(session->until_ns > loop_now() && done == NULL && user_data == NULL);
    sessions_begun++;
    return 0;
}

int registry_end_sessions(struct registry *registry, const char *id, const struct sha256 *token,
                          bool others, registry_done *done, void *user_data)
{
    (void)registry;
    (void)id;
    CHECK(token != NULL && others && done == NULL && user_data == NULL);
    sessions_ended++;
    return 0;
}

int registry_release(struct registry *registry, const char *id, const struct prefix *client,
                     registry_done *done, void *user_data)
{
    (void)registry;
    (void)id;
    (void)client;
    return queue('c', done, user_data);
}

static void written(int error)
{
    CHECK(first_write < n_writes);
    struct write *write = &writes[first_write++];
    write->done(error, write->user_data);
}

/* -- the firewall: how many shares are open -- */

static int firewall_error, opened, forgotten;

int firewall_share_add(struct firewall *firewall, const struct firewall_share *share)
{
    (void)firewall;
    (void)share;
    opened += firewall_error == 0;
    return firewall_error;
}

int firewall_share_extend(struct firewall *firewall, const struct firewall_share *share)
{
    (void)firewall;
    (void)share;
    return firewall_error;
}

int firewall_share_release(struct firewall *firewall, const struct firewall_share *share,
                           const struct prefix *client)
{
    (void)firewall;
    (void)client;
    CHECK(share->n_clients > 1);
    return firewall_error;
}

int firewall_share_end(struct firewall *firewall, const struct firewall_share *share)
{
    (void)firewall;
    (void)share;
    opened--;
    return 0;
}

int firewall_share_reset(struct firewall *firewall, const struct firewall_share *share)
{
    (void)firewall;
    (void)share;
    return 0;
}

int firewall_share_forget(struct firewall *firewall, const struct firewall_share *share)
{
    (void)firewall;
    (void)share;
    forgotten++;
    return 0;
}

int firewall_set_public_udp(struct firewall *firewall, const uint16_t *ports, uint32_t n_ports)
{
    (void)firewall;
    (void)ports;
    (void)n_ports;
    return 0;
}

/* -- control groups -- */

int cgroup_kill(struct cgroups *cgroups, const char *id)
{
    (void)cgroups;
    (void)id;
    return 0;
}

int cgroup_remove(struct cgroups *cgroups, const char *id)
{
    (void)cgroups;
    (void)id;
    return 0;
}

int readers_abort(struct cgroups *cgroups, const char *id, pid_t pid)
{
    (void)cgroups;
    (void)id;
    (void)pid;
    return 0;
}

/* -- connections -- */

struct connection {
    connection_abandoned *abandoned;
    void *user_data;
    unsigned answers, shares, sessions, refusals;
    char sentence[1000];
};

static enum peer_role role = PEER_ADMIN; /* of everybody */

const struct peer *connection_peer(const struct connection *connection)
{
    static struct peer peer;

    (void)connection;
    peer.role = role;
    return &peer;
}

void connection_send(struct connection *connection, uint16_t id, const void *body)
{
    const struct message_session *session = body;

    CHECK(connection->answers == 0);
    connection->shares += id == MESSAGE_SHARE;
    if (id == MESSAGE_SESSION) {
        CHECK(strlen(session->token) == MESSAGE_TOKEN_LENGTH && session->seconds > 0);
        CHECK(connection->shares == 1);
        connection->sessions++;
    }
}

__attribute__((format(printf, 2, 0))) static void answer(struct connection *connection,
                                                         const char *format, va_list arguments)
{
    connection->answers++;
    connection->abandoned = NULL;
    vsnprintf(connection->sentence, sizeof connection->sentence, format, arguments);
}

void connection_done(struct connection *connection, uint32_t outcome, const char *format, ...)
{
    va_list arguments;

    CHECK(outcome == 0);
    va_start(arguments, format);
    answer(connection, format, arguments);
    va_end(arguments);
}

void connection_refuse(struct connection *connection, const char *field, const char *format, ...)
{
    va_list arguments;

    CHECK(strlen(field) < 16);
    va_start(arguments, format);
    answer(connection, format, arguments);
    va_end(arguments);
    connection->refusals++;
    CHECK(connection->sentence[0] != '\0');
}

void connection_later(struct connection *connection, connection_abandoned *abandoned,
                      void *user_data)
{
    connection->abandoned = abandoned;
    connection->user_data = user_data;
}

static void hang_up(struct connection *connection)
{
    if (connection->abandoned != NULL) {
        connection->abandoned(connection, connection->user_data);
    }
    memset(connection, 0xa5, sizeof *connection); /* freed, in the broker */
}

static bool is_refused(const struct connection *connection, const char *part)
{
    bool right = connection->answers == 1 && connection->refusals == 1 &&
                 strstr(connection->sentence, part) != NULL;
    if (!right) {
        printf("# %u answers, %u refusals: %s\n", connection->answers, connection->refusals,
               connection->sentence);
    }
    return right;
}

static bool is_done(const struct connection *connection)
{
    return connection->answers == 1 && connection->refusals == 0;
}

/* -- a broker -- */

static struct broker broker;
static char place[] = "/tmp/cdss-unit-share.XXXXXX";

static void set_up(void)
{
    CHECK(unshare(CLONE_NEWNS) == 0);
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mkdtemp(place) != NULL);
}

static void tear_down(void)
{
    int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    CHECK(beneath_remove(tmp, place + strlen("/tmp/"), 1000) == 0);
    close(tmp);
}

static int open_directory(const char *name)
{
    char path[100];

    snprintf(path, sizeof path, "%s/%s", place, name);
    mkdir(path, 0700);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void begin(void)
{
    static struct definitions none;

    now_ns = 1000 * NS_PER_S;
    n_workers = first_write = n_writes = 0;
    history[0] = '\0';
    watch_error = worker_error = firewall_error = opened = forgotten = 0;
    loop_stopped = false;
    broker = (struct broker){.definitions = &none};
    settings_defaults(&broker.settings);
    broker.run_shares_fd = open_directory("run");
    broker.shares_fd = open_directory("shares");
    CHECK(gallery_open(place, 10, &broker.gallery) == 0);
}

static void finish(void)
{
    CHECK(broker.shares == NULL && broker.n_shares == 0);
    CHECK(watches == NULL && timers == NULL);
    CHECK(first_write == n_writes);
    CHECK(opened == 0);
    CHECK(gallery_count(broker.gallery) == 0);
    for (unsigned i = 0; i < n_workers; i++) {
        CHECK(workers[i] == NULL);
    }
    gallery_close(broker.gallery);
    close(broker.run_shares_fd);
    close(broker.shares_fd);
}

static struct registry_share make_row(const char *user, uint32_t n_images)
{
    struct registry_share row = {.created = 1000, .ends = 1000 + 600};

    row.deadline_ns = now_ns + 600 * NS_PER_S;
    snprintf(row.user.text, sizeof row.user.text, "%s", user);
    row.n_clients = 1;
    row.clients = calloc(1, sizeof *row.clients);
    row.clients[0].address.family = AF_INET;
    memcpy(row.clients[0].address.bytes, (unsigned char[]){127, 0, 0, 1}, 4);
    row.clients[0].length = 32;
    row.n_images = n_images;
    row.images = calloc(n_images, sizeof *row.images);
    for (uint32_t i = 0; i < n_images; i++) {
        snprintf(row.images[i].path.text, sizeof row.images[i].path.text, "%u.iso", i);
    }
    return row;
}

static struct share *create(const char *user, uint32_t n_images, struct connection *connection)
{
    struct registry_share row = make_row(user, n_images);

    memset(connection, 0, sizeof *connection);
    CHECK(share_create(&broker, &row, connection) == 0);
    return broker.shares;
}

/* -- what a preparing worker says -- */

static void says_images(unsigned n, uint32_t count, uint64_t inode)
{
    struct prepare_images images = {.kind = PREPARE_IMAGES, .count = count};

    for (uint32_t i = 0; i < count; i++) {
        images.images[i] =
            (struct prepare_image){.key.inode = inode + i, .driver = IMAGE_DRIVER_KERNEL};
    }
    worker_says(n, &images, sizeof images, -1);
}

static void says_mounted(unsigned n, uint32_t count, uint32_t mounted)
{
    struct prepare_mounted message = {.kind = PREPARE_MOUNTED, .count = count};

    for (uint32_t i = 0; i < count; i++) {
        message.mounted[i] = mounted;
    }
    worker_says(n, &message, sizeof message, -1);
}

static void says_born(unsigned n)
{
    struct prepare_born message = {.kind = PREPARE_BORN, .pid = 1, .start_time = 1};

    worker_says(n, &message, sizeof message, eventfd(0, EFD_CLOEXEC));
}

static void says_done(unsigned n, uint32_t count)
{
    CLEANUP_FREE struct prepare_done *done = calloc(1, sizeof *done);

    done->kind = PREPARE_DONE;
    done->n_images = count;
    for (uint32_t i = 0; i < count; i++) {
        snprintf(done->images[i].path.text, sizeof done->images[i].path.text, "%u.iso", i);
    }
    worker_says(n, done, offsetof(struct prepare_done, images) + count * sizeof done->images[0],
                -1);
}

/* PID 1 is the one descriptor that is watched, when it is. */
static void pid_1_dies(void)
{
    CHECK(watches != NULL && watches->next == NULL);
    watches->ready(1, watches->user_data);
}

/* The steps of a share with one image, one after the other; each can be the last. */
static void step_recorded(void)
{
    written(0);
}

static void step_images(void)
{
    says_images(0, 1, 7);
}

static void step_mounted(void)
{
    says_mounted(0, 1, 1);
}

static void step_born(void)
{
    says_born(0);
}

static void step_done(void)
{
    says_done(0, 1);
}

static void step_worker_ends(void)
{
    worker_ends(0);
}

static void step_activated(void)
{
    written(0);
}

static void (*const steps[])(void) = {step_recorded, step_images,      step_mounted,  step_born,
                                      step_done,     step_worker_ends, step_activated};

#define ACTIVE_STEPS ARRAY_SIZE(steps)

static struct share *create_until(size_t n_steps, struct connection *connection)
{
    struct share *share = create("alice", 1, connection);

    for (size_t i = 0; i < n_steps; i++) {
        steps[i]();
    }
    return share;
}

/* Whatever an ending share waits for happens: workers end, PID 1 dies, rows are written. */
static void let_end(void)
{
    for (unsigned turn = 0; turn < 20 && broker.shares != NULL; turn++) {
        for (unsigned i = 0; i < n_workers; i++) {
            if (workers[i] != NULL) {
                worker_ends(i);
            }
        }
        if (watches != NULL) {
            pid_1_dies();
        }
        if (first_write < n_writes) {
            written(0);
        }
    }
}

/* -- creating -- */

static void a_share(void)
{
    struct connection creator, remover = {0};

    begin();
    struct share *share = create_until(ACTIVE_STEPS, &creator);
    CHECK(is_done(&creator) && creator.shares == 1);
    CHECK(share->state == SHARE_ACTIVE && opened == 1);
    CHECK(gallery_count(broker.gallery) == 1);
    CHECK(share_wait(share, &remover, WAIT_REMOVE) == 0);
    share_end(share, "removed");
    CHECK(opened == 0 && remover.answers == 0);
    let_end();
    CHECK(is_done(&remover));
    CHECK_TEXT(history, "rae");
    CHECK(forgotten == 1);
    finish();
}

/* A web front end is told a token, too, when the share is there and not before. */
static void a_share_of_the_web(void)
{
    struct connection creator;

    begin();
    role = PEER_WEB;
    sessions_begun = 0;
    struct share *share = create_until(ACTIVE_STEPS - 1, &creator);
    CHECK(creator.sessions == 0 && share->row.n_sessions == 0);
    step_activated();
    role = PEER_ADMIN;
    CHECK(is_done(&creator) && creator.shares == 1 && creator.sessions == 1);
    CHECK(share->row.n_sessions == 1 && sessions_begun == 1);
    share_end(share, "removed");
    let_end();
    finish();
}

/* Whoever kills the one that clears away has not kept anything. */
static void clearing_is_killed(void)
{
    struct connection creator;

    begin();
    struct share *share = create_until(ACTIVE_STEPS, &creator);
    share_end(share, "removed");
    pid_1_dies();
    for (unsigned i = 1; i < 3; i++) {
        CHECK(share->worker != NULL);
        worker_kill(share->worker);
        worker_ends(i);
    }
    CHECK(share->worker != NULL && first_write == n_writes);
    worker_ends(3);
    CHECK_TEXT(history, "rae");
    let_end();
    finish();
    begin();
    share = create_until(ACTIVE_STEPS, &creator);
    share_end(share, "removed");
    pid_1_dies();
    for (unsigned i = 1; i <= 3; i++) {
        worker_kill(share->worker);
        worker_ends(i);
    }
    CHECK_TEXT(history, "rae"); /* not for ever */
    let_end();
    finish();
}

static void abandoned_at_each_step(void)
{
    for (size_t n = 0; n < ACTIVE_STEPS; n++) {
        struct connection creator;
        begin();
        struct share *share = create_until(n, &creator);
        hang_up(&creator);
        CHECK(share->state == SHARE_ENDING && opened == 0);
        let_end();
        CHECK(history[strlen(history) - 1] == 'e');
        finish();
    }
}

static void removed_twice_at_each_step(void)
{
    for (size_t n = 0; n <= ACTIVE_STEPS; n++) {
        struct connection creator, first = {0}, second = {0};
        begin();
        struct share *share = create_until(n, &creator);
        CHECK(share_wait(share, &first, WAIT_REMOVE) == 0);
        share_end(share, "removed by root");
        CHECK(share_wait(share, &second, WAIT_REMOVE) == 0);
        share_end(share, "removed by somebody else");
        let_end();
        CHECK(is_done(&first) && is_done(&second));
        CHECK(n == ACTIVE_STEPS ? is_done(&creator) : is_refused(&creator, "removed by root"));
        finish();
    }
}

static void worker_dies_at_each_step(void)
{
    for (size_t n = 1; n < 5; n++) {
        struct connection creator;
        begin();
        create_until(n, &creator);
        worker_ends(0);
        let_end();
        CHECK(is_refused(&creator, "ended unexpectedly"));
        finish();
    }
}

static void sandbox_dies_before_it_is_active(void)
{
    struct connection creator;

    begin();
    create_until(4, &creator); /* the worker does not notice */
    pid_1_dies();
    step_done();
    step_worker_ends();
    let_end();
    CHECK(is_refused(&creator, "sandbox ended"));
    finish();
}

static void sandbox_dies_while_activation_is_written(void)
{
    struct connection creator;

    begin();
    struct share *share = create_until(6, &creator);
    pid_1_dies();
    CHECK(share->state == SHARE_ENDING && opened == 0);
    let_end();
    CHECK(is_refused(&creator, "sandbox ended"));
    finish();
}

static void expires_while_activation_is_written(void)
{
    struct connection creator;

    begin();
    struct share *share = create_until(6, &creator);
    pass(600);
    CHECK(share->state == SHARE_ENDING && opened == 0);
    written(0);
    let_end();
    CHECK(is_refused(&creator, "expired"));
    finish();
}

static void expires_while_it_is_prepared(void)
{
    struct connection creator;

    begin();
    struct registry_share row = make_row("alice", 1);
    row.deadline_ns = now_ns + NS_PER_S;
    memset(&creator, 0, sizeof creator);
    CHECK(share_create(&broker, &row, &creator) == 0);
    for (size_t i = 0; i < 4; i++) {
        steps[i]();
    }
    pass(2);
    pid_1_dies(); /* the supervisor keeps the time by itself */
    let_end();
    CHECK(is_refused(&creator, "expired"));
    finish();
}

static void registry_fails(void)
{
    for (size_t n = 0; n < 2; n++) {
        struct connection creator;
        begin();
        create_until(n == 0 ? 0 : 6, &creator);
        written(-ENOSPC);
        let_end();
        CHECK(is_refused(&creator, "registry"));
        finish();
    }
}

static void firewall_refuses(void)
{
    struct connection creator;

    begin();
    firewall_error = -EEXIST;
    create_until(6, &creator);
    let_end();
    CHECK(is_refused(&creator, "firewall"));
    finish();
}

/* Clearing away is then done by the loop itself. */
static void no_process_to_be_had(void)
{
    struct connection creator;

    begin();
    worker_error = -EAGAIN;
    create_until(1, &creator);
    let_end();
    CHECK(is_refused(&creator, "could not start a process"));
    finish();
}

static void pid_1_cannot_be_watched(void)
{
    struct connection creator;

    begin();
    create_until(3, &creator);
    watch_error = -ENOSPC;
    says_born(0);
    CHECK(workers[0]->killed);
    let_end();
    CHECK(is_refused(&creator, "ended unexpectedly"));
    finish();
}

/* A mount that hangs: the worker says nothing any more, and dies late. */
static void preparing_has_a_limit(void)
{
    struct connection creator;

    begin();
    struct share *share = create_until(2, &creator);
    pass(PREPARE_LIMIT_S - 1);
    CHECK(share->state == SHARE_PREPARING && !workers[0]->killed);
    pass(1);
    CHECK(share->state == SHARE_ENDING && workers[0]->killed);
    CHECK(creator.answers == 0); /* not before it is undone */
    let_end();
    CHECK(is_refused(&creator, "not ready within 120 seconds"));
    finish();
}

static void an_active_share_has_no_such_limit(void)
{
    struct connection creator;

    begin();
    struct share *share = create_until(ACTIVE_STEPS, &creator);
    pass(PREPARE_LIMIT_S + 1);
    CHECK(share->state == SHARE_ACTIVE);
    share_end(share, "removed");
    let_end();
    finish();
}

/* Never from a worker of ours; it costs the share and nothing else. */
static void nonsense_from_a_worker(void)
{
    struct connection creator;
    static char junk[sizeof(struct prepare_done) + 100];

    begin();
    create_until(1, &creator);
    for (uint32_t kind = 0; kind < 12; kind++) {
        memset(junk, 0, sizeof junk);
        memcpy(junk, &kind, sizeof kind);
        worker_says(0, junk, 2, -1);
        worker_says(0, junk, 8, eventfd(0, EFD_CLOEXEC));
    }
    struct prepare_images images = {.kind = PREPARE_IMAGES, .count = UINT32_MAX};
    worker_says(0, &images, sizeof images, -1);
    CHECK(workers[0]->killed && workers[0]->sent == 0);
    struct prepare_done done = {.kind = PREPARE_DONE, .n_images = 64};
    worker_says(0, &done, offsetof(struct prepare_done, images), -1);
    worker_ends(0);
    let_end();
    CHECK(is_refused(&creator, "ended unexpectedly"));
    finish();
}

/* -- two shares and one image -- */

static void one_mounts_and_the_other_waits(void)
{
    struct connection one, two;

    begin();
    struct share *first = create("alice", 1, &one);
    struct share *second = create("bob", 1, &two);
    written(0);
    written(0);
    says_images(0, 1, 7);
    says_images(1, 1, 7);
    CHECK(workers[0]->go.images[0].answer == GALLERY_MOUNT);
    CHECK(workers[1]->sent == 0);
    says_mounted(0, 1, 1);
    CHECK(workers[1]->sent == 1 && workers[1]->go.images[0].answer == GALLERY_MOUNTED);
    CHECK(workers[1]->go.images[0].slot == workers[0]->go.images[0].slot);
    hang_up(&one);
    worker_ends(0);
    CHECK(gallery_count(broker.gallery) == 1); /* the other holds it */
    share_end(first, "removed");
    share_end(second, "removed");
    let_end();
    finish();
}

/* It fails, or dies before it could say so: the other one mounts. */
static void one_fails_to_mount(void)
{
    for (unsigned dies = 0; dies < 2; dies++) {
        struct connection one, two;
        begin();
        create("alice", 1, &one);
        struct share *second = create("bob", 1, &two);
        written(0);
        written(0);
        says_images(0, 1, 7);
        says_images(1, 1, 7);
        if (dies) {
            worker_ends(0);
        } else {
            says_mounted(0, 1, 0);
        }
        CHECK(workers[1]->sent == 1 && workers[1]->go.images[0].answer == GALLERY_MOUNT);
        if (!dies) {
            hang_up(&one);
        }
        share_end(second, "removed");
        let_end();
        finish();
    }
}

static void the_same_file_twice_in_a_share(void)
{
    struct connection creator;
    struct prepare_images images = {.kind = PREPARE_IMAGES, .count = 2};

    begin();
    struct share *share = create("alice", 2, &creator);
    written(0);
    images.images[0] = (struct prepare_image){.key.inode = 7, .driver = IMAGE_DRIVER_KERNEL};
    images.images[1] = images.images[0];
    worker_says(0, &images, sizeof images, -1);
    CHECK(workers[0]->go.images[0].answer == GALLERY_MOUNT);
    CHECK(workers[0]->go.images[1].slot == SHARE_NO_SLOT);
    share_end(share, "removed");
    let_end();
    finish();
}

/* -- adding -- */

static struct share *add_one(struct connection *creator, struct connection *adder)
{
    struct image_path path = {"new.iso"};
    struct share *share = create_until(ACTIVE_STEPS, creator);

    memset(adder, 0, sizeof *adder);
    CHECK(share_add_images(share, &path, NULL, 1, adder) == 0);
    CHECK(share_add_images(share, &path, NULL, 1, adder) == -EBUSY);
    return share;
}

static void images_are_added(void)
{
    struct connection creator, adder;

    begin();
    struct share *share = add_one(&creator, &adder);
    share->row.n_sessions = 2; /* the adder's, and another, which must go */
    share->row.sessions[1].token.bytes[0] = share->adding_session.bytes[0] = 7;
    sessions_ended = 0;
    says_images(1, 1, 99);
    says_mounted(1, 1, 1);
    CHECK(sessions_ended == 0);
    says_done(1, 1);
    CHECK(sessions_ended == 1 && share->row.n_sessions == 1);
    CHECK(share->row.sessions[0].token.bytes[0] == 7);
    worker_ends(1);
    CHECK(adder.answers == 0); /* not before it is durable */
    written(0);
    CHECK(is_done(&adder) && share->row.n_images == 2);
    CHECK(gallery_count(broker.gallery) == 2);
    share_end(share, "removed");
    let_end();
    finish();
}

/* The share ends while its worker works, while the row is written, or the adder hangs up. */
static void share_ends_while_images_are_added(void)
{
    for (unsigned n = 0; n < 5; n++) {
        struct connection creator, adder;
        begin();
        struct share *share = add_one(&creator, &adder);
        if (n >= 1) {
            says_images(1, 1, 99);
        }
        if (n >= 2) {
            says_mounted(1, 1, 1);
        }
        if (n >= 3) {
            says_done(1, 1);
        }
        if (n >= 4) {
            hang_up(&adder);
        }
        share_end(share, "removed by root");
        let_end();
        CHECK(n >= 4 || is_refused(&adder, "has ended: removed by root"));
        finish();
    }
}

static void adding_has_a_limit(void)
{
    struct connection creator, adder;

    begin();
    struct share *share = add_one(&creator, &adder);
    pass(PREPARE_LIMIT_S);
    CHECK(workers[1]->killed && share->state == SHARE_ACTIVE);
    CHECK(is_refused(&adder, "within 120 seconds"));
    worker_ends(1);
    CHECK(workers[2]->work == prepare_undo);
    worker_ends(2);
    CHECK(share->state == SHARE_ACTIVE && share->worker == NULL);
    share_end(share, "removed");
    let_end();
    finish();
}

/* What a worker leaves that is killed, another takes back, and nobody adds meanwhile. */
static void adding_is_taken_back(void)
{
    struct image_path path = {"another.iso"};
    struct connection creator, adder, second = {0};

    begin();
    struct share *share = add_one(&creator, &adder);
    says_images(1, 1, 99);
    says_mounted(1, 1, 1);
    worker_ends(1);
    CHECK(is_refused(&adder, "ended unexpectedly"));
    CHECK(gallery_count(broker.gallery) == 1);
    CHECK(workers[2]->work == prepare_undo && share->row.n_images == 1);
    CHECK(share_add_images(share, &path, NULL, 1, &second) == -EBUSY);
    worker_ends(2);
    CHECK(share_add_images(share, &path, NULL, 1, &second) == 0);
    worker_ends(3);
    share_end(share, "removed"); /* while it is taken back */
    let_end();
    finish();
}

/* -- extending -- */

static struct share *create_with_deadline_file(struct connection *creator)
{
    char path[64];
    struct share *share = create_until(ACTIVE_STEPS, creator);

    snprintf(path, sizeof path, "%s", share->row.id);
    mkdirat(broker.run_shares_fd, path, 0700);
    snprintf(path, sizeof path, "%s/deadline", share->row.id);
    close(openat(broker.run_shares_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    return share;
}

static void extended_in_the_last_moment(void)
{
    struct connection creator, extender = {0};

    begin();
    struct share *share = create_with_deadline_file(&creator);
    pass(599);
    CHECK(share_extend(share, 100, &extender) == 0);
    pass(2);
    CHECK(share->state == SHARE_ACTIVE);
    written(0);
    CHECK(is_done(&extender));
    pass(98);
    CHECK(share->state == SHARE_ENDING);
    CHECK(share_extend(share, 100, &extender) == -ENOENT);
    let_end();
    finish();
}

static void ends_while_the_extension_is_written(void)
{
    for (unsigned hangs_up = 0; hangs_up < 2; hangs_up++) {
        struct connection creator, extender = {0};
        begin();
        struct share *share = create_with_deadline_file(&creator);
        CHECK(share_extend(share, 100, &extender) == 0);
        if (hangs_up) {
            hang_up(&extender);
        }
        share_end(share, "removed by root");
        let_end();
        CHECK(hangs_up || is_refused(&extender, "has ended: removed by root"));
        finish();
    }
}

static void the_kernel_had_ended_it(void)
{
    struct connection creator, extender = {0};

    begin();
    struct share *share = create_with_deadline_file(&creator);
    firewall_error = -ENOENT;
    CHECK(share_extend(share, 100, &extender) == -ENOENT);
    CHECK(share->state == SHARE_ENDING);
    let_end();
    finish();
}

/* Not the share's fault, and no reason to end it. */
static void the_deadline_file_is_gone(void)
{
    struct connection creator, extender = {0};

    begin();
    struct share *share = create_until(ACTIVE_STEPS, &creator);
    int r = share_extend(share, 100, &extender);
    CHECK(r < 0 && r != -ENOENT && share->state == SHARE_ACTIVE);
    share_end(share, "removed");
    let_end();
    finish();
}

/* -- the broker's own end -- */

static void stopping_undoes_what_is_prepared(void)
{
    for (size_t n = 0; n < ACTIVE_STEPS; n++) {
        struct connection creator;
        begin();
        create_until(n, &creator);
        broker.stopping = true;
        share_settle_all(&broker);
        CHECK(!loop_stopped);
        let_end();
        CHECK(loop_stopped && is_refused(&creator, "the broker was stopped"));
        share_forget_all(&broker);
        CHECK(broker.n_left == 0);
        finish();
    }
}

static void stopping_leaves_a_live_share(void)
{
    struct connection creator;

    begin();
    create_until(ACTIVE_STEPS, &creator);
    broker.stopping = true;
    share_settle_all(&broker);
    CHECK(loop_stopped);
    share_forget_all(&broker);
    CHECK(broker.n_left == 1 && opened == 1);
    opened = 0;
    finish();
}

static void stopping_waits_for_what_is_added(void)
{
    struct connection creator, adder;

    begin();
    add_one(&creator, &adder);
    broker.stopping = true;
    share_settle_all(&broker);
    CHECK(!loop_stopped);
    says_done(1, 1);
    worker_ends(1);
    CHECK(!loop_stopped);
    written(0);
    CHECK(loop_stopped && is_done(&adder));
    share_forget_all(&broker);
    opened = 0;
    finish();
}

static void stopping_waits_for_an_extension(void)
{
    struct connection creator, extender = {0};

    begin();
    struct share *share = create_with_deadline_file(&creator);
    CHECK(share_extend(share, 100, &extender) == 0);
    broker.stopping = true;
    share_settle_all(&broker);
    CHECK(!loop_stopped);
    written(0);
    CHECK(loop_stopped && is_done(&extender));
    share_forget_all(&broker);
    opened = 0;
    finish();
}

/* -- one client leaves -- */

static struct share *create_with_two_clients(struct connection *creator)
{
    struct share *share = create_until(ACTIVE_STEPS, creator);
    struct prefix *clients = reallocarray(share->row.clients, 2, sizeof *clients);

    clients[1] = clients[0];
    clients[1].address.bytes[3] = 2;
    share->row.clients = clients;
    share->row.n_clients = 2;
    return share;
}

static void a_client_is_released(void)
{
    struct connection creator, releaser = {0};

    begin();
    struct share *share = create_with_two_clients(&creator);
    struct prefix client = share->row.clients[0];
    firewall_error = -EIO;
    CHECK(share_release(share, &client, &releaser) == -EIO);
    CHECK(share->row.n_clients == 2 && share->writes == 0);
    firewall_error = 0;
    CHECK(share_release(share, &client, &releaser) == 0 && releaser.answers == 0);
    CHECK(share->row.n_clients == 1 && share->row.clients[0].address.bytes[3] == 2);
    written(0);
    CHECK(is_done(&releaser) && opened == 1);
    CHECK_TEXT(releaser.sentence, "127.0.0.1 was released.");
    share_end(share, "removed");
    let_end();
    finish();
}

/* The share ends meanwhile, the releaser hangs up, or the disk is full. */
static void a_release_is_disturbed(void)
{
    for (unsigned n = 0; n < 3; n++) {
        struct connection creator, releaser = {0};
        begin();
        struct share *share = create_with_two_clients(&creator);
        struct prefix client = share->row.clients[0];
        CHECK(share_release(share, &client, &releaser) == 0);
        if (n == 0) {
            share_end(share, "removed");
        } else if (n == 1) {
            hang_up(&releaser);
        }
        written(n == 2 ? -ENOSPC : 0);
        CHECK(n == 1 || releaser.answers == 1);
        CHECK(n != 2 || is_refused(&releaser, "registry cannot be written"));
        share_end(share, "removed");
        let_end();
        finish();
    }
}

/* -- a restart -- */

static void what_cannot_be_adopted_is_not_kept(void)
{
    begin();
    struct registry_share row = make_row("alice", 1);
    memcpy(row.id, "0123456789abcdef", 17);
    watch_error = -ENOSPC;
    CHECK(share_adopt(&broker, &row, eventfd(0, EFD_CLOEXEC)) == -ENOSPC);
    CHECK_TEXT(row.id, "0123456789abcdef"); /* so that it can be ended */
    share_free_row(&row);
    finish();
}

static void an_adopted_share_expires(void)
{
    begin();
    struct registry_share row = make_row("alice", 1);
    memcpy(row.id, "0123456789abcdef", 17);
    CHECK(share_adopt(&broker, &row, eventfd(0, EFD_CLOEXEC)) == 0);
    opened = 1;
    pass(600);
    CHECK(opened == 0);
    let_end();
    CHECK_TEXT(history, "e");
    finish();
}

static void numbers_run_out(void)
{
    struct connection creator = {0};

    begin();
    struct registry_share row = make_row("alice", 1);
    broker.n_shares = settings_uid_blocks(&broker.settings);
    CHECK(share_create(&broker, &row, &creator) == -EUSERS);
    CHECK(row.n_images == 1); /* still ours */
    broker.n_shares = 0;
    share_free_row(&row);
    finish();
}

TEST_MAIN({"set up", set_up}, {"a share is made and removed", a_share},
          {"a share of the web", a_share_of_the_web},
          {"a client is released", a_client_is_released},
          {"a release is disturbed", a_release_is_disturbed},
          {"the worker that clears away is killed", clearing_is_killed},
          {"its creator hangs up at each step", abandoned_at_each_step},
          {"it is removed twice at each step", removed_twice_at_each_step},
          {"its worker dies at each step", worker_dies_at_each_step},
          {"its sandbox dies before it is active", sandbox_dies_before_it_is_active},
          {"its sandbox dies while activation is written",
           sandbox_dies_while_activation_is_written},
          {"it expires while activation is written", expires_while_activation_is_written},
          {"it expires while it is prepared", expires_while_it_is_prepared},
          {"the registry fails", registry_fails}, {"the firewall refuses", firewall_refuses},
          {"there is no process to be had", no_process_to_be_had},
          {"PID 1 cannot be watched", pid_1_cannot_be_watched},
          {"preparing has a limit", preparing_has_a_limit},
          {"an active share has no such limit", an_active_share_has_no_such_limit},
          {"nonsense from a worker", nonsense_from_a_worker},
          {"one mounts an image, the other waits", one_mounts_and_the_other_waits},
          {"one fails to mount, the other tries", one_fails_to_mount},
          {"the same file twice in a share", the_same_file_twice_in_a_share},
          {"images are added", images_are_added},
          {"a share ends while images are added", share_ends_while_images_are_added},
          {"adding has a limit", adding_has_a_limit},
          {"what a dead worker added is taken back", adding_is_taken_back},
          {"extended in the last moment", extended_in_the_last_moment},
          {"it ends while the extension is written", ends_while_the_extension_is_written},
          {"extended when the kernel had ended it", the_kernel_had_ended_it},
          {"extended when the deadline file is gone", the_deadline_file_is_gone},
          {"stopping undoes what is being prepared", stopping_undoes_what_is_prepared},
          {"stopping leaves a live share", stopping_leaves_a_live_share},
          {"stopping waits for images being added", stopping_waits_for_what_is_added},
          {"stopping waits for an extension", stopping_waits_for_an_extension},
          {"what cannot be adopted is not kept", what_cannot_be_adopted_is_not_kept},
          {"an adopted share expires", an_adopted_share_expires},
          {"uid blocks run out", numbers_run_out}, {"nothing is left", tear_down})
