/* Sandboxes looked at from inside, through the probe (probe/sandbox_probe.h), and from outside. The
 * whole test runs in a mount namespace of its own: sandbox_prepare() sees to that. */
#include "cleanup.h"
#include "credentials.h"
#include "sandbox.h"
#include "sandbox_ids.h"
#include "test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK  2100700000u /* apart from what a broker under test uses */
#define OWNER  4321u       /* of the files on disk */
#define INSIDE 8765u       /* of what is in the image, and of its root directory */

static char base[32] = "/tmp/cdss-sandbox-XXXXXX";
static struct sandbox_template *template;
static int tree_fd = -1, image_fd = -1;
static bool can_idmap; /* this kernel a squashfs: from 6.2 on */
static char loop_device[32];
#if defined(__SANITIZE_ADDRESS__)
static const unsigned has_proc = 1; /* the sanitizers' runtime needs it */
#else
static const unsigned has_proc = 0;
#endif

/* --- helpers --- */

static const char *at(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, PATH_MAX, "%s/%s", base, name);
    return path;
}

static void put(const char *name, const char *text, uid_t owner, mode_t mode)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    CHECK(fchown(fd, owner, owner) == 0 && fchmod(fd, mode) == 0);
    close(fd);
}

static int run(const char *const *words)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 1);
        dup2(null, 2);
        execv(words[0], (char **)(uintptr_t)words);
        _exit(127);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A running sandbox, with what the broker would hold. */
struct running {
    int error;
    char why[256];
    pid_t pid;
    int pidfd;
    double born_ms, total_ms;
};

struct setup {
    uint32_t block;
    struct sandbox_image images[2];
    uint32_t n_images;
    uint32_t n_readers;
    bool host;
    bool abandon, die; /* in the callback */
    struct sandbox_template *other;
};

static double now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", base, name);
    unlink(address.sun_path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 8) == 0);
    return fd;
}

/* "none" or "host" of the sandbox of `block`. */
static char *name_socket(uint32_t block, const char *role)
{
    static char name[32];
    snprintf(name, sizeof name, "%s-%u", role, block);
    return name;
}

static const char *ask(uint32_t block, const char *role, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static const char *ask(uint32_t block, const char *role, const char *format, ...)
{
    static char answer[65536], command[4096];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 10};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", base, name_socket(block, role));
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        send(fd, command, strlen(command), 0) < 0) {
        return "no connection";
    }
    ssize_t length = recv(fd, answer, sizeof answer - 1, 0);
    answer[length > 0 ? length : 0] = '\0';
    return length < 0 ? "no answer" : answer;
}

#define ASK(...)             ask(BLOCK, "none", __VA_ARGS__)
#define ASK_HOST(...)        ask(BLOCK, "host", __VA_ARGS__)
#define CHECK_ASK(want, ...) CHECK_TEXT(ASK(__VA_ARGS__), want)
#define HAS(text, part)      (strstr((text), (part)) != NULL)

struct callback {
    const struct setup *setup;
    struct running *running;
    double began;
};

static int born(const struct sandbox *sandbox, void *user_data)
{
    struct callback *callback = user_data;
    callback->running->born_ms = now_ms() - callback->began;
    callback->running->pid = sandbox->pid;
    return callback->setup->abandon ? -1 : 0;
}

static int born_and_die(const struct sandbox *sandbox, void *user_data)
{
    struct callback *callback = user_data;
    int fd = callback->running->error; /* the pipe */
    struct running running = {.pid = sandbox->pid, .error = -ECANCELED};
    if (write(fd, &running, sizeof running) < 0) {
        _exit(2);
    }
    _exit(1);
}

static struct supervisor_plan *make_plan(const struct setup *setup, int ready_fd)
{
    uint32_t count = 1 + setup->host + setup->n_readers;
    size_t size = sizeof(struct supervisor_plan) + count * sizeof(struct supervisor_service);
    struct supervisor_plan *plan = calloc(1, size);
    plan->magic = SUPERVISOR_MAGIC;
    plan->size = (uint32_t)size;
    plan->n_services = count;
    plan->ready_fd = ready_fd;
    plan->status_fd = memfd_create("status", MFD_CLOEXEC);
    plan->deadline_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    plan->control_fd = listen_at(name_socket(setup->block, "control"));
    plan->services[0].n_sockets = 1;
    plan->services[0].sockets[0] = listen_at(name_socket(setup->block, "none"));
    if (setup->host) {
        plan->services[1].network_host = 1;
        plan->services[1].n_sockets = 1;
        plan->services[1].sockets[0] = listen_at(name_socket(setup->block, "host"));
    }
    for (uint32_t i = 1 + setup->host; i < count; i++) {
        plan->services[i].start = SUPERVISOR_READER;
        plan->services[i].n_sockets = 1;
        plan->services[i].sockets[0] = -1;
    }
    return plan;
}

