/* The template root: a tmpfs at RUN/template in the broker's private mount namespace, filled, and
 * then made the root of a mount namespace of its own, of which a descriptor is kept. */
#include "sandbox_steps.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEMPLATE_SIZE "32m" /* a bound, not a reservation */

static const char *const directories[] = {"bin",  "dev",       "etc", "libexec",
#if SANDBOX_HAS_PROC
                                          "proc",
#endif
                                          "srv",  "srv/share", "usr", "var"};

static const struct {
    const char *name, *target;
} links[] = {{"run", "var/run"}, {"tmp", "var/tmp"}};

static const struct {
    const char *name;
    unsigned minor;
} devices[] = {
    {"dev/null", 3}, {"dev/zero", 5}, {"dev/full", 7}, {"dev/random", 8}, {"dev/urandom", 9}};

static const struct {
    const char *name, *text;
} files[] = {{"etc/passwd", "root:x:0:0:root:/var:/usr/sbin/nologin\n"
                            "share:x:1000:1000:share:/srv/share:/usr/sbin/nologin\n"
                            "private:x:1001:1001:private:/var/private:/usr/sbin/nologin\n"
                            "nobody:x:65534:65534:nobody:/var/empty:/usr/sbin/nologin\n"},
             {"etc/group", "root:x:0:\nshare:x:1000:\nprivate:x:1001:\nnogroup:x:65534:\n"},
             {"etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files\n"
                                   "services: files\nprotocols: files\nnetworks: files\n"},
             {"etc/hosts.allow", ""},
             {"etc/hosts.deny", ""}};

/* From the host, where they are there. */
static const char *const host_files[] = {"etc/hosts", "etc/services", "etc/protocols",
                                         "etc/mime.types"};

/* Links into /usr where the system has merged them, directories of their own where it has not. */
static const char *const merged[] = {"sbin", "lib", "lib32", "lib64", "libx32"};

static int write_file(int root, const char *name, const char *text)
{
    CLEANUP_CLOSE int fd = openat(root, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) {
        return -errno;
    }
    size_t length = strlen(text);
    return write(fd, text, length) == (ssize_t)length ? 0 : -EIO;
}

