#include "process.h"

#include "cleanup.h"
#include "text.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* A file of /proc/PID, owned by the caller; NULL when the process is gone. */
static char *read_file(pid_t pid, const char *name)
{
    char path[48];
    char *data = NULL;
    size_t length;

    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    return text_read_file(AT_FDCWD, path, 16384, &data, &length) < 0 ? NULL : data;
}

uid_t process_uid(pid_t pid)
{
    CLEANUP_FREE char *data = read_file(pid, "status");
    const char *line = data != NULL ? strstr(data, "\nUid:\t") : NULL;
    unsigned uid = 0;

    return line != NULL && sscanf(line, "\nUid:\t%u", &uid) == 1 ? uid : (uid_t)-1;
}

uint64_t process_start_time(pid_t pid)
{
    CLEANUP_FREE char *data = read_file(pid, "stat");
    unsigned long long value = 0;

    if (data == NULL) {
        return 0;
    }
    /* The second field is a name in parentheses and may hold anything: count behind its end. */
    const char *at = strrchr(data, ')');
    for (int field = 2; at != NULL && field < 22; field++) {
        at = strchr(at + 1, ' ');
    }
    return at != NULL && sscanf(at, " %llu", &value) == 1 ? value : 0;
}

/* cgroups(7): lines of "HIERARCHY:CONTROLLERS:PATH". */
bool process_in_group(pid_t pid, const char *name)
{
    CLEANUP_FREE char *data = read_file(pid, "cgroup");
    size_t length = strlen(name);

    for (char *line = data; line != NULL && *line != '\0';) {
        char *end = line + strcspn(line, "\n");
        char *last = memrchr(line, '/', (size_t)(end - line));
        if (last != NULL && (size_t)(end - last - 1) == length &&
            memcmp(last + 1, name, length) == 0) {
            return true;
        }
        line = *end == '\n' ? end + 1 : end;
    }
    return false;
}

void process_die_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(1); /* it died before the line above */
    }
}

bool process_dies_with_parent(void)
{
    int signal = 0;

    return prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal != 0;
}
