/*
 * The daemon's one context object: everything that lives as long as cdssd does. Nothing else in the
 * broker is global and mutable.
 */
#pragma once

#include "cgroup.h"
#include "definition.h"
#include "firewall.h"
#include "gallery.h"
#include "loop.h"
#include "peer.h"
#include "registry.h"
#include "sandbox.h"
#include "settings.h"

#include <stdbool.h>
#include <stdint.h>

struct share;
struct control;
struct guard;
struct verify;
struct gates;
struct turn;
struct logins;

struct broker {
    struct settings settings;
    struct definitions *definitions;
    struct peer_rules peers;
    struct loop *loop;
    struct registry *registry;
    struct loop_watch *registry_watch;
    struct firewall *firewall;
    struct guard *guard; /* watches the firewall and the addresses of the host */
    struct cgroups *cgroups;
    bool can_fence; /* the sockets of a share's processes (fence.h) */
    struct sandbox_template *sandboxes;
    struct gallery *gallery;
    struct verify *verify; /* checks passwords */
    struct logins *logins; /* wrong passwords of shares, counted */
    struct gates *gates;   /* users' requests for images, while they are judged */
    struct control *control;
    struct loop_watch *signal_watch;
    int signal_fd, lock_fd;
    int images_fd;     /* the repository */
    int shares_fd;     /* SHARES */
    bool run_made;     /* RUN was not there before this start */
    int run_shares_fd; /* RUN/shares: a directory per live share for its control socket and deadline
                        */
    uint64_t started;  /* s since the epoch */
    struct share *shares; /* newest first */
    uint32_t n_shares;
    uint64_t n_made;    /* shares so far, by this process */
    struct turn *turns; /* who waits to have a share prepared, first come first (turns.h) */
    struct loop_timer *turns_timer;
    uint32_t n_left;         /* live shares that go on without this broker */
    bool firewall_installed; /* by this broker: the table is its to remove */
    bool stopping; /* the loop ends when nothing is under way any more (share_settle_all()) */
};
