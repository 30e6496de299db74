/* What proc(5) says of a process. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Field 22 of /proc/PID/stat, in clock ticks since boot: a recycled pid has another. 0 when it is
 * gone. */
uint64_t process_start_time(pid_t pid);

/* Its real uid, (uid_t)-1 when it is gone. */
uid_t process_uid(pid_t pid);

/* True when one of its control groups has this name (the last part of its path). */
bool process_in_group(pid_t pid, const char *name);

/* From now on this process dies with its parent, by SIGKILL; at once when `parent` is not its
 * parent any more. To be said again after each change of its uids, fsuid included: the kernel
 * forgets it then (PR_SET_PDEATHSIG). */
void process_die_with(pid_t parent);
/* Whether it would. */
bool process_dies_with_parent(void);
