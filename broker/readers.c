/* Which connections: /proc/PID/mountinfo (proc_pid_mountinfo(5)); a connection's number is the
 * minor device number of its mount. The control filesystem is mounted for the moment, and nowhere.
 */
#include "readers.h"

#include "cleanup.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define MOUNTINFO_MAX (1024 * 1024)

static int open_control(void)
{
    CLEANUP_CLOSE int fs = fsopen("fusectl", FSOPEN_CLOEXEC);
    if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
        return -errno;
    }
    int mount =
        fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    return mount < 0 ? -errno : mount;
}

/* 1: aborted; 0: it is gone already. */
static int abort_connection(int control_fd, unsigned number)
{
    char path[32];
    snprintf(path, sizeof path, "%u/abort", number);
    CLEANUP_CLOSE int fd = openat(control_fd, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || write(fd, "1", 1) < 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    return 1;
}

/* "36 35 0:47 / /srv/share/disc ro,nosuid - fuse cdss-image ro,...": blanks in names are escaped
 * there, so that no name can look like the part behind the dash. */
static bool is_reader(const char *line, unsigned *ret_number)
{
    return strstr(line, " - fuse " READERS_SOURCE " ") != NULL &&
           sscanf(line, "%*u %*u 0:%u ", ret_number) == 1;
}

static int abort_all(char *mountinfo)
{
    CLEANUP_CLOSE int control_fd = -1;
    int count = 0, failed = 0;
    char *rest = mountinfo;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        unsigned number;
        if (!is_reader(line, &number)) {
            continue;
        }
        if (control_fd < 0 && (control_fd = open_control()) < 0) {
            return control_fd;
        }
        int r = abort_connection(control_fd, number);
        failed = r < 0 ? r : failed;
        count += r > 0;
    }
    return failed < 0 ? failed : count;
}

/* Of a process or a thread; -ESRCH or -EINVAL when it has no mounts any more. */
static int abort_seen_by(pid_t pid)
{
    char path[40];
    CLEANUP_FREE char *mountinfo = NULL;
    size_t length;
    snprintf(path, sizeof path, "/proc/%d/mountinfo", (int)pid);
    int r = text_read_file(AT_FDCWD, path, MOUNTINFO_MAX, &mountinfo, &length);
    return r < 0 ? r : abort_all(mountinfo);
}

static void visit_thread(pid_t tid, void *user_data)
{
    int *result = user_data;
    int r = abort_seen_by(tid);
    if (r > 0 && *result >= 0) {
        *result += r;
    }
}

int readers_abort(struct cgroups *cgroups, const char *id, pid_t pid)
{
    int r = pid > 0 ? abort_seen_by(pid) : -ESRCH;
    if (r >= 0) {
        return r;
    }
    int result = 0;
    r = cgroup_each_thread(cgroups, id, visit_thread, &result);
    return r < 0 ? r : result;
}
