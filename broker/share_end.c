/*
 * Ending a share goes on in share_continue_end() whenever one of the things that it waits for has
 * happened: the worker is gone, PID 1 is gone, the registry has answered. Its order is that of
 * docs/architecture.md, "Ending a share".
 */
#include "share.h"

#include "beneath.h"
#include "readers.h"
#include "share_log.h"
#include "share_steps.h"
#include "stopping_point.h"
#include "tree.h"
#include "turns.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#define CLEARINGS   3   /* workers, if one after the other dies */
#define CLEAR_TRIES 200 /* x 10 ms for the last process to leave a control group */

static void answer_ended(struct share *share)
{
    enum share_waiting what;
    struct connection *connection;
    const char *user = share->row.user.text;

    while ((connection = share_next_waiter(share, WAIT_NONE, &what)) != NULL) {
        if (what == WAIT_REMOVE) {
            connection_done(connection, 0, "The share of %s has ended.", user);
        } else if (share->sentence[0] != '\0') {
            connection_refuse(connection, share->field, "%s", share->sentence);
        } else {
            connection_refuse(connection, "", "The share of %s has ended: %s.", user,
                              share->reason);
        }
    }
}

static void row_closed(int error, void *user_data)
{
    struct share *share = user_data;

    share->writes--;
    if (error < 0) {
        share_log(LOG_LEVEL_ERROR, "share.end", &share->row,
                  "the registry could not be written: %s", strerror(-error));
    }
    STOPPING_POINT("end.row_closed");
    share_log(LOG_LEVEL_INFO, "share.ended", &share->row, "%s", share->reason);
    answer_ended(share);
    STOPPING_POINT("end.answered");
    share_free(share);
}

/* In the worker: what may wait. Each step may find its work done already. */
static void clear_away(int fd, void *user_data)
{
    const struct share *share = user_data;
    struct broker *broker = share->broker;
    const char *id = share->row.id;
    int r;

    cgroup_kill(broker->cgroups, id);
    for (int i = 0; (r = cgroup_remove(broker->cgroups, id)) == -EBUSY && i < CLEAR_TRIES; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    if (r < 0) {
        share_log(LOG_LEVEL_ERROR, "share.end", &share->row, "its control group stays: %s",
                  strerror(-r));
    }
    STOPPING_POINT("end.group_removed");
    r = tree_remove(broker->shares_fd, id);
    if (r < 0) {
        share_log(LOG_LEVEL_ERROR, "share.end", &share->row, "its tree stays: %s", strerror(-r));
    }
    STOPPING_POINT("end.tree_removed");
    r = beneath_remove(broker->run_shares_fd, id, 100);
    if (r < 0) {
        share_log(LOG_LEVEL_ERROR, "share.end", &share->row, "its run directory stays: %s",
                  strerror(-r));
    }
    STOPPING_POINT("end.run_directory_removed");
    if (fd >= 0) {
        worker_tell(fd, "cleared", sizeof "cleared", NULL, 0);
    }
    STOPPING_POINT("end.cleared_told");
}

static void heard_cleared(const void *message, size_t length, int *fds, unsigned n_fds,
                          void *user_data)
{
    struct share *share = user_data;

    (void)message;
    (void)length;
    (void)fds;
    (void)n_fds;
    share->cleared = true;
}

static void cleared(void *user_data)
{
    struct share *share = user_data;

    share->worker = NULL;
    if (!share->cleared && share->clearings < CLEARINGS) {
        share_continue_end(share);
        return;
    }
    STOPPING_POINT("end.cleared");
    share_release_holds(share);
    STOPPING_POINT("end.images_released");
    share->writes++;
    int r = registry_end(share->broker->registry, share->row.id, share->reason, row_closed, share);
    if (r < 0) {
        row_closed(r, share);
    }
}

/* Goes on when nothing of the share runs any more. */
void share_continue_end(struct share *share)
{
    struct firewall_service services[FIREWALL_SERVICES_MAX];
    struct firewall_share rules;

    if (share->worker != NULL || share->pidfd >= 0 || share->writes > 0) {
        return;
    }
    STOPPING_POINT("end.processes_gone");
    share_firewall(share, services, &rules);
    int r = firewall_share_forget(share->broker->firewall, &rules);
    STOPPING_POINT("end.firewall_forgotten");
    if (r < 0) {
        share_log(LOG_LEVEL_ERROR, "share.end", &share->row, "conntrack or owner: %s",
                  strerror(-r));
    }
    share->clearings++;
    r = worker_start(share->broker->loop, clear_away, heard_cleared, cleared, share,
                     &share->worker);
    if (r < 0) {
        /* No process to be had: then here, though the loop waits for the disk. */
        clear_away(-1, share);
        share->cleared = true;
        cleared(share);
    }
}

static void cut(struct share *share)
{
    struct firewall_service services[FIREWALL_SERVICES_MAX];
    struct firewall_share rules;

    share_firewall(share, services, &rules);
    int r = firewall_share_end(share->broker->firewall, &rules);
    if (r < 0) {
        share_log(LOG_LEVEL_ERROR, "share.end", &share->row, "firewall: %s", strerror(-r));
    }
    STOPPING_POINT("end.firewall_cut");
    r = firewall_share_reset(share->broker->firewall, &rules);
    if (r < 0) {
        share_log(LOG_LEVEL_WARN, "share.end", &share->row, "resetting connections: %s",
                  strerror(-r));
    }
    STOPPING_POINT("end.connections_reset");
    share->firewall_up = false;
}

/* Before PID 1 is killed, which still shows what is mounted. */
static void abort_readers(const struct share *share)
{
    int r = readers_abort(share->broker->cgroups, share->row.id, share->row.pid);
    if (r < 0) {
        share_log(LOG_LEVEL_WARN, "share.end", &share->row, "aborting readers: %s", strerror(-r));
    }
}

void share_end(struct share *share, const char *reason)
{
    if (share->state == SHARE_ENDING) {
        return;
    }
    share->state = SHARE_ENDING;
    turns_go_on(share->broker);
    snprintf(share->reason, sizeof share->reason, "%s", reason);
    STOPPING_POINT("end.begun");
    /* A broker that dies from here on is followed by one that must not take this for alive. */
    share_write_deadline(share->broker, share->row.id, 0);
    STOPPING_POINT("end.deadline_written");
    loop_cancel(&share->timer);
    if (share->firewall_up) {
        cut(share);
    }
    if (share->worker != NULL) {
        worker_kill(share->worker);
    }
    if (share->pidfd >= 0) {
        abort_readers(share);
        STOPPING_POINT("end.readers_aborted");
        syscall(SYS_pidfd_send_signal, share->pidfd, SIGKILL, NULL, 0);
        STOPPING_POINT("end.killed");
    }
    share_continue_end(share);
}