static const struct sandbox_file config_files[] = {
    {"root.conf", "for root", SANDBOX_ROOT},
    {"share.conf", "for share", SANDBOX_USER},
    {"secret.conf", "for private", SANDBOX_PRIVATE},
};

/* In a process of its own, as the broker does it, so that the sandbox becomes our child. */
static void prepare_share(const struct setup *setup, int out, int ready_fd)
{
    struct running running = {.error = out, .pidfd = -1};
    struct sandbox sandbox = {.pidfd = -1};
    struct sandbox_image images[2] = {setup->images[0], setup->images[1]};
    struct sandbox_request request = {.id = "0123456789abcdef",
                                      .cgroup_fd = -1,
                                      .hostname = "share",
                                      .uid_first = setup->block,
                                      .tree_fd = tree_fd,
                                      .owner = OWNER,
                                      .group = OWNER,
                                      .images = images,
                                      .n_images = setup->n_images,
                                      .files = config_files,
                                      .n_files = ARRAY_SIZE(config_files),
                                      .plan = make_plan(setup, ready_fd),
                                      .any_host = setup->host};
    struct callback callback = {setup, &running, now_ms()};
    running.error = sandbox_start(setup->other != NULL ? setup->other : template, &request,
                                  setup->die ? born_and_die : born, &callback, &sandbox,
                                  running.why, sizeof running.why);
    running.total_ms = now_ms() - callback.began;
    free(request.plan);
    if (write(out, &running, sizeof running) != (ssize_t)sizeof running) {
        _exit(2);
    }
    _exit(0);
}

static struct running start(const struct setup *setup)
{
    struct running running = {.error = -ECHILD, .pidfd = -1};
    int ends[2], ready[2];
    char line[64] = "";
    CHECK(pipe2(ends, O_CLOEXEC) == 0 && pipe2(ready, O_CLOEXEC) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        close(ready[0]);
        prepare_share(setup, ends[1], ready[1]);
    }
    close(ends[1]);
    close(ready[1]);
    CHECK(read(ends[0], &running, sizeof running) == (ssize_t)sizeof running);
    close(ends[0]);
    waitpid(pid, NULL, 0);
    if (running.error == 0) {
        running.pidfd = pidfd_open(running.pid, 0);
        for (int left = setup->host ? 10 : 5; left > 0;) { /* "none\n" and "host\n" */
            ssize_t length = read(ready[0], line, sizeof line);
            CHECK(length > 0);
            left -= length > 0 ? (int)length : left;
        }
    }
    close(ready[0]);
    return running;
}

/* Kills PID 1 and waits: its death is everybody's. */
static void end(struct running *running)
{
    if (running->pidfd >= 0) {
        CHECK(pidfd_send_signal(running->pidfd, SIGKILL, NULL, 0) == 0);
        CHECK(waitpid(running->pid, NULL, 0) == running->pid);
        close(running->pidfd);
    }
    running->pidfd = -1;
}

static const struct setup plain = {.block = BLOCK};
static struct setup with_image(void)
{
    return (struct setup){
        .block = BLOCK, .images = {{"disk", image_fd, can_idmap, -1}}, .n_images = 1};
}

/* Mounts are dropped by a kernel worker soon after the last process. */
static bool soon(bool (*condition)(void))
{
    for (int i = 0; i < 200; i++) {
        if (condition()) {
            return true;
        }
        usleep(10000);
    }
    return false;
}

static bool is_block_empty(void)
{
    DIR *proc = opendir("/proc");
    bool empty = true;
    for (struct dirent *entry; (entry = readdir(proc)) != NULL;) {
        struct stat status;
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' &&
            fstatat(dirfd(proc), entry->d_name, &status, 0) == 0 && status.st_uid >= BLOCK &&
            status.st_uid < BLOCK + 16) {
            empty = false;
        }
    }
    closedir(proc);
    return empty;
}

/* --- fixture --- */

static void make_tree(void)
{
    CHECK(mkdir(at("tree"), 0755) == 0 && mkdir(at("tree/disk"), 0755) == 0 &&
          mkdir(at("tree/more"), 0755) == 0 && mkdir(at("tree/more/iso"), 0755) == 0 &&
          mkdir(at("run"), 0700) == 0 && mkdir(at("content"), 0755) == 0 &&
          mkdir(at("mounted"), 0755) == 0);
    put("tree/disk.img", "image of somebody", OWNER, 0600);
    put("tree/root.img", "image of root", 0, 0600);
    put("tree/third.img", "image of a third", OWNER + 1, 0600);
    CHECK(symlink("/etc", at("tree/escape")) == 0);
    put("content/secret.txt", "only for its owner", INSIDE, 0600);
    put("content/root.txt", "only for root", 0, 0600);
    CHECK(chown(at("content"), INSIDE, INSIDE) == 0);
    CHECK(symlink("/etc/shadow", at("content/link")) == 0);
    CHECK(symlink("../../../../../../etc/hostname", at("content/up")) == 0);
    const char *words[] = {"/usr/bin/mksquashfs", at("content"), at("disk.squashfs"), "-quiet",
                           "-no-progress",        NULL};
    CHECK(run(words) == 0);
}

