/* Finding groups in texts of several kinds of host, and then real groups, as far as this host has
 * them. */
#include "cgroup.h"
#include "cgroup_find.h"
#include "cleanup.h"
#include "test.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct cgroup_place places[CGROUP_PLACES_MAX];

static void finds_hybrid(void)
{
    const char *mounts =
        "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
        "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
        "39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
        "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
    const char *own = "9:name=systemd:/\n8:pids:/\n4:memory:/a/b\n1:cpu:/\n0::/\n";
    CHECK(cgroup_find(mounts, own, places) == 4);
    CHECK_TEXT(places[0].path, "/sys/fs/cgroup/cpu");
    CHECK(places[0].cpu && !places[0].memory && !places[0].processes);
    CHECK_TEXT(places[1].path, "/sys/fs/cgroup/memory/a/b");
    CHECK(places[1].memory && !places[1].processes && !places[1].v2);
    CHECK_TEXT(places[2].path, "/sys/fs/cgroup/pids");
    CHECK(places[2].processes && !places[2].memory);
    CHECK_TEXT(places[3].path, "/sys/fs/cgroup/unified");
    CHECK(places[3].v2);
}

static void finds_unified(void)
{
    const char *mounts = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 "
                         "rw,nsdelegate,memory_recursiveprot\n";
    CHECK(cgroup_find(mounts, "0::/system.slice/cdssd.service\n", places) == 1);
    CHECK_TEXT(places[0].path, "/sys/fs/cgroup/system.slice/cdssd.service");
    CHECK(places[0].v2);
}

static void finds_in_containers(void)
{
    const char *mounts = "30 23 0:26 /docker/x /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
    CHECK(cgroup_find(mounts, "0::/docker/x/y\n", places) == 1);
    CHECK_TEXT(places[0].path, "/sys/fs/cgroup/y");
    CHECK(cgroup_find(mounts, "0::/docker/x\n", places) == 1);
    CHECK_TEXT(places[0].path, "/sys/fs/cgroup");
    CHECK(cgroup_find(mounts, "0::/docker/xyz\n", places) ==
          1); /* not below, though it begins so */
    CHECK_TEXT(places[0].path, "/sys/fs/cgroup");
    mounts = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
    CHECK(cgroup_find(mounts, "0::/../../other\n", places) == 1); /* outside our namespace */
    CHECK_TEXT(places[0].path, "/sys/fs/cgroup");
}

static void finds_joined_controllers_once(void)
{
    const char *mounts = "1 2 0:1 / /cg/both rw - cgroup cgroup rw,pids,memory\n"
                         "1 2 0:2 / /cg/again rw - cgroup cgroup rw,memory\n";
    CHECK(cgroup_find(mounts, "3:pids,memory:/z\n", places) == 1);
    CHECK(places[0].memory && places[0].processes);
    CHECK_TEXT(places[0].path, "/cg/both/z");
}

static void survives_nonsense(void)
{
    CHECK(cgroup_find("", "", places) == 0);
    CHECK(cgroup_find("x\n - \n1 2 3\n", "::\n0:", places) == 0);
    CHECK(cgroup_find("1 2 0:1 / /cg rw - cgroup2 c rw", "", places) == 0);
}

static struct cgroups *cgroups;
static unsigned seen;

static void count(const char *id, void *user_data)
{
    seen += strcmp(id, user_data) == 0;
}

static char id[32];

static void makes_and_removes(void)
{
    const struct cgroup_limits limits = {.memory = 64 << 20, .processes = 16};
    int fd = -2;
    snprintf(id, sizeof id, "unit-%d", (int)getpid());
    CHECK(cgroups_open("/cdss-is-nowhere", &cgroups) == 0);
    if (!cgroups_limit_memory(cgroups) || !cgroups_limit_processes(cgroups)) {
        printf("# this host limits %s%s\n", cgroups_limit_memory(cgroups) ? "memory" : "",
               cgroups_limit_processes(cgroups) ? "processes" : "");
    }
    CHECK(cgroup_create(cgroups, "../up", &limits, &fd) == -EINVAL && fd == -2);
    CHECK(cgroup_create(cgroups, id, &limits, &fd) == 0 && fd != -2);
    cleanup_close_fd(&fd);
    seen = 0;
    CHECK(cgroups_each(cgroups, count, id) == 0);
    CHECK(seen == 1);
    CHECK(cgroup_remove(cgroups, id) == 0);
    CHECK(cgroup_remove(cgroups, id) == 0);
    CHECK(cgroup_kill(cgroups, id) == 0);
    seen = 0;
    CHECK(cgroups_each(cgroups, count, id) == 0 && seen == 0);
}

