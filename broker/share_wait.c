/*
 * Who waits for a share, and what for.
 */
#include "share.h"

#include "messages.h"
#include "share_steps.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

static void waiter_abandoned(struct connection *connection, void *user_data)
{
    struct share_waiter *waiter = user_data;
    struct share *share = waiter->share;
    struct share_waiter **place = &share->waiters;
    bool creator = waiter->what == WAIT_CREATE;

    (void)connection;
    while (*place != waiter) {
        place = &(*place)->next;
    }
    *place = waiter->next;
    free(waiter);
    if (creator && share->state == SHARE_PREPARING) {
        share_end(share, "the request was abandoned");
    }
}

int share_wait(struct share *share, struct connection *connection, enum share_waiting what)
{
    struct share_waiter *waiter = calloc(1, sizeof *waiter);

    if (waiter == NULL) {
        return -ENOMEM;
    }
    *waiter = (struct share_waiter){
        .next = share->waiters, .share = share, .connection = connection, .what = what};
    share->waiters = waiter;
    connection_later(connection, waiter_abandoned, waiter);
    return 0;
}

void share_progress(struct share *share, uint32_t step, uint32_t steps, const char *text)
{
    struct message_progress progress = {
        .step = step, .steps = steps, .text = (char *)(uintptr_t)text};

    for (struct share_waiter *w = share->waiters; w != NULL; w = w->next) {
        if (w->what != WAIT_REMOVE) {
            connection_send(w->connection, MESSAGE_PROGRESS, &progress);
        }
    }
}

struct connection *share_next_waiter(struct share *share, enum share_waiting what,
                                     enum share_waiting *ret_what)
{
    struct share_waiter **place = &share->waiters;

    while (*place != NULL && what != WAIT_NONE && (*place)->what != what) {
        place = &(*place)->next;
    }
    struct share_waiter *waiter = *place;
    if (waiter == NULL) {
        return NULL;
    }
    struct connection *connection = waiter->connection;
    *place = waiter->next;
    if (ret_what != NULL) {
        *ret_what = waiter->what;
    }
    free(waiter);
    return connection;
}
