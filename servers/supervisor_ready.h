/*
 * What has to be true before a share is called active: every socket is what the plan says, every
 * program is there and executable, and every server's own check of its configuration passed. The
 * checks run side by side, ten seconds at most.
 */
#pragma once

#include "supervisor_events.h"

#include <sys/types.h>

struct ready_check {
    pid_t pid; /* 0: none, or over */
    int pipe;  /* owned; what the check says; -1: none */
    char said[1024];
    size_t length;
};

struct ready {
    const struct supervisor_plan *plan;
    struct ready_check checks[SUPERVISOR_SERVICES_MAX];
    uint32_t running;
    uint64_t until; /* CLOCK_MONOTONIC; the test of this brings it forward */
    struct supervisor_ready answer;
    bool over; /* the answer was given */
};

/* Looks at sockets and programs and starts the checks. To be called before services_open(), which
 * closes sockets. */
void ready_begin(struct ready *ready, const struct supervisor_plan *plan);
void ready_watch(struct ready *ready, struct events *events);

/* A child has ended. False when it is none of these. */
bool ready_ended(struct ready *ready, pid_t pid, int wait_status);

/* Once everything is known, writes the answer to plan->ready_fd and closes it. Returns whether the
 * share can go on: false once it was answered that something failed. */
bool ready_answer(struct ready *ready);
