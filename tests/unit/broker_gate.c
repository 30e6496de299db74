/*
 * Which images a user gets, with real password files and real checks: every level, passwords in any
 * order, odd files, limits, counters; and what a refusal tells. Needs root.
 */
#include "gate.h"

#include "beneath.h"
#include "cleanup.h"
#include "gate_count.h"
#include "guards.h"
#include "test.h"
#include "verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECKER_UID 2100900001u
#define COPY_SIZE   4096
#define MOMENT_NS   100000000ull

/* Cheap hashes (bcrypt, 4) of "one", "two", "three". */
#define ONE   "$2b$04$abcdefghijklmnopqrstuuuiMd1XkP3MYkehzxpPHB6m5Tr0FZSYG"
#define TWO   "$2b$04$abcdefghijklmnopqrstuuIHDRnKw4Zdb/3/EAZQMg/2vwJPJBL7u"
#define THREE "$2b$04$abcdefghijklmnopqrstuuTQOLWRilZE3.iskJhZKSRHBfwfeCS82"
#define CLOSED(path)                                                                               \
    "The image \"" path "\" is not in the repository, or needs a password that was not given."

static char root[] = "/tmp/cdss-gate-XXXXXX";
static struct broker broker;
static struct loop_timer *limit;

struct outcome {
    bool answered;
    int error;
    char sentence[800];
    struct gate_seal seals[GATE_IMAGES_MAX];
    uint64_t took_ns;
};

static void write_file(const char *path, const char *text)
{
    CLEANUP_CLOSE int file =
        openat(broker.images_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text));
}

static void too_long(void *user_data)
{
    (void)user_data;
    limit = NULL;
    CHECK(!"it took too long");
    loop_stop(broker.loop);
}

static void begin(void)
{
    CLEANUP_CLOSE int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(beneath_remove(tmp, root + strlen("/tmp/"), 1000000) == 0);
    CHECK(mkdir(root, 0755) == 0);
    broker = (struct broker){.shares_fd = -1};
    broker.images_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(loop_open(&broker.loop) == 0);
    CHECK(verify_open(broker.loop, CDSS_VERIFY, CHECKER_UID, &broker.verify) == 0);
    CHECK(gates_open(&broker, MOMENT_NS, &broker.gates) == 0);
    CHECK(loop_at(broker.loop, loop_now() + 100000000000ull, too_long, NULL, &limit) == 0);
    CHECK(mkdirat(broker.images_fd, "a", 0755) == 0 && mkdirat(broker.images_fd, "a/b", 0755) == 0);
    write_file("free.iso", "image");
    write_file("a/x.iso", "image");
    write_file("a/b/y.iso", "image");
    write_file("a/.passwd", ONE "\n" THREE " lab\n");
    write_file("a/b/y.iso.passwd", TWO "\n");
}

static void no_child_left(void *user_data)
{
    (void)user_data;
    loop_stop(broker.loop);
}

