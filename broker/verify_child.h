/*
 * Between the broker and one cdss-verify: one request, one answer, and the limits that the child
 * lives in. The answer comes from a process that may have been taken over by a hash: its length and
 * each field are checked.
 */
#pragma once

#include "verify.h"

#define VERIFY_CHILD_FD 3 /* the child's end of the conversation */

/* Of one child. A hash that needs more was not meant to be used. */
#define VERIFY_CPU_S     2
#define VERIFY_WALL_S    10 /* the machine may be busy */
#define VERIFY_MEMORY_MB 112

enum verify_task { VERIFY_CHECK = 1, VERIFY_MAKE };

struct verify_request {
    uint32_t task;
    char secret[VERIFY_SECRET_MAX + 1];
    char hash[VERIFY_HASH_MAX + 1]; /* CHECK */
};

struct verify_reply {
    uint32_t right;                 /* CHECK: 0 or 1 */
    char hash[VERIFY_HASH_MAX + 1]; /* MAKE */
};

struct verify_birth {
    int program_fd, null_fd;
    uid_t uid;
};

/* A worker's work (worker.h): becomes cdss-verify. `user_data` is a struct verify_birth. */
void verify_child_become(int fd, void *user_data);
