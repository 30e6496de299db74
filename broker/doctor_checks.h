/*
 * The checks behind `cdss doctor`, and what they read with. doctor.h says what a check is.
 */
#pragma once

#include "doctor.h"

#define DOCTOR_CHECK(name)                                                                         \
    enum doctor_result doctor_check_##name(const struct doctor *doctor, struct text *says)

/* doctor_kernel.c */
DOCTOR_CHECK(root);
DOCTOR_CHECK(kernel);
DOCTOR_CHECK(capabilities);
DOCTOR_CHECK(user_namespaces);
DOCTOR_CHECK(cgroups);
DOCTOR_CHECK(fence);
/* doctor_mount.c */
DOCTOR_CHECK(loop);
DOCTOR_CHECK(filesystems);
DOCTOR_CHECK(idmap);
/* doctor_firewall.c */
DOCTOR_CHECK(firewall);
DOCTOR_CHECK(destroy);
/* doctor_foreign.c */
DOCTOR_CHECK(foreign);
DOCTOR_CHECK(foreign_nat);
/* doctor_network.c */
DOCTOR_CHECK(legacy);
DOCTOR_CHECK(docker);
DOCTOR_CHECK(bridge);
DOCTOR_CHECK(mark);
DOCTOR_CHECK(conntrack);
DOCTOR_CHECK(source_route);
DOCTOR_CHECK(rp_filter);
DOCTOR_CHECK(route_localnet);
/* doctor_ports.c */
DOCTOR_CHECK(pools);
DOCTOR_CHECK(public_ports);
/* doctor_site.c */
DOCTOR_CHECK(uids);
DOCTOR_CHECK(repository);
DOCTOR_CHECK(shares);
DOCTOR_CHECK(servers);
DOCTOR_CHECK(broker);

/* Reads a file below the doctor's root ("/proc/..."); NULL when that cannot be read. Owned by the
 * caller. */
char *doctor_read(const struct doctor *doctor, const char *path);
/* Reads a file that holds one number; `otherwise` when it does not. */
long long doctor_read_number(const struct doctor *doctor, const char *path, long long otherwise);
bool doctor_exists(const struct doctor *doctor, const char *path);
/* True when `path` is a file that can be executed, in the directory `root` ([sandbox] root). */
bool doctor_executable(const struct doctor *doctor, const char *root, const char *path);

/* True when one of the blank-separated words of `list` is `word`. */
bool doctor_has_word(const char *list, const char *word);

/* Calls `visit` for each line of `text` (NUL instead of newline), which is changed; stops at the
 * first true and returns it. */
bool doctor_each_line(char *text, bool (*visit)(char *line, void *user_data), void *user_data);

/* Appends says, and returns the result: the last line of most checks. */
enum doctor_result doctor_say(struct text *says, enum doctor_result result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The kernel's version as major * 1000 + minor; 0 when unknown. */
unsigned doctor_kernel_version(const struct doctor *doctor);

/* Appends "a, b and c" piece by piece: call with the number of pieces so far. */
void doctor_add_piece(struct text *says, unsigned *count, const char *piece);
