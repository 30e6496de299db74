/*
 * Rows become values through the same parsers as what comes from outside: a row that was changed
 * by hand is an error, never a surprise.
 */
#include "registry_read.h"

#include "cleanup.h"
#include "registry_sql.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#define LIST_MAX 4096 /* items of a share; more is damage */

int registry_read_boot_id(char boot[BOOT_ID_SIZE])
{
    CLEANUP_FREE char *text = NULL;
    size_t length = 0;
    int error =
        text_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", BOOT_ID_SIZE, &text, &length);
    if (error == 0) {
        text[strcspn(text, "\n")] = '\0';
        error = text_copy(boot, BOOT_ID_SIZE, text);
    }
    return error;
}

int registry_read_counters(sqlite3 *database, struct registry_counters *ret)
{
    int64_t mark = 0, block = 0;
    int error = sql_number(database, "SELECT value FROM counters WHERE name = 'mark'", &mark);
    if (error == 0) {
        error = sql_number(database, "SELECT value FROM counters WHERE name = 'block'", &block);
    }
    if (error == 0) {
        *ret = (struct registry_counters){(uint32_t)mark & 0xffffff, (uint32_t)block};
        ret->mark += ret->mark == 0;
    }
    return error;
}

/* They ended when the machine did: at the latest when it was started again, and not after their
 * time. */
int registry_read_close_others(sqlite3 *database, const char *boot)
{
    struct timespec up;
    clock_gettime(CLOCK_BOOTTIME, &up);
    int error = sql_run(database,
                        "UPDATE shares SET ended = max(created, min(ends, ?2)), password = '',"
                        " reason = 'the machine was restarted' WHERE ended IS NULL AND boot <> ?1",
                        SQL_VALUES(SQL_TEXT(boot), SQL_NUMBER(time(NULL) - up.tv_sec)));
    return error == 0 ? sql_exec(database, "DELETE FROM sessions WHERE share IN"
                                           " (SELECT id FROM shares WHERE ended IS NOT NULL)")
                      : error;
}

static int read_image(sqlite3_stmt *row, void *item)
{
    struct registry_image *image = item;
    image->device = (uint64_t)sqlite3_column_int64(row, 1);
    image->inode = (uint64_t)sqlite3_column_int64(row, 2);
    image->size = (uint64_t)sqlite3_column_int64(row, 3);
    image->owner = (uint32_t)sqlite3_column_int64(row, 7);
    image->group = (uint32_t)sqlite3_column_int64(row, 8);
    const char *path = (const char *)sqlite3_column_text(row, 0);
    const char *guards = (const char *)sqlite3_column_text(row, 9);
    if (path == NULL || guards == NULL || sha256_parse(guards, &image->guards) != 0 ||
        parse_image_path(path, (size_t)sqlite3_column_bytes(row, 0), &image->path, NULL) != 0 ||
        sql_column_text(row, 4, image->contents, sizeof image->contents) != 0 ||
        sql_column_text(row, 5, image->type, sizeof image->type) != 0) {
        return -EBADMSG;
    }
    return sql_column_text(row, 6, image->note, sizeof image->note);
}

static int read_client(sqlite3_stmt *row, void *item)
{
    const char *text = (const char *)sqlite3_column_text(row, 0);
    return text == NULL || parse_prefix(text, (size_t)sqlite3_column_bytes(row, 0), item, NULL) != 0
               ? -EBADMSG
               : 0;
}

static int read_protocol(sqlite3_stmt *row, void *item)
{
    struct registry_protocol *protocol = item;
    const char *name = (const char *)sqlite3_column_text(row, 0);
    protocol->port = (uint16_t)sqlite3_column_int64(row, 1);
    return name == NULL || parse_protocol(name, (size_t)sqlite3_column_bytes(row, 0),
                                          &protocol->name, NULL) != 0
               ? -EBADMSG
               : 0;
}

/* A growing array. On failure *items still holds what was read before. */
static int read_rows(sqlite3_stmt *rows, int (*read)(sqlite3_stmt *, void *), size_t size,
                     void **items, uint32_t *count)
{
    for (;;) {
        int more = sql_next(rows);
        if (more <= 0) {
            return more;
        }
        void *grown = realloc(*items, (*count + 1) * size);
        if (grown == NULL) {
            return -ENOMEM;
        }
        *items = grown;
        void *item = (char *)grown + *count * size;
        memset(item, 0, size);
        int error = read(rows, item);
        ++*count;
        if (error != 0) {
            return error;
        }
    }
}

static int read_list(sqlite3 *database, const char *sql, const char *id,
                     int (*read)(sqlite3_stmt *, void *), size_t size, void **ret, uint32_t *count)
{
    CLEANUP_STATEMENT sqlite3_stmt *rows = NULL;
    CLEANUP_FREE void *items = NULL;
    int error = sql_query(database, sql, SQL_VALUES(SQL_TEXT(id), SQL_NUMBER(LIST_MAX)), &rows);
    if (error == 0) {
        error = read_rows(rows, read, size, &items, count);
    }
    if (error == 0) {
        *ret = TAKE_PTR(items);
    } else {
        *count = 0;
    }
    return error;
}

static int read_session(sqlite3_stmt *row, void *item)
{
    struct registry_session *session = item;
    const char *token = (const char *)sqlite3_column_text(row, 0);
    session->until_ns = (uint64_t)sqlite3_column_int64(row, 1);
    return token == NULL || sha256_parse(token, &session->token) != 0 ? -EBADMSG : 0;
}

