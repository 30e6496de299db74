/*
 * FUSE readers of a share's images at its end.
 *
 * A process that waits for an answer on FUSE can be killed only until the request was read. A
 * captured reader reads requests, answers none, and waits on its own file system: nobody else holds
 * /dev/fuse, so the kernel never sees that the reader is gone, and the process, and with it PID 1
 * of the sandbox, never ends. Linux, Documentation/filesystems/fuse.rst, "Aborting a filesystem
 * connection": only that helps.
 */
#pragma once

#include "cgroup.h"

#include <sys/types.h>

#define READERS_SOURCE "cdss-image" /* of our FUSE mounts, in mountinfo */

/* Aborts the connections of all FUSE images that the share's PID 1 sees, or, where that is gone or
 * going, any thread of the share's control group. Waits for nothing. The number of connections, or
 * a negative errno. */
int readers_abort(struct cgroups *cgroups, const char *id, pid_t pid);
