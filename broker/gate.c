/*
 * One request's way: counters, the worker that reads, the real checks; and only when these do not
 * suffice, the checks that make up the work, the counting, and the wait for the moment.
 */
#include "gate.h"

#include "cleanup.h"
#include "gate_count.h"
#include "gate_read.h"
#include "log.h"
#include "share.h"
#include "text.h"
#include "verify.h"
#include "worker.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_S     1000000000ull
#define READ_LIMIT_S 20 /* then the disk does not answer */
#define READERS_MAX  16
#define CHECKS_LEAST 16 /* a request that fails costs so many, or four for each password */
#define CHECKS_EACH  4

struct gate {
    struct gates *gates;
    struct gate *next;
    struct address requester;
    uid_t peer;
    char asker[64];
    struct gate_image *images; /* owned */
    uint32_t n_images;
    const char *passwords[GATE_PASSWORDS_MAX]; /* borrowed; each once */
    uint32_t n_passwords;
    uint64_t started_ns;
    struct worker *worker;
    struct loop_timer *timer; /* the worker's limit; later, the moment of the answer */
    struct verify_order *order;
    struct gate_found *found; /* owned; NULL: nothing was heard */
    uint64_t needed, matched; /* guards */
    uint32_t waits_s;         /* an image's counters; 0: they let him try */
    char sentence[700];
    gate_answer *answer; /* NULL: nobody waits any more */
    void *user_data;
};

struct gates {
    struct broker *broker;
    uint64_t moment_ns;
    struct gate *first;
    struct gate_counts *counts;
};

/* -- life -- */

static void gate_free(struct gate *gate)
{
    struct gate **place = &gate->gates->first;

    while (*place != gate) {
        place = &(*place)->next;
    }
    *place = gate->next;
    loop_cancel(&gate->timer);
    verify_cancel(&gate->order);
    free(gate->images);
    free(gate->found);
    free(gate);
}

static void finish(struct gate *gate, const struct gate_verdict *verdict)
{
    gate_answer *answer = gate->answer;
    void *user_data = gate->user_data;

    gate->answer = NULL;
    if (answer != NULL) {
        answer(verdict, user_data);
    }
    gate_free(gate);
}

static void refuse(struct gate *gate, int error)
{
    finish(gate,
           &(struct gate_verdict){.error = error, .field = "image", .sentence = gate->sentence});
}

static void moment_came(void *user_data)
{
    struct gate *gate = user_data;

    gate->timer = NULL;
    refuse(gate, -EACCES);
}

/* From here on the answer depends on nothing but the time. */
static void refuse_at_moment(struct gate *gate)
{
    struct loop *loop = gate->gates->broker->loop;
    uint64_t moment = gate->gates->moment_ns;
    uint64_t moments = (loop_now() - gate->started_ns) / moment + 1;

    loop_cancel(&gate->timer);
    if (loop_at(loop, gate->started_ns + moments * moment, moment_came, gate, &gate->timer) < 0) {
        refuse(gate, -ENOMEM);
    }
}

static void say(struct gate *gate, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct gate *gate, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(gate->sentence, sizeof gate->sentence, format, arguments);
    va_end(arguments);
}

/* -- what it comes to -- */

/* In the share already, and guarded as it was then. */
static bool is_unchanged(const struct gate *gate, uint32_t i)
{
    return gate->images[i].known &&
           sha256_equal(&gate->images[i].guards, &gate->found->images[i].digest);
}

static bool is_open(const struct gate *gate, uint32_t i)
{
    const struct gate_found_image *image = &gate->found->images[i];

    if (is_unchanged(gate, i)) {
        return true;
    }
    return (image->shareable || gate->images[i].known) && (image->guards & ~gate->matched) == 0 &&
           !(gate->found->too_many && image->guards != 0);
}

static bool all_open(const struct gate *gate)
{
    bool open = true;

    for (uint32_t i = 0; i < gate->n_images; i++) {
        open &= is_open(gate, i);
    }
    return open;
}

static void let_through(struct gate *gate)
{
    struct gate_seal seals[GATE_IMAGES_MAX];

    for (uint32_t i = 0; i < gate->n_images; i++) {
        const struct gate_found_image *image = &gate->found->images[i];
        seals[i] = (struct gate_seal){.sealed = true,
                                      .device = image->device,
                                      .inode = image->inode,
                                      .guards = image->digest};
    }
    finish(gate, &(struct gate_verdict){.field = "", .sentence = "", .seals = seals});
}

