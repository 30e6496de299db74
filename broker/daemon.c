#include "daemon.h"

#include "acl.h"
#include "cleanup.h"
#include "control.h"
#include "credentials.h"
#include "doctor_checks.h"
#include "log.h"
#include "recover.h"
#include "share.h"
#include "tree.h"
#include "version.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#ifndef CDSS_LIBEXEC_DIR
#define CDSS_LIBEXEC_DIR "/usr/libexec/cdss"
#endif

/* -- before anything is changed -- */

static int check_ports(const struct broker *broker, char *why, size_t why_size)
{
    const struct settings *settings = &broker->settings;

    for (uint32_t i = 0; i < broker->definitions->count; i++) {
        const struct definition *definition = &broker->definitions->items[i];
        for (uint32_t j = 0; j < definition->n_ports; j++) {
            uint16_t port = share_public_port(broker, definition, j);
            if ((port >= settings->ports.first && port <= settings->ports.last) ||
                (port >= settings->passive.first && port <= settings->passive.last)) {
                snprintf(why, why_size,
                         "port %u of %s lies in [network] ports or passive, which must hold no "
                         "public port",
                         port, definition->name.text);
                return -EINVAL;
            }
        }
    }
    return 0;
}

int daemon_check(const char *config, struct broker *broker, char *why, size_t why_size)
{
    struct conf_error error = {{0}};

    *broker = (struct broker){.images_fd = -1, .shares_fd = -1, .run_shares_fd = -1};
    int r = settings_load(config, &broker->settings, &error);
    if (r == 0) {
        r = definitions_load(broker->settings.templates, &broker->definitions, &error);
    }
    if (r < 0) {
        snprintf(why, why_size, "%s", error.text);
        return r;
    }
    if (broker->definitions->count == 0) {
        snprintf(why, why_size, "%s: no protocol is defined there", broker->settings.templates);
        return -ENOENT;
    }
    return check_ports(broker, why, why_size);
}

void daemon_free(struct broker *broker)
{
    definitions_free(broker->definitions);
    broker->definitions = NULL;
}

/* -- the process itself -- */

/* Root, but bounded: what the steps of a share need and nothing else (capabilities(7)). */
static uint64_t kept_capabilities(void)
{
    static const int kept[] = {
        CAP_SYS_ADMIN,    CAP_NET_ADMIN,       CAP_SETUID,     CAP_SETGID,  CAP_SETPCAP, CAP_CHOWN,
        CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,     CAP_FSETID,  CAP_KILL,    CAP_MKNOD,
        CAP_SYS_CHROOT,   CAP_SYS_RESOURCE,    CAP_SYS_PTRACE, CAP_SETFCAP,
    };
    uint64_t mask = 0;

    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        mask |= UINT64_C(1) << kept[i];
    }
    return mask;
}

static int start_process(struct broker *broker, char *why, size_t why_size)
{
    const struct rlimit no_core = {0, 0};
    struct rlimit files;

    (void)broker;
    if (geteuid() != 0) {
        snprintf(why, why_size, "it must be started as root");
        return -EPERM;
    }
    umask(077);
    prctl(PR_SET_DUMPABLE, 0); /* requests may carry passwords */
    setrlimit(RLIMIT_CORE, &no_core);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    int r = credentials_bound(kept_capabilities());
    if (r < 0) {
        snprintf(why, why_size, "its capabilities could not be bounded: %s", strerror(-r));
    }
    return r;
}

/* Uids that are somebody else's would give him what is a share's, and the other way round. */
static int start_uids(struct broker *broker, char *why, size_t why_size)
{
    CLEANUP_CLOSE int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_TEXT struct text says = {0};
    const struct doctor doctor = {.root_fd = root, .settings = &broker->settings};

    if (doctor_check_uids(&doctor, &says) != DOCTOR_FAIL) {
        return 0;
    }
    snprintf(why, why_size, "%s", says.data != NULL ? says.data : "");
    return -EINVAL;
}

/* NSS is asked here, once, and never in the loop. */
static int start_peers(struct broker *broker, char *why, size_t why_size)
{
    const struct group *group = getgrnam(broker->settings.admin_group);

    (void)why;
    (void)why_size;
    broker->peers.admin_group = group != NULL ? group->gr_gid : (gid_t)-1;
    for (uint32_t i = 0; i < broker->settings.web_users.count; i++) {
        const char *name = broker->settings.web_users.items[i];
        const struct passwd *user = getpwnam(name);
        if (user == NULL) {
            log_write(LOG_LEVEL_INFO, "broker.peers", NULL, "[broker] web_users: no user %s", name);
        }
        if (user != NULL && broker->peers.n_web_users < ARRAY_SIZE(broker->peers.web_users)) {
            broker->peers.web_users[broker->peers.n_web_users++] = user->pw_uid;
        }
    }
    return 0;
}

/* -- directories -- */

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