static int copy_file(int from_dirfd, const char *from, int root, const char *to, mode_t mode)
{
    CLEANUP_CLOSE int in = openat(from_dirfd, from, O_RDONLY | O_CLOEXEC);
    if (in < 0) {
        return -errno;
    }
    CLEANUP_CLOSE int out = openat(root, to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (out < 0) {
        return -errno;
    }
    ssize_t copied;
    do {
        copied = sendfile(out, in, NULL, 1 << 20);
    } while (copied > 0);
    return copied < 0 ? -errno : 0;
}

static int copy_if_there(int from_dirfd, const char *from, int root, const char *to)
{
    int r = copy_file(from_dirfd, from, root, to, 0644);
    return r == -ENOENT ? 0 : r;
}

static int mount_clone(int from_dirfd, const char *name, int root)
{
    CLEANUP_CLOSE int mount = -1;
    int r = sandbox_mounts_clone(from_dirfd, name, 0, -1, &mount);
    return r < 0 ? r : sandbox_mounts_attach(mount, root, name);
}

static int fill_skeleton(int root)
{
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        if (mkdirat(root, directories[i], 0755) < 0) {
            return -errno;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
        if (symlinkat(links[i].target, root, links[i].name) < 0) {
            return -errno;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
        if (mknodat(root, devices[i].name, S_IFCHR | 0666, makedev(1, devices[i].minor)) < 0) {
            return -errno;
        }
    }
    return 0;
}

static int fill_etc(int source, int root)
{
    int r = 0;
    for (size_t i = 0; i < ARRAY_SIZE(files) && r == 0; i++) {
        r = write_file(root, files[i].name, files[i].text);
    }
    CLEANUP_CLOSE int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < ARRAY_SIZE(host_files) && r == 0; i++) {
        r = copy_if_there(host, host_files[i], root, host_files[i]);
    }
    return r < 0 ? r : copy_if_there(source, "etc/ld.so.cache", root, "etc/ld.so.cache");
}

static int add_merged(int source, int root, const char *name)
{
    struct stat status;
    if (fstatat(source, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    if (S_ISLNK(status.st_mode)) {
        char target[32];
        snprintf(target, sizeof target, "usr/%s", name);
        return symlinkat(target, root, name) < 0 ? -errno : 0;
    }
    if (mkdirat(root, name, 0755) < 0) {
        return -errno;
    }
    return mount_clone(source, name, root);
}

static int fill_programs(int source, int root)
{
    int r = mount_clone(source, "usr", root);
    for (size_t i = 0; i < ARRAY_SIZE(merged) && r == 0; i++) {
        r = add_merged(source, root, merged[i]);
    }
    if (r < 0) {
        return r;
    }
    struct stat status;
    if (fstatat(source, "usr/bin/sh", &status, 0) == 0) {
        return symlinkat("../usr/bin/sh", root, "bin/sh") < 0 ? -errno : 0;
    }
    r = copy_file(source, "bin/sh", root, "bin/sh", 0755);
    return r == -ENOENT ? 0 : r; /* a root without a shell is as good */
}

/* The directory, not the programs one by one: which there are is the protocols' business. */
static int add_our_programs(const char *supervisor, int root)
{
    char directory[PATH_MAX];
    CLEANUP_CLOSE int mount = -1;
    if (snprintf(directory, sizeof directory, "%s", supervisor) >= (int)sizeof directory) {
        return -ENAMETOOLONG;
    }
    int r = sandbox_mounts_clone(AT_FDCWD, dirname(directory), 0, -1, &mount);
    return r < 0 ? r : sandbox_mounts_attach(mount, root, &SANDBOX_PROGRAMS[1]);
}

static int fill(const struct sandbox_settings *settings, int root, char *why, size_t why_size)
{
    CLEANUP_CLOSE int source = open(settings->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (source < 0) {
        return sandbox_why(why, why_size, -errno, "opening [sandbox] root %s", settings->root);
    }
    int r = fill_skeleton(root);
    if (r < 0) {
        return sandbox_why(why, why_size, r, "filling the template root");
    }
    r = fill_etc(source, root);
    if (r < 0) {
        return sandbox_why(why, why_size, r, "filling the template's /etc");
    }
    r = fill_programs(source, root);
    if (r < 0) {
        return sandbox_why(why, why_size, r, "taking /usr from [sandbox] root %s", settings->root);
    }
    r = add_our_programs(settings->supervisor, root);
    if (r < 0) {
        return sandbox_why(why, why_size, r, "showing the directory of %s", settings->supervisor);
    }
    if (settings->fusermount != NULL) {
        /* A copy: libfuse has this very path compiled in, and a package that is replaced under a
         * running broker must not change its sandboxes. */
        r = copy_file(AT_FDCWD, settings->fusermount, root, "bin/fusermount", 0755);
    }
    return r < 0 ? sandbox_why(why, why_size, r, "copying %s", settings->fusermount) : 0;
}

static int mount_tmpfs(const char *at)
{
    CLEANUP_CLOSE int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "source", "cdss-template", 0) < 0 ||
        fsconfig(fs, FSCONFIG_SET_STRING, "size", TEMPLATE_SIZE, 0) < 0 ||
        fsconfig(fs, FSCONFIG_SET_STRING, "mode", "755", 0) < 0 ||
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
        return -errno;
    }
    CLEANUP_CLOSE int mount = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID);
    if (mount < 0) {
        return -errno;
    }
    return sandbox_mounts_attach(mount, AT_FDCWD, at);
}

/* Runs in the child: everything else is unmounted from its copy of the mount namespace, and the
 * root is read-only from here on, for every sandbox. */
static int become_template(const char *at)
{
    struct mount_attr private = {.propagation = MS_PRIVATE};
    struct mount_attr sealed = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID};
    if (unshare(CLONE_NEWNS) < 0 ||
        mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &private, sizeof private) < 0 || chdir(at) < 0 ||
        syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ||
        mount_setattr(AT_FDCWD, "/", 0, &sealed, sizeof sealed) < 0) {
        return -errno;
    }
    return 0;
}

static _Noreturn void template_process(const char *at, int done_fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    int32_t result = become_template(at);
    if (write(done_fd, &result, sizeof result) == (ssize_t)sizeof result && result == 0) {
        pause();
    }
    _exit(1);
}