/* How to name a path in a sentence. */
static void add_path(struct text *out, const char *path)
{
    CLEANUP_TEXT struct text printable = {0};

    text_add_printable(&printable, path, strlen(path));
    bool fits = printable.length <= 200;
    text_format(out, "\"%.*s%s\"", fits ? 200 : 190, printable.data != NULL ? printable.data : "",
                fits ? "" : "...");
}

/* The same whatever the reason is: all that differs is what the request itself says. */
static void say_closed(struct gate *gate, const struct image_path *path)
{
    CLEANUP_TEXT struct text name = {0};
    bool many = gate->n_images > 1 || gate->n_passwords > CHECKS_EACH;

    add_path(&name, path->text);
    say(gate, "The image %s is not in the repository, or needs a password that was not given%s.",
        name.data != NULL ? name.data : "",
        many ? "; at most 64 checks of passwords are made for a request: name fewer images, or "
               "give fewer passwords, if these are right"
             : "");
}

static void say_wait(struct gate *gate, const char *whose, uint64_t wait_ns)
{
    say(gate, "Too many wrong passwords were given %s; try again in %llu s.", whose,
        (unsigned long long)((wait_ns + NS_PER_S - 1) / NS_PER_S));
}

/* Counts what was guessed at; a request without a password guesses nothing. */
static void count_failure(struct gate *gate)
{
    const struct image_path *closed[GATE_IMAGES_MAX];
    uint32_t n = 0;

    for (uint32_t i = 0; i < gate->n_images; i++) {
        if (!is_open(gate, i)) {
            closed[n++] = &gate->images[i].path;
        }
    }
    if (n > 0) {
        say_closed(gate, closed[0]);
    }
    if (gate->n_passwords > 0) {
        gate_counts_fail(gate->gates->counts, &gate->requester, gate->peer, closed, n);
    }
    log_write(LOG_LEVEL_INFO, "password.wrong", NULL, "%s, through uid %u: %s", gate->asker,
              gate->peer, gate->sentence);
}

static void made_up(const enum verify_result *results, uint32_t count, void *user_data)
{
    struct gate *gate = user_data;

    (void)results;
    (void)count;
    gate->order = NULL;
    refuse_at_moment(gate);
}

/* -- checks -- */

static int ask_for(struct gate *gate, const struct verify_pair *pairs, uint32_t count,
                   verify_checked *checked)
{
    const struct verify_asker asker = {.name = gate->asker};

    return verify_check(gate->gates->broker->verify, &asker, pairs, count, checked, gate,
                        &gate->order);
}

/* Checks against nothing, until a request that failed has cost what its passwords say, of which so
 * much is spent. 0, 1: there is nothing to make up; or a negative errno. */
static int make_up(struct gate *gate, uint32_t spent)
{
    struct verify_pair pairs[GATE_CHECKS_MAX];
    uint32_t checks = CHECKS_EACH * gate->n_passwords;
    uint32_t count = 0;

    checks = gate->n_passwords == 0 ? 0 : checks < CHECKS_LEAST ? CHECKS_LEAST : checks;
    for (; spent < checks * PASSWD_COST_DEFAULT; spent += PASSWD_COST_DEFAULT) {
        pairs[count++] = (struct verify_pair){VERIFY_DUMMY, ""};
    }
    return count == 0 ? 1 : ask_for(gate, pairs, count, made_up);
}

/* The hashes that matter: of guards on the way to images that are not let through anyway. */
static uint32_t needed_hashes(struct gate *gate, uint32_t *ret_cost)
{
    uint32_t count = 0, cost = 0;

    gate->needed = 0;
    for (uint32_t i = 0; i < gate->n_images; i++) {
        gate->needed |= is_unchanged(gate, i) ? 0 : gate->found->images[i].guards;
    }
    for (uint32_t i = 0; i < gate->found->n_hashes; i++) {
        bool needed = gate->needed >> gate->found->hashes[i].guard & 1;
        count += needed;
        cost += needed ? gate->found->hashes[i].cost : 0;
    }
    *ret_cost = cost;
    return count;
}

static void log_unchecked(const struct gate *gate, const struct gate_hash *hash)
{
    log_write(LOG_LEVEL_WARN, "password.check", NULL,
              "%s: the hash in line %u could not be checked within the limits",
              gate->found->paths[hash->guard], hash->line);
}

