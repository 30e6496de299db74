/* What the measuring programs share: a clock, namespaces, and a client that waits for one byte. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* CLOCK_MONOTONIC, in microseconds. */
uint64_t bench_now(void);

/* Says what failed, with errno, and ends the program. */
_Noreturn void bench_die(const char *what);

/* Moves the caller into the network namespace behind a path such as /proc/PID/ns/net. */
void bench_enter(const char *path);

/* Starts a command, in another network namespace unless `path` is NULL, with standard output to
 * /dev/null; bench_wait() ends the program when the command fails. */
pid_t bench_start(const char *path, char **command);
void bench_wait(pid_t pid, const char *name);

/* Connects to an IPv4 address, as often as that is refused, for ten seconds; -1 when `once`
 * is set and it is refused. */
int bench_connect(const char *address, uint16_t port, int once);

/* Asks for a path over HTTP and returns when the first byte of the answer is there. False: there
 * was none. */
int bench_first_byte(int fd, const char *path);