static int open_namespace(pid_t pid, int done_fd, int *ret)
{
    int32_t result = -EPIPE;
    char path[48];
    if (read(done_fd, &result, sizeof result) < 0) {
        return -errno;
    }
    if (result < 0) {
        return result;
    }
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    *ret = fd;
    return 0;
}

static int make_namespace(const char *at, int *ret)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return -errno;
    }
    CLEANUP_CLOSE int in = ends[0], out = ends[1];
    pid_t pid = fork();
    if (pid < 0) {
        return -errno;
    }
    if (pid == 0) {
        template_process(at, out);
    }
    close(TAKE_FD(out)); /* so that its death is the end of file */
    int r = open_namespace(pid, in, ret);
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    return r;
}

static int build_at(const struct sandbox_settings *settings, const char *at, int *ret, char *why,
                    size_t why_size)
{
    int r = mount_tmpfs(at);
    if (r < 0) {
        return sandbox_why(why, why_size, r, "mounting a tmpfs at %s", at);
    }
    CLEANUP_CLOSE int root = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
    r = root < 0 ? sandbox_why(why, why_size, -errno, "opening %s", at)
                 : fill(settings, root, why, why_size);
    if (r == 0) {
        r = make_namespace(at, ret);
        if (r < 0) {
            sandbox_why(why, why_size, r, "making the template's mount namespace");
        }
    }
    umount2(at, MNT_DETACH | UMOUNT_NOFOLLOW); /* it lives on in its own namespace */
    return r;
}

static int build(const struct sandbox_settings *settings, int *ret, char *why, size_t why_size)
{
    char at[PATH_MAX];
    if (snprintf(at, sizeof at, "%s/template", settings->run) >= (int)sizeof at) {
        return sandbox_why(why, why_size, -ENAMETOOLONG, "[broker] run");
    }
    if (mkdir(at, 0700) < 0 && errno != EEXIST) {
        return sandbox_why(why, why_size, -errno, "making %s", at);
    }
    mode_t mask = umask(0);
    int r = build_at(settings, at, ret, why, why_size);
    umask(mask);
    return r;
}

static int compile_filters(struct sandbox_template *template, char *why, size_t why_size)
{
    for (int network = 0; network < SANDBOX_NETWORKS; network++) {
        int r = sandbox_seccomp_compile((enum sandbox_network)network, &template->filters[network]);
        if (r < 0) {
            return sandbox_why(why, why_size, r, "compiling the seccomp filter");
        }
    }
    return 0;
}

/* MS_SLAVE, not MS_PRIVATE: a repository that the host mounts later is seen, and nothing that is
 * mounted here ever reaches the host. */
static int leave_the_hosts_mounts(void)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) {
        return -errno;
    }
    return 0;
}

int sandbox_prepare(const struct sandbox_settings *settings, struct sandbox_template **ret,
                    char *why, size_t why_size)
{
    if (settings->uid_per_share < 4) {
        return sandbox_why(why, why_size, -EINVAL, "[uids] per_share is below 4");
    }
    struct sandbox_template *template = calloc(1, sizeof *template);
    if (template == NULL) {
        return sandbox_why(why, why_size, -ENOMEM, "allocating");
    }
    template->namespace_fd = -1;
    template->supervisor_fd = open(settings->supervisor, O_PATH | O_CLOEXEC);
    int r = 0;
    if (template->supervisor_fd < 0) {
        r = sandbox_why(why, why_size, -errno, "opening %s", settings->supervisor);
    }
    if (r == 0) {
        r = compile_filters(template, why, why_size);
    }
    if (r == 0) {
        r = leave_the_hosts_mounts();
        if (r < 0) {
            sandbox_why(why, why_size, r, "making a private mount namespace");
        }
    }
    if (r == 0) {
        r = build(settings, &template->namespace_fd, why, why_size);
    }
    if (r < 0) {
        sandbox_template_free(template);
        return r;
    }
    *ret = template;
    return 0;
}

void sandbox_template_free(struct sandbox_template *template)
{
    if (template == NULL) {
        return;
    }
    cleanup_close_fd(&template->namespace_fd);
    cleanup_close_fd(&template->supervisor_fd);
    for (int network = 0; network < SANDBOX_NETWORKS; network++) {
        free(template->filters[network].filter);
    }
    free(template);
}