static int read_sessions(sqlite3 *database, struct registry_share *share)
{
    CLEANUP_STATEMENT sqlite3_stmt *rows = NULL;
    int error =
        sql_query(database, "SELECT token, until FROM sessions WHERE share = ?1 ORDER BY number",
                  SQL_VALUES(SQL_TEXT(share->id)), &rows);
    int more = error == 0 ? sql_next(rows) : error;
    while (more > 0 && share->n_sessions < REGISTRY_SESSIONS_MAX) {
        error = read_session(rows, &share->sessions[share->n_sessions++]);
        more = error == 0 ? sql_next(rows) : error;
    }
    return more < 0 ? more : 0;
}

static int read_lists(sqlite3 *database, struct registry_share *share)
{
    void *clients = NULL, *images = NULL, *protocols = NULL;
    int error = read_list(
        database,
        "SELECT prefix FROM clients WHERE share = ?1 AND released IS NULL ORDER BY position"
        " LIMIT ?2",
        share->id, read_client, sizeof *share->clients, &clients, &share->n_clients);
    if (error == 0) {
        error =
            read_list(database,
                      "SELECT path, device, inode, size, contents, type, note, owner, \"group\","
                      " guards FROM images WHERE share = ?1 ORDER BY position LIMIT ?2",
                      share->id, read_image, sizeof *share->images, &images, &share->n_images);
    }
    if (error == 0) {
        error = read_list(
            database,
            "SELECT name, port FROM protocols WHERE share = ?1 ORDER BY position LIMIT ?2",
            share->id, read_protocol, sizeof *share->protocols, &protocols, &share->n_protocols);
    }
    if (error == 0) {
        error = read_sessions(database, share);
    }
    share->clients = clients;
    share->images = images;
    share->protocols = protocols;
    return error;
}

/* Of the requester; "" where there is none. */
static int read_address(sqlite3_stmt *row, int column, struct address *ret)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    struct prefix host;
    if (text == NULL) {
        return -EBADMSG;
    }
    if (text[0] == '\0') {
        return 0;
    }
    if (parse_prefix(text, (size_t)sqlite3_column_bytes(row, column), &host, NULL) != 0 ||
        !prefix_is_host(&host)) {
        return -EBADMSG;
    }
    *ret = host.address;
    return 0;
}

static int read_share(sqlite3_stmt *row, void *item)
{
    struct registry_share *share = item;
    const char *user = (const char *)sqlite3_column_text(row, 1);
    if (sql_column_text(row, 0, share->id, sizeof share->id) != 0 ||
        strspn(share->id, "0123456789abcdef") != SHARE_ID_SIZE - 1 || user == NULL ||
        parse_user(user, (size_t)sqlite3_column_bytes(row, 1), &share->user, NULL) != 0) {
        return -EBADMSG;
    }
    share->mark = (uint32_t)sqlite3_column_int64(row, 3);
    share->uid_first = (uint32_t)sqlite3_column_int64(row, 4);
    share->local = sqlite3_column_int64(row, 5) != 0;
    share->active = sqlite3_column_int64(row, 6) != 0;
    share->created = (uint64_t)sqlite3_column_int64(row, 7);
    share->ends = (uint64_t)sqlite3_column_int64(row, 8);
    share->deadline_ns = (uint64_t)sqlite3_column_int64(row, 9);
    share->pid = (pid_t)sqlite3_column_int64(row, 10);
    share->pid_start = (uint64_t)sqlite3_column_int64(row, 11);
    share->born_ns = (uint64_t)sqlite3_column_int64(row, 12);
    share->web = sqlite3_column_int64(row, 13) != 0;
    if (read_address(row, 14, &share->address) != 0 ||
        sql_column_text(row, 15, share->password, sizeof share->password) != 0) {
        return -EBADMSG;
    }
    return sql_column_text(row, 2, share->requester, sizeof share->requester);
}

int registry_read_live(sqlite3 *database, const char *boot, struct registry_share **ret,
                       uint32_t *ret_count)
{
    CLEANUP_STATEMENT sqlite3_stmt *rows = NULL;
    void *items = NULL;
    uint32_t count = 0;
    int error = sql_query(database,
                          "SELECT id, user, requester, mark, uid_first, local, active, created,"
                          " ends, deadline, pid, pid_start, born, web, address, password"
                          " FROM shares"
                          " WHERE ended IS NULL AND boot = ?1 ORDER BY created, id",
                          SQL_VALUES(SQL_TEXT(boot)), &rows);
    if (error == 0) {
        error = read_rows(rows, read_share, sizeof(struct registry_share), &items, &count);
    }
    struct registry_share *shares = items;
    for (uint32_t i = 0; error == 0 && i < count; i++) {
        error = read_lists(database, &shares[i]);
    }
    if (error != 0) {
        registry_shares_free(shares, count);
        return error;
    }
    *ret = shares;
    *ret_count = count;
    return 0;
}

int registry_read_last_end(sqlite3 *database, const char *user, uint64_t *ret_ended, char *reason,
                           size_t reason_size)
{
    CLEANUP_STATEMENT sqlite3_stmt *rows = NULL;
    int error = sql_query(database,
                          "SELECT ended, reason FROM shares WHERE user = ?1 AND ended IS NOT NULL"
                          " ORDER BY ended DESC LIMIT 1",
                          SQL_VALUES(SQL_TEXT(user)), &rows);
    int row = error == 0 ? sql_next(rows) : error;
    if (row <= 0) {
        return row == 0 ? -ENOENT : row;
    }
    const char *text = (const char *)sqlite3_column_text(rows, 1);
    snprintf(reason, reason_size, "%s", text == NULL ? "" : text);
    *ret_ended = (uint64_t)sqlite3_column_int64(rows, 0);
    return 0;
}
