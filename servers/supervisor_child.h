/*
 * Starting one process of a share: a session of its own (a server that signals its process group
 * reaches only itself), default signals, the service's ids and nothing of the supervisor's but the
 * descriptors that it is given. Standard error stays what the broker gave.
 */
#pragma once

#include "supervisor.h"

#include <sys/types.h>

struct child {
    const struct supervisor_words *words;
    uint32_t uid, gid; /* 0: stays root of the sandbox */
    uint32_t start;    /* enum supervisor_start: where the descriptors go (child.c, table) */
    int fds[SUPERVISOR_SOCKETS_MAX];
    uint32_t n_fds;
    int output; /* standard output and error; -1: standard output is nothing, error is kept */
};

/* A pid or a negative errno. A program that cannot be executed ends with 127. */
pid_t child_start(const struct child *child);