static int start_repository(struct broker *broker, char *why, size_t why_size)
{
    const struct settings *settings = &broker->settings;

    int r = tree_check(settings->images, settings->shares, why, why_size);
    r = r < 0 ? r : open_directory(settings->images, &broker->images_fd, why, why_size);
    return r < 0 ? r : open_directory(settings->shares, &broker->shares_fd, why, why_size);
}

static void stop_repository(struct broker *broker)
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

static int start_run(struct broker *broker, char *why, size_t why_size)
{
    char shares[PATH_MAX];

    int r = run_path(broker, "shares", shares);
    r = r < 0 ? r : make_directory(broker->settings.run, 0750, why, why_size);
    r = r < 0 ? r : open_way(broker->settings.run, &broker->peers, why, why_size);
    r = r < 0 ? r : make_directory(shares, 0700, why, why_size);
    return r < 0 ? r : open_directory(shares, &broker->run_shares_fd, why, why_size);
}

static void stop_run(struct broker *broker)
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
}

/* One broker per run directory; the kernel gives the lock back whatever happens. */
static int start_lock(struct broker *broker, char *why, size_t why_size)
{
    char path[PATH_MAX];
    int r = run_path(broker, "cdssd.lock", path);

    broker->lock_fd = r < 0 ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (broker->lock_fd < 0) {
        r = -errno;
        snprintf(why, why_size, "%s could not be made: %s", path, strerror(-r));
        return r;
    }
    /* One that ends removes the file: a lock on a file without a name keeps nobody out. */
    struct stat status;
    if (flock(broker->lock_fd, LOCK_EX | LOCK_NB) < 0 || fstat(broker->lock_fd, &status) < 0 ||
        status.st_nlink == 0) {
        snprintf(why, why_size, "another cdssd is running on %s", broker->settings.run);
        close(broker->lock_fd);
        return -EBUSY;
    }
    return 0;
}

static void stop_lock(struct broker *broker)
{
    char path[PATH_MAX];

    if (run_path(broker, "cdssd.lock", path) == 0) {
        unlink(path);
    }
    close(broker->lock_fd);
}

/* -- what a share is made of -- */

static int start_cgroups(struct broker *broker, char *why, size_t why_size)
{
    int r = cgroups_open(&broker->cgroups);

    if (r < 0) {
        snprintf(why, why_size, "control groups: %s", strerror(-r));
        return r;
    }
    if (!cgroups_limit_memory(broker->cgroups) || !cgroups_limit_processes(broker->cgroups)) {
        log_write(LOG_LEVEL_WARN, "broker.cgroups", NULL,
                  "no control group bounds the memory and processes of shares here; "
                  "cdss doctor says what to do");
    }
    return 0;
}

static void stop_cgroups(struct broker *broker)
{
    cgroups_close(broker->cgroups);
}

static int start_sandboxes(struct broker *broker, char *why, size_t why_size)
{
    const char *libexec = getenv("CDSS_LIBEXEC"); /* for a build tree; whoever starts us is root */
    char supervisor[PATH_MAX];
    char fusermount[PATH_MAX];

    libexec = libexec != NULL ? libexec : CDSS_LIBEXEC_DIR;
    snprintf(supervisor, sizeof supervisor, "%s/cdss-supervisor", libexec);
    snprintf(fusermount, sizeof fusermount, "%s/cdss-fusermount", libexec);
    const struct sandbox_settings settings = {
        .root = broker->settings.root,
        .run = broker->settings.run,
        .supervisor = supervisor,
        .fusermount = fusermount,
        .uid_per_share = broker->settings.uid_per_share,
    };
    return sandbox_prepare(&settings, &broker->sandboxes, why, why_size);
}

static void stop_sandboxes(struct broker *broker)
{
    sandbox_template_free(broker->sandboxes);
}

static int start_gallery(struct broker *broker, char *why, size_t why_size)
{
    int r = gallery_open(broker->settings.run, broker->settings.max_mounts, &broker->gallery);

    if (r < 0) {
        snprintf(why, why_size, "%s/gallery: %s", broker->settings.run, strerror(-r));
    }
    return r;
}

static void stop_gallery(struct broker *broker)
{
    gallery_close(broker->gallery);
}

static int start_firewall(struct broker *broker, char *why, size_t why_size)
{
    const struct settings *settings = &broker->settings;
    const struct firewall_settings firewall = {
        .mark_prefix = (uint8_t)settings->mark_prefix,
        .passive = {settings->passive.first, settings->passive.last},
        .uid_first = settings->uid_first,
        .uid_last =
            settings->uid_first + settings_uid_blocks(settings) * settings->uid_per_share - 1,
    };

    int r = firewall_open(&firewall, &broker->firewall);
    if (r < 0) {
        snprintf(why, why_size, "netlink: %s", strerror(-r));
    }
    return r;
}

static void stop_firewall(struct broker *broker)
{
    if (broker->firewall_installed && broker->n_left == 0) {
        firewall_uninstall(broker->firewall);
    }
    firewall_close(broker->firewall);
}