static void wait_gone(pid_t pid)
{
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void remove_soon(void)
{
    int r = -EBUSY;
    for (int i = 0; i < 200 && r == -EBUSY; i++) {
        r = cgroup_remove(cgroups, id);
        usleep(r == -EBUSY ? 10000 : 0);
    }
    CHECK(r == 0);
}

static void kills_all(void)
{
    const struct cgroup_limits limits = {.memory = 64 << 20, .processes = 16};
    int fd = -1, ready[2];
    CHECK(cgroup_create(cgroups, id, &limits, &fd) == 0 && pipe(ready) == 0);
    cleanup_close_fd(&fd);
    pid_t pid = fork();
    if (pid == 0) { /* grandchildren must die too; nobody can wait for them but init */
        CHECK(read(ready[0], &pid, 1) == 1);
        for (int i = 0; i < 5; i++) {
            if (fork() == 0) {
                for (;;) {
                    pause();
                }
            }
        }
        for (;;) {
            pause();
        }
    }
    CHECK(cgroup_enter(cgroups, id, pid) == 0);
    CHECK(write(ready[1], "", 1) == 1);
    usleep(100000);
    CHECK(cgroup_remove(cgroups, id) == -EBUSY);
    CHECK(cgroup_kill(cgroups, id) == 0);
    wait_gone(pid);
    remove_soon();
    close(ready[0]);
    close(ready[1]);
}

/* Of the calling process: how many v1 groups of memory or pids it is in, and how many of them are
 * the share's. */
static void count_groups(unsigned *ret_all, unsigned *ret_ours)
{
    CLEANUP_FREE char *own = NULL;
    char *rest = NULL, end[64];
    size_t length;
    CHECK(text_read_file(AT_FDCWD, "/proc/self/cgroup", 65536, &own, &length) == 0);
    snprintf(end, sizeof end, "/cdss/%s", id);
    for (char *line = strtok_r(own, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (strstr(line, ":memory:") != NULL || strstr(line, ":pids:") != NULL) {
            ++*ret_all;
            *ret_ours +=
                strlen(line) > strlen(end) && strcmp(line + strlen(line) - strlen(end), end) == 0;
        }
    }
}

/* What a visitor clones is born in the share's group, and need not be moved. */
static void bears_visitors_children_there(void)
{
    const struct cgroup_limits limits = {.memory = 64 << 20, .processes = 16};
    unsigned all = 0, ours = 0;
    int fd = -1, status = 0;
    CHECK(cgroup_create(cgroups, id, &limits, &fd) == 0);
    cleanup_close_fd(&fd);
    pid_t pid = fork();
    if (pid == 0) {
        cgroup_visit(cgroups, id);
        pid = fork();
        if (pid == 0) {
            count_groups(&all, &ours);
            _exit(ours == all ? 0 : 1);
        }
        waitpid(pid, &status, 0);
        _exit(cgroup_enter(cgroups, id, getpid()) == 0 && status == 0 ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    remove_soon();
}

static void try_forks(int out)
{
    int made = 0;
    for (int i = 0; i < 64; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            for (;;) {
                pause();
            }
        }
        made += pid > 0;
    }
    CHECK(write(out, &made, sizeof made) == (ssize_t)sizeof made);
    for (;;) {
        pause();
    }
}

static void limits_processes(void)
{
    const struct cgroup_limits limits = {.memory = 64 << 20, .processes = 16};
    int fd = -1, go[2], back[2], made = -1;
    if (!cgroups_limit_processes(cgroups)) {
        printf("# skipped: no controller for processes\n");
        return;
    }
    CHECK(cgroup_create(cgroups, id, &limits, &fd) == 0 && pipe(go) == 0 && pipe(back) == 0);
    cleanup_close_fd(&fd);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(read(go[0], &pid, 1) == 1);
        try_forks(back[1]);
    }
    CHECK(cgroup_enter(cgroups, id, pid) == 0 && write(go[1], "", 1) == 1);
    CHECK(read(back[0], &made, sizeof made) == (ssize_t)sizeof made);
    CHECK(made == 15);
    CHECK(cgroup_kill(cgroups, id) == 0);
    wait_gone(pid);
    remove_soon();
}

static void limits_memory(void)
{
    const struct cgroup_limits limits = {.memory = 32 << 20, .processes = 16};
    int fd = -1, go[2];
    if (!cgroups_limit_memory(cgroups)) {
        printf("# skipped: no controller for memory\n");
        return;
    }
    CHECK(cgroup_create(cgroups, id, &limits, &fd) == 0 && pipe(go) == 0);
    cleanup_close_fd(&fd);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(read(go[0], &pid, 1) == 1);
        size_t size = 128 << 20;
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(memory, 1, size);
        _exit(0);
    }
    CHECK(cgroup_enter(cgroups, id, pid) == 0 && write(go[1], "", 1) == 1);
    wait_gone(pid); /* by the kernel, for want of memory */
    remove_soon();
}

static void closes(void)
{
    cgroups_close(cgroups);
}

/* A process in the first n places. */
static pid_t keep(size_t n)
{
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    for (size_t i = 0; i < n; i++) {
        CLEANUP_TEXT struct text path = {0};
        text_format(&path, "%s/cgroup.procs", places[i].path);
        CLEANUP_FILE FILE *file = fopen(path.data, "we");
        CHECK(file != NULL && fprintf(file, "%d", (int)pid) > 0);
    }
    return pid;
}

/* A group for shares that is not the broker's own, as a service manager would make it. */
static void opens_elsewhere(void)
{
    const struct cgroup_limits limits = {.memory = 64 << 20, .processes = 16};
    CLEANUP_FREE char *mountinfo = NULL;
    char above[64], own[160];
    size_t length;
    int fd = -1;
    snprintf(above, sizeof above, "/cdss-unit-%d", (int)getpid());
    snprintf(own, sizeof own, "0::%s\n1:cpu,memory,pids:%s\n", above, above);
    CHECK(text_read_file(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &mountinfo, &length) == 0);
    size_t n = cgroup_find(mountinfo, own, places), made = 0;
    for (size_t i = 0; i < n; i++) {
        made += mkdir(places[i].path, 0755) == 0;
    }
    if (made < n || n == 0) {
        printf("# skipped: no groups can be made here\n");
        return;
    }
    pid_t keeper = keep(n); /* as systemd has it: no group without a process */
    CHECK(cgroups_open(above, &cgroups) == 0);
    CHECK(cgroup_create(cgroups, id, &limits, &fd) == 0);
    cleanup_close_fd(&fd);
    for (size_t i = 0; i < n; i++) {
        CLEANUP_TEXT struct text path = {0};
        text_format(&path, "%s/cdss/%s", places[i].path, id);
        CHECK(faccessat(AT_FDCWD, path.data, F_OK, 0) == 0);
    }
    CHECK(cgroup_remove(cgroups, id) == 0);
    cgroups_close(cgroups);
    kill(keeper, SIGKILL);
    wait_gone(keeper);
    for (size_t i = 0; i < n; i++) {
        CLEANUP_TEXT struct text leaf = {0};
        text_format(&leaf, "%s/cdss-broker", places[i].path);
        CHECK(rmdir(leaf.data) == 0 || !places[i].v2);
        CHECK(rmdir(places[i].path) == 0);
    }
}

TEST_MAIN({"finds_hybrid", finds_hybrid}, {"finds_unified", finds_unified},
          {"finds_in_containers", finds_in_containers},
          {"finds_joined_controllers_once", finds_joined_controllers_once},
          {"survives_nonsense", survives_nonsense}, {"makes_and_removes", makes_and_removes},
          {"kills_all", kills_all},
          {"bears_visitors_children_there", bears_visitors_children_there},
          {"limits_processes", limits_processes}, {"limits_memory", limits_memory},
          {"closes", closes}, {"opens_elsewhere", opens_elsewhere})
