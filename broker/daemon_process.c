/*
 * What the process itself is: root with few capabilities, uids that are nobody else's, peers that
 * it knows; and the signals that end it.
 */
#include "daemon_steps.h"

#include "cleanup.h"
#include "credentials.h"
#include "doctor_checks.h"
#include "log.h"
#include "notify.h"
#include "share.h"
#include "verify.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

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

int daemon_start_process(struct broker *broker, char *why, size_t why_size)
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
int daemon_start_uids(struct broker *broker, char *why, size_t why_size)
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
int daemon_start_peers(struct broker *broker, char *why, size_t why_size)
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

static void no_check_runs(void *user_data)
{
    share_settle_all(user_data);
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
            notify_tell("STOPPING=1\nSTATUS=%u shares live on", share_count(broker, SHARE_ACTIVE));
            broker->stopping = true;
            verify_stop(broker->verify, no_check_runs, broker);
            share_settle_all(broker);
        }
    }
    /* Workers and sandboxes are waited for by pidfd; here only their entries are taken back. */
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}

int daemon_start_signals(struct broker *broker, char *why, size_t why_size)
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

void daemon_stop_signals(struct broker *broker)
{
    loop_unwatch(&broker->signal_watch);
    close(broker->signal_fd);
}
