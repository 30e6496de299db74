/* What callbacks may do to each other while one batch of events is handled. */
#include "loop.h"

#include "cleanup.h"
#include "test.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#define NS_PER_MS 1000000ull

static struct loop *loop;
static char letter_a[] = "a", letter_b[] = "b", letter_c[] = "c", letter_d[] = "d",
            letter_v[] = "v";
static char order[32];

static void note(char letter)
{
    size_t used = strlen(order);

    if (used + 1 < sizeof order) {
        order[used] = letter;
        order[used + 1] = '\0';
    }
}

static void begin(void)
{
    order[0] = '\0';
    CHECK(loop_open(&loop) == 0);
}

static void stop(void *user_data)
{
    (void)user_data;
    loop_stop(loop);
}

/* Runs for so long, at most. */
static void run_for(uint64_t ms)
{
    struct loop_timer *timer = NULL;

    CHECK(loop_at(loop, loop_now() + ms * NS_PER_MS, stop, NULL, &timer) == 0);
    CHECK(loop_run(loop) == 0);
}

static void elapsed(void *user_data)
{
    note(*(const char *)user_data);
}

static void timers_in_order(void)
{
    struct loop_timer *timers[4];

    begin();
    uint64_t now = loop_now();
    CHECK(loop_at(loop, now + 20 * NS_PER_MS, elapsed, letter_d, &timers[0]) == 0);
    CHECK(loop_at(loop, now + 5 * NS_PER_MS, elapsed, letter_b, &timers[1]) == 0);
    CHECK(loop_at(loop, now + 5 * NS_PER_MS, elapsed, letter_c, &timers[2]) == 0);
    CHECK(loop_at(loop, 0, elapsed, letter_a, &timers[3]) == 0); /* passed long ago */
    run_for(40);
    CHECK_TEXT(order, "abcd");
    loop_close(loop);
}

static struct loop_timer *victim;

static void cancel_victim(void *user_data)
{
    (void)user_data;
    note('c');
    loop_cancel(&victim);
    loop_cancel(&victim); /* nothing any more */
}

static void timer_cancels_one_that_is_due(void)
{
    struct loop_timer *timer = NULL;

    begin();
    CHECK(loop_at(loop, 1, cancel_victim, NULL, &timer) == 0);
    CHECK(loop_at(loop, 2, elapsed, letter_v, &victim) == 0);
    run_for(10);
    CHECK_TEXT(order, "c");
    loop_close(loop);
}

static void set_again(void *user_data)
{
    struct loop_timer **timer = user_data;

    *timer = NULL;
    note('a');
    if (strlen(order) < 3) {
        loop_at(loop, loop_now() + NS_PER_MS, set_again, timer, timer);
    }
}

static void timer_sets_itself_again(void)
{
    struct loop_timer *timer = NULL;

    begin();
    CHECK(loop_at(loop, 1, set_again, &timer, &timer) == 0);
    run_for(20);
    CHECK_TEXT(order, "aaa");
    CHECK(timer == NULL);
    loop_close(loop);
}

struct pair {
    struct loop_watch *watch, *other;
    int fd, other_fd, instead;
};

static void other_ready(uint32_t events, void *user_data)
{
    (void)events;
    (void)user_data;
    note('o');
}

/* Whichever of two comes first takes the other away, and itself. */
static void take_both_away(uint32_t events, void *user_data)
{
    struct pair *pair = user_data;

    (void)events;
    note('x');
    loop_unwatch(&pair->watch);
    loop_unwatch(&pair->other);
}

static void watch_removed_in_its_batch(void)
{
    CLEANUP_CLOSE int a = eventfd(1, EFD_CLOEXEC);
    CLEANUP_CLOSE int b = eventfd(1, EFD_CLOEXEC);
    struct pair pair = {0};

    begin();
    CHECK(loop_watch(loop, a, EPOLLIN, take_both_away, &pair, &pair.watch) == 0);
    CHECK(loop_watch(loop, b, EPOLLIN, take_both_away, &pair, &pair.other) == 0);
    run_for(10);
    CHECK_TEXT(order, "x");
    CHECK(pair.watch == NULL && pair.other == NULL);
    loop_close(loop);
}

/* The other descriptor is closed, and its number is that of something quiet now. */
static void reuse_number(uint32_t events, void *user_data)
{
    struct pair *pair = user_data;

    (void)events;
    note('x');
    loop_unwatch(&pair->watch);
    loop_unwatch(&pair->other);
    close(pair->other_fd);
    pair->instead = eventfd(0, EFD_CLOEXEC);
    CHECK(pair->instead == pair->other_fd);
    CHECK(loop_watch(loop, pair->instead, EPOLLIN, other_ready, NULL, &pair->other) == 0);
}

static void number_reused_in_a_batch(void)
{
    struct pair first = {.fd = eventfd(1, EFD_CLOEXEC), .other_fd = eventfd(1, EFD_CLOEXEC)};

    begin();
    CHECK(loop_watch(loop, first.fd, EPOLLIN, reuse_number, &first, &first.watch) == 0);
    CHECK(loop_watch(loop, first.other_fd, EPOLLIN, other_ready, NULL, &first.other) == 0);
    run_for(10);
    CHECK_TEXT(order, "x");
    loop_unwatch(&first.other);
    close(first.fd);
    close(first.instead);
    loop_close(loop);
}

static void change_events(void)
{
    CLEANUP_CLOSE int fd = eventfd(1, EFD_CLOEXEC);
    struct loop_watch *watch = NULL;

    begin();
    CHECK(loop_watch(loop, fd, EPOLLIN, other_ready, NULL, &watch) == 0);
    CHECK(loop_change(watch, 0) == 0);
    run_for(10);
    CHECK_TEXT(order, "");
    loop_unwatch(&watch);
    loop_close(loop);
}

TEST_MAIN({"timers elapse in order, the past first", timers_in_order},
          {"a timer cancels one that is due as well", timer_cancels_one_that_is_due},
          {"a timer sets itself again", timer_sets_itself_again},
          {"a watch removed in its batch is not called", watch_removed_in_its_batch},
          {"a number reused in a batch gets no old event", number_reused_in_a_batch},
          {"events can be changed", change_events})