static void checked(const enum verify_result *results, uint32_t count, void *user_data)
{
    struct gate *gate = user_data;
    uint32_t at = 0, cost;

    gate->order = NULL;
    for (uint32_t i = 0; i < gate->found->n_hashes; i++) {
        const struct gate_hash *hash = &gate->found->hashes[i];
        for (uint32_t p = 0; (gate->needed >> hash->guard & 1) && p < gate->n_passwords; p++) {
            enum verify_result result = at < count ? results[at++] : VERIFY_WRONG;
            if (result == VERIFY_RIGHT) {
                gate->matched |= UINT64_C(1) << hash->guard;
            } else if (result == VERIFY_FAILED) {
                log_unchecked(gate, hash);
            }
        }
    }
    if (all_open(gate)) {
        let_through(gate);
        return;
    }
    needed_hashes(gate, &cost);
    count_failure(gate);
    /* From within an answer there is always a place in the queue: the one that has become free. */
    if (make_up(gate, cost * gate->n_passwords) != 0) {
        refuse_at_moment(gate);
    }
}

/* Every password against every hash, whatever the others come to. */
static int check_all(struct gate *gate)
{
    struct verify_pair pairs[GATE_CHECKS_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < gate->found->n_hashes; i++) {
        const struct gate_hash *hash = &gate->found->hashes[i];
        for (uint32_t p = 0; (gate->needed >> hash->guard & 1) && p < gate->n_passwords; p++) {
            pairs[count++] = (struct verify_pair){hash->text, gate->passwords[p]};
        }
    }
    return ask_for(gate, pairs, count, checked);
}

/* Of those images that are not open yet. */
static uint64_t paths_wait(const struct gate *gate)
{
    uint64_t longest = 0;

    for (uint32_t i = 0; i < gate->n_images; i++) {
        uint64_t wait = is_open(gate, i)
                            ? 0
                            : gate_counts_wait_path(gate->gates->counts, &gate->images[i].path);
        longest = wait > longest ? wait : longest;
    }
    return longest;
}

/* Whether there is a place in the queue must not depend on whether there is anything to check. */
static void begin_checks(struct gate *gate, bool hopeless)
{
    int r = hopeless ? make_up(gate, 0) : check_all(gate);

    if (r < 0) {
        say(gate, "Too many passwords are just being checked; try again in a moment.");
        refuse_at_moment(gate);
        return;
    }
    if (hopeless) {
        count_failure(gate);
    }
    if (r > 0) {
        refuse_at_moment(gate);
    }
}

static void decide(struct gate *gate)
{
    uint32_t cost;

    if (all_open(gate)) {
        let_through(gate);
        return;
    }
    uint64_t wait = gate->n_passwords > 0 ? paths_wait(gate) : 0;
    if (wait > 0) {
        say_wait(gate, "for one of these images", wait);
        refuse_at_moment(gate);
        return;
    }
    uint32_t checks = needed_hashes(gate, &cost) * gate->n_passwords;
    bool too_many = gate->found->too_many || checks > GATE_CHECKS_MAX ||
                    cost * gate->n_passwords > GATE_CHECKS_MAX * PASSWD_COST_DEFAULT;
    if (too_many) {
        log_write(LOG_LEVEL_WARN, "password.limit", NULL,
                  "%s: %u images and %u passwords would need more than %u checks", gate->asker,
                  gate->n_images, gate->n_passwords, GATE_CHECKS_MAX);
    }
    begin_checks(gate, too_many || checks == 0);
}

/* -- reading -- */

static void read_in_worker(int fd, void *user_data)
{
    const struct gate *gate = user_data;

    gate_read(fd, gate->gates->broker->images_fd, gate->images, gate->n_images);
}

static bool is_well_formed(const struct gate_found *found, uint32_t n_images)
{
    bool well = found->n_images == n_images && found->n_hashes <= GATE_CHECKS_MAX;

    for (uint32_t i = 0; well && i < found->n_hashes; i++) {
        well = found->hashes[i].guard < GUARDS_MAX;
    }
    return well;
}

static void read_heard(const void *message, size_t length, int *fds, unsigned n_fds,
                       void *user_data)
{
    struct gate *gate = user_data;

    while (n_fds > 0) {
        close(fds[--n_fds]);
    }
    if (gate->found == NULL && length == sizeof *gate->found &&
        is_well_formed(message, gate->n_images)) {
        gate->found = malloc(sizeof *gate->found);
        if (gate->found != NULL) {
            memcpy(gate->found, message, sizeof *gate->found);
        }
    }
}

static void read_gone(void *user_data)
{
    struct gate *gate = user_data;
    struct broker *broker = gate->gates->broker;

    gate->worker = NULL;
    loop_cancel(&gate->timer);
    if (gate->answer == NULL) {
        gate_free(gate);
    } else if (gate->found == NULL) {
        say(gate, "The repository could not be read; see the broker's log.");
        refuse_at_moment(gate);
    } else {
        decide(gate);
    }
    if (broker->stopping) {
        share_settle_all(broker);
    }
}

