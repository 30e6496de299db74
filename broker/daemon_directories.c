/*
 * The directories that the broker works in, and the lock that says that it is the only one.
 */
#include "daemon_steps.h"

#include "acl.h"
#include "cleanup.h"
#include "log.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define LOCK_TRIES 500 /* x 10 ms */

/* One that is there keeps its mode. */
static int make_directory(const char *path, mode_t mode, char *why, size_t why_size)
{
    int r = mkdir(path, 0700) < 0 ? -errno : 0;

    if (r == 0 && chmod(path, mode) < 0) { /* past the umask */
        r = -errno;
    }
    if (r < 0 && r != -EEXIST) {
        snprintf(why, why_size, "%s could not be made: %s", path, strerror(-r));
        return r;
    }
    return 0;
}

static int open_directory(const char *path, int *ret, char *why, size_t why_size)
{
    *ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*ret < 0) {
        int r = -errno;
        snprintf(why, why_size, "%s could not be opened: %s", path, strerror(-r));
        return r;
    }
    return 0;
}

int daemon_start_repository(struct broker *broker, char *why, size_t why_size)
{
    const struct settings *settings = &broker->settings;

    int r = tree_check(settings->images, settings->shares, why, why_size);
    r = r < 0 ? r : open_directory(settings->images, &broker->images_fd, why, why_size);
    return r < 0 ? r : open_directory(settings->shares, &broker->shares_fd, why, why_size);
}

void daemon_stop_repository(struct broker *broker)
{
    close(broker->images_fd);
    close(broker->shares_fd);
}

static int run_path(const struct broker *broker, const char *name, char path[PATH_MAX])
{
    int length = snprintf(path, PATH_MAX, "%s/%s", broker->settings.run, name);

    return length >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* The way to the socket: administrators may look around there, the web users pass through, nobody
 * else comes in. */
static int open_way(const char *run, const struct peer_rules *peers, char *why, size_t why_size)
{
    if (peers->admin_group != (gid_t)-1 && chown(run, 0, peers->admin_group) < 0) {
        int r = -errno;
        snprintf(why, why_size, "%s could not be given to admin_group: %s", run, strerror(-r));
        return r;
    }
    int r = acl_let_in(run, peers->web_users, peers->n_web_users, ACL_MAY_ENTER);
    if (r < 0) {
        log_write(LOG_LEVEL_WARN, "broker.run", NULL, "web_users cannot pass through %s: %s", run,
                  strerror(-r));
    }
    return 0;
}

int daemon_start_run(struct broker *broker, char *why, size_t why_size)
{
    char shares[PATH_MAX];

    int r = run_path(broker, "shares", shares);
    broker->run_made = faccessat(AT_FDCWD, broker->settings.run, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
    r = r < 0 ? r : make_directory(broker->settings.run, 0750, why, why_size);
    r = r < 0 ? r : open_way(broker->settings.run, &broker->peers, why, why_size);
    r = r < 0 ? r : make_directory(shares, 0700, why, why_size);
    return r < 0 ? r : open_directory(shares, &broker->run_shares_fd, why, why_size);
}

void daemon_stop_run(struct broker *broker)
{
    static const char *const names[] = {"shares",
                                        "template"}; /* the first stays while shares live */
    char path[PATH_MAX];

    close(broker->run_shares_fd);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (run_path(broker, names[i], path) == 0) {
            rmdir(path);
        }
    }
    if (broker->run_made) {
        rmdir(broker->settings.run); /* stays, too, when anything is in it */
    }
}

/* A record lock is the broker's own, and says that it lives. The other kind of lock is its
 * workers', too, which die with it, but only when the kernel lets them: what one of them is just
 * doing must not happen behind the back of a new broker. */
static int take_lock(int fd)
{
    struct flock mine = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat status;

    /* One that ends removes the file: a lock on a file without a name keeps nobody out. */
    if (fcntl(fd, F_SETLK, &mine) < 0 || fstat(fd, &status) < 0 || status.st_nlink == 0) {
        return -EBUSY;
    }
    for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
        if (i == LOCK_TRIES) {
            return -ETIMEDOUT;
        }
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return 0;
}

/* One broker per run directory; the kernel gives the lock back whatever happens. */
int daemon_start_lock(struct broker *broker, char *why, size_t why_size)
{
    char path[PATH_MAX];
    int r = run_path(broker, "cdssd.lock", path);

    broker->lock_fd = r < 0 ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (broker->lock_fd < 0) {
        r = -errno;
        snprintf(why, why_size, "%s could not be made: %s", path, strerror(-r));
        return r;
    }
    r = take_lock(broker->lock_fd);
    if (r < 0) {
        snprintf(why, why_size,
                 r == -EBUSY ? "another cdssd is running on %s"
                             : "a process of a cdssd that has died is still at work on %s; does "
                               "the disk answer?",
                 broker->settings.run);
        close(broker->lock_fd);
    }
    return r;
}

void daemon_stop_lock(struct broker *broker)
{
    char path[PATH_MAX];

    if (run_path(broker, "cdssd.lock", path) == 0) {
        unlink(path);
    }
    close(broker->lock_fd);
}
