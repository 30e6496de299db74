/*
 * The first change is answered at once; then the guard does not listen for a second, so that
 * somebody who flushes in a loop costs one transaction a second and not the processor. What happens
 * meanwhile waits in the socket and is answered then. Without our rules nobody is served at all
 * (the sockets' own filters), so a delay opens nothing.
 */
#include "guard.h"

#include "cleanup.h"
#include "guard_addresses.h"
#include "log.h"
#include "share.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#define NS_PER_S   1000000000ull
#define PAUSE_NS   NS_PER_S         /* between two repairs */
#define LOG_NS     (60 * NS_PER_S)  /* between two lines about them */
#define RECENT_NS  (600 * NS_PER_S) /* status tells of a change for so long */
#define LOOK_NS    (10 * NS_PER_S)  /* between two looks at what tells nobody of itself */
#define ASLEEP_NS  (NS_PER_S / 2)   /* less is no sleep */
#define FAILED_MAX (60 * NS_PER_S)  /* between two attempts that fail */

struct guard {
    struct broker *broker;
    struct loop_watch *watch;
    struct loop_timer *pause; /* runs: not listening */
    struct loop_timer *look;  /* the next one around */
    uint64_t asleep_ns;       /* of the machine since it was booted, as of the last look */
    struct guard_addresses *addresses;
    uint64_t repairs;   /* so far */
    uint64_t unlogged;  /* of them, since the last line */
    uint64_t last_ns;   /* of the last change; 0: none yet */
    uint64_t logged_ns; /* of the last line */
    uint64_t wait_ns;   /* before the next attempt, while they fail */
    int error;          /* of the last attempt */
    char who[48];       /* "nft (pid 123)", as it calls itself */
};

/* -- the rules -- */

int guard_install(struct broker *broker)
{
    CLEANUP_FREE struct firewall_share *shares = calloc(broker->n_shares + 1, sizeof *shares);
    CLEANUP_FREE struct firewall_service *services =
        calloc(((size_t)broker->n_shares + 1) * FIREWALL_SERVICES_MAX, sizeof *services);
    uint32_t n = 0;

    if (shares == NULL || services == NULL) {
        return -ENOMEM;
    }
    for (const struct share *share = broker->shares; share != NULL; share = share->next) {
        if (share->firewall_up) {
            share_firewall(share, services + (size_t)n * FIREWALL_SERVICES_MAX, &shares[n]);
            n++;
        }
    }
    int r = firewall_install(broker->firewall, shares, n);
    if (r == 0) {
        share_refuse_strangers(broker);
    }
    return r;
}

static void log_repair(struct guard *guard)
{
    uint64_t now = loop_now();

    guard->unlogged++;
    if (guard->logged_ns != 0 && now - guard->logged_ns < LOG_NS) {
        return;
    }
    if (guard->error < 0) {
        log_write(LOG_LEVEL_ERROR, "firewall.lost", NULL,
                  "%s changed the table inet cdss, and it cannot be installed again: %s; nobody is "
                  "served until it can",
                  guard->who, strerror(-guard->error));
    } else {
        log_write(LOG_LEVEL_WARN, "firewall.repaired", NULL,
                  "%s changed the table inet cdss: installed again with all shares (%llu times "
                  "since this was said last)",
                  guard->who, (unsigned long long)guard->unlogged);
    }
    guard->logged_ns = now;
    guard->unlogged = 0;
}

static void pause_over(void *user_data);

static void pause_for(struct guard *guard, uint64_t ns)
{
    /* Not only silenced: a socket that has lost messages would go on reporting that. */
    if (loop_at(guard->broker->loop, loop_now() + ns, pause_over, guard, &guard->pause) == 0) {
        loop_unwatch(&guard->watch);
    }
}

static void heard(uint32_t events, void *user_data);

static int listen_again(struct guard *guard)
{
    return loop_watch(guard->broker->loop, firewall_change_fd(guard->broker->firewall), EPOLLIN,
                      heard, guard, &guard->watch);
}

/* What fails is tried again, less and less often: the table may be somebody else's by now. */
static void repair(struct guard *guard)
{
    bool failed_before = guard->error < 0;

    guard->last_ns = loop_now();
    guard->error = guard_install(guard->broker);
    guard->repairs += guard->error == 0;
    if ((guard->error < 0) != failed_before) {
        guard->logged_ns = 0; /* news */
    }
    log_repair(guard);
    if (guard->error == 0) {
        guard->wait_ns = PAUSE_NS;
    } else if (guard->wait_ns < FAILED_MAX) {
        guard->wait_ns *= 2;
    }
    pause_for(guard, guard->wait_ns);
}

static void pause_over(void *user_data)
{
    struct guard *guard = user_data;

    guard->pause = NULL;
    if (guard->error < 0) {
        repair(guard);
    } else if (listen_again(guard) < 0) {
        pause_for(guard, PAUSE_NS);
    }
}