/* One loop device for the image, as the broker makes it. */
static int attach_loop(void)
{
    CLEANUP_CLOSE int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    CLEANUP_CLOSE int backing = open(at("disk.squashfs"), O_RDONLY | O_CLOEXEC);
    for (int tries = 0; tries < 50; tries++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        snprintf(loop_device, sizeof loop_device, "/dev/loop%d", number);
        int device = open(loop_device, O_RDONLY | O_CLOEXEC);
        struct loop_config config = {.fd = (uint32_t)backing,
                                     .info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR};
        if (device >= 0 && ioctl(device, LOOP_CONFIGURE, &config) == 0) {
            return device;
        }
        close(device);
    }
    return -1;
}

static unsigned count_loops(void)
{
    unsigned count = 0;
    for (int i = 0; i < 64; i++) {
        char path[64], backing[PATH_MAX] = "";
        snprintf(path, sizeof path, "/sys/block/loop%d/loop/backing_file", i);
        FILE *file = fopen(path, "re");
        if (file != NULL && fgets(backing, sizeof backing, file) != NULL &&
            HAS(backing, at("disk.squashfs"))) {
            count++;
        }
        if (file != NULL) {
            fclose(file);
        }
    }
    return count;
}

static bool is_loop_gone(void)
{
    return count_loops() == 0;
}

