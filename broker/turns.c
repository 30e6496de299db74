/*
 * Nobody is let in from within the call that made room: the caller may be in the middle of a share
 * that ends. A timer for now does it.
 */
#include "turns.h"

#include "share.h"

#include <errno.h>
#include <stdlib.h>

#define NS_PER_S 1000000000ull

struct turn {
    struct broker *broker;
    struct turn *next;
    struct loop_timer *patience;
    turn_come *come;
    void *user_data;
};

void turn_cancel(struct turn **turn)
{
    struct turn *gone = *turn;

    if (gone == NULL) {
        return;
    }
    *turn = NULL;
    struct turn **place = &gone->broker->turns;
    while (*place != gone) {
        place = &(*place)->next;
    }
    *place = gone->next;
    loop_cancel(&gone->patience);
    free(gone);
}

static void call(struct turn *turn, bool late)
{
    turn_come *come = turn->come;
    void *user_data = turn->user_data;

    turn_cancel(&turn);
    come(late, user_data);
}

static void patience_over(void *user_data)
{
    struct turn *turn = user_data;

    turn->patience = NULL;
    call(turn, true);
}

static bool has_room(const struct broker *broker)
{
    uint32_t limit = broker->settings.max_preparing;

    return !broker->stopping && (limit == 0 || share_count(broker, SHARE_PREPARING) < limit);
}

static void let_in(void *user_data)
{
    struct broker *broker = user_data;

    broker->turns_timer = NULL;
    if (broker->turns != NULL && has_room(broker)) {
        call(broker->turns, false);
        turns_go_on(broker);
    }
}

void turns_go_on(struct broker *broker)
{
    if (broker->turns != NULL && broker->turns_timer == NULL && has_room(broker)) {
        loop_at(broker->loop, loop_now(), let_in, broker, &broker->turns_timer);
    }
}

int turn_wait(struct broker *broker, turn_come *come, void *user_data, struct turn **ret_turn)
{
    struct turn **place = &broker->turns;
    unsigned n = 0;

    for (; *place != NULL; place = &(*place)->next) {
        n++;
    }
    struct turn *turn = n < TURNS_MAX ? calloc(1, sizeof *turn) : NULL;
    if (turn == NULL) {
        return n < TURNS_MAX ? -ENOMEM : -EAGAIN;
    }
    *turn = (struct turn){.broker = broker, .come = come, .user_data = user_data};
    int r = loop_at(broker->loop, loop_now() + TURNS_PATIENCE_S * NS_PER_S, patience_over, turn,
                    &turn->patience);
    if (r < 0) {
        free(turn);
        return r;
    }
    *place = turn;
    *ret_turn = turn;
    return 0;
}