static void end(void)
{
    verify_stop(broker.verify, no_child_left, NULL);
    loop_run(broker.loop);
    CHECK(!gates_reading(broker.gates));
    gates_close(broker.gates);
    verify_close(broker.verify);
    loop_cancel(&limit);
    loop_close(broker.loop);
    close(broker.images_fd);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static void answered(const struct gate_verdict *verdict, void *user_data)
{
    struct outcome *outcome = user_data;
    outcome->answered = true;
    outcome->error = verdict->error;
    snprintf(outcome->sentence, sizeof outcome->sentence, "%s", verdict->sentence);
    if (verdict->error == 0) {
        memcpy(outcome->seals, verdict->seals, sizeof outcome->seals[0]);
    } else {
        CHECK_TEXT(verdict->field, "image");
    }
    loop_stop(broker.loop);
}

/* A requester with this last byte: each has counters of his own. */
static struct address requester(uint8_t last)
{
    return (struct address){.family = 2, .bytes = {10, 0, 0, last}};
}

/* Both lists are words with blanks between. */
static size_t split(const char *text, char *copy, char **items)
{
    size_t n = 0;
    snprintf(copy, COPY_SIZE, "%s", text);
    for (char *at = strtok(copy, " "); at != NULL; at = strtok(NULL, " ")) {
        items[n++] = at;
    }
    return n;
}

static struct outcome ask_from(struct address from, const char *images, const char *passwords)
{
    static struct gate_image asked[GATE_IMAGES_MAX];
    char image_copy[COPY_SIZE], password_copy[COPY_SIZE], *names[80], *words[80];
    struct outcome outcome = {0};
    struct gate *gate = NULL;
    size_t n_images = split(images, image_copy, names);
    memset(asked, 0, sizeof asked);
    for (size_t i = 0; i < n_images; i++) {
        CHECK(parse_image_path(names[i], strlen(names[i]), &asked[i].path, NULL) == 0);
    }
    const struct texts given = {words, split(passwords, password_copy, words)};
    const struct gate_request request = {.requester = from,
                                         .peer = 33,
                                         .images = asked,
                                         .n_images = (uint32_t)n_images,
                                         .passwords = &given};
    uint64_t start = loop_now();
    CHECK(gate_ask(broker.gates, &request, answered, &outcome, &gate) == 0);
    CHECK(!outcome.answered);
    loop_run(broker.loop);
    outcome.took_ns = loop_now() - start;
    CHECK(outcome.answered);
    return outcome;
}

static int ask(const char *images, const char *passwords)
{
    return ask_from(requester(1), images, passwords).error;
}

static void the_right_passwords_open(void)
{
    begin();
    CHECK(ask("free.iso", "") == 0);
    CHECK(ask("free.iso", "whatever") == 0);
    CHECK(ask("a/x.iso", "one") == 0);
    CHECK(ask("a/x.iso", "three") == 0);
    CHECK(ask("a/x.iso", "nonsense one") == 0);
    CHECK(ask("a/b/y.iso", "one two") == 0);
    CHECK(ask("a/b/y.iso", "two one") == 0);
    CHECK(ask("a/b/y.iso", "two two nonsense three two") == 0);
    CHECK(ask("free.iso a/b/y.iso a/x.iso", "two three") == 0);
    end();
}

static void anything_else_does_not(void)
{
    static const char *const cases[][2] = {
        {"a/x.iso", ""},
        {"a/x.iso", "two One"},
        {"a/b/y.iso", "one"},
        {"a/b/y.iso", "two"},
        {"free.iso a/x.iso", "two"},
        {"a/no.iso", "one"},
        {"a/no/no.iso", "one two three"},
        {"no.iso", ""},
    };
    begin();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct outcome outcome = ask_from(requester((uint8_t)(10 + i)), cases[i][0], cases[i][1]);
        CHECK(outcome.error == -EACCES);
        CHECK(outcome.took_ns >= MOMENT_NS);
    }
    end();
}

/* Word for word the same for what does not exist, cannot be shared, and is guarded. */
static void a_refusal_does_not_tell_why(void)
{
    begin();
    write_file("a/open.iso", "image");
    CHECK(fchmodat(broker.images_fd, "a/open.iso", 0666, 0) == 0);
    CHECK_TEXT(ask_from(requester(1), "a/x.iso", "two").sentence, CLOSED("a/x.iso"));
    CHECK_TEXT(ask_from(requester(3), "no.iso", "two").sentence, CLOSED("no.iso"));
    CHECK_TEXT(ask_from(requester(4), "a/open.iso", "one").sentence, CLOSED("a/open.iso"));
    CHECK_TEXT(ask_from(requester(5), "a/b", "one").sentence, CLOSED("a/b"));
    /* of several it names the first */
    struct outcome outcome = ask_from(requester(6), "free.iso no.iso a/x.iso", "two");
    CHECK(strstr(outcome.sentence, "The image \"no.iso\" is not") == outcome.sentence);
    end();
}