/* -- the loop and what it watches -- */

static int start_loop(struct broker *broker, char *why, size_t why_size)
{
    int r = loop_open(&broker->loop);

    if (r < 0) {
        snprintf(why, why_size, "epoll: %s", strerror(-r));
    }
    return r;
}

static void stop_loop(struct broker *broker)
{
    loop_close(broker->loop);
}

static void signal_ready(uint32_t events, void *user_data)
{
    struct broker *broker = user_data;
    struct signalfd_siginfo info;

    (void)events;
    while (read(broker->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo != SIGCHLD) {
            log_write(LOG_LEVEL_INFO, "broker.stopping", NULL, "%u shares live on",
                      share_count(broker, SHARE_ACTIVE));
            broker->stopping = true;
            share_settle_all(broker);
        }
    }
    /* Workers and sandboxes are waited for by pidfd; here only their entries are taken back. */
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}

static int start_signals(struct broker *broker, char *why, size_t why_size)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    broker->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    int r = broker->signal_fd < 0 ? -errno
                                  : loop_watch(broker->loop, broker->signal_fd, EPOLLIN,
                                               signal_ready, broker, &broker->signal_watch);
    if (r < 0) {
        snprintf(why, why_size, "signalfd: %s", strerror(-r));
    }
    return r;
}

static void stop_signals(struct broker *broker)
{
    loop_unwatch(&broker->signal_watch);
    close(broker->signal_fd);
}

static void registry_ready(uint32_t events, void *user_data)
{
    const struct broker *broker = user_data;

    (void)events;
    registry_dispatch(broker->registry);
}

/* Behind everything that asks for a single thread (namespaces, signal masks). */
static int start_registry(struct broker *broker, char *why, size_t why_size)
{
    int r = registry_open(broker->settings.state, &broker->registry, why, why_size);

    if (r < 0) {
        return r;
    }
    r = loop_watch(broker->loop, registry_fd(broker->registry), EPOLLIN, registry_ready, broker,
                   &broker->registry_watch);
    if (r < 0) {
        snprintf(why, why_size, "epoll: %s", strerror(-r));
        registry_close(broker->registry);
    }
    return r;
}

static void stop_registry(struct broker *broker)
{
    loop_unwatch(&broker->registry_watch);
    registry_close(broker->registry);
}

static int start_recovery(struct broker *broker, char *why, size_t why_size)
{
    return recover(broker, why, why_size);
}

static void stop_shares(struct broker *broker)
{
    share_forget_all(broker);
}

static int start_control(struct broker *broker, char *why, size_t why_size)
{
    int r = control_open(broker, &broker->control);

    if (r < 0) {
        snprintf(why, why_size, "%s: %s", broker->settings.socket, strerror(-r));
    }
    return r;
}

static void stop_control(struct broker *broker)
{
    control_close(broker->control);
}

/* -- in order -- */

static const struct {
    const char *name;
    int (*start)(struct broker *broker, char *why, size_t why_size);
    void (*stop)(struct broker *broker);
} steps[] = {
    {"process", start_process, NULL},
    {"uids", start_uids, NULL},
    {"peers", start_peers, NULL},
    {"run directory", start_run, stop_run},
    {"lock", start_lock, stop_lock},
    {"control groups", start_cgroups, stop_cgroups},
    /* Makes the mount namespace private: directories are opened behind it. */
    {"sandboxes", start_sandboxes, stop_sandboxes},
    {"repository", start_repository, stop_repository},
    {"gallery", start_gallery, stop_gallery},
    {"loop", start_loop, stop_loop},
    {"signals", start_signals, stop_signals},
    {"registry", start_registry, stop_registry},
    {"firewall", start_firewall, stop_firewall},
    {"recovery", start_recovery, stop_shares},
    {"socket", start_control, stop_control},
};

int daemon_run(struct broker *broker, char *why, size_t why_size)
{
    size_t done = 0;
    int r = 0;

    broker->started = (uint64_t)time(NULL);
    while (r == 0 && done < ARRAY_SIZE(steps)) {
        char reason[500] = "";
        r = steps[done].start(broker, reason, sizeof reason);
        if (r < 0) {
            snprintf(why, why_size, "%s: %s", steps[done].name,
                     reason[0] != '\0' ? reason : strerror(-r));
        }
        done += r == 0;
    }
    if (r == 0) {
        log_write(LOG_LEVEL_INFO, "broker.ready", NULL, "cdssd %s, %u protocols, %u shares",
                  version_text(), broker->definitions->count, broker->n_shares);
        r = loop_run(broker->loop);
        if (r < 0) {
            snprintf(why, why_size, "the loop: %s", strerror(-r));
        }
    }
    while (done-- > 0) {
        if (steps[done].stop != NULL) {
            steps[done].stop(broker);
        }
    }
    return r;
}
