/*
 * The little of SQLite's C interface that the registry needs (sqlite.org/c3ref): bound values, and
 * results as negative errnos: -ENOSPC full, -EBUSY locked, -EBADMSG corrupt or no database, -EROFS,
 * -ENOMEM, -EEXIST a constraint, otherwise the system's error or -EIO.
 */
#pragma once

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

struct sql_value {
    const char *text; /* NULL: the number; borrowed */
    int64_t number;
};

#define SQL_TEXT(string)  ((struct sql_value){.text = (string)})
#define SQL_NUMBER(value) ((struct sql_value){.number = (int64_t)(value)})
#define SQL_VALUES(...)                                                                            \
    (const struct sql_value[]){__VA_ARGS__},                                                       \
        sizeof((const struct sql_value[]){__VA_ARGS__}) / sizeof(struct sql_value)

#define CLEANUP_STATEMENT __attribute__((cleanup(sql_finalize)))

/* What an error code of this connection means. */
int sql_error(sqlite3 *database, int code);

/* Statements without values and without results. */
int sql_exec(sqlite3 *database, const char *sql);

/* One statement with its values, to its end. */
int sql_run(sqlite3 *database, const char *sql, const struct sql_value *values, size_t n_values);

/* One statement to step through with sql_next(). */
int sql_query(sqlite3 *database, const char *sql, const struct sql_value *values, size_t n_values,
              sqlite3_stmt **ret);
/* 1: a row; 0: no more; negative errno. */
int sql_next(sqlite3_stmt *statement);
void sql_finalize(sqlite3_stmt **statement);

/* The number in the first column of the first row, 0 without a row. */
int sql_number(sqlite3 *database, const char *sql, int64_t *ret);

/* Copies a column's text; -EBADMSG when it does not fit or holds a NUL. */
int sql_column_text(sqlite3_stmt *statement, int column, char *buffer, size_t size);