/* The work is counted, not timed: so many children check something. */
static uint64_t children_of(const char *image, const char *passwords)
{
    static uint8_t last = 50;
    uint64_t before = verify_children(broker.verify);
    CHECK(ask_from(requester(last++), image, passwords).error == -EACCES);
    return verify_children(broker.verify) - before;
}

static void a_refusal_costs_the_same(void)
{
    static const char *const images[] = {"a/x.iso", "a/b/y.iso", "no/no.iso"};
    char default_cost[400];
    begin();
    /* hashes that cost what the dummy costs, for the count to be exact */
    snprintf(default_cost, sizeof default_cost, "%s\n%s again\n", VERIFY_DUMMY, VERIFY_DUMMY);
    default_cost[strlen(VERIFY_DUMMY) - 1] = '.';
    write_file("a/.passwd", default_cost);
    write_file("a/b/y.iso.passwd", default_cost);
    for (size_t i = 0; i < ARRAY_SIZE(images); i++) {
        CHECK(children_of(images[i], "guess") == 16);
        CHECK(children_of(images[i], "") == 0);
    }
    CHECK(children_of("a/b/y.iso", "1 2 3 4 5 6 7") == 28);
    CHECK(children_of("no.iso", "1 2 3 4 5 6 7") == 28);
    end();
}