static void read_overdue(void *user_data)
{
    struct gate *gate = user_data;

    gate->timer = NULL;
    log_write(LOG_LEVEL_WARN, "password.read", NULL,
              "the password files could not be read within %d s; does the disk answer?",
              READ_LIMIT_S);
    worker_kill(gate->worker);
}

static unsigned readers(const struct gates *gates)
{
    unsigned n = 0;

    for (const struct gate *gate = gates->first; gate != NULL; gate = gate->next) {
        n += gate->worker != NULL;
    }
    return n;
}

/* Before anything is looked at: from the loop, so that no answer comes from within gate_ask(). */
static void begin(void *user_data)
{
    struct gate *gate = user_data;
    struct loop *loop = gate->gates->broker->loop;
    uint64_t wait = gate->n_passwords == 0
                        ? 0
                        : gate_counts_wait(gate->gates->counts, &gate->requester, gate->peer);

    gate->timer = NULL;
    if (wait > 0) {
        say_wait(gate, "from this address", wait);
        refuse(gate, -EBUSY);
        return;
    }
    int r = readers(gate->gates) >= READERS_MAX ? -EBUSY : 0;
    if (r == 0) {
        r = loop_at(loop, loop_now() + READ_LIMIT_S * NS_PER_S, read_overdue, gate, &gate->timer);
    }
    if (r == 0) {
        r = worker_start(loop, read_in_worker, read_heard, read_gone, gate, &gate->worker);
    }
    if (r < 0) {
        loop_cancel(&gate->timer);
        say(gate, "Too many requests are just being checked; try again in a moment.");
        refuse(gate, -EBUSY);
    }
}

/* -- asking -- */

static void take_passwords(struct gate *gate, const struct texts *passwords)
{
    for (size_t i = 0; i < passwords->count; i++) {
        bool before = gate->n_passwords == GATE_PASSWORDS_MAX;
        for (uint32_t p = 0; !before && p < gate->n_passwords; p++) {
            before = strcmp(gate->passwords[p], passwords->items[i]) == 0;
        }
        if (!before) {
            gate->passwords[gate->n_passwords++] = passwords->items[i];
        }
    }
}

/* In whose name checks are made: of IPv6 the network's half. */
static void name_asker(struct gate *gate)
{
    struct address address = gate->requester;
    char text[ADDRESS_TEXT_SIZE];

    if (address.family == AF_INET6) {
        memset(address.bytes + 8, 0, 8);
    }
    address_format(&address, text);
    snprintf(gate->asker, sizeof gate->asker, "%s", text);
}

int gate_ask(struct gates *gates, const struct gate_request *request, gate_answer *answer,
             void *user_data, struct gate **ret)
{
    CLEANUP_FREE struct gate *gate = calloc(1, sizeof *gate);
    CLEANUP_FREE struct gate_image *images = calloc(request->n_images + 1, sizeof *images);

    if (gate == NULL || images == NULL || request->n_images > GATE_IMAGES_MAX) {
        return -ENOMEM;
    }
    memcpy(images, request->images, request->n_images * sizeof *images);
    gate->gates = gates;
    gate->requester = request->requester;
    gate->peer = request->peer;
    gate->n_images = request->n_images;
    gate->started_ns = loop_now();
    gate->answer = answer;
    gate->user_data = user_data;
    take_passwords(gate, request->passwords);
    name_asker(gate);
    int r = loop_at(gates->broker->loop, gate->started_ns, begin, gate, &gate->timer);
    if (r < 0) {
        return r;
    }
    gate->images = TAKE_PTR(images);
    gate->next = gates->first;
    gates->first = gate;
    *ret = TAKE_PTR(gate);
    return 0;
}

void gate_cancel(struct gate **gate)
{
    if (*gate == NULL) {
        return;
    }
    (*gate)->answer = NULL;
    if ((*gate)->worker != NULL) {
        worker_kill((*gate)->worker); /* freed when it is gone */
    } else {
        gate_free(*gate);
    }
    *gate = NULL;
}

/* -- all of them -- */

int gates_open(struct broker *broker, uint64_t moment_ns, struct gates **ret)
{
    CLEANUP_FREE struct gates *gates = calloc(1, sizeof *gates);

    if (gates == NULL) {
        return -ENOMEM;
    }
    gates->broker = broker;
    gates->moment_ns = moment_ns;
    int r = gate_counts_open(&gates->counts);
    if (r == 0) {
        *ret = TAKE_PTR(gates);
    }
    return r;
}

bool gates_reading(const struct gates *gates)
{
    return readers(gates) > 0;
}

void gates_close(struct gates *gates)
{
    if (gates == NULL) {
        return;
    }
    while (gates->first != NULL) {
        gate_free(gates->first);
    }
    gate_counts_close(gates->counts);
    free(gates);
}
