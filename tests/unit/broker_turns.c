#include "share.h"
#include "test.h"
#include "turns.h"

#include <errno.h>
#include <string.h>

static struct broker broker;
static struct share preparing[2];
static char order[TURNS_MAX + 8];
static struct turn *turns[TURNS_MAX + 1];

/* Each that is let in is one more that is prepared. */
static void come(bool late, void *user_data)
{
    size_t n = strlen(order);

    CHECK(!late);
    order[n] = *(char *)user_data;
    preparing[n % 2].state = SHARE_PREPARING;
}

static void begin(uint32_t limit)
{
    memset(&broker, 0, sizeof broker);
    memset(order, 0, sizeof order);
    CHECK(loop_open(&broker.loop) == 0);
    broker.settings.max_preparing = limit;
    preparing[0] = (struct share){.broker = &broker, .state = SHARE_PREPARING};
    preparing[1] = (struct share){.broker = &broker, .state = SHARE_ACTIVE};
    preparing[0].next = &preparing[1];
    broker.shares = preparing;
}

static void stop(void *user_data)
{
    loop_stop(user_data);
}

/* For 20 ms. */
static void run(void)
{
    struct loop_timer *timer = NULL;

    CHECK(loop_at(broker.loop, loop_now() + 20000000, stop, broker.loop, &timer) == 0);
    CHECK(loop_run(broker.loop) == 0);
}

static void lets_in_by_turns(void)
{
    static char names[] = "abc";
    begin(1);
    for (int i = 0; i < 3; i++) {
        CHECK(turn_wait(&broker, come, &names[i], &turns[i]) == 0);
    }
    turns_go_on(&broker); /* there is no room */
    preparing[0].state = SHARE_ACTIVE;
    turns_go_on(&broker);
    turns_go_on(&broker);
    CHECK_TEXT(order, ""); /* never from within */
    run();
    CHECK_TEXT(order, "a"); /* which took the room that there was */
    turn_cancel(&turns[1]);
    CHECK(turns[1] == NULL);
    turn_cancel(&turns[1]);
    CHECK(broker.turns == turns[2]);
    turn_cancel(&turns[2]);
    CHECK(broker.turns == NULL);
    loop_close(broker.loop);
}

static void lets_in_all_that_there_is_room_for(void)
{
    static char names[] = "abc";
    begin(2);
    preparing[0].state = SHARE_ACTIVE;
    for (int i = 0; i < 3; i++) {
        CHECK(turn_wait(&broker, come, &names[i], &turns[i]) == 0);
    }
    turns_go_on(&broker);
    run();
    CHECK_TEXT(order, "ab");
    turn_cancel(&turns[2]);
    loop_close(broker.loop);
}

static void lets_nobody_in_when_stopping(void)
{
    static char name[] = "a";
    begin(0);
    CHECK(turn_wait(&broker, come, name, &turns[0]) == 0);
    broker.stopping = true;
    turns_go_on(&broker);
    run();
    CHECK_TEXT(order, "");
    turn_cancel(&turns[0]);
    loop_close(broker.loop);
}

static void is_no_longer_than_it_may_be(void)
{
    static char name[] = "a";
    begin(1);
    for (unsigned i = 0; i < TURNS_MAX; i++) {
        CHECK(turn_wait(&broker, come, name, &turns[i]) == 0);
    }
    CHECK(turn_wait(&broker, come, name, &turns[TURNS_MAX]) == -EAGAIN);
    for (unsigned i = 0; i < TURNS_MAX; i++) {
        turn_cancel(&turns[i]);
    }
    loop_close(broker.loop);
}

TEST_MAIN({"lets_in_by_turns", lets_in_by_turns},
          {"lets_in_all_that_there_is_room_for", lets_in_all_that_there_is_room_for},
          {"lets_nobody_in_when_stopping", lets_nobody_in_when_stopping},
          {"is_no_longer_than_it_may_be", is_no_longer_than_it_may_be})