/* A detached, id-mapped clone; -1 where the kernel cannot. */
static int clone_image(int userns)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns};
    int clone = open_tree(image_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (mount_setattr(clone, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0) {
        close(TAKE_FD(clone));
    }
    return clone;
}

static bool idmap_image(void)
{
    CLEANUP_CLOSE int userns = -1;
    CHECK(sandbox_ids_namespace(BLOCK, OWNER, OWNER, &userns) == 0);
    CLEANUP_CLOSE int clone = clone_image(userns);
    return clone >= 0;
}

/* What the share's user gets to read of a 0600 file in the image. */
static const char *mine(void)
{
    return can_idmap ? "only for its owner" : "errno EACCES";
}

static void mount_image(void)
{
    CLEANUP_CLOSE int loop = attach_loop();
    CHECK(loop >= 0);
    CHECK(mount(loop_device, at("mounted"), "squashfs",
                MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0);
    image_fd = open(at("mounted"), O_PATH | O_DIRECTORY | O_CLOEXEC);
    can_idmap = idmap_image();
}

static struct sandbox_settings settings(void)
{
    static char run_directory[PATH_MAX];
    snprintf(run_directory, sizeof run_directory, "%s/run", base);
    return (struct sandbox_settings){.root = "/",
                                     .run = run_directory,
                                     .supervisor = SANDBOX_PROBE,
                                     .fusermount = CDSS_FUSERMOUNT,
                                     .uid_per_share = 4};
}

/* --- cases --- */

static void prepares(void)
{
    char why[256] = "";
    CHECK(mkdtemp(base) != NULL && chmod(base, 0755) == 0);
    make_tree();
    struct sandbox_settings wanted = settings();
    wanted.supervisor = "/nowhere/cdss-supervisor";
    CHECK(sandbox_prepare(&wanted, &template, why, sizeof why) == -ENOENT);
    CHECK(HAS(why, "/nowhere/cdss-supervisor"));
    wanted = settings();
    wanted.uid_per_share = 3;
    CHECK(sandbox_prepare(&wanted, &template, why, sizeof why) == -EINVAL);
    wanted = settings();
    why[0] = '\0';
    CHECK(sandbox_prepare(&wanted, &template, why, sizeof why) == 0);
    CHECK_TEXT(why, "");
    tree_fd = open(at("tree"), O_PATH | O_DIRECTORY | O_CLOEXEC);
    mount_image();
}

/* A file of /proc/PID as the host sees it: there is no /proc inside. */
static const char *seen(pid_t pid, const char *name)
{
    static char text[65536];
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length, used = 0;
    while ((length = read(fd, text + used, sizeof text - 1 - (size_t)used)) > 0) {
        used += length;
    }
    text[used] = '\0';
    return text;
}

/* The supervisor in the host's network, a child of PID 1. */
static pid_t second_of(const struct running *running)
{
    char name[48];
    snprintf(name, sizeof name, "task/%d/children", (int)running->pid);
    return (pid_t)strtol(seen(running->pid, name), NULL, 10);
}

/* The same for a link of it. */
static const char *link_of(pid_t pid, const char *name)
{
    static char links[2][64];
    static unsigned next;
    char path[64], *link = links[next++ % 2];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    ssize_t length = readlink(path, link, sizeof links[0] - 1);
    link[length > 0 ? length : 0] = '\0';
    return link;
}

static void shows_only_itself(void)
{
    struct setup setup = with_image();
    struct running running = start(&setup);
    CHECK_TEXT(running.why, "");
    const char *mounts = seen(running.pid, "mountinfo");
    unsigned lines = 0;
    for (const char *c = mounts; *c != '\0'; c++) {
        lines += *c == '\n';
    }
    CHECK(lines == 6 + has_proc); /* /, /usr, /libexec, /var, the tree, the image */
    CHECK(HAS(mounts, " / / ro,nosuid") && HAS(mounts, "/usr /usr ro,nosuid,nodev"));
    CHECK(HAS(mounts, " " SANDBOX_PROGRAMS " ro,nosuid,nodev"));
    CHECK(HAS(mounts, " /var rw,nosuid,nodev,noexec"));
    CHECK(HAS(mounts, "/tree /srv/share ro,nosuid,nodev,noexec"));
    CHECK(HAS(mounts, " /srv/share/disk ro,nosuid,nodev,noexec"));
    CHECK(!HAS(mounts, "shared:") && !HAS(mounts, "master:"));
    const char *status = seen(running.pid, "status");
    CHECK(HAS(status, "CapEff:\t00000000000400ef") && HAS(status, "CapBnd:\t00000000000400ef"));
    CHECK(HAS(status, "CapPrm:\t00000000000400ef") && HAS(status, "CapAmb:\t0000000000000000") &&
          HAS(status, "CapInh:\t0000000000000000"));
    CHECK(HAS(status, "NoNewPrivs:\t1") && HAS(status, "Seccomp:\t2") &&
          HAS(strstr(status, "NSpid:\t"), "\t1\n"));
    char uids[64];
    snprintf(uids, sizeof uids, "Uid:\t%u\t%u\t%u\t%u\n", BLOCK, BLOCK, BLOCK, BLOCK);
    CHECK(HAS(status, uids) && HAS(status, "Groups:\t \n"));
    CHECK(HAS(status, "SigBlk:\t0000000000000000"));
    CHECK_ASK("PATH=/usr/sbin:/usr/bin LANG=C.UTF-8 ", "env");
    CHECK_ASK("0 1 2 3 4 5 6 7 8 9c ", "fds");
    CHECK_ASK(has_proc ? "self thread-self 1 " : "errno ENOENT", "list /proc");
    CHECK_ASK("errno ENOENT", "cat /proc/sys/kernel/hostname");
    CHECK(HAS(ASK("list /dev"), "null") && !HAS(ASK("list /dev"), "std"));
    CHECK_TEXT(seen(running.pid, "oom_score_adj"), "500\n");
    end(&running);
}

static void maps_ids(void)
{
    struct running running = start(&plain);
    char map[256] = "", want[256];
    const char *text = seen(running.pid, "uid_map");
    unsigned inside, outside, count;
    int used;
    for (const char *line = text;
         sscanf(line, " %u %u %u%n", &inside, &outside, &count, &used) == 3; line += used) {
        snprintf(map + strlen(map), sizeof map - strlen(map), "%u:%u:%u ", inside, outside, count);
    }
    snprintf(want, sizeof want, "0:%u:1 1000:%u:1 1001:%u:1 65534:%u:1 ", BLOCK, BLOCK + 2,
             BLOCK + 3, BLOCK + 1);
    CHECK_TEXT(map, want);
    CHECK_ASK("errno EINVAL", "try setuid_foreign");
    CHECK_ASK("errno EINVAL", "try chown_foreign");
    CHECK_ASK("ok", "try setuid_user");
    CHECK(sandbox_host_id(BLOCK, 1001) == BLOCK + 3 && sandbox_host_id(BLOCK, 7) == UINT32_MAX);
    end(&running);
}

static void hides_processes(void)
{
    struct running running = start(&plain);
    CHECK_ASK("errno ENOENT", "as 1000 cat /proc/1/status");
    CHECK(!HAS(ASK("as 1000 list /proc"), "1 "));
    /* The host's network, through whichever process, would be the whole host's to read. */
    CHECK(has_proc || HAS(ASK("cat /proc/self/net/tcp"), "ENOENT"));
    end(&running);
}

static void writes_configuration(void)
{
    struct running running = start(&plain);
    CHECK_ASK("for root", "cat /var/cfg/root.conf");
    CHECK_ASK("640 0 1000", "stat /var/cfg/share.conf");
    CHECK_ASK("640 0 1001", "stat /var/cfg/secret.conf");
    CHECK_ASK("for share", "as 1000 cat /var/cfg/share.conf");
    CHECK_ASK("for private", "as 1001 cat /var/cfg/secret.conf");
    CHECK_ASK("errno EACCES", "as 1000 cat /var/cfg/secret.conf");
    CHECK_ASK("errno EACCES", "as 1000 cat /var/cfg/root.conf");
    CHECK_ASK("errno EACCES", "as 1000 write /var/cfg/share.conf");
    CHECK_ASK("errno EACCES", "as 1000 write /var/cfg/new.conf");
    CHECK_ASK("1777 0 0", "stat /var/tmp");
    CHECK_ASK("555 0 0", "stat /var/empty");
    CHECK_ASK("700 1001 1001", "stat /var/private");
    CHECK_ASK("written", "as 1000 write /tmp/x");
    CHECK_ASK("errno EROFS", "write /x");
    CHECK_ASK("errno EACCES", "write /etc/passwd"); /* not even its owner */
    CHECK_ASK("errno EROFS", "write /usr/x");
    CHECK_ASK("errno EROFS", "write /srv/share/x");
    CHECK_ASK("errno EROFS", "write /srv/share/disk.img");
    CHECK_ASK("written", "write /dev/null");
    CHECK(HAS(ASK("cat /etc/passwd"), "share:x:1000:1000"));
    CHECK_ASK("exit 0", "exec 0 /usr/bin/true");
    CHECK_ASK("exit 0", "exec 0 /bin/sh -c true");
    const char *got = ASK("exec 0 /bin/fusermount"); /* 1: LeakSanitizer, which needs ptrace(2) */
    CHECK(strcmp(got, "exit 2") == 0 || strcmp(got, "exit 1") == 0);
    end(&running);
}

static void maps_owners(void)
{
    struct setup setup = with_image();
    struct running running = start(&setup);
    CHECK_ASK("600 1000 1000", "stat /srv/share/disk.img");
    CHECK_ASK("image of somebody", "as 1000 cat /srv/share/disk.img");
    CHECK_ASK("600 0 0", "stat /srv/share/root.img");
    CHECK_ASK("errno EACCES", "as 1000 cat /srv/share/root.img");
    CHECK_ASK("600 65534 65534", "stat /srv/share/third.img");
    CHECK_ASK("errno EACCES", "as 1000 cat /srv/share/third.img");
    CHECK_ASK("errno EACCES", "cat /srv/share/third.img"); /* root's powers end at the map */
    CHECK_ASK(mine(), "as 1000 cat /srv/share/disk/secret.txt");
    CHECK_ASK("errno EACCES", "as 1000 cat /srv/share/disk/root.txt");
    CHECK_ASK("755 0 0", "stat /srv/share");
    end(&running);
}

static void owner_root_is_readable(void)
{
    CLEANUP_CLOSE int userns = -1;
    CHECK(sandbox_ids_namespace(BLOCK, 0, 0, &userns) == 0 && userns >= 0);
    CLEANUP_CLOSE int clone = clone_image(userns);
    struct stat status = {0};
    if (!can_idmap) {
        printf("# skipped: this kernel cannot id-map squashfs\n");
        return;
    }
    CHECK(fstatat(clone, "root.txt", &status, 0) == 0 && status.st_uid == BLOCK + 2 &&
          status.st_gid == BLOCK + 2);
}

static void refuses_escapes(void)
{
    struct setup setup = with_image();
    struct running running = start(&setup);
    CHECK(HAS(ASK("cat /srv/share/escape/passwd"), "share:x:1000")); /* the sandbox's own */
    CHECK_ASK("errno ENOENT", "cat /srv/share/disk/link");
    CHECK_ASK("errno ENOENT", "cat /srv/share/disk/up");
    CHECK_ASK("errno ENOENT", "list /srv/share/../../home");
    end(&running);
}

static void refuses_forbidden_calls(void)
{
    static const char *const denied[] = {"mount",
                                         "umount",
                                         "pivot_root",
                                         "fsopen",
                                         "open_tree",
                                         "move_mount",
                                         "mount_setattr",
                                         "unshare_user",
                                         "unshare_mount",
                                         "unshare_network",
                                         "clone_user",
                                         "setns",
                                         "process_vm_readv",
                                         "pidfd_getfd",
                                         "io_uring_setup",
                                         "bpf",
                                         "perf_event_open",
                                         "keyctl",
                                         "add_key",
                                         "userfaultfd",
                                         "inotify",
                                         "interfaces",
                                         "multicast",
                                         "multicast6",
                                         "ulp",
                                         "open_by_handle_at",
                                         "name_to_handle_at",
                                         "reboot",
                                         "kexec_load",
                                         "init_module",
                                         "swapon",
                                         "acct",
                                         "quotactl",
                                         "sethostname",
                                         "syslog",
                                         "tiocsti",
                                         "lease",
                                         "ptrace",
                                         "mknod"};
    struct setup setup = {.block = BLOCK, .host = true};
    struct running running = start(&setup);
    for (size_t role = 0; role < 2; role++) {
        for (size_t i = 0; i < ARRAY_SIZE(denied); i++) {
            const char *got = ask(BLOCK, role ? "host" : "none", "try %s", denied[i]);
            if (strcmp(got, "errno EPERM") != 0) {
                printf("# %s: %s\n", denied[i], got);
                CHECK(!"denied");
            }
        }
    }
    CHECK_ASK("errno ENOSYS", "try clone3");
    CHECK_ASK("errno ENOSYS", "try open_tree_attr");
    CHECK_ASK("errno ENOSYS", "try statmount");
    CHECK_ASK("ok", "try core_limit"); /* it stays 1, whatever is asked for */
    CHECK_ASK("signal SEGV", "try crash");
    CHECK_ASK("ok", "try unshare_files");
    CHECK_ASK("ok", "try chroot_tree");
    CHECK_ASK("errno EACCES", "try nice");
#ifdef __x86_64__
    CHECK_ASK("signal SYS", "try i386");
    CHECK_ASK("signal SYS", "try x32");
#endif
    end(&running);
}

static void check_sockets(const char *role, bool is_host)
{
    for (int family = 0; family < 48; family++) {
        for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type++) {
            const char *got = ask(BLOCK, role, "try socket %d %d 0", family, type);
            bool is_ip = family == AF_INET || family == AF_INET6;
            bool want =
                is_host ? is_ip && (type == SOCK_STREAM || type == SOCK_DGRAM)
                        : family == AF_UNIX && (type != SOCK_RDM); /* which the kernel has not */
            if ((strcmp(got, "ok") == 0) != want && type != SOCK_RAW) {
                printf("# %s: family %d type %d: %s\n", role, family, type, got);
                CHECK(!"as wanted");
            }
        }
    }
}

static void restricts_sockets(void)
{
    struct setup setup = {.block = BLOCK, .host = true};
    struct running running = start(&setup);
    check_sockets("none", false);
    check_sockets("host", true);
    CHECK_TEXT(ASK_HOST("try socket 2 3 0"), "errno EPERM");             /* raw */
    CHECK_TEXT(ASK_HOST("try socket 2 2 1"), "errno EPROTONOSUPPORT");   /* ping */
    CHECK_TEXT(ASK_HOST("try socket 2 1 262"), "errno EPROTONOSUPPORT"); /* MPTCP */
    CHECK_TEXT(ASK_HOST("try socket 2 1 6"), "ok");
    CHECK_TEXT(ASK_HOST("try socket 10 2 17"), "ok");
    CHECK_TEXT(ASK_HOST("try socket 1 1 0"), "errno EAFNOSUPPORT");
    CHECK_TEXT(ASK("try socket 16 3 0"), "errno EAFNOSUPPORT"); /* netlink */
    CHECK_TEXT(ASK_HOST("try pair_stream"), "ok");
    CHECK_TEXT(ASK_HOST("try pair_datagram"), "errno EPERM");
    CHECK_TEXT(ASK_HOST("try abstract"), "errno EPERM");
    CHECK_TEXT(ASK("try pair_datagram"), "ok");
    CHECK_TEXT(ASK("try abstract"), "errno ECONNREFUSED"); /* another namespace: nobody there */
    pid_t second = second_of(&running);
    CHECK_TEXT(link_of(second, "ns/net"), link_of(getpid(), "ns/net"));
    CHECK(strcmp(link_of(running.pid, "ns/net"), link_of(getpid(), "ns/net")) != 0);
    CHECK(HAS(seen(second, "status"), "CapBnd:\t00000000000400ef"));
    CHECK(HAS(strstr(seen(second, "status"), "NSpid:\t"), "\t2\n"));
    end(&running);
}

static void leaves_nothing(void)
{
    struct setup setup = with_image();
    setup.host = true;
    struct running running = start(&setup);
    ASK("run 0 /usr/bin/sleep 1000");
    ASK("as 1000 run 0 /usr/bin/sleep 1000");
    ASK_HOST("run 0 /usr/bin/sleep 1000");
    CHECK(!is_block_empty());
    end(&running);
    CHECK(is_block_empty());
}

/* The broker's own mount goes first; the sandboxes' clones keep the device, until they are dead. */
static void shares_a_loop_device(void)
{
    struct setup first = with_image(), second = with_image();
    second.block = BLOCK + 4;
    struct running a = start(&first), b = start(&second);
    CHECK(count_loops() == 1);
    CHECK_TEXT(ask(BLOCK, "none", "as 1000 cat /srv/share/disk/secret.txt"), mine());
    CHECK_TEXT(ask(BLOCK + 4, "none", "as 1000 cat /srv/share/disk/secret.txt"), mine());
    CHECK(count_loops() == 1);
    close(TAKE_FD(image_fd));
    CHECK(umount2(at("mounted"), MNT_DETACH) == 0);
    usleep(100000);
    CHECK(count_loops() == 1);
    end(&a);
    usleep(100000);
    CHECK(count_loops() == 1);
    CHECK_TEXT(ask(BLOCK + 4, "none", "as 1000 cat /srv/share/disk/secret.txt"), mine());
    end(&b);
    CHECK(soon(is_loop_gone));
    mount_image();
}

static int add(const struct running *running, const char *contents, char *why, size_t size)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct sandbox_image image = {contents, image_fd, can_idmap, -1};
        int r = sandbox_add_image(template, running->pidfd, BLOCK, &image, why, size);
        _exit(-r);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

static int take_away(const struct running *running, const char *contents)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(-sandbox_remove_image(running->pidfd, contents));
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

static void changes_a_live_sandbox(void)
{
    char why[256];
    struct running running = start(&plain);
    CHECK_ASK("errno ENOENT", "cat /srv/share/more/iso/secret.txt");
    CHECK(add(&running, "more/iso", why, sizeof why) == 0);
    CHECK_ASK(mine(), "as 1000 cat /srv/share/more/iso/secret.txt");
    CHECK_ASK("errno EROFS", "write /srv/share/more/iso/x");
    CHECK(add(&running, "more/iso", why, sizeof why) == -EXDEV); /* taken */
    CHECK(add(&running, "more/iso/below", why, sizeof why) == -EXDEV);
    CHECK(add(&running, "nowhere", why, sizeof why) == -ENOENT);
    CHECK(add(&running, "../../usr", why, sizeof why) == -EXDEV);
    CHECK(add(&running, "escape", why, sizeof why) == -ELOOP);
    CHECK(take_away(&running, "more/iso") == 0);
    CHECK_ASK("errno ENOENT", "cat /srv/share/more/iso/secret.txt");
    CHECK(take_away(&running, "more/iso") == 0);
    CHECK(take_away(&running, "nowhere") == 0);
    CHECK(take_away(&running, "../share") == -EXDEV);
    CHECK(take_away(&running, "..") == -EINVAL);
    int pidfd = dup(running.pidfd);
    end(&running);
    running.pidfd = pidfd;
    CHECK(take_away(&running, "more/iso") == 0); /* dead */
    CHECK(add(&running, "more/iso", why, sizeof why) == -ESRCH);
    close(pidfd);
}

static void fails_cleanly(void)
{
    struct setup setup = with_image();
    setup.images[0].contents = "not/there";
    struct running running = start(&setup);
    CHECK(running.error == -ENOENT);
    CHECK_TEXT(running.why, "attaching the contents not/there: No such file or directory");
    CHECK(waitpid(running.pid, NULL, WNOHANG) == running.pid); /* dead already, ours to reap */

    setup.images[0].contents = "escape";
    running = start(&setup);
    CHECK(running.error == -ELOOP && waitpid(running.pid, NULL, WNOHANG) == running.pid);

    setup = with_image();
    setup.images[0].mount_fd = open("/dev/null", O_PATH | O_CLOEXEC);
    running = start(&setup);
    CHECK(running.error < 0 && HAS(running.why, "disk"));
    waitpid(running.pid, NULL, WNOHANG);
    close(setup.images[0].mount_fd);

    setup = plain;
    setup.n_readers = 1; /* without an image */
    running = start(&setup);
    CHECK(running.error == -EINVAL && HAS(running.why, "plan") && running.pid == 0);

    setup = plain;
    setup.abandon = true;
    running = start(&setup);
    CHECK(running.error == -ECANCELED && waitpid(running.pid, NULL, WNOHANG) == running.pid);

    setup = plain;
    setup.die = true; /* the preparing process is killed: the new one sees the end of file */
    running = start(&setup);
    CHECK(running.error == -ECANCELED && waitpid(running.pid, NULL, 0) == running.pid);
    CHECK(is_block_empty());
}

static void survives_many_descriptors(void)
{
    struct rlimit limit = {0};
    int many[900], count = 0;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    struct rlimit high = {.rlim_cur = 1024, .rlim_max = limit.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &high) == 0);
    while (count < 900) {
        many[count++] = fcntl(0, F_DUPFD, 3); /* not CLOEXEC, all of them */
    }
    struct setup setup = with_image();
    setup.host = true;
    struct running running = start(&setup);
    CHECK_TEXT(running.why, "");
    CHECK_ASK("0 1 2 3 4 5 6 7 8 9 10c ", "fds"); /* 9 is the other's, not yet closed */
    CHECK(second_of(&running) > 0);
    end(&running);
    while (count > 0) {
        close(many[--count]);
    }
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* A writable root, here the machine's, is refused for whoever could write to it. */
static void credentials_need_a_safe_root(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct credentials root = {.keep = CREDENTIALS_SANDBOX_KEEP};
        struct credentials both = {.uid = 1, .keep = 1};
        struct credentials user = {.uid = 65534, .gid = 65534};
        bool ok = credentials_change(&root) == -EROFS && credentials_change(&both) == -EINVAL &&
                  credentials_change(&user) == 0 && geteuid() == 65534 && setuid(0) < 0;
        _exit(ok ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void reads_iso_with_fuse(void)
{
    struct setup setup = {
        .block = BLOCK, .n_readers = 1, .n_images = 1, .images = {{"more/iso", -1, false, -1}}};
    struct stat status;
    if (stat("/usr/bin/fuseiso", &status) < 0 || stat("/usr/bin/xorriso", &status) < 0) {
        printf("# skipped: no fuseiso or no xorriso\n");
        return;
    }
    const char *words[] = {"/usr/bin/xorriso",       "-as",         "mkisofs", "-quiet", "-R", "-o",
                           at("tree/more/disk.iso"), at("content"), NULL};
    CHECK(run(words) == 0 && chmod(at("tree/more/disk.iso"), 0600) == 0 &&
          chown(at("tree/more/disk.iso"), OWNER, OWNER) == 0);
    struct running running = start(&setup);
    CHECK_TEXT(running.why, "");
    CHECK_TEXT(link_of(running.pid, "fd/9"), "/dev/fuse");
    ASK("as 1000 run 9 /usr/bin/fuseiso -n /srv/share/more/disk.iso " SANDBOX_EMPTY
        " -f -o auto_unmount");
    ASK("close 9");
    CHECK_ASK("only for its owner", "as 1000 cat /srv/share/more/iso/secret.txt");
    CHECK_ASK("link root.txt secret.txt up ", "list /srv/share/more/iso");
    CHECK(take_away(&running, "more/iso") == 0);
    CHECK_ASK("", "list /srv/share/more/iso");
    end(&running);
    CHECK(is_block_empty());
}

/* A reader that never answers must not be able to hold up the broker. */
static void unmounts_a_silent_reader(void)
{
    struct running running = start(&plain);
    int ready[2];
    char byte = 'n';
    CHECK(pipe(ready) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct sandbox_image image = {"more/iso", -1, false, -1};
        char why[256];
        int r = sandbox_add_image(template, running.pidfd, BLOCK, &image, why, sizeof why);
        byte = r == 0 && image.fuse_fd >= 0 ? 'y' : 'n';
        _exit(write(ready[1], &byte, 1) == 1 ? pause() : 1);
    }
    CHECK(read(ready[0], &byte, 1) == 1 && byte == 'y');
    CHECK(HAS(seen(running.pid, "mountinfo"), " /srv/share/more/iso ro,nosuid,nodev,noexec"));
    CHECK(HAS(seen(running.pid, "mountinfo"), "fuse"));
    char why[256];
    CHECK(add(&running, "more/iso/below", why, sizeof why) == -EXDEV);
    double began = now_ms();
    CHECK(take_away(&running, "more/iso") == 0);
    CHECK(now_ms() - began < 2000);
    CHECK(!HAS(seen(running.pid, "mountinfo"), "more/iso"));
    end(&running);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ready[0]);
    close(ready[1]);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void starts_fast(void)
{
    double total[50], unborn[50];
    for (int i = 0; i < 50; i++) {
        struct setup setup = with_image();
        setup.host = i % 2;
        struct running running = start(&setup);
        CHECK(running.error == 0);
        total[i] = running.total_ms;
        unborn[i] = running.born_ms;
        end(&running);
    }
    qsort(total, 50, sizeof total[0], compare);
    qsort(unborn, 50, sizeof unborn[0], compare);
    printf("# sandbox_start: median %.2f ms (slowest %.2f), of which before the clone is there "
           "%.2f\n",
           total[25], total[49], unborn[25]);
    CHECK(total[25] < 100);
}

static void cleans_up(void)
{
    close(TAKE_FD(image_fd));
    close(TAKE_FD(tree_fd));
    CHECK(umount2(at("mounted"), MNT_DETACH) == 0);
    CHECK(soon(is_loop_gone));
    sandbox_template_free(template);
    const char *words[] = {"/usr/bin/rm", "-rf", base, NULL};
    CHECK(run(words) == 0);
}

TEST_MAIN({"prepares", prepares}, {"shows_only_itself", shows_only_itself}, {"maps_ids", maps_ids},
          {"hides_processes", hides_processes}, {"writes_configuration", writes_configuration},
          {"maps_owners", maps_owners}, {"owner_root_is_readable", owner_root_is_readable},
          {"refuses_escapes", refuses_escapes},
          {"refuses_forbidden_calls", refuses_forbidden_calls},
          {"restricts_sockets", restricts_sockets}, {"leaves_nothing", leaves_nothing},
          {"shares_a_loop_device", shares_a_loop_device},
          {"changes_a_live_sandbox", changes_a_live_sandbox}, {"fails_cleanly", fails_cleanly},
          {"survives_many_descriptors", survives_many_descriptors},
          {"credentials_need_a_safe_root", credentials_need_a_safe_root},
          {"reads_iso_with_fuse", reads_iso_with_fuse},
          {"unmounts_a_silent_reader", unmounts_a_silent_reader}, {"starts_fast", starts_fast},
          {"cleans_up", cleans_up})
