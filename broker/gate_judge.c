/*
 * The real checks; and only when these do not suffice, those that make up the work, and the
 * counting.
 */
#include "gate_steps.h"

#include "cleanup.h"
#include "log.h"
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_S     1000000000ull
#define CHECKS_LEAST 16 /* a request that fails costs so many, or four for each password */
#define CHECKS_EACH  4

/* -- saying it -- */

void gate_say(struct gate *gate, const char *format, ...)
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
    gate_finish(gate, &(struct gate_verdict){.field = "", .sentence = "", .seals = seals});
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
    gate_say(
        gate, "The image %s is not in the repository, or needs a password that was not given%s.",
        name.data != NULL ? name.data : "",
        many ? "; at most 64 checks of passwords are made for a request: name fewer images, or "
               "give fewer passwords, if these are right"
             : "");
}

void gate_say_wait(struct gate *gate, const char *whose, uint64_t wait_ns)
{
    gate_say(gate, "Too many wrong passwords were given %s; try again in %llu s.", whose,
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
    gate_refuse_at_moment(gate);
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
        gate_refuse_at_moment(gate);
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
        gate_say(gate, "Too many passwords are just being checked; try again in a moment.");
        gate_refuse_at_moment(gate);
        return;
    }
    if (hopeless) {
        count_failure(gate);
    }
    if (r > 0) {
        gate_refuse_at_moment(gate);
    }
}

void gate_judge(struct gate *gate)
{
    uint32_t cost;

    if (all_open(gate)) {
        let_through(gate);
        return;
    }
    uint64_t wait = gate->n_passwords > 0 ? paths_wait(gate) : 0;
    if (wait > 0) {
        gate_say_wait(gate, "for one of these images", wait);
        gate_refuse_at_moment(gate);
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
