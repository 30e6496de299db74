/*
 * A share among others: finding, counting, what the firewall needs to know of it, its PID 1 and its
 * deadline.
 */
#include "share.h"

#include "cleanup.h"
#include "gate.h"
#include "log.h"
#include "notify.h"
#include "share_steps.h"
#include "supervision.h"
#include "verify.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#define NS_PER_S  1000000000ull
#define NS_PER_MS 1000000ull

/* -- looking -- */

struct share *share_find(struct broker *broker, const char *user)
{
    struct share *share = broker->shares;

    while (share != NULL && strcmp(share->row.user.text, user) != 0) {
        share = share->next;
    }
    return share;
}

unsigned share_count(const struct broker *broker, enum share_state state)
{
    unsigned n = 0;

    for (const struct share *share = broker->shares; share != NULL; share = share->next) {
        n += share->state == state;
    }
    return n;
}

uint64_t share_remaining(const struct share *share)
{
    uint64_t now = loop_now();

    return share->row.deadline_ns > now ? (share->row.deadline_ns - now + NS_PER_S / 2) / NS_PER_S
                                        : 0;
}

uint16_t share_public_port(const struct broker *broker, const struct definition *definition,
                           uint32_t n)
{
    const struct settings *settings = &broker->settings;

    for (uint32_t i = 0; n == 0 && i < settings->n_public_ports; i++) {
        if (strcmp(settings->public_ports[i].protocol.text, definition->name.text) == 0) {
            return settings->public_ports[i].port;
        }
    }
    return definition->ports[n].port;
}

static enum firewall_helper helper_of(const char *name)
{
    static const struct {
        const char *name;
        enum firewall_helper helper;
    } helpers[] = {{"ftp", FIREWALL_HELPER_FTP}, {"tftp", FIREWALL_HELPER_TFTP}};

    for (size_t i = 0; i < ARRAY_SIZE(helpers); i++) {
        if (strcmp(helpers[i].name, name) == 0) {
            return helpers[i].helper;
        }
    }
    return FIREWALL_HELPER_NONE;
}

void share_firewall(const struct share *share, struct firewall_service *services,
                    struct firewall_share *ret)
{
    const struct registry_share *row = &share->row;
    uint64_t now = loop_now();
    uint32_t n = 0;

    for (uint32_t i = 0; i < row->n_protocols; i++) {
        const struct definition *definition =
            definitions_find(share->broker->definitions, row->protocols[i].name.text);
        /* Port 0: it was not prepared far enough to have one. */
        bool bound = definition != NULL && row->protocols[i].port != 0;
        for (uint32_t j = 0; bound && j < definition->n_ports; j++) {
            if (n < FIREWALL_SERVICES_MAX) {
                services[n] = (struct firewall_service){
                    .transport = definition->ports[j].transport,
                    .public_port = share_public_port(share->broker, definition, j),
                    .instance_port = row->protocols[i].port,
                    .helper = helper_of(definition->helper)};
                memcpy(services[n++].name, definition->name.text, sizeof definition->name.text);
            }
        }
    }
    *ret = (struct firewall_share){.mark = row->mark,
                                   .uid_first = row->uid_first,
                                   .uid_count = share->broker->settings.uid_per_share,
                                   .clients = row->clients,
                                   .n_clients = row->n_clients,
                                   .local = row->local,
                                   .services = services,
                                   .n_services = n,
                                   .timeout_ms = row->deadline_ns > now + NS_PER_MS
                                                     ? (row->deadline_ns - now) / NS_PER_MS
                                                     : 1};
    memcpy(ret->id, row->id, sizeof row->id);
}

void share_refuse_strangers(struct broker *broker)
{
    uint16_t ports[DEFINITIONS_MAX * DEFINITION_PORTS_MAX];
    uint32_t n = 0;

    for (uint32_t i = 0; i < broker->definitions->count; i++) {
        const struct definition *definition = &broker->definitions->items[i];
        for (uint32_t j = 0; j < definition->n_ports; j++) {
            if (definition->ports[j].transport == IPPROTO_UDP) {
                ports[n++] = share_public_port(broker, definition, j);
            }
        }
    }
    int r = firewall_set_public_udp(broker->firewall, ports, n);
    if (r < 0) {
        log_write(LOG_LEVEL_WARN, "firewall.public_udp", NULL, "%s", strerror(-r));
    }
}

/* -- freeing -- */

void share_free_row(struct registry_share *row)
{
    free(row->clients);
    free(row->images);
    free(row->protocols);
    *row = (struct registry_share){0};
}

void share_release_holds(struct share *share)
{
    for (uint32_t i = 0; i < share->holds.count; i++) {
        if (share->holds.slots[i] != SHARE_NO_SLOT) {
            gallery_release(share->broker->gallery, share->holds.slots[i]);
        }
    }
    free(share->holds.slots);
    share->holds = (struct share_holds){0};
}

