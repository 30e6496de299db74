/*
 * The steps of starting and stopping, in the order of the table in daemon.c. A start returns 0, or
 * a negative errno with a sentence in `why` (or none: then the errno says it) and nothing to undo;
 * a stop undoes it.
 */
#pragma once

#include "broker.h"

#include <stddef.h>

#define DAEMON_START(name)                                                                         \
    int daemon_start_##name(struct broker *broker, char *why, size_t why_size)
#define DAEMON_STOP(name) void daemon_stop_##name(struct broker *broker)

/* daemon_process.c */
DAEMON_START(process);
DAEMON_START(uids);
DAEMON_START(peers);
DAEMON_START(signals);
DAEMON_STOP(signals);

/* daemon_directories.c */
DAEMON_START(repository);
DAEMON_STOP(repository);
DAEMON_START(run);
DAEMON_STOP(run);
DAEMON_START(lock);
DAEMON_STOP(lock);

/* daemon_parts.c */
DAEMON_START(cgroups);
DAEMON_STOP(cgroups);
DAEMON_START(sandboxes);
DAEMON_STOP(sandboxes);
DAEMON_START(gallery);
DAEMON_STOP(gallery);
DAEMON_START(firewall);
DAEMON_STOP(firewall);
DAEMON_START(logins);
DAEMON_STOP(logins);
DAEMON_START(verify);
DAEMON_STOP(verify);
DAEMON_START(gates);
DAEMON_STOP(gates);
DAEMON_START(loop);
DAEMON_STOP(loop);
DAEMON_START(registry);
DAEMON_STOP(registry);
DAEMON_START(recovery);
DAEMON_STOP(shares);
DAEMON_START(guard);
DAEMON_STOP(guard);
DAEMON_START(control);
DAEMON_STOP(control);
