#include "recover.h"

#include "beneath.h"
#include "cleanup.h"
#include "guard.h"
#include "log.h"
#include "process.h"
#include "readers.h"
#include "share.h"
#include "share_log.h"
#include "share_steps.h"
#include "stopping_point.h"
#include "supervision.h"
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#define WAIT_MS 5000

/* -- what is whole -- */

typedef bool judge(const struct broker *broker, const struct registry_share *row, int pidfd);

static bool was_finished(const struct broker *broker, const struct registry_share *row, int pidfd)
{
    (void)broker;
    (void)pidfd;
    return row->active;
}

static bool has_time(const struct broker *broker, const struct registry_share *row, int pidfd)
{
    (void)broker;
    (void)pidfd;
    return row->deadline_ns > loop_now();
}

/* share_end() writes 0 before it does anything else. */
static bool was_not_ending(const struct broker *broker, const struct registry_share *row, int pidfd)
{
    uint64_t deadline_ns = 0;

    (void)pidfd;
    return share_read_deadline(broker, row->id, &deadline_ns) == 0 && deadline_ns != 0;
}

/* A pid at its start time, under the share's own uid, in the share's control group. */
static bool has_sandbox(const struct broker *broker, const struct registry_share *row, int pidfd)
{
    struct pollfd dead = {.fd = pidfd, .events = POLLIN};
    bool grouped =
        cgroups_limit_memory(broker->cgroups) || cgroups_limit_processes(broker->cgroups);

    return pidfd >= 0 && process_start_time(row->pid) == row->pid_start &&
           process_uid(row->pid) == row->uid_first && poll(&dead, 1, 0) == 0 &&
           (!grouped || process_in_group(row->pid, row->id));
}

