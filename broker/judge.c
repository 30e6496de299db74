#include "judge.h"

#include "cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct judgement {
    struct broker *broker;
    struct connection *connection;
    char id[SHARE_ID_SIZE];
    struct access access;
    const void *body;
    uint32_t n_images;
    struct gate *gate;
    judge_passed *passed;
};

/* Others did not wait meanwhile: the share may have ended, and its name be another's. */
static struct share *same_share(const struct judgement *judgement)
{
    struct share *share = judgement->broker->shares;

    while (share != NULL &&
           (strcmp(share->row.id, judgement->id) != 0 || share->state != SHARE_ACTIVE)) {
        share = share->next;
    }
    return share;
}

static void judged(const struct gate_verdict *verdict, void *user_data)
{
    CLEANUP_FREE struct judgement *judgement = user_data;
    struct share *share = same_share(judgement);

    connection_later(judgement->connection, NULL, NULL);
    if (verdict->error < 0) {
        connection_refuse(judgement->connection, verdict->field, "%s", verdict->sentence);
    } else if (share == NULL) {
        connection_refuse(judgement->connection, "user", "The share has ended.");
    } else {
        judgement->passed(judgement->connection, share, &judgement->access, judgement->body,
                          verdict->seals, judgement->n_images);
    }
}

static void abandoned(struct connection *connection, void *user_data)
{
    struct judgement *judgement = user_data;

    (void)connection;
    gate_cancel(&judgement->gate);
    free(judgement);
}

void judge(struct connection *connection, struct share *share, const struct access *access,
           const void *body, const struct gate_image *images, uint32_t count,
           const struct texts *passwords, judge_passed *passed)
{
    struct judgement *judgement = calloc(1, sizeof *judgement);
    const struct gate_request request = {.requester = access->asker.address,
                                         .peer = connection_peer(connection)->uid,
                                         .images = images,
                                         .n_images = count,
                                         .passwords = passwords};
    int r = -ENOMEM;

    if (judgement != NULL) {
        *judgement = (struct judgement){.broker = share->broker,
                                        .connection = connection,
                                        .access = *access,
                                        .body = body,
                                        .n_images = count,
                                        .passed = passed};
        memcpy(judgement->id, share->row.id, sizeof judgement->id);
        r = gate_ask(share->broker->gates, &request, judged, judgement, &judgement->gate);
    }
    if (r < 0) {
        free(judgement);
        connection_refuse(connection, "", "The broker is out of memory.");
        return;
    }
    connection_later(connection, abandoned, judgement);
}
