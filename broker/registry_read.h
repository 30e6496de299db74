/* What the registry reads, in the caller's thread and on a connection of its own. */
#pragma once

#include "registry.h"
#include "registry_write.h"

#include <sqlite3.h>

#define BOOT_ID_SIZE 37 /* 36 characters and NUL */

/* The kernel's id of this boot (random(4)). */
int registry_read_boot_id(char boot[BOOT_ID_SIZE]);

int registry_read_counters(sqlite3 *database, struct registry_counters *ret);

/* Closes the live rows of other boots. */
int registry_read_close_others(sqlite3 *database, const char *boot);

/* The live shares of this boot; an array to free with registry_shares_free(). */
int registry_read_live(sqlite3 *database, const char *boot, struct registry_share **ret,
                       uint32_t *ret_count);

/* -ENOENT: none has ended. */
int registry_read_last_end(sqlite3 *database, const char *user, uint64_t *ret_ended, char *reason,
                           size_t reason_size);
