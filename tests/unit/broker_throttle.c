/* Counting failures: the waits, the forgetting, and that nothing makes a key forget early. */
#include "throttle.h"

#include "test.h"

#include <stdlib.h>

#define S 1000000000ull

static const struct throttle_limits limits = {
    .free = 3, .forget_s = 60, .first_s = 2, .most_s = 20};

static struct throttle *open_it(void)
{
    struct throttle *throttle = NULL;
    CHECK(throttle_open(&limits, &throttle) == 0);
    return throttle;
}

static uint64_t wait_of(const struct throttle *throttle, const char *key, uint64_t now)
{
    return throttle_wait(throttle, key, strlen(key), now);
}

static void fail(struct throttle *throttle, const char *key, uint64_t now)
{
    throttle_fail(throttle, key, strlen(key), now);
}

static void waits_double_up_to_the_longest(void)
{
    static const uint64_t want[] = {0, 0, 0, 2, 4, 8, 16, 20, 20, 20};
    struct throttle *throttle = open_it();
    CHECK(wait_of(throttle, "alice", 5 * S) == 0);
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        fail(throttle, "alice", 5 * S);
        CHECK(wait_of(throttle, "alice", 5 * S) == want[i] * S);
    }
    CHECK(wait_of(throttle, "alice", 6 * S) == 19 * S);
    CHECK(wait_of(throttle, "alice", 25 * S) == 0);
    CHECK(wait_of(throttle, "bob", 5 * S) == 0);
    CHECK(wait_of(throttle, "", 5 * S) == 0);
    throttle_close(throttle);
}

static void failures_are_forgotten_one_by_one(void)
{
    struct throttle *throttle = open_it();
    for (int i = 0; i < 5; i++) {
        fail(throttle, "k", 100 * S);
    }
    CHECK(wait_of(throttle, "k", 100 * S) == 4 * S);
    /* two are forgotten by now: the next is the fourth again */
    fail(throttle, "k", 100 * S + 120 * S);
    CHECK(wait_of(throttle, "k", 220 * S) == 2 * S);
    /* and all of them */
    fail(throttle, "k", 100000 * S);
    CHECK(wait_of(throttle, "k", 100000 * S) == 0);
    throttle_close(throttle);
}

static void a_later_shorter_wait_does_not_cut_a_longer_one(void)
{
    struct throttle *throttle = open_it();
    for (int i = 0; i < 30; i++) {
        fail(throttle, "k", 0);
    }
    CHECK(wait_of(throttle, "k", 1) == 20 * S - 1);
    fail(throttle, "k", 1);
    CHECK(wait_of(throttle, "k", 1) >= 20 * S - 1);
    throttle_close(throttle);
}

/* The attack on a table that evicts: failures under thousands of other keys, to be forgotten. */
static void other_keys_make_nobody_forget(void)
{
    struct throttle *throttle = open_it();
    char key[32];
    for (int i = 0; i < 8; i++) {
        fail(throttle, "mine", S);
    }
    for (int i = 0; i < 100000; i++) {
        snprintf(key, sizeof key, "other %d", i);
        fail(throttle, key, S);
    }
    CHECK(wait_of(throttle, "mine", S) == 20 * S);
    throttle_close(throttle);
}

/* What an attacker can cause at most in the time that a failure is remembered takes nobody's free
 * attempts away: two children check some twenty secrets a second each. */
static void other_keys_make_nobody_wait(void)
{
    struct throttle *throttle = open_it();
    char key[32];
    unsigned waiting = 0;
    for (int i = 0; i < 2400; i++) {
        snprintf(key, sizeof key, "other %d", i);
        fail(throttle, key, S);
    }
    for (int i = 0; i < 10000; i++) {
        snprintf(key, sizeof key, "honest %d", i);
        waiting += wait_of(throttle, key, S) > 0;
        waiting += i % 1000 == 0 && wait_of(throttle, key, S) > 0;
    }
    CHECK(waiting == 0);
    throttle_close(throttle);
}

/* Two processes choose other places: one cannot be studied to attack another. */
static void places_differ_between_processes(void)
{
    unsigned differ = 0;
    for (int i = 0; i < 50; i++) {
        struct throttle *throttle = open_it();
        char key[32];
        for (int j = 0; j < 60000; j++) {
            snprintf(key, sizeof key, "%d", j);
            fail(throttle, key, S);
        }
        /* with so many, some of the keys never used have to wait, and not the same ones */
        differ += wait_of(throttle, "x", S) != wait_of(throttle, "y", S);
        throttle_close(throttle);
    }
    CHECK(differ > 0 && differ < 50);
}

TEST_MAIN({"waits double, up to the longest", waits_double_up_to_the_longest},
          {"failures are forgotten one by one", failures_are_forgotten_one_by_one},
          {"a later, shorter wait does not cut a longer one",
           a_later_shorter_wait_does_not_cut_a_longer_one},
          {"other keys make nobody forget", other_keys_make_nobody_forget},
          {"other keys make nobody wait", other_keys_make_nobody_wait},
          {"places differ between processes", places_differ_between_processes})