static void odd_files_open_nothing(void)
{
    begin();
    write_file("a/.passwd", "");
    CHECK(ask("a/x.iso", "") == -EACCES);
    write_file("a/.passwd",
               "one\n*\n!\n$2b$31$abcdefghijklmnopqrstuuxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    CHECK(ask("a/x.iso", "one * !") == -EACCES);
    CHECK(unlinkat(broker.images_fd, "a/.passwd", 0) == 0);
    write_file("one", ONE);
    CHECK(symlinkat("../one", broker.images_fd, "a/.passwd") == 0);
    CHECK(ask("a/x.iso", "one") == -EACCES);
    CHECK(unlinkat(broker.images_fd, "a/.passwd", 0) == 0);
    CHECK(ask("a/x.iso", "") == 0);
    end();
}

static void seals_name_what_was_judged(void)
{
    struct guards guards = {.repository_fd = -1};
    struct guards_way way;
    struct stat status;
    begin();
    guards.repository_fd = broker.images_fd;
    struct outcome outcome = ask_from(requester(1), "a/x.iso", "one");
    CHECK(guards_walk(&guards, "a/x.iso", &way) == 0);
    CHECK(fstatat(broker.images_fd, "a/x.iso", &status, 0) == 0);
    CHECK(outcome.seals[0].sealed && outcome.seals[0].inode == status.st_ino &&
          outcome.seals[0].device == status.st_dev);
    CHECK(sha256_equal(&outcome.seals[0].guards, &way.digest));
    guards_free(&guards);
    end();
}

/* Images of a share are judged again only where their guards are not those of then. */
static void known_images(void)
{
    static struct gate_image image;
    struct texts none = {0};
    struct outcome outcome = {0};
    struct gate *gate = NULL;
    begin();
    image = (struct gate_image){.known = true};
    CHECK(parse_image_path("a/x.iso", 7, &image.path, NULL) == 0);
    image.guards = ask_from(requester(1), "a/x.iso", "one").seals[0].guards;
    const struct gate_request request = {
        .requester = requester(1), .images = &image, .n_images = 1, .passwords = &none};
    CHECK(gate_ask(broker.gates, &request, answered, &outcome, &gate) == 0);
    loop_run(broker.loop);
    CHECK(outcome.answered && outcome.error == 0);
    /* the share has it, whatever has become of its name */
    CHECK(unlinkat(broker.images_fd, "a/x.iso", 0) == 0);
    outcome = (struct outcome){0};
    CHECK(gate_ask(broker.gates, &request, answered, &outcome, &gate) == 0);
    loop_run(broker.loop);
    CHECK(outcome.answered && outcome.error == 0);
    write_file("a/.passwd", TWO);
    outcome = (struct outcome){0};
    CHECK(gate_ask(broker.gates, &request, answered, &outcome, &gate) == 0);
    loop_run(broker.loop);
    CHECK(outcome.answered && outcome.error == -EACCES);
    end();
}

/* 16 passwords and 4 hashes are 64 checks; one hash more is one too many, and looks like a wrong
 * password. */
static void a_request_has_a_most(void)
{
    static const char many[] = "one 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16";
    begin();
    write_file("a/.passwd", ONE "\n" TWO "\n" THREE "\n" ONE " again\n");
    CHECK(ask("a/x.iso", many) == 0);
    write_file("a/.passwd", ONE "\n" TWO "\n" THREE "\n" ONE " again\n" ONE " and again\n");
    struct outcome outcome = ask_from(requester(2), "a/x.iso", many);
    CHECK(outcome.error == -EACCES);
    CHECK(strstr(outcome.sentence, "at most 64 checks") != NULL);
    CHECK_TEXT(ask_from(requester(3), "no.iso", many).sentence,
               "The image \"no.iso\" is not in the repository, or needs a password that was not "
               "given; at most 64 checks of passwords are made for a request: name fewer images, "
               "or give fewer passwords, if these are right.");
    CHECK(ask("a/x.iso", "one 2 3") == 0);
    end();
}

/* -- counters -- */

static void who_guesses_waits(void)
{
    struct outcome outcome = {0};
    begin();
    for (int i = 0; i < 20 && outcome.error != -EBUSY; i++) {
        outcome = ask_from(requester(1), "no.iso", "guess");
        CHECK(outcome.error == (i < 6 ? -EACCES : -EBUSY) || i > 5);
    }
    CHECK(outcome.error == -EBUSY && outcome.took_ns < MOMENT_NS);
    CHECK(strstr(outcome.sentence, "Too many wrong passwords were given from this address; try "
                                   "again in ") == outcome.sentence);
    CHECK(ask_from(requester(1), "free.iso", "").error == 0); /* who guesses nothing */
    CHECK(ask_from(requester(2), "a/x.iso", "one").error == 0);
    end();
}

static uint64_t wait_of(const struct gate_counts *counts, const char *path)
{
    struct image_path parsed;
    CHECK(parse_image_path(path, strlen(path), &parsed, NULL) == 0);
    return gate_counts_wait_path(counts, &parsed);
}

static void fail(struct gate_counts *counts, struct address from, uid_t peer, const char *path)
{
    struct image_path parsed;
    CHECK(parse_image_path(path, strlen(path), &parsed, NULL) == 0);
    gate_counts_fail(counts, &from, peer, &(const struct image_path *){&parsed}, 1);
}

static void what_is_guessed_at_waits(void)
{
    struct gate_counts *counts = NULL;
    char path[64];
    CHECK(gate_counts_open(&counts) == 0);
    for (uint8_t i = 0; i < 21; i++) {
        CHECK(wait_of(counts, "a/x.iso") == 0);
        fail(counts, requester(i), 1000u + i, "a/x.iso");
    }
    CHECK(wait_of(counts, "a/x.iso") > 0);
    CHECK(wait_of(counts, "a/y.iso") == 0 && wait_of(counts, "a/b/x.iso") == 0);
    for (uint8_t i = 0; i < 40; i++) { /* all over the directory */
        snprintf(path, sizeof path, "a/%u/no.iso", i);
        fail(counts, requester(100 + i), 1100u + i, path);
    }
    CHECK(wait_of(counts, "a/y.iso") > 0 && wait_of(counts, "a/never/seen.iso") > 0);
    CHECK(wait_of(counts, "a") == 0 && wait_of(counts, "ab/y.iso") == 0);
    gate_counts_close(counts);
}

static void a_directory_counts_once_a_request(void)
{
    static struct image_path parsed[64];
    const struct image_path *paths[64];
    struct gate_counts *counts = NULL;
    const struct address from = requester(1);
    CHECK(gate_counts_open(&counts) == 0);
    for (int i = 0; i < 64; i++) {
        char path[64];
        snprintf(path, sizeof path, "a/b/%d.iso", i);
        CHECK(parse_image_path(path, strlen(path), &parsed[i], NULL) == 0);
        paths[i] = &parsed[i];
    }
    gate_counts_fail(counts, &from, 33, paths, 64);
    CHECK(wait_of(counts, "a/b/new.iso") == 0);
    for (int i = 0; i < 60; i++) {
        gate_counts_fail(counts, &from, 33, paths, 64);
    }
    CHECK(wait_of(counts, "a/b/new.iso") > 0);
    gate_counts_close(counts);
}

/* A front end that invents addresses is one peer; a network of IPv6 is one requester. */
static void peers_and_networks(void)
{
    struct gate_counts *counts = NULL;
    char path[64];
    CHECK(gate_counts_open(&counts) == 0);
    for (unsigned i = 0; i < 61; i++) {
        struct address from = {.family = 10, .bytes = {0xfd, (uint8_t)i}};
        CHECK(gate_counts_wait(counts, &from, 33) == 0);
        snprintf(path, sizeof path, "%u.iso", i);
        fail(counts, from, 33, path);
    }
    const struct address fresh = {.family = 10, .bytes = {0xfd, 0xff}};
    CHECK(gate_counts_wait(counts, &fresh, 33) > 0 && gate_counts_wait(counts, &fresh, 34) == 0);
    for (unsigned i = 0; i < 6; i++) {
        struct address from = fresh;
        from.bytes[15] = (uint8_t)i;
        fail(counts, from, 35 + i, "x.iso");
    }
    CHECK(gate_counts_wait(counts, &fresh, 1) > 0);
    gate_counts_close(counts);
}

/* -- who hangs up -- */

static void who_hangs_up_costs_nothing_more(void)
{
    char word[] = "one", *words[] = {word};
    const struct texts given = {words, 1};
    static struct gate_image image;
    struct outcome outcome = {0};
    begin();
    image = (struct gate_image){0};
    CHECK(parse_image_path("a/x.iso", 7, &image.path, NULL) == 0);
    const struct gate_request request = {
        .requester = requester(1), .images = &image, .n_images = 1, .passwords = &given};
    for (unsigned ms = 0; ms < 12; ms++) {
        struct gate *gate = NULL;
        struct loop_timer *timer = NULL;
        CHECK(gate_ask(broker.gates, &request, answered, &outcome, &gate) == 0);
        CHECK(loop_at(broker.loop, loop_now() + ms * 1000000ull, no_child_left, NULL, &timer) == 0);
        loop_run(broker.loop);
        if (outcome.answered) {
            loop_run(broker.loop); /* the timer's turn */
        } else {
            gate_cancel(&gate);
        }
        outcome.answered = false;
    }
    CHECK(ask("a/x.iso", "one") == 0);
    end();
}

static void set_up(void)
{
    CHECK(mkdtemp(root) != NULL);
}

static void tear_down(void)
{
    CLEANUP_CLOSE int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(beneath_remove(tmp, root + strlen("/tmp/"), 1000000) == 0);
}

TEST_MAIN({"a directory to work in", set_up},
          {"the right passwords open", the_right_passwords_open},
          {"anything else does not", anything_else_does_not},
          {"a refusal does not tell why", a_refusal_does_not_tell_why},
          {"a refusal costs the same", a_refusal_costs_the_same},
          {"odd files open nothing", odd_files_open_nothing},
          {"seals name what was judged", seals_name_what_was_judged},
          {"known images", known_images}, {"a request has a most", a_request_has_a_most},
          {"who guesses waits", who_guesses_waits},
          {"what is guessed at waits", what_is_guessed_at_waits},
          {"a directory counts once a request", a_directory_counts_once_a_request},
          {"peers and networks", peers_and_networks},
          {"who hangs up costs nothing more", who_hangs_up_costs_nothing_more},
          {"and away with it", tear_down})
