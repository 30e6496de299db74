/*
 * A later (or earlier) end for a live share.
 */
#include "share.h"

#include "answer.h"
#include "cleanup.h"
#include "share_log.h"
#include "share_steps.h"
#include "stopping_point.h"
#include "supervision.h"

#include <errno.h>
#include <time.h>

#define NS_PER_S 1000000000ull

struct extension {
    struct share *share;
    struct connection *connection;
};

static void extended(int error, void *user_data)
{
    CLEANUP_FREE struct extension *extension = user_data;
    struct share *share = extension->share;

    share->writes--;
    STOPPING_POINT("extend.recorded");
    if (share->state != SHARE_ENDING) {
        share_log(LOG_LEVEL_INFO, "share.extended", &share->row, "it ends in %llu s%s",
                  (unsigned long long)share_remaining(share),
                  error < 0 ? ", which is not written in the registry" : "");
    }
    if (extension->connection != NULL) {
        if (share->state == SHARE_ENDING) {
            connection_refuse(extension->connection, "user", "The share of %s has ended: %s.",
                              share->row.user.text, share->reason);
        } else if (error < 0) {
            connection_refuse(extension->connection, "",
                              "The share of %s was extended, but the registry cannot be written; "
                              "see the broker's log.",
                              share->row.user.text);
        } else {
            answer_share(extension->connection, share);
            connection_done(extension->connection, 0, "%s", "");
        }
    }
    STOPPING_POINT("extend.answered");
    if (share->state == SHARE_ENDING) {
        share_continue_end(share);
    } else {
        share_settled(share->broker);
    }
}

static void extension_abandoned(struct connection *connection, void *user_data)
{
    struct extension *extension = user_data;

    (void)connection;
    extension->connection = NULL;
}

/*
 * The file first: a supervisor that wakes at the old deadline must find the new one. When that may
 * have come too late for it, the share has ended, whatever it looks like at this moment; otherwise
 * the firewall decides whether there is still something to extend.
 */
static int move_deadline(struct share *share, uint64_t seconds)
{
    struct firewall_service services[FIREWALL_SERVICES_MAX];
    struct firewall_share rules;
    uint64_t before = share->row.deadline_ns;
    uint64_t after = loop_now() + seconds * NS_PER_S;

    STOPPING_POINT("extend.begun");
    int r = share_write_deadline(share->broker, share->row.id, after);
    if (r < 0) {
        return r;
    }
    STOPPING_POINT("extend.deadline_written");
    if (loop_now() >= before) {
        return -ENOENT;
    }
    share->row.deadline_ns = after;
    share_firewall(share, services, &rules);
    r = firewall_share_extend(share->broker->firewall, &rules);
    if (r < 0) {
        share->row.deadline_ns = before;
        share_write_deadline(share->broker, share->row.id, before);
        return r;
    }
    STOPPING_POINT("extend.firewall_extended");
    share->row.ends = (uint64_t)time(NULL) + seconds;
    supervision_reload(share->broker->run_shares_fd, share->row.id);
    STOPPING_POINT("extend.supervisor_told");
    return share_set_timer(share);
}

int share_extend(struct share *share, uint64_t seconds, struct connection *connection)
{
    CLEANUP_FREE struct extension *extension = calloc(1, sizeof *extension);

    if (extension == NULL) {
        return -ENOMEM;
    }
    if (share->state != SHARE_ACTIVE || share->row.deadline_ns <= loop_now()) {
        return -ENOENT;
    }
    int r = move_deadline(share, seconds);
    if (r == -ENOENT) {
        share_end(share, "expired");
    }
    if (r < 0) {
        return r;
    }
    *extension = (struct extension){.share = share, .connection = connection};
    share->writes++;
    r = registry_extend(share->broker->registry, share->row.id, share->row.ends,
                        share->row.deadline_ns, extended, extension);
    if (r < 0) {
        share->writes--;
        return r;
    }
    connection_later(connection, extension_abandoned, extension);
    TAKE_PTR(extension);
    return 0;
}