static bool has_control(const struct broker *broker, const struct registry_share *row, int pidfd)
{
    char path[64];
    struct stat status;

    (void)pidfd;
    snprintf(path, sizeof path, "%s/control", row->id);
    return fstatat(broker->run_shares_fd, path, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool has_tree(const struct broker *broker, const struct registry_share *row, int pidfd)
{
    struct stat status;

    (void)pidfd;
    return fstatat(broker->shares_fd, row->id, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_defined(const struct broker *broker, const struct registry_share *row, int pidfd)
{
    (void)pidfd;
    for (uint32_t i = 0; i < row->n_protocols; i++) {
        if (definitions_find(broker->definitions, row->protocols[i].name.text) == NULL) {
            return false;
        }
    }
    return true;
}

/* Its uids are a block of ours, and its mark has our prefix. */
static bool fits_settings(const struct broker *broker, const struct registry_share *row, int pidfd)
{
    const struct settings *settings = &broker->settings;
    uint32_t offset = row->uid_first - settings->uid_first;

    (void)pidfd;
    return row->uid_first >= settings->uid_first && offset % settings->uid_per_share == 0 &&
           offset / settings->uid_per_share < settings_uid_blocks(settings) &&
           row->mark >> 24 == settings->mark_prefix;
}

static const struct {
    judge *holds;
    const char *otherwise; /* for the log and the history */
} judges[] = {
    {has_time, "expired"},
    {was_finished, "lost in a restart: it was still being prepared"},
    {was_not_ending, "lost in a restart: it was just being ended, or its run directory is gone"},
    {has_sandbox, "lost in a restart: its sandbox is gone"},
    {has_control, "lost in a restart: its control socket is gone"},
    {has_tree, "lost in a restart: its tree is not in [repository] shares"},
    {is_defined, "lost in a restart: one of its protocols is not defined any more"},
    {fits_settings, "lost in a restart: [uids] or [network] mark_prefix were changed"},
};

/* NULL for a share that is whole, or why it is not. */
static const char *judge_row(const struct broker *broker, const struct registry_share *row,
                             int pidfd)
{
    for (size_t i = 0; i < ARRAY_SIZE(judges); i++) {
        if (!judges[i].holds(broker, row, pidfd)) {
            return judges[i].otherwise;
        }
    }
    return NULL;
}

/* What was under way when the last broker died: an extension that the row does not know, and images
 * that were being added. */
static void make_as_recorded(struct share *share)
{
    uint64_t trusted = 0;

    if (share_read_deadline(share->broker, share->row.id, &trusted) < 0 ||
        trusted != share->row.deadline_ns) {
        share_write_deadline(share->broker, share->row.id, share->row.deadline_ns);
        supervision_reload(share->broker->run_shares_fd, share->row.id);
    }
    if (share_has_strangers(share)) {
        share_log(LOG_LEVEL_INFO, "share.resumed", &share->row,
                  "what was being added is taken back");
        share_undo_adding(share);
    }
}

/* The row of a share that is whole is taken over by it, and empty then. NULL, or why not. */
static const char *take_up(struct broker *broker, struct registry_share *row)
{
    CLEANUP_CLOSE int pidfd = row->pid > 0 ? (int)syscall(SYS_pidfd_open, row->pid, 0) : -1;
    const char *why = judge_row(broker, row, pidfd);

    if (why != NULL) {
        return why;
    }
    int r = share_adopt(broker, row, TAKE_FD(pidfd));
    if (r < 0) {
        share_log(LOG_LEVEL_ERROR, "share.resumed", row, "it cannot be taken up: %s", strerror(-r));
        return "lost in a restart";
    }
    share_log(LOG_LEVEL_INFO, "share.resumed", &broker->shares->row,
              "it lived through the restart");
    return NULL;
}

/* -- what is left of the others -- */

static bool is_live(const char *id, void *user_data)
{
    const struct broker *broker = user_data;

    for (const struct share *share = broker->shares; share != NULL; share = share->next) {
        if (strcmp(share->row.id, id) == 0) {
            return true;
        }
    }
    return false;
}

static void end_group(const char *id, void *user_data)
{
    struct broker *broker = user_data;
    int r;

    if (is_live(id, broker)) {
        return;
    }
    readers_abort(broker->cgroups, id, 0);
    cgroup_kill(broker->cgroups, id);
    for (int i = 0; (r = cgroup_remove(broker->cgroups, id)) == -EBUSY && i < WAIT_MS / 10; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    if (r < 0) {
        log_write(LOG_LEVEL_ERROR, "recover.cgroup", NULL, "%s: %s", id, strerror(-r));
    }
}

/* RUN/shares/ID of shares that are gone. */
static void sweep_run_directory(struct broker *broker)
{
    int fd = openat(broker->run_shares_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_DIR DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.' || is_live(entry->d_name, broker)) {
            continue;
        }
        int r = beneath_remove(broker->run_shares_fd, entry->d_name, 100);
        if (r < 0) {
            log_write(LOG_LEVEL_ERROR, "recover.run", NULL, "%s: %s", entry->d_name, strerror(-r));
        }
    }
}

static int install_firewall(struct broker *broker)
{
    int r = guard_install(broker);
    if (r == 0 && broker->n_shares == 0) {
        firewall_flush_all(broker->firewall);
    }
    broker->firewall_installed = r == 0;
    return r;
}

/* A row that nobody took up, with its flows: redirects of a share that is gone must not wait for
 * the next one that has its mark. */
static void end_row(struct broker *broker, const struct registry_share *row, const char *why)
{
    share_log(LOG_LEVEL_WARN, "share.ended", row, "%s", why);
    firewall_flush_mark(broker->firewall, row->mark);
    registry_end(broker->registry, row->id, why, NULL, NULL);
}

static void sweep(struct broker *broker)
{
    cgroups_each(broker->cgroups, end_group, broker);
    STOPPING_POINT("start.groups_swept");
    sweep_run_directory(broker);
    STOPPING_POINT("start.run_swept");
    int r = tree_sweep(broker->shares_fd, is_live, broker);
    if (r < 0) {
        log_write(LOG_LEVEL_ERROR, "recover.trees", NULL, "%s", strerror(-r));
    }
    STOPPING_POINT("start.trees_swept");
}

/* -- in order -- */

static int compare(struct broker *broker, struct registry_share *rows, const char **why,
                   uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        why[i] = take_up(broker, &rows[i]);
        STOPPING_POINT("start.row_judged");
    }
    /* First: where the table is somebody else's, so may be what would be undone. */
    int r = install_firewall(broker);
    STOPPING_POINT("start.firewall_installed");
    if (r < 0) {
        return r;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (why[i] != NULL) {
            end_row(broker, &rows[i], why[i]);
        }
    }
    STOPPING_POINT("start.rows_ended");
    sweep(broker);
    for (struct share *share = broker->shares; share != NULL; share = share->next) {
        make_as_recorded(share);
        STOPPING_POINT("start.share_resumed");
    }
    share_refuse_strangers(broker);
    return 0;
}

int recover(struct broker *broker, char *why, size_t why_size)
{
    struct registry_share *rows = NULL;
    uint32_t count = 0;

    int r = registry_load(broker->registry, &rows, &count);
    if (r < 0) {
        snprintf(why, why_size, "the registry cannot be read: %s", strerror(-r));
        return r;
    }
    STOPPING_POINT("start.rows_read");
    CLEANUP_FREE const char **reasons = calloc((size_t)count + 1, sizeof *reasons);
    r = reasons == NULL ? -ENOMEM : compare(broker, rows, reasons, count);
    if (r < 0) {
        snprintf(why, why_size, "the firewall's base rules were refused: %s%s", strerror(-r),
                 r == -EPERM    ? " (is another cdssd running, or a foreign table named cdss?)"
                 : r == -ENOENT ? " (does the kernel have nf_conntrack_ftp and nf_conntrack_tftp? "
                                  "cdss doctor tries it)"
                                : "");
        share_forget_all(broker);
    }
    registry_shares_free(rows, count);
    return r;
}
