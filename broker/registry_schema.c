/*
 * A file that is somebody else's, or a newer cdssd's, is refused: what was shared with whom is not
 * to be lost by a start with a wrong setting. One that is damaged is never repaired, and believed
 * in nothing: it is kept aside, and a new one begun, so that a broken page does not keep everybody
 * from sharing; what lives and is in no row is ended by the start. user_version is the schema's
 * version; application_id tells file(1) and us whose file it is.
 */
#include "registry_schema.h"

#include "cleanup.h"
#include "log.h"
#include "registry_sql.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_NAME      "registry.sqlite"
#define SCHEMA_VERSION 2
#define APPLICATION_ID 0x43445353 /* "CDSS" */

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE shares ("
    "  id TEXT PRIMARY KEY, user TEXT NOT NULL, requester TEXT NOT NULL, address TEXT NOT NULL,"
    "  web INTEGER NOT NULL, password TEXT NOT NULL, boot TEXT NOT NULL,"
    "  mark INTEGER NOT NULL, uid_first INTEGER NOT NULL, local INTEGER NOT NULL,"
    "  active INTEGER NOT NULL, created INTEGER NOT NULL, ends INTEGER NOT NULL,"
    "  born INTEGER NOT NULL, deadline INTEGER NOT NULL," /* CLOCK_BOOTTIME, ns */
    "  pid INTEGER NOT NULL, pid_start INTEGER NOT NULL,"
    "  ended INTEGER, reason TEXT) STRICT;" /* ended NULL: it lives */
    "CREATE INDEX shares_live ON shares (boot) WHERE ended IS NULL;"
    "CREATE INDEX shares_user ON shares (user, ended);"
    "CREATE INDEX shares_ended ON shares (ended) WHERE ended IS NOT NULL;"
    "CREATE TABLE clients ("
    "  share TEXT NOT NULL REFERENCES shares, position INTEGER NOT NULL, prefix TEXT NOT NULL,"
    "  released INTEGER,"
    "  PRIMARY KEY (share, position)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE images ("
    "  share TEXT NOT NULL REFERENCES shares, position INTEGER NOT NULL, path TEXT NOT NULL,"
    "  device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL,"
    "  contents TEXT NOT NULL, type TEXT NOT NULL, note TEXT NOT NULL,"
    "  owner INTEGER NOT NULL, \"group\" INTEGER NOT NULL, guards TEXT NOT NULL,"
    "  PRIMARY KEY (share, position)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE protocols ("
    "  share TEXT NOT NULL REFERENCES shares, position INTEGER NOT NULL, name TEXT NOT NULL,"
    "  port INTEGER NOT NULL,"
    "  PRIMARY KEY (share, position)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE sessions ("
    "  number INTEGER PRIMARY KEY, share TEXT NOT NULL REFERENCES shares,"
    "  token TEXT NOT NULL UNIQUE, until INTEGER NOT NULL) STRICT;" /* token: its SHA-256 */
    "CREATE INDEX sessions_share ON sessions (share);"
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "INSERT INTO counters VALUES ('mark', 1), ('block', 0);"
    "CREATE VIEW history AS SELECT id, user, requester, web,"
    "  datetime(created, 'unixepoch') AS began, datetime(ends, 'unixepoch') AS granted_until,"
    "  datetime(ended, 'unixepoch') AS ended, reason,"
    "  (SELECT group_concat(path, char(10)) FROM images WHERE share = id) AS images,"
    "  (SELECT group_concat(prefix || coalesce(' until ' || datetime(released, 'unixepoch'), ''),"
    "    ', ') FROM clients WHERE share = id) AS clients,"
    "  (SELECT group_concat(name, ' ') FROM protocols WHERE share = id) AS protocols"
    "  FROM shares ORDER BY created, id;"
    "PRAGMA application_id = 1128551251;"
    "PRAGMA user_version = 2;"
    "COMMIT;";

/* What went wrong, for the one sentence. */
struct complaint {
    char *text;
    size_t size;
};

static int complain(const struct complaint *why, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int complain(const struct complaint *why, int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why->text, why->size, format, arguments);
    va_end(arguments);
    return error;
}

/* The directory must be ours alone to write in: who can replace the file can write history. */
static int check_directory(const char *path, const struct complaint *why)
{
    struct stat status;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        int error = -errno;
        return complain(why, error, "The state directory %s could not be made: %s.", path,
                        strerror(-error));
    }
    if (stat(path, &status) != 0) {
        int error = -errno;
        return complain(why, error, "The state directory %s could not be looked at: %s.", path,
                        strerror(-error));
    }
    if (!S_ISDIR(status.st_mode)) {
        return complain(why, -ENOTDIR, "The state directory %s is not a directory.", path);
    }
    if ((status.st_uid != geteuid() && status.st_uid != 0) || (status.st_mode & 0022) != 0) {
        return complain(why, -EPERM,
                        "The state directory %s can be written by others; give it to the broker "
                        "alone (mode 0700).",
                        path);
    }
    return 0;
}

static int make_file(const char *path, const struct complaint *why)
{
    CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        int error = -errno;
        return complain(why, error, "The registry %s could not be opened for writing: %s.", path,
                        strerror(-error));
    }
    if (!S_ISREG(status.st_mode)) {
        return complain(why, -EBADMSG, "The registry %s is not a file.", path);
    }
    return fchmod(fd, 0600) == 0 ? 0 : -errno;
}

static int complain_sql(const struct complaint *why, int error, const char *path)
{
    if (error == -EBADMSG) {
        return complain(why, -ESTALE, "The registry %s is damaged.", path);
    }
    if (error == -EBUSY) {
        return complain(why, error, "The registry %s is locked by another program.", path);
    }
    return complain(why, error, "The registry %s could not be prepared: %s.", path,
                    strerror(-error));
}

