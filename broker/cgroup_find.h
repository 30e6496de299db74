/*
 * Where control groups are: which hierarchies are mounted, and where in each the calling process
 * is. proc_pid_mountinfo(5), cgroups(7). Parsed from text, so that a test can bring its own.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct cgroup_place {
    char path[PATH_MAX]; /* the directory of the process's own group */
    bool v2;
    bool memory, processes, cpu; /* v1: the controllers of this hierarchy; v2: not known here */
};

#define CGROUP_PLACES_MAX 4

/* `mountinfo` is /proc/self/mountinfo, `own` is /proc/self/cgroup. Finds the unified hierarchy and
 * the v1 hierarchies of memory, pids and cpu, each at most once. Returns how many. */
size_t cgroup_find(const char *mountinfo, const char *own, struct cgroup_place *places);