void share_settled(struct broker *broker)
{
    bool busy = !broker->stopping || (broker->verify != NULL && verify_running(broker->verify)) ||
                (broker->gates != NULL && gates_reading(broker->gates));

    for (const struct share *s = broker->shares; s != NULL && !busy; s = s->next) {
        busy = s->state != SHARE_ACTIVE || s->worker != NULL || s->writes > 0;
    }
    if (!busy) {
        loop_stop(broker->loop);
    }
}

void share_settle_all(struct broker *broker)
{
    for (struct share *share = broker->shares, *next; share != NULL; share = next) {
        next = share->next;
        if (share->state == SHARE_PREPARING) {
            share_end(share, "the broker was stopped");
        }
    }
    share_settled(broker);
}

/* Seen in `systemctl status cdssd`. What a stop lets live on, it has said already. */
static void tell_count(const struct broker *broker)
{
    if (!broker->stopping) {
        notify_tell("STATUS=%u shares", broker->n_shares);
    }
}

void share_free(struct share *share)
{
    struct share **place = &share->broker->shares;

    while (*place != share) {
        place = &(*place)->next;
    }
    *place = share->next;
    share->broker->n_shares--;
    tell_count(share->broker);
    loop_cancel(&share->timer);
    loop_unwatch(&share->pid_watch);
    supervision_drop(&share->status_question);
    if (share->pidfd >= 0) {
        close(share->pidfd);
    }
    if (share->status_fd >= 0) {
        close(share->status_fd);
    }
    share_release_holds(share);
    share_free_row(&share->row);
    struct broker *broker = share->broker;
    free(share);
    share_settled(broker);
}

void share_forget_all(struct broker *broker)
{
    while (broker->shares != NULL) {
        broker->n_left += broker->shares->state == SHARE_ACTIVE;
        share_free(broker->shares);
    }
}

/* -- PID 1 -- */

static void pid_gone(uint32_t events, void *user_data)
{
    struct share *share = user_data;
    bool expired = share->row.deadline_ns <= loop_now() + NS_PER_S;

    (void)events;
    loop_unwatch(&share->pid_watch);
    close(share->pidfd);
    share->pidfd = -1;
    if (share->state == SHARE_ENDING) {
        share_continue_end(share);
    } else if (expired) {
        share_end(share, "expired");
    } else if (share->state == SHARE_ACTIVE) {
        share_end(share, "its sandbox ended unexpectedly");
    } else if (share->row.active) { /* to be, as soon as that is durable */
        share_preparing_failed(share, "", SANDBOX_ENDED);
    } /* while it is prepared, the worker notices and says what was wrong */
}

int share_born(struct share *share, pid_t pid, uint64_t start_time, int pidfd)
{
    share->row.pid = pid;
    share->row.pid_start = start_time;
    share->pidfd = pidfd;
    int r = loop_watch(share->broker->loop, pidfd, EPOLLIN, pid_gone, share, &share->pid_watch);
    if (r < 0) {
        share->pidfd = -1;
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        close(pidfd);
    } else if (share->state == SHARE_ENDING) {
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    }
    return r;
}

/* -- beginning -- */

static void deadline_passed(void *user_data)
{
    struct share *share = user_data;

    share->timer = NULL;
    share_end(share, "expired");
}

int share_set_timer(struct share *share)
{
    loop_cancel(&share->timer);
    return loop_at(share->broker->loop, share->row.deadline_ns, deadline_passed, share,
                   &share->timer);
}

struct share *share_new(struct broker *broker, struct registry_share *row)
{
    struct share *share = calloc(1, sizeof *share);

    if (share != NULL) {
        *share = (struct share){
            .broker = broker, .next = broker->shares, .row = *row, .pidfd = -1, .status_fd = -1};
        *row = (struct registry_share){0};
        share->number = ++broker->n_made;
        broker->shares = share;
        broker->n_shares++;
        tell_count(broker);
    }
    return share;
}

static void status_came(int status_fd, void *user_data)
{
    struct share *share = user_data;

    share->status_fd = status_fd;
    supervision_drop(&share->status_question);
}

int share_adopt(struct broker *broker, struct registry_share *row, int pidfd)
{
    struct share *share = share_new(broker, row);

    if (share == NULL) {
        return -ENOMEM;
    }
    share->state = SHARE_ACTIVE;
    share->firewall_up = true;
    int r = share_born(share, share->row.pid, share->row.pid_start, pidfd);
    r = r < 0 ? r : share_set_timer(share);
    if (r == 0) { /* without an answer its servers' states are not known */
        supervision_ask_status(broker->loop, broker->run_shares_fd, share->row.id, status_came,
                               share, &share->status_question);
    }
    if (r < 0) {
        *row = share->row;
        share->row = (struct registry_share){0};
        share_free(share);
    }
    return r;
}
