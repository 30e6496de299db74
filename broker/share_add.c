/*
 * Adding images to a live share: the preparing worker links and mounts them, the registry records
 * them, and only then the caller hears that they are there. A failure leaves the share as it was.
 */
#include "answer.h"
#include "cleanup.h"
#include "prepare.h"
#include "session.h"
#include "share_log.h"
#include "share_steps.h"
#include "stopping_point.h"

#include <errno.h>
#include <string.h>

static void recorded(int error, void *user_data)
{
    struct share *share = user_data;

    share->writes--;
    STOPPING_POINT("add.recorded");
    struct connection *connection =
        share->state == SHARE_ENDING ? NULL : share_next_waiter(share, WAIT_ADD, NULL);
    if (connection != NULL && error < 0) {
        connection_refuse(connection, "",
                          "The images are shared, but the registry cannot be written; see the "
                          "broker's log.");
    } else if (connection != NULL) {
        answer_share(connection, share);
        connection_done(connection, 0, "%s", "");
    }
    STOPPING_POINT("add.answered");
    if (share->state == SHARE_ENDING) {
        share_continue_end(share); /* which answers whoever waits */
    } else {
        share_settled(share->broker);
    }
}

void share_added(struct share *share, uint32_t count)
{
    const struct registry_image *images = share->row.images + share->row.n_images - count;

    session_end(share, &share->adding_session, true);
    share_log(LOG_LEVEL_INFO, "share.added", &share->row, "%u images", count);
    share->writes++;
    int r =
        registry_add_images(share->broker->registry, share->row.id, images, count, recorded, share);
    if (r < 0) {
        recorded(r, share);
    }
}

void share_add_failed(struct share *share, const char *field, const char *sentence)
{
    struct connection *connection = share_next_waiter(share, WAIT_ADD, NULL);

    share_log(LOG_LEVEL_WARN, "share.add", &share->row, "%s", sentence);
    if (connection != NULL) {
        connection_refuse(connection, field, "%s", sentence);
    }
}

int share_add_images(struct share *share, const struct image_path *paths,
                     const struct gate_seal *seals, uint32_t count, struct connection *connection)
{
    CLEANUP_FREE struct preparation *preparation = calloc(1, sizeof *preparation);

    if (preparation == NULL) {
        return -ENOMEM;
    }
    if (share->worker != NULL) {
        return -EBUSY;
    }
    preparation->adding = true;
    preparation->n_images = count;
    memcpy(preparation->images, paths, count * sizeof *paths);
    if (seals != NULL) {
        memcpy(preparation->seals, seals, count * sizeof *seals);
    }
    int r = share_wait(share, connection, WAIT_ADD);
    if (r == 0) {
        STOPPING_POINT("add.begun");
        r = share_start_worker(share, preparation);
        if (r < 0) {
            connection_later(share_next_waiter(share, WAIT_ADD, NULL), NULL, NULL);
        } else {
            TAKE_PTR(preparation);
        }
    }
    return r;
}
