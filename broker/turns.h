/*
 * Who waits until fewer shares are being prepared ([policy] max_preparing): a line, in the order of
 * coming. Whoever waits holds nothing but his connection.
 */
#pragma once

#include "broker.h"

#define TURNS_MAX        64 /* in the line; who comes then is refused */
#define TURNS_PATIENCE_S 60

struct turn;

/* Called once, when it is his turn, or when his patience is over (`late`); the turn is gone then.
 */
typedef void turn_come(bool late, void *user_data);

/* Joins the line. 0 with *ret_turn for turn_cancel(); -EAGAIN: it is too long; -ENOMEM. */
int turn_wait(struct broker *broker, turn_come *come, void *user_data, struct turn **ret_turn);
/* Leaves it; nothing when *turn is NULL. */
void turn_cancel(struct turn **turn);

/* A share is prepared, or will not be: lets those in whose turn it is, at the loop's next turn. */
void turns_go_on(struct broker *broker);
