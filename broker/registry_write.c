/* The lists of a share (clients, images, protocols) are tables of their own, in order. */
#include "registry_write.h"

#include "registry_sql.h"

#include <errno.h>
#include <stddef.h>

/* The statement before changed a live share. */
static int one_changed(sqlite3 *database, int error)
{
    return error == 0 && sqlite3_changes(database) == 0 ? -ENOENT : error;
}

static int insert_image(sqlite3 *database, const char *id, const struct registry_image *image)
{
    return sql_run(database,
                   "INSERT INTO images SELECT ?1,"
                   " (SELECT coalesce(max(position) + 1, 0) FROM images WHERE share = ?1),"
                   " ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10"
                   " FROM shares WHERE id = ?1 AND ended IS NULL",
                   SQL_VALUES(SQL_TEXT(id), SQL_TEXT(image->path.text), SQL_NUMBER(image->device),
                              SQL_NUMBER(image->inode), SQL_NUMBER(image->size),
                              SQL_TEXT(image->contents), SQL_TEXT(image->type),
                              SQL_TEXT(image->note), SQL_NUMBER(image->owner),
                              SQL_NUMBER(image->group)));
}

static int insert_client(sqlite3 *database, const char *id, uint32_t position,
                         const struct prefix *client)
{
    char text[PREFIX_TEXT_SIZE];
    prefix_format(client, text);
    return sql_run(database, "INSERT INTO clients VALUES (?1, ?2, ?3)",
                   SQL_VALUES(SQL_TEXT(id), SQL_NUMBER(position), SQL_TEXT(text)));
}

static int insert_protocol(sqlite3 *database, const char *id, uint32_t position,
                           const struct registry_protocol *protocol)
{
    return sql_run(database, "INSERT INTO protocols VALUES (?1, ?2, ?3, ?4)",
                   SQL_VALUES(SQL_TEXT(id), SQL_NUMBER(position), SQL_TEXT(protocol->name.text),
                              SQL_NUMBER(protocol->port)));
}

static int insert_lists(sqlite3 *database, const struct registry_share *share)
{
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < share->n_clients; i++) {
        error = insert_client(database, share->id, i, &share->clients[i]);
    }
    for (uint32_t i = 0; error == 0 && i < share->n_images; i++) {
        error = insert_image(database, share->id, &share->images[i]);
    }
    for (uint32_t i = 0; error == 0 && i < share->n_protocols; i++) {
        error = insert_protocol(database, share->id, i, &share->protocols[i]);
    }
    return error;
}

static int delete_lists(sqlite3 *database, const char *id)
{
    static const char *const statements[] = {"DELETE FROM clients WHERE share = ?1",
                                             "DELETE FROM images WHERE share = ?1",
                                             "DELETE FROM protocols WHERE share = ?1"};
    int error = 0;
    for (size_t i = 0; error == 0 && i < sizeof statements / sizeof statements[0]; i++) {
        error = sql_run(database, statements[i], SQL_VALUES(SQL_TEXT(id)));
    }
    return error;
}

static int write_counters(sqlite3 *database, const struct registry_counters *counters)
{
    return sql_run(database, "REPLACE INTO counters VALUES ('mark', ?1), ('block', ?2)",
                   SQL_VALUES(SQL_NUMBER(counters->mark), SQL_NUMBER(counters->block)));
}

int registry_write_record(sqlite3 *database, const struct registry_share *share, const char *boot,
                          const struct registry_counters *counters)
{
    int error = sql_run(
        database,
        "INSERT INTO shares (id, user, requester, boot, mark, uid_first, local, active, created,"
        " ends, deadline, pid, pid_start)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, ?9, ?10, ?11, ?12)",
        SQL_VALUES(SQL_TEXT(share->id), SQL_TEXT(share->user.text), SQL_TEXT(share->requester),
                   SQL_TEXT(boot), SQL_NUMBER(share->mark), SQL_NUMBER(share->uid_first),
                   SQL_NUMBER(share->local), SQL_NUMBER(share->created), SQL_NUMBER(share->ends),
                   SQL_NUMBER(share->deadline_ns), SQL_NUMBER(share->pid),
                   SQL_NUMBER(share->pid_start)));
    if (error == 0) {
        error = insert_lists(database, share);
    }
    return error == 0 ? write_counters(database, counters) : error;
}

int registry_write_activate(sqlite3 *database, const struct registry_share *share)
{
    int error = one_changed(
        database,
        sql_run(database,
                "UPDATE shares SET user = ?2, requester = ?3, mark = ?4, uid_first = ?5,"
                " local = ?6, active = 1, created = ?7, ends = ?8, deadline = ?9, pid = ?10,"
                " pid_start = ?11 WHERE id = ?1 AND ended IS NULL",
                SQL_VALUES(SQL_TEXT(share->id), SQL_TEXT(share->user.text),
                           SQL_TEXT(share->requester), SQL_NUMBER(share->mark),
                           SQL_NUMBER(share->uid_first), SQL_NUMBER(share->local),
                           SQL_NUMBER(share->created), SQL_NUMBER(share->ends),
                           SQL_NUMBER(share->deadline_ns), SQL_NUMBER(share->pid),
                           SQL_NUMBER(share->pid_start))));
    if (error == 0) {
        error = delete_lists(database, share->id);
    }
    return error == 0 ? insert_lists(database, share) : error;
}

int registry_write_extend(sqlite3 *database, const char *id, uint64_t ends, uint64_t deadline_ns)
{
    return one_changed(
        database,
        sql_run(database,
                "UPDATE shares SET ends = ?2, deadline = ?3 WHERE id = ?1 AND ended IS NULL",
                SQL_VALUES(SQL_TEXT(id), SQL_NUMBER(ends), SQL_NUMBER(deadline_ns))));
}

int registry_write_image(sqlite3 *database, const char *id, const struct registry_image *image)
{
    return one_changed(database, insert_image(database, id, image));
}

int registry_write_end(sqlite3 *database, const char *id, uint64_t ended, const char *reason)
{
    return sql_run(database,
                   "UPDATE shares SET ended = ?2, reason = ?3 WHERE id = ?1 AND ended IS NULL",
                   SQL_VALUES(SQL_TEXT(id), SQL_NUMBER(ended), SQL_TEXT(reason)));
}
