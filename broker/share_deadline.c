/*
 * RUN/shares/ID/deadline: what the supervisors of a share trust. The row says the same, but is
 * written behind it.
 */
#include "share_steps.h"

#include "beneath.h"
#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

static int open_deadline(const struct broker *broker, const char *id, int flags)
{
    char path[SHARE_ID_SIZE + 16];

    snprintf(path, sizeof path, "%s/deadline", id);
    int fd = beneath_open(broker->run_shares_fd, path, flags);
    return fd == -ENOENT ? -ESTALE : fd; /* -ENOENT is the firewall's word for "has ended" */
}

int share_write_deadline(const struct broker *broker, const char *id, uint64_t deadline_ns)
{
    struct supervisor_deadline deadline = {.boottime_ns = deadline_ns};
    CLEANUP_CLOSE int fd = open_deadline(broker, id, O_WRONLY);

    if (fd < 0) {
        return fd;
    }
    ssize_t written = pwrite(fd, &deadline, sizeof deadline, 0);
    return written < 0 ? -errno : written == (ssize_t)sizeof deadline ? 0 : -EIO;
}

int share_read_deadline(const struct broker *broker, const char *id, uint64_t *ret_deadline_ns)
{
    struct supervisor_deadline deadline;
    CLEANUP_CLOSE int fd = open_deadline(broker, id, O_RDONLY);

    if (fd < 0) {
        return fd;
    }
    ssize_t length = pread(fd, &deadline, sizeof deadline, 0);
    if (length != (ssize_t)sizeof deadline) {
        return length < 0 ? -errno : -EIO;
    }
    *ret_deadline_ns = deadline.boottime_ns;
    return 0;
}
