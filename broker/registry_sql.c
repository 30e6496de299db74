/* Statements are prepared for each use: a share makes a handful of them in its life. */
#include "registry_sql.h"

#include "text.h"

#include <errno.h>
#include <string.h>

static const struct {
    int code, error;
} errors[] = {
    {SQLITE_FULL, -ENOSPC},     {SQLITE_BUSY, -EBUSY},        {SQLITE_LOCKED, -EBUSY},
    {SQLITE_CORRUPT, -EBADMSG}, {SQLITE_NOTADB, -EBADMSG},    {SQLITE_READONLY, -EROFS},
    {SQLITE_NOMEM, -ENOMEM},    {SQLITE_CONSTRAINT, -EEXIST},
};

int sql_error(sqlite3 *database, int code)
{
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (errors[i].code == (code & 0xff)) {
            return errors[i].error;
        }
    }
    int system = database == NULL ? 0 : sqlite3_system_errno(database);
    return system > 0 ? -system : -EIO;
}

int sql_exec(sqlite3 *database, const char *sql)
{
    int code = sqlite3_exec(database, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : sql_error(database, code);
}

static int bind(sqlite3_stmt *statement, int index, const struct sql_value *value)
{
    return value->text == NULL
               ? sqlite3_bind_int64(statement, index, value->number)
               : sqlite3_bind_text(statement, index, value->text, -1, SQLITE_TRANSIENT);
}

int sql_query(sqlite3 *database, const char *sql, const struct sql_value *values, size_t n_values,
              sqlite3_stmt **ret)
{
    CLEANUP_STATEMENT sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(database, sql, -1, &statement, NULL);
    for (size_t i = 0; code == SQLITE_OK && i < n_values; i++) {
        code = bind(statement, (int)i + 1, &values[i]);
    }
    if (code != SQLITE_OK) {
        return sql_error(database, code);
    }
    *ret = statement;
    statement = NULL;
    return 0;
}

int sql_next(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW || code == SQLITE_DONE) {
        return code == SQLITE_ROW;
    }
    return sql_error(sqlite3_db_handle(statement), code);
}

void sql_finalize(sqlite3_stmt **statement)
{
    sqlite3_finalize(*statement);
}

int sql_run(sqlite3 *database, const char *sql, const struct sql_value *values, size_t n_values)
{
    CLEANUP_STATEMENT sqlite3_stmt *statement = NULL;
    int more = sql_query(database, sql, values, n_values, &statement);
    if (more == 0) {
        do {
            more = sql_next(statement);
        } while (more > 0);
    }
    return more;
}

int sql_number(sqlite3 *database, const char *sql, int64_t *ret)
{
    CLEANUP_STATEMENT sqlite3_stmt *statement = NULL;
    int error = sql_query(database, sql, NULL, 0, &statement);
    int row = error == 0 ? sql_next(statement) : error;
    if (row >= 0) {
        *ret = row > 0 ? sqlite3_column_int64(statement, 0) : 0;
    }
    return row < 0 ? row : 0;
}

int sql_column_text(sqlite3_stmt *statement, int column, char *buffer, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    if (text == NULL || strlen(text) != (size_t)sqlite3_column_bytes(statement, column)) {
        return -EBADMSG;
    }
    return text_copy(buffer, size, text) == 0 ? 0 : -EBADMSG;
}
