/*
 * The registry's file: where it is, what it must look like, and its tables.
 *
 * The history is for people too; as root:
 *   sqlite3 -readonly /var/lib/cdss/registry.sqlite 'SELECT * FROM history'
 */
#pragma once

#include <sqlite3.h>
#include <stddef.h>

/* Makes the directory (0700) and the file (0600) where they are missing, opens the file, checks it
 * and makes the tables of a new one. A damaged one is set aside first. 0, or a negative errno and a
 * sentence in `why`. */
int registry_schema_open(const char *state_directory, sqlite3 **ret, char *why, size_t why_size);

/* Renames the file, which nobody here has open, to "registry.sqlite.damaged-TIME", and says so in
 * the log with the word for what happened to it. 0 also when there is none. */
int registry_schema_set_aside(const char *state_directory, const char *what);

/* One more connection to a file that registry_schema_open() has opened. */
int registry_schema_connect(const char *state_directory, sqlite3 **ret);

/* How long a connection waits for a lock, ms. */
#define REGISTRY_PATIENCE_MS 5000
