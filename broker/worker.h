/*
 * Work that may wait is done by a child process of the broker: preparing a share, listing the
 * repository, removing a tree. A worker shares the broker's privileges and its mount namespace, and
 * talks with it in whole messages (SOCK_SEQPACKET). It dies with the broker (PR_SET_PDEATHSIG), and
 * of SIGKILL alone: SIGTERM and SIGINT to the whole group leave it at its work.
 * In a worker the registry, the loop and the firewall must not be touched.
 */
#pragma once

#include "loop.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WORKER_MESSAGE_MAX (192 * 1024)

struct worker;

/* The child's work. `fd` is its end of the conversation (blocking). */
typedef void worker_work(int fd, void *user_data);
/* A message came; `fds` (0 to n) are owned by the callee. */
typedef void worker_message(const void *message, size_t length, int *fds, unsigned n_fds,
                            void *user_data);
/* The worker is gone; the struct is freed behind this call. What it achieved, it has said before.
 */
typedef void worker_gone(void *user_data);

/* Forks the worker. 0 or a negative errno. `message` may be NULL. */
int worker_start(struct loop *loop, worker_work *work, worker_message *message, worker_gone *gone,
                 void *user_data, struct worker **ret);
/* To the worker. 0 or a negative errno. */
int worker_send(struct worker *worker, const void *message, size_t length);
/* SIGKILL; worker_gone is still called. */
void worker_kill(struct worker *worker);

/* For both ends of such a conversation, blocking: send with up to 4 descriptors, which stay the
 * caller's; receive gives the length, 0 when the other end is gone, or a negative errno (-EMSGSIZE:
 * there was more than fits, and it is lost). `ret_fds` has room for 4. */
int worker_tell(int fd, const void *message, size_t length, const int *fds, unsigned n_fds);
ssize_t worker_hear(int fd, void *buffer, size_t size, int *ret_fds, unsigned *n_fds);
