/*
 * The parts that shares are made with, each opened and closed.
 */
#include "daemon_steps.h"

#include "access.h"
#include "control.h"
#include "fence.h"
#include "gate.h"
#include "guard.h"
#include "log.h"
#include "recover.h"
#include "share.h"
#include "verify.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#ifndef CDSS_LIBEXEC_DIR
#define CDSS_LIBEXEC_DIR "/usr/libexec/cdss"
#endif

int daemon_start_cgroups(struct broker *broker, char *why, size_t why_size)
{
    /* A service manager's group for what outlives this process; whoever starts us is root. */
    int r = cgroups_open(getenv("CDSS_CGROUP"), &broker->cgroups);

    if (r < 0) {
        snprintf(why, why_size, "control groups: %s", strerror(-r));
        return r;
    }
    if (!cgroups_limit_memory(broker->cgroups) || !cgroups_limit_processes(broker->cgroups)) {
        log_write(LOG_LEVEL_WARN, "broker.cgroups", NULL,
                  "no control group bounds the memory and processes of shares here; "
                  "cdss doctor says what to do");
    }
    r = cgroups_unified(broker->cgroups) ? fence_probe() : -ENOENT;
    broker->can_fence = r == 0;
    if (r < 0) {
        log_write(LOG_LEVEL_WARN, "broker.fence", NULL,
                  "the kernel does not hold the sockets of shares to their own flows here: %s; "
                  "cdss doctor says what to do",
                  r == -ENOENT ? "there is no unified control group" : strerror(-r));
    }
    return 0;
}

void daemon_stop_cgroups(struct broker *broker)
{
    cgroups_close(broker->cgroups);
}

static void program_path(const char *name, char path[PATH_MAX])
{
    const char *libexec = getenv("CDSS_LIBEXEC"); /* for a build tree; whoever starts us is root */

    snprintf(path, PATH_MAX, "%s/%s", libexec != NULL ? libexec : CDSS_LIBEXEC_DIR, name);
}

int daemon_start_sandboxes(struct broker *broker, char *why, size_t why_size)
{
    char supervisor[PATH_MAX];
    char fusermount[PATH_MAX];

    program_path("cdss-supervisor", supervisor);
    program_path("cdss-fusermount", fusermount);
    const struct sandbox_settings settings = {
        .root = broker->settings.root,
        .run = broker->settings.run,
        .supervisor = supervisor,
        .fusermount = fusermount,
        .uid_per_share = broker->settings.uid_per_share,
    };
    return sandbox_prepare(&settings, &broker->sandboxes, why, why_size);
}

void daemon_stop_sandboxes(struct broker *broker)
{
    sandbox_template_free(broker->sandboxes);
}

int daemon_start_gallery(struct broker *broker, char *why, size_t why_size)
{
    int r = gallery_open(broker->settings.run, broker->settings.max_mounts, &broker->gallery);

    if (r < 0) {
        snprintf(why, why_size, "%s/gallery: %s", broker->settings.run, strerror(-r));
    }
    return r;
}

void daemon_stop_gallery(struct broker *broker)
{
    gallery_close(broker->gallery);
}

int daemon_start_firewall(struct broker *broker, char *why, size_t why_size)
{
    const struct settings *settings = &broker->settings;
    const struct firewall_settings firewall = {
        .mark_prefix = (uint8_t)settings->mark_prefix,
        .passive = {settings->passive.first, settings->passive.last},
        .uid_first = settings->uid_first,
        .uid_last =
            settings->uid_first + settings_uid_blocks(settings) * settings->uid_per_share - 1,
        .log_group = (uint16_t)settings->nflog,
        .max_flows = settings->max_flows,
    };

    int r = firewall_open(&firewall, &broker->firewall);
    if (r < 0) {
        snprintf(why, why_size, "netlink: %s", strerror(-r));
    }
    return r;
}

void daemon_stop_firewall(struct broker *broker)
{
    if (broker->firewall_installed && broker->n_left == 0) {
        firewall_uninstall(broker->firewall);
    }
    firewall_close(broker->firewall);
}

