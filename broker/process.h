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
