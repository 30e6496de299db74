/* beneath.h in a scratch directory: what opens, what does not, and what removal leaves alone. */
#include "test.h"

#include "beneath.h"
#include "cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* DIR/outside/secret is what must never be reached; DIR/in is what the functions are given. */
static char scratch[64];
static int top = -1;

static void touch(int dirfd, const char *path)
{
    CLEANUP_CLOSE int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
}

static void begin(void)
{
    snprintf(scratch, sizeof scratch, "/tmp/cdss-unit-beneath-XXXXXX");
    CHECK(mkdtemp(scratch) != NULL);
    CLEANUP_CLOSE int base = open(scratch, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(mkdirat(base, "outside", 0700) == 0 && mkdirat(base, "in", 0700) == 0);
    touch(base, "outside/secret");
    top = openat(base, "in", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(top >= 0);
}

static void end(void)
{
    CLEANUP_CLOSE int base = open(scratch, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat status;
    CHECK(fstatat(base, "outside/secret", &status, 0) == 0);
    close(top);
    CHECK(beneath_remove(base, "in", 100000) == 0);
    CHECK(beneath_remove(base, "outside", 2) == 0);
    CHECK(rmdir(scratch) == 0);
}

static int try_open(const char *path, int flags)
{
    CLEANUP_CLOSE int fd = beneath_open(top, path, flags);
    if (fd >= 0) {
        CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    }
    return fd >= 0 ? 0 : fd;
}

static void opening(void)
{
    begin();
    CHECK(mkdirat(top, "a", 0700) == 0);
    touch(top, "a/f");
    CHECK(try_open("a/f", O_RDONLY) == 0);
    CHECK(try_open("a/../a/f", O_RDONLY) == 0);
    CHECK(try_open(".", O_PATH | O_DIRECTORY) == 0);
    CHECK(try_open("a/f", O_RDONLY | O_DIRECTORY) == -ENOTDIR);
    CHECK(try_open("", O_RDONLY) == -ENOENT);
    CHECK(try_open("none", O_RDONLY) == -ENOENT);
    CHECK(try_open("..", O_PATH) == -EXDEV);
    CHECK(try_open("../outside/secret", O_RDONLY) == -EXDEV);
    CHECK(try_open("a/../../outside/secret", O_RDONLY) == -EXDEV);
    CHECK(try_open("/etc/passwd", O_RDONLY) == -EXDEV);
    end();
}

static void symlinks(void)
{
    begin();
    CHECK(symlinkat("../outside", top, "out") == 0);
    CHECK(symlinkat("../outside/secret", top, "file") == 0);
    CHECK(symlinkat("/proc/self/root", top, "magic") == 0);
    CHECK(mkdirat(top, "a", 0700) == 0 && symlinkat("a", top, "inner") == 0);
    touch(top, "a/f");
    CHECK(try_open("out/secret", O_RDONLY) == -ELOOP);
    CHECK(try_open("file", O_RDONLY) == -ELOOP);
    CHECK(try_open("inner/f", O_RDONLY) == -ELOOP); /* even one that stays inside */
    CHECK(try_open("magic/etc/passwd", O_RDONLY) == -ELOOP);
    CHECK(try_open("inner", O_PATH | O_DIRECTORY) == -ELOOP);
    CHECK(beneath_create(top, "file", O_WRONLY | O_TRUNC, 0600) == -ELOOP);
    CHECK(beneath_create(top, "out/new", O_WRONLY, 0600) == -ELOOP);
    CHECK(beneath_make_directories(top, "out/new", 0700) == -ELOOP);
    CHECK(beneath_make_directories(top, "inner", 0700) == -ELOOP);
    const char *name = NULL;
    CHECK(beneath_open_parent(top, "out/secret", &name) == -ELOOP && name == NULL);
    end();
}

static void creating(void)
{
    begin();
    mode_t mask = umask(0);
    CLEANUP_CLOSE int fd = beneath_create(top, "f", O_WRONLY | O_EXCL, 0640);
    umask(mask);
    struct stat status;
    CHECK(fd >= 0 && fstat(fd, &status) == 0 && (status.st_mode & 07777) == 0640);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(beneath_create(top, "f", O_WRONLY | O_EXCL, 0640) == -EEXIST);
    CHECK(beneath_create(top, "../f", O_WRONLY, 0640) == -EXDEV);
    CHECK(beneath_create(top, "no/f", O_WRONLY, 0640) == -ENOENT);
    end();
}

static int try_make(const char *path)
{
    CLEANUP_CLOSE int fd = beneath_make_directories(top, path, 0700);
    return fd >= 0 ? 0 : fd;
}

static void making_directories(void)
{
    static char long_name[NAME_MAX + 2];
    memset(long_name, 'a', sizeof long_name - 1);
    begin();
    touch(top, "f");
    struct stat made, seen;
    CLEANUP_CLOSE int fd = beneath_make_directories(top, "a/b/c", 0700);
    CHECK(fd >= 0 && fstat(fd, &made) == 0 && fstatat(top, "a/b/c", &seen, 0) == 0);
    CHECK(made.st_ino == seen.st_ino && (made.st_mode & 07777) == 0700);
    CHECK((fcntl(fd, F_GETFL) & O_PATH) != 0);
    CHECK(try_make("a/b/c") == 0);
    CHECK(try_make("a/b/d/") == 0);
    CHECK(try_make("") == 0);
    CHECK(try_make("/a") == -EXDEV);
    CHECK(try_make("..") == -EXDEV);
    CHECK(try_make("new/../../outside/x") == -EXDEV);
    CHECK(try_make("f/x") == -ENOTDIR);
    CHECK(try_make("f") == -ENOTDIR);
    CHECK(try_make(long_name) == -ENAMETOOLONG);
    end();
}

static void parents(void)
{
    begin();
    CHECK(mkdirat(top, "a", 0700) == 0 && mkdirat(top, "a/b", 0700) == 0);
    struct stat parent, seen;
    const char *path = "a/b/c", *name = NULL;
    CLEANUP_CLOSE int deep = beneath_open_parent(top, path, &name);
    CHECK(deep >= 0 && name == path + 4);
    CHECK(fstat(deep, &parent) == 0 && fstatat(top, "a/b", &seen, 0) == 0);
    CHECK(parent.st_ino == seen.st_ino);
    CLEANUP_CLOSE int flat = beneath_open_parent(top, "x", &name);
    CHECK(flat >= 0 && strcmp(name, "x") == 0);
    static const struct {
        const char *path;
        int want;
    } bad[] = {{"", -EINVAL},     {"a/", -EINVAL},  {".", -EINVAL},   {"..", -EINVAL},
               {"a/..", -EINVAL}, {"a/.", -EINVAL}, {"/", -EINVAL},   {"/x", -EXDEV},
               {"../x", -EXDEV},  {"/a/x", -EXDEV}, {"no/x", -ENOENT}};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        name = NULL;
        CHECK(beneath_open_parent(top, bad[i].path, &name) == bad[i].want);
        CHECK(name == NULL);
    }
    end();
}

static bool is_there(const char *path)
{
    struct stat status;
    return fstatat(top, path, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

static void removing(void)
{
    begin();
    CHECK(try_make("t/a/b/c") == 0 && try_make("t/a/d") == 0 && try_make("t/.remove-0/x") == 0);
    touch(top, "t/f");
    touch(top, "t/a/b/f");
    touch(top, "t/a/b/c/f");
    CHECK(mkfifoat(top, "t/a/fifo", 0600) == 0);
    CHECK(symlinkat("../../outside", top, "t/a/out") == 0);
    CHECK(symlinkat("../outside", top, "link") == 0);
    touch(top, "single");
    CHECK(beneath_remove(top, "t", 100) == 0 && !is_there("t"));
    CHECK(beneath_remove(top, "t", 100) == 0);
    CHECK(beneath_remove(top, "single", 1) == 0 && !is_there("single"));
    CHECK(beneath_remove(top, "link", 1) == 0 && !is_there("link"));
    static const char *const bad[] = {"", ".", "..", "a/b", "../outside", "/etc", "outside/"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CHECK(beneath_remove(top, bad[i], 100) == -EINVAL);
    }
    end();
}

static void removal_is_bounded(void)
{
    begin();
    CHECK(try_make("t/a") == 0);
    for (int i = 0; i < 8; i++) {
        char path[32];
        snprintf(path, sizeof path, "t/%s%d", i % 2 ? "a/" : "", i);
        touch(top, path);
    }
    CHECK(beneath_remove(top, "t", 5) == -EFBIG && is_there("t"));
    CHECK(beneath_remove(top, "t", 4) == -EFBIG && is_there("t"));
    CHECK(beneath_remove(top, "t", 1) == 0 && !is_there("t")); /* 8 + 2 in all */
    end();
}

/* Deeper than there are descriptors, and deeper than PATH_MAX. */
static void removal_of_the_deep(void)
{
    begin();
    struct rlimit saved, few = {.rlim_cur = 64, .rlim_max = 0};
    CHECK(getrlimit(RLIMIT_NOFILE, &saved) == 0);
    few.rlim_max = saved.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    char name[128];
    memset(name, 'd', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    int fd = beneath_make_directories(top, "t", 0700);
    for (int i = 0; i < 300 && fd >= 0; i++) {
        int below = beneath_make_directories(fd, name, 0700);
        touch(fd, "f");
        close(fd);
        fd = below;
    }
    CHECK(fd >= 0);
    close(fd);
    CHECK(beneath_remove(top, "t", 601) == 0 && !is_there("t"));
    CHECK(setrlimit(RLIMIT_NOFILE, &saved) == 0);
    end();
}

static void removal_of_many(void)
{
    begin();
    CHECK(try_make("t/a") == 0);
    for (int i = 0; i < 3000; i++) {
        char path[32];
        snprintf(path, sizeof path, "t/a/file-%d", i);
        touch(top, path);
    }
    CHECK(beneath_remove(top, "t", 3002) == 0 && !is_there("t"));
    end();
}

/* In a mount namespace of its own: removal must not empty what is mounted inside the tree. */
static int try_mount(const char *where)
{
    char path[128];
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        return 77;
    }
    snprintf(path, sizeof path, "%s/in/%s", scratch, where);
    if (mount("none", path, "tmpfs", 0, "size=64k") < 0) {
        return 77;
    }
    int mounted = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    /* the descriptor from before still belongs to the other namespace, without the mount */
    snprintf(path, sizeof path, "%s/in", scratch);
    CHECK(dup3(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), top, O_CLOEXEC) == top);
    touch(mounted, "kept");
    int result = beneath_remove(top, "t", 100);
    struct stat status;
    bool is_kept = fstatat(mounted, "kept", &status, 0) == 0;
    return result < 0 && is_kept ? 0 : 1;
}

static void removal_stays_on_its_filesystem(void)
{
    static const char *const places[] = {"t", "t/a", "t/a/m"};
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        begin();
        CHECK(try_make("t/a/m") == 0);
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            int result = try_mount(places[i]);
            fflush(stdout);
            _exit(test_failed ? 1 : result);
        }
        int status = 0;
        CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
        if (WEXITSTATUS(status) == 77) {
            printf("# skipped: no mount namespace here\n");
        } else {
            CHECK(WEXITSTATUS(status) == 0);
        }
        end();
    }
}

TEST_MAIN({"opening", opening}, {"symlinks", symlinks}, {"creating", creating},
          {"making directories", making_directories}, {"parents", parents}, {"removing", removing},
          {"removal is bounded", removal_is_bounded}, {"removal of the deep", removal_of_the_deep},
          {"removal of many", removal_of_many},
          {"removal stays on its filesystem", removal_stays_on_its_filesystem})