int daemon_start_loop(struct broker *broker, char *why, size_t why_size)
{
    int r = loop_open(&broker->loop);

    if (r < 0) {
        snprintf(why, why_size, "epoll: %s", strerror(-r));
    }
    return r;
}

void daemon_stop_loop(struct broker *broker)
{
    loop_close(broker->loop);
}

int daemon_start_logins(struct broker *broker, char *why, size_t why_size)
{
    int r = logins_open(&broker->logins);

    if (r < 0) {
        snprintf(why, why_size, "%s", strerror(-r));
    }
    return r;
}

void daemon_stop_logins(struct broker *broker)
{
    logins_close(broker->logins);
}

int daemon_start_verify(struct broker *broker, char *why, size_t why_size)
{
    char program[PATH_MAX];

    program_path("cdss-verify", program);
    int r =
        verify_open(broker->loop, program, settings_verify_uid(&broker->settings), &broker->verify);
    if (r < 0) {
        snprintf(why, why_size, "%s: %s", program, strerror(-r));
    }
    return r;
}

void daemon_stop_verify(struct broker *broker)
{
    verify_close(broker->verify);
}

int daemon_start_gates(struct broker *broker, char *why, size_t why_size)
{
    (void)why;
    (void)why_size;
    return gates_open(broker, GATE_MOMENT_NS, &broker->gates);
}

void daemon_stop_gates(struct broker *broker)
{
    gates_close(broker->gates);
}

static void registry_ready(uint32_t events, void *user_data)
{
    const struct broker *broker = user_data;

    (void)events;
    registry_dispatch(broker->registry);
}

/* Of a registry that was begun anew: what lives is still known. Shares that are being ended follow
 * with their end. */
static void record_again(void *user_data)
{
    const struct broker *broker = user_data;
    int r = 0;

    for (const struct share *share = broker->shares; share != NULL && r == 0; share = share->next) {
        r = registry_record(broker->registry, &share->row, NULL, NULL);
        if (r == 0 && share->row.active) {
            r = registry_activate(broker->registry, &share->row, NULL, NULL);
        }
    }
    if (r < 0) {
        log_write(LOG_LEVEL_ERROR, "registry", NULL, "what lives cannot be recorded again: %s",
                  strerror(-r));
    }
}

/* Behind everything that asks for a single thread (namespaces, signal masks). */
int daemon_start_registry(struct broker *broker, char *why, size_t why_size)
{
    int r = registry_open(broker->settings.state, &broker->registry, why, why_size);

    if (r < 0) {
        return r;
    }
    registry_keep_history(broker->registry, broker->settings.history);
    registry_on_renewal(broker->registry, record_again, broker);
    r = loop_watch(broker->loop, registry_fd(broker->registry), EPOLLIN, registry_ready, broker,
                   &broker->registry_watch);
    if (r < 0) {
        snprintf(why, why_size, "epoll: %s", strerror(-r));
        registry_close(broker->registry);
    }
    return r;
}

void daemon_stop_registry(struct broker *broker)
{
    loop_unwatch(&broker->registry_watch);
    registry_close(broker->registry);
}

int daemon_start_recovery(struct broker *broker, char *why, size_t why_size)
{
    return recover(broker, why, why_size);
}

void daemon_stop_shares(struct broker *broker)
{
    share_forget_all(broker);
}

int daemon_start_guard(struct broker *broker, char *why, size_t why_size)
{
    (void)why;
    (void)why_size;
    return guard_open(broker, &broker->guard);
}

void daemon_stop_guard(struct broker *broker)
{
    guard_close(broker->guard);
    broker->guard = NULL;
}

int daemon_start_control(struct broker *broker, char *why, size_t why_size)
{
    int r = control_open(broker, &broker->control);

    if (r < 0) {
        snprintf(why, why_size, "%s: %s", broker->settings.socket, strerror(-r));
    }
    return r;
}

void daemon_stop_control(struct broker *broker)
{
    control_close(broker->control);
}
