/* What proc(5) says, also of processes with hostile names. */
#include "process.h"

#include "test.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that waits under this name and uid. */
static pid_t start(const char *name, uid_t uid)
{
    int ready[2];
    char byte;

    if (pipe(ready) < 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NAME, name);
        if (setuid(uid) < 0 || write(ready[1], "x", 1) != 1) {
            _exit(1);
        }
        alarm(20);
        pause();
        _exit(0);
    }
    CHECK(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, NULL, 0) == pid);
}

static void names(void)
{
    static const char *const hostile[] = {"plain", "a) R 1 1", "Uid:\t0", "\nUid:\t0\n",
                                          ") 1 2 3 4"};

    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        pid_t pid = start(hostile[i], 61007);
        uint64_t since = process_start_time(pid), mine = process_start_time(getpid());
        CHECK(process_uid(pid) == 61007);
        CHECK(mine != 0 && since >= mine && since - mine < 60 * 100);
        CHECK(process_start_time(pid) == since);
        end(pid);
    }
}

static void gone(void)
{
    pid_t pid = start("gone", 61007);

    end(pid);
    CHECK(process_start_time(pid) == 0);
    CHECK(process_uid(pid) == (uid_t)-1);
}

/* A group made for this test, in whichever hierarchy for pids there is. */
static void group(void)
{
    static const char *const roots[] = {"/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified",
                                        "/sys/fs/cgroup"};
    char path[96] = "", file[128];
    pid_t pid = start("group", 61007);

    for (size_t i = 0; i < sizeof roots / sizeof roots[0] && path[0] == '\0'; i++) {
        snprintf(path, sizeof path, "%s/cdss-unit-%d", roots[i], getpid());
        if (mkdir(path, 0755) < 0) {
            path[0] = '\0';
        }
    }
    snprintf(file, sizeof file, "%s/cgroup.procs", path);
    FILE *procs = fopen(file, "w");
    CHECK(procs != NULL && fprintf(procs, "%d\n", pid) > 0 && fclose(procs) == 0);
    const char *name = strrchr(path, '/') + 1;
    CHECK(process_in_group(pid, name));
    CHECK(!process_in_group(getpid(), name));
    CHECK(!process_in_group(pid, name + 1));
    CHECK(!process_in_group(pid, "0123456789abcdef"));
    end(pid);
    CHECK(!process_in_group(pid, name));
    CHECK(rmdir(path) == 0);
}

TEST_MAIN({"hostile names", names}, {"control groups", group}, {"a process that is gone", gone})