static int quick_check(sqlite3 *database)
{
    char result[16] = "";
    CLEANUP_STATEMENT sqlite3_stmt *statement = NULL;
    int error = sql_query(database, "PRAGMA quick_check(1)", NULL, 0, &statement);
    int row = error == 0 ? sql_next(statement) : error;
    if (row < 0) {
        return row;
    }
    bool well = row > 0 && sql_column_text(statement, 0, result, sizeof result) == 0 &&
                strcmp(result, "ok") == 0;
    return well ? 0 : -EBADMSG;
}

static int connect_to(const char *path, sqlite3 **ret)
{
    int code = sqlite3_open_v2(path, ret, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    int error = code == SQLITE_OK ? 0 : sql_error(*ret, code);
    if (error == 0) {
        sqlite3_busy_timeout(*ret, REGISTRY_PATIENCE_MS);
    }
    return error;
}

/* Writes into the file: for one that is ours. */
static int configure(sqlite3 *database)
{
    return sql_exec(database, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                              "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
                              "PRAGMA cache_size = -512;"); /* KiB: rows are written once */
}

static int check_version(sqlite3 *database, const char *path, const struct complaint *why)
{
    int64_t version = 0, application = 0, tables = 0;
    int error = sql_number(database, "PRAGMA user_version", &version);
    if (error == 0) {
        error = sql_number(database, "PRAGMA application_id", &application);
    }
    if (error == 0) {
        error = sql_number(database, "SELECT count(*) FROM sqlite_schema", &tables);
    }
    if (error != 0) {
        return complain_sql(why, error, path);
    }
    if (application != APPLICATION_ID && (tables > 0 || version != 0 || application != 0)) {
        return complain(why, -EBADMSG, "The registry %s is the database of another program.", path);
    }
    if (version > SCHEMA_VERSION) {
        return complain(why, -EPROTONOSUPPORT,
                        "The registry %s was written by a newer version of cdssd.", path);
    }
    if (tables > 0 && version < SCHEMA_VERSION) {
        return complain(why, -EPROTONOSUPPORT,
                        "The registry %s was written by an older version of cdssd, whose tables "
                        "this one does not read; move it away to begin a new one.",
                        path);
    }
    error = configure(database);
    if (error == 0) {
        error = quick_check(database);
    }
    if (error == 0 && tables == 0) {
        error = sql_exec(database, schema);
    }
    return error == 0 ? 0 : complain_sql(why, error, path);
}

static int registry_path(const char *state_directory, char path[PATH_MAX])
{
    int length = snprintf(path, PATH_MAX, "%s/" FILE_NAME, state_directory);
    return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int registry_schema_connect(const char *state_directory, sqlite3 **ret)
{
    char path[PATH_MAX];
    sqlite3 *database = NULL;
    int error = registry_path(state_directory, path);
    if (error == 0) {
        error = connect_to(path, &database);
    }
    if (error == 0) {
        error = configure(database);
    }
    if (error != 0) {
        sqlite3_close(database);
        return error;
    }
    *ret = database;
    return 0;
}

/* -ESTALE: it is damaged. */
static int open_file(const char *path, sqlite3 **ret, const struct complaint *why)
{
    sqlite3 *database = NULL;
    int error = make_file(path, why);
    if (error != 0) {
        return error;
    }
    error = connect_to(path, &database);
    error = error != 0 ? complain_sql(why, error, path) : check_version(database, path, why);
    if (error != 0) { /* not even its log is put into it */
        sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_close(database);
        return error;
    }
    *ret = database;
    return 0;
}

int registry_schema_open(const char *state_directory, sqlite3 **ret, char *text, size_t text_size)
{
    const struct complaint why = {text, text_size};
    char path[PATH_MAX];
    int error = registry_path(state_directory, path);
    if (error != 0) {
        return complain(&why, error, "The path of the state directory is too long.");
    }
    error = check_directory(state_directory, &why);
    if (error == 0) {
        error = open_file(path, ret, &why);
    }
    if (error == -ESTALE) {
        text[0] = '\0'; /* that sentence is the log's */
        error = registry_schema_set_aside(state_directory, "is damaged");
        error = error == 0 ? open_file(path, ret, &why) : error;
    }
    return error == -ESTALE ? -EBADMSG : error;
}

/* With what belongs to it: the write-ahead log may hold what the file does not. The index beside it
 * is made anew from both. */
int registry_schema_set_aside(const char *state_directory, const char *what)
{
    static const char *const parts[] = {"-wal", ""};
    char path[PATH_MAX], from[PATH_MAX + 8], to[PATH_MAX + 64], when[32] = "";
    time_t now = time(NULL);
    struct tm utc;
    bool kept = false;
    int error = registry_path(state_directory, path);
    strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
    for (size_t i = 0; error == 0 && i < ARRAY_SIZE(parts); i++) {
        snprintf(from, sizeof from, "%s%s", path, parts[i]);
        snprintf(to, sizeof to, "%s.damaged-%s%s", path, when, parts[i]);
        kept = rename(from, to) == 0;
        error = !kept && errno != ENOENT ? -errno : 0;
    }
    snprintf(from, sizeof from, "%s-shm", path);
    unlink(from);
    if (error == 0) {
        log_write(LOG_LEVEL_ERROR, "registry.damaged", NULL,
                  "the registry %s %s: a new one is begun%s%s", path, what,
                  kept ? "; the old one is kept as " : "", kept ? to : "");
    }
    return error;
}
