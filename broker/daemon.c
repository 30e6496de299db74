#include "daemon.h"

#include "cleanup.h"
#include "daemon_steps.h"
#include "log.h"
#include "notify.h"
#include "share.h"
#include "stopping_point.h"
#include "version.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

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

/* -- in order -- */

static const struct {
    const char *name;
    int (*start)(struct broker *broker, char *why, size_t why_size);
    void (*stop)(struct broker *broker);
} steps[] = {
    {"process", daemon_start_process, NULL},
    {"uids", daemon_start_uids, NULL},
    {"peers", daemon_start_peers, NULL},
    {"run directory", daemon_start_run, daemon_stop_run},
    {"lock", daemon_start_lock, daemon_stop_lock},
    {"control groups", daemon_start_cgroups, daemon_stop_cgroups},
    /* Makes the mount namespace private: directories are opened behind it. */
    {"sandboxes", daemon_start_sandboxes, daemon_stop_sandboxes},
    {"repository", daemon_start_repository, daemon_stop_repository},
    {"gallery", daemon_start_gallery, daemon_stop_gallery},
    {"loop", daemon_start_loop, daemon_stop_loop},
    {"signals", daemon_start_signals, daemon_stop_signals},
    {"passwords", daemon_start_verify, daemon_stop_verify},
    {"logins", daemon_start_logins, daemon_stop_logins},
    {"image passwords", daemon_start_gates, daemon_stop_gates},
    {"registry", daemon_start_registry, daemon_stop_registry},
    {"firewall", daemon_start_firewall, daemon_stop_firewall},
    {"recovery", daemon_start_recovery, daemon_stop_shares},
    {"guard", daemon_start_guard, daemon_stop_guard},
    {"socket", daemon_start_control, daemon_stop_control},
};

int daemon_run(struct broker *broker, char *why, size_t why_size)
{
    size_t done = 0;
    int r = 0;

    broker->started = (uint64_t)time(NULL);
    while (r == 0 && done < ARRAY_SIZE(steps)) {
        char reason[500] = "";
        r = steps[done].start(broker, reason, sizeof reason);
        STOPPING_POINT("start.step_done");
        if (r < 0) {
            snprintf(why, why_size, "%s: %s", steps[done].name,
                     reason[0] != '\0' ? reason : strerror(-r));
        }
        done += r == 0;
    }
    if (r == 0) {
        log_write(LOG_LEVEL_INFO, "broker.ready", NULL, "cdssd %s, %u protocols, %u shares",
                  version_text(), broker->definitions->count, broker->n_shares);
        notify_tell("READY=1\nSTATUS=%u shares", broker->n_shares);
        r = loop_run(broker->loop);
        if (r < 0) {
            snprintf(why, why_size, "the loop: %s", strerror(-r));
        }
    }
    while (done-- > 0) {
        if (steps[done].stop != NULL) {
            steps[done].stop(broker);
            STOPPING_POINT("stop.step_done");
        }
    }
    return r;
}
