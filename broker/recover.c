#include "recover.h"

#include "beneath.h"
#include "cleanup.h"
#include "log.h"
#include "process.h"
#include "readers.h"
#include "share.h"
#include "stopping_point.h"
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

/* A live sandbox has its pid at its start time, under the share's own uid, in the share's control
 * group, and its directories. */
static bool is_whole(const struct broker *broker, const struct registry_share *row, int pidfd)
{
    char path[64];
    struct stat status;

    if (!row->active || row->deadline_ns <= loop_now() ||
        process_start_time(row->pid) != row->pid_start) {
        return false;
    }
    struct pollfd dead = {.fd = pidfd, .events = POLLIN};
    bool grouped =
        cgroups_limit_memory(broker->cgroups) || cgroups_limit_processes(broker->cgroups);
    if (process_uid(row->pid) != row->uid_first || poll(&dead, 1, 0) != 0 ||
        (grouped && !process_in_group(row->pid, row->id))) {
        return false;
    }
    snprintf(path, sizeof path, "%s/control", row->id);
    if (fstatat(broker->run_shares_fd, path, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
        fstatat(broker->shares_fd, row->id, &status, AT_SYMLINK_NOFOLLOW) < 0) {
        return false;
    }
    for (uint32_t i = 0; i < row->n_protocols; i++) {
        if (definitions_find(broker->definitions, row->protocols[i].name.text) == NULL) {
            return false;
        }
    }
    return true;
}

/* The row of a share that is whole is taken over by it, and empty then. */
static void take_up(struct broker *broker, struct registry_share *row)
{
    CLEANUP_CLOSE int pidfd = row->pid > 0 ? (int)syscall(SYS_pidfd_open, row->pid, 0) : -1;
    char user[USER_NAME_MAX + 1];

    memcpy(user, row->user.text, sizeof user);
    if (pidfd < 0 || !is_whole(broker, row, pidfd)) {
        return;
    }
    int r = share_adopt(broker, row, TAKE_FD(pidfd));
    if (r == 0) {
        log_write(LOG_LEVEL_INFO, "share.resumed", user, "it lived through the restart");
    } else {
        log_write(LOG_LEVEL_ERROR, "share.resumed", user, "it cannot be taken up: %s",
                  strerror(-r));
    }
}

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
    uint32_t n = broker->n_shares;
    CLEANUP_FREE struct firewall_share *shares = calloc(n + 1, sizeof *shares);
    CLEANUP_FREE struct firewall_service *services =
        calloc((n + 1) * FIREWALL_SERVICES_MAX, sizeof *services);
    uint32_t i = 0;

    if (shares == NULL || services == NULL) {
        return -ENOMEM;
    }
    for (const struct share *share = broker->shares; share != NULL; share = share->next, i++) {
        share_firewall(share, services + (size_t)i * FIREWALL_SERVICES_MAX, &shares[i]);
    }
    int r = firewall_install(broker->firewall, shares, n);
    if (r == 0 && n == 0) {
        firewall_flush_all(broker->firewall);
    }
    broker->firewall_installed = r == 0;
    return r;
}

/* Ends the rows that nobody took up (one that was taken up is empty), and what is left of them. */
static void undo_the_others(struct broker *broker, const struct registry_share *rows,
                            uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].id[0] != '\0') {
            bool expired = rows[i].deadline_ns <= loop_now();
            registry_end(broker->registry, rows[i].id, expired ? "expired" : "lost in a restart",
                         NULL, NULL);
        }
    }
    STOPPING_POINT("start.rows_ended");
    cgroups_each(broker->cgroups, end_group, broker);
    STOPPING_POINT("start.groups_swept");
    sweep_run_directory(broker);
    STOPPING_POINT("start.run_swept");
    int r = tree_sweep(broker->shares_fd, is_live, broker);
    if (r < 0) {
        log_write(LOG_LEVEL_ERROR, "recover.trees", NULL, "%s", strerror(-r));
    }
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
    for (uint32_t i = 0; i < count; i++) {
        take_up(broker, &rows[i]);
        STOPPING_POINT("start.row_judged");
    }
    /* First: where the table is somebody else's, so may be what would be undone. */
    r = install_firewall(broker);
    STOPPING_POINT("start.firewall_installed");
    if (r == 0) {
        undo_the_others(broker, rows, count);
        STOPPING_POINT("start.others_undone");
        share_refuse_strangers(broker);
    } else {
        snprintf(why, why_size, "the firewall's base rules were refused: %s%s", strerror(-r),
                 r == -EPERM ? " (is another cdssd running, or a foreign table named cdss?)" : "");
        share_forget_all(broker);
    }
    registry_shares_free(rows, count);
    return r;
}
