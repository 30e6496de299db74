/*
 * What the registry's thread writes, each inside a transaction that the caller begins and commits.
 * 0 or a negative errno; -ENOENT where no live share has this id.
 */
#pragma once

#include "registry.h"

#include <sqlite3.h>

struct registry_counters {
    uint32_t mark, block; /* the next to be given */
};

int registry_write_record(sqlite3 *database, const struct registry_share *share, const char *boot,
                          const struct registry_counters *counters);
int registry_write_activate(sqlite3 *database, const struct registry_share *share);
int registry_write_extend(sqlite3 *database, const char *id, uint64_t ends, uint64_t deadline_ns);
int registry_write_image(sqlite3 *database, const char *id, const struct registry_image *image);
int registry_write_guards(sqlite3 *database, const char *id, const struct registry_image *image);
int registry_write_release(sqlite3 *database, const char *id, const struct prefix *client,
                           uint64_t released);
int registry_write_session(sqlite3 *database, const char *id,
                           const struct registry_session *session);
/* 0 also when there is none. */
int registry_write_end_sessions(sqlite3 *database, const char *id, const struct sha256 *token,
                                bool others);
/* Forgets a few of the shares that ended before that time. */
int registry_write_prune(sqlite3 *database, uint64_t before);
/* 0 also when no live share has this id: there is nothing left to end. */
int registry_write_end(sqlite3 *database, const char *id, uint64_t ended, const char *reason);
