/*
 * What the kernel says when it is asked in earnest: the whole rule set and one share are loaded,
 * and a connection is cut, in a network namespace that a child process makes for itself and that
 * ends with it.
 */
#include "cleanup.h"
#include "doctor_checks.h"
#include "firewall.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIAL_SECONDS 10 /* a child that hangs is ended by its alarm */
#define TRIAL_PORT    21999

/* What the trial came to: 0 or a negative errno each; 1: it did not get so far. */
struct trial {
    int namespace, rules, share, destroy;
};

static int raise_loopback(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0 ? 0 : -errno;
}

/* An established connection to TRIAL_PORT, which the kernel is then told to cut. */
static int try_destroy(struct firewall *firewall, const struct firewall_share *share)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(TRIAL_PORT),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CLEANUP_CLOSE int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CLEANUP_CLOSE int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr *where = (const struct sockaddr *)&address;
    if (listener < 0 || client < 0 || bind(listener, where, sizeof address) < 0 ||
        listen(listener, 1) < 0 || connect(client, where, sizeof address) < 0) {
        return -errno;
    }
    return firewall_share_reset(firewall, share);
}

static struct firewall_settings trial_settings(const struct settings *settings)
{
    return (struct firewall_settings){
        .mark_prefix = (uint8_t)settings->mark_prefix,
        .passive = {settings->passive.first, settings->passive.last},
        .uid_first = settings->uid_first,
        .uid_last = settings->uid_first + settings->uid_per_share - 1,
        .log_group = (uint16_t)settings->nflog,
        .max_flows = settings->max_flows,
    };
}

static void try_share(struct firewall *firewall, const struct settings *settings,
                      struct trial *trial)
{
    const struct prefix client = {{AF_INET, {192, 0, 2, 1}}, 32};
    const struct firewall_service services[] = {
        {IPPROTO_TCP, 8080, TRIAL_PORT, FIREWALL_HELPER_NONE, "http"},
        {IPPROTO_TCP, 21, TRIAL_PORT - 1, FIREWALL_HELPER_FTP, "ftp"},
        {IPPROTO_UDP, 69, TRIAL_PORT - 2, FIREWALL_HELPER_TFTP, "tftp"},
    };
    const struct firewall_share share = {
        .id = "0123456789abcdef",
        .mark = (uint32_t)settings->mark_prefix << 24 | 1,
        .uid_first = settings->uid_first,
        .uid_count = settings->uid_per_share,
        .clients = &client,
        .n_clients = 1,
        .services = services,
        .n_services = ARRAY_SIZE(services),
        .timeout_ms = 60000,
    };
    /* Before the share is there, or its ports would refuse this connection. */
    trial->destroy = try_destroy(firewall, &share);
    trial->share = firewall_share_add(firewall, &share);
}

static struct trial make_trial(const struct settings *settings)
{
    struct trial trial = {1, 1, 1, 1};
    struct firewall *firewall = NULL;
    struct firewall_settings base = trial_settings(settings);
    trial.namespace = unshare(CLONE_NEWNET) == 0 ? raise_loopback() : -errno;
    if (trial.namespace < 0) {
        return trial;
    }
    trial.rules = firewall_open(&base, &firewall);
    if (trial.rules == 0) {
        trial.rules = firewall_install(firewall, NULL, 0);
    }
    if (trial.rules == 0) {
        try_share(firewall, settings, &trial);
    }
    return trial;
}

/* Runs the trial in a child. False when it gave no answer. */
static bool run_trial(const struct settings *settings, struct trial *ret)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return false;
    }
    CLEANUP_CLOSE int from = ends[0];
    CLEANUP_CLOSE int to = ends[1];
    pid_t child = fork();
    if (child < 0) {
        return false;
    }
    if (child == 0) {
        alarm(TRIAL_SECONDS);
        struct trial trial = make_trial(settings);
        _exit(write(to, &trial, sizeof trial) == (ssize_t)sizeof trial ? 0 : 1);
    }
    close(TAKE_FD(to));
    bool answered = read(from, ret, sizeof *ret) == (ssize_t)sizeof *ret;
    waitpid(child, NULL, 0);
    return answered;
}

/* True when a trial was made; otherwise says has why not. */
static bool try_here(const struct doctor *doctor, struct text *says, struct trial *ret)
{
    if (!doctor->live || !doctor->privileged) {
        text_add(says, "only root can try this; run 'sudo cdss doctor'");
        return false;
    }
    if (!run_trial(doctor->settings, ret)) {
        text_add(says, "the trial gave no answer; try again, and look into the kernel's log");
        return false;
    }
    if (ret->namespace < 0) {
        text_format(says, "no network namespace could be made for the trial: %s",
                    strerror(-ret->namespace));
        return false;
    }
    return true;
}

enum doctor_result doctor_check_firewall(const struct doctor *doctor, struct text *says)
{
    struct trial trial;
    if (!try_here(doctor, says, &trial)) {
        return DOCTOR_NOTE;
    }
    if (trial.rules < 0) {
        return doctor_say(
            says, DOCTOR_FAIL,
            "the kernel refuses the rule set (%s); it needs nf_tables with NAT, fib, "
            "conntrack marks and the ftp and tftp helpers: a distribution's kernel has "
            "them, 'modprobe -a nf_tables nft_chain_nat nf_conntrack_ftp "
            "nf_conntrack_tftp' loads them",
            strerror(-trial.rules));
    }
    if (trial.share < 0) {
        return doctor_say(says, DOCTOR_FAIL,
                          "the kernel takes the base rules but refuses a share's (%s); redirects "
                          "need nft_nat and nft_ct",
                          strerror(-trial.share));
    }
    return doctor_say(says, DOCTOR_OK,
                      "the whole rule set and a share load in a namespace made for the trial");
}

enum doctor_result doctor_check_destroy(const struct doctor *doctor, struct text *says)
{
    struct trial trial;
    if (!try_here(doctor, says, &trial) || trial.rules < 0) {
        text_add(says, says->length > 0 ? "" : "not tried, since the rule set does not load");
        return DOCTOR_NOTE;
    }
    if (trial.destroy < 0) {
        return doctor_say(
            says, DOCTOR_WARN,
            "the kernel cannot cut a connection (%s): a client behind a bridge may "
            "wait for a minute after its share's end; CONFIG_INET_DIAG_DESTROY is what "
            "is missing",
            strerror(-trial.destroy));
    }
    return doctor_say(says, DOCTOR_OK, "connections are cut at once when a share ends");
}