static void name_changer(struct guard *guard, const struct firewall_change *change)
{
    if (change->pid != 0) {
        snprintf(guard->who, sizeof guard->who, "%s (pid %u)", change->name, change->pid);
    } else {
        snprintf(guard->who, sizeof guard->who, "another program");
    }
}

/* Messages that were lost can hide a change only where others can make one. */
static void heard(uint32_t events, void *user_data)
{
    struct guard *guard = user_data;
    struct firewall_change change;

    (void)events;
    int r = firewall_change_read(guard->broker->firewall, &change);
    if (r < 0) {
        log_write(LOG_LEVEL_ERROR, "firewall.listen", NULL, "%s", strerror(-r));
    }
    if (change.changed || (change.lost && !firewall_owned(guard->broker->firewall))) {
        name_changer(guard, &change);
        repair(guard);
    } else if (change.lost || r < 0) {
        pause_for(guard, PAUSE_NS);
    }
}

/* -- looking around -- */

/* CLOCK_BOOTTIME counts it, CLOCK_MONOTONIC does not (clock_gettime(2)). */
static uint64_t time_asleep(void)
{
    struct timespec awake;

    clock_gettime(CLOCK_MONOTONIC, &awake);
    return loop_now() - ((uint64_t)awake.tv_sec * NS_PER_S + (uint64_t)awake.tv_nsec);
}

/* The kernel's timeouts slept, too, and would end too late. */
static void look_at_sleep(struct guard *guard)
{
    uint64_t asleep = time_asleep();

    if (asleep < guard->asleep_ns + ASLEEP_NS) {
        return;
    }
    int r = guard_install(guard->broker);
    log_write(r < 0 ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "firewall.resumed", NULL,
              "the machine was asleep for %llu s: the timeouts in the firewall %s%s",
              (unsigned long long)((asleep - guard->asleep_ns) / NS_PER_S),
              r < 0 ? "cannot be written anew: " : "are written anew", r < 0 ? strerror(-r) : "");
    guard->asleep_ns = r < 0 ? guard->asleep_ns : asleep;
}

/* A socket that is bound is no event, and sleep tells only those who were meant to wake up: so they
 * are looked at from time to time, and that time is over at once when the machine wakes. */
static void look_around(void *user_data)
{
    struct guard *guard = user_data;

    guard->look = NULL;
    if (guard->error == 0) {
        look_at_sleep(guard);
        share_refuse_strangers(guard->broker);
    }
    loop_at(guard->broker->loop, loop_now() + LOOK_NS, look_around, guard, &guard->look);
}

/* -- beginning and end -- */

int guard_open(struct broker *broker, struct guard **ret)
{
    CLEANUP_FREE struct guard *guard = calloc(1, sizeof *guard);

    if (guard == NULL) {
        return -ENOMEM;
    }
    *guard = (struct guard){.broker = broker, .wait_ns = PAUSE_NS, .asleep_ns = time_asleep()};
    int r = listen_again(guard);
    r = r < 0 ? r : guard_addresses_open(broker, &guard->addresses);
    if (r == 0) {
        r = loop_at(broker->loop, loop_now() + LOOK_NS, look_around, guard, &guard->look);
    }
    if (r < 0) {
        guard_addresses_close(guard->addresses);
        loop_unwatch(&guard->watch);
        return r;
    }
    if (broker->settings.max_flows != 0 && !firewall_counts(broker->firewall)) {
        log_write(
            LOG_LEVEL_WARN, "firewall.flows", NULL,
            "this kernel cannot count connections (nft_connlimit): [network] max_flows bounds "
            "nothing");
    }
    *ret = TAKE_PTR(guard);
    return 0;
}

void guard_close(struct guard *guard)
{
    if (guard != NULL) {
        guard_addresses_close(guard->addresses);
        loop_unwatch(&guard->watch);
        loop_cancel(&guard->pause);
        loop_cancel(&guard->look);
        free(guard);
    }
}

void guard_describe(const struct broker *broker, char text[GUARD_TEXT_SIZE])
{
    static const struct guard calm = {0};
    const struct guard *guard = broker->guard != NULL ? broker->guard : &calm;
    uint64_t since = guard->last_ns != 0 ? loop_now() - guard->last_ns : UINT64_MAX;
    int r = firewall_check(broker->firewall);

    if (guard->error < 0) {
        snprintf(text, GUARD_TEXT_SIZE,
                 "%s changed our rules, and they cannot be installed again: %s; nobody is served",
                 guard->who, strerror(-guard->error));
    } else if (since < RECENT_NS) { /* gone again perhaps, until the pause is over */
        snprintf(text, GUARD_TEXT_SIZE,
                 "%s changed our rules %llu s ago; they were installed again, %llu times so far",
                 guard->who, (unsigned long long)(since / NS_PER_S),
                 (unsigned long long)guard->repairs);
    } else if (r < 0) {
        snprintf(text, GUARD_TEXT_SIZE, "%s", strerror(-r));
    } else {
        snprintf(text, GUARD_TEXT_SIZE, "ok");
    }
}
