/* The lists of a share (clients, images, protocols) are tables of their own, in order. */
#include "registry_write.h"

#include "cleanup.h"
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
    char guards[SHA256_TEXT_SIZE];
    sha256_format(&image->guards, guards);
    return sql_run(database,
                   "INSERT INTO images SELECT ?1,"
                   " (SELECT coalesce(max(position) + 1, 0) FROM images WHERE share = ?1),"
                   " ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11"
                   " FROM shares WHERE id = ?1 AND ended IS NULL",
                   SQL_VALUES(SQL_TEXT(id), SQL_TEXT(image->path.text), SQL_NUMBER(image->device),
                              SQL_NUMBER(image->inode), SQL_NUMBER(image->size),
                              SQL_TEXT(image->contents), SQL_TEXT(image->type),
                              SQL_TEXT(image->note), SQL_NUMBER(image->owner),
                              SQL_NUMBER(image->group), SQL_TEXT(guards)));
}

static int insert_client(sqlite3 *database, const char *id, uint32_t position,
                         const struct prefix *client)
{
    char text[PREFIX_TEXT_SIZE];
    prefix_format(client, text);
    return sql_run(database, "INSERT INTO clients VALUES (?1, ?2, ?3, NULL)",
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
    for (size_t i = 0; error == 0 && i < ARRAY_SIZE(statements); i++) {
        error = sql_run(database, statements[i], SQL_VALUES(SQL_TEXT(id)));
    }
    return error;
}

static int write_counters(sqlite3 *database, const struct registry_counters *counters)
{
    return sql_run(database, "REPLACE INTO counters VALUES ('mark', ?1), ('block', ?2)",
                   SQL_VALUES(SQL_NUMBER(counters->mark), SQL_NUMBER(counters->block)));
}

/* The columns of a share that a record and an activation write are ?1 to ?15; the boot, when it is
 * to be written too, is ?16. */
static int write_share(sqlite3 *database, const char *sql, const struct registry_share *share,
                       const char *boot)
{
    char address[ADDRESS_TEXT_SIZE] = "";
    if (share->address.family != 0) {
        address_format(&share->address, address);
    }
    const struct sql_value values[] = {
        SQL_TEXT(share->id),
        SQL_TEXT(share->user.text),
        SQL_TEXT(share->requester),
        SQL_TEXT(address),
        SQL_NUMBER(share->web),
        SQL_TEXT(share->password),
        SQL_NUMBER(share->mark),
        SQL_NUMBER(share->uid_first),
        SQL_NUMBER(share->local),
        SQL_NUMBER(share->created),
        SQL_NUMBER(share->ends),
        SQL_NUMBER(share->born_ns),
        SQL_NUMBER(share->deadline_ns),
        SQL_NUMBER(share->pid),
        SQL_NUMBER(share->pid_start),
        SQL_TEXT(boot),
    };
    return sql_run(database, sql, values, ARRAY_SIZE(values) - (boot == NULL));
}

int registry_write_record(sqlite3 *database, const struct registry_share *share, const char *boot,
                          const struct registry_counters *counters)
{
    int error = write_share(database,
                            "INSERT INTO shares (id, user, requester, address, web, password, mark,"
                            " uid_first, local, created, ends, born, deadline, pid, pid_start,"
                            " boot, active)"
                            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"
                            " ?15, ?16, 0)",
                            share, boot);
    if (error == 0) {
        error = insert_lists(database, share);
    }
    return error == 0 ? write_counters(database, counters) : error;
}

int registry_write_activate(sqlite3 *database, const struct registry_share *share)
{
    int error = one_changed(
        database,
        write_share(database,
                    "UPDATE shares SET user = ?2, requester = ?3, address = ?4, web = ?5,"
                    " password = ?6, mark = ?7, uid_first = ?8, local = ?9, created = ?10,"
                    " ends = ?11, born = ?12, deadline = ?13, pid = ?14, pid_start = ?15,"
                    " active = 1 WHERE id = ?1 AND ended IS NULL",
                    share, NULL));
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

int registry_write_guards(sqlite3 *database, const char *id, const struct registry_image *image)
{
    char guards[SHA256_TEXT_SIZE];
    sha256_format(&image->guards, guards);
    return sql_run(database, "UPDATE images SET guards = ?3 WHERE share = ?1 AND path = ?2",
                   SQL_VALUES(SQL_TEXT(id), SQL_TEXT(image->path.text), SQL_TEXT(guards)));
}

int registry_write_release(sqlite3 *database, const char *id, const struct prefix *client,
                           uint64_t released)
{
    char text[PREFIX_TEXT_SIZE];
    prefix_format(client, text);
    return sql_run(database,
                   "UPDATE clients SET released = ?3"
                   " WHERE share = ?1 AND prefix = ?2 AND released IS NULL",
                   SQL_VALUES(SQL_TEXT(id), SQL_TEXT(text), SQL_NUMBER(released)));
}

int registry_write_session(sqlite3 *database, const char *id,
                           const struct registry_session *session)
{
    char token[SHA256_TEXT_SIZE];
    sha256_format(&session->token, token);
    int error = one_changed(
        database,
        sql_run(database,
                "INSERT INTO sessions (share, token, until)"
                " SELECT id, ?2, ?3 FROM shares WHERE id = ?1 AND ended IS NULL",
                SQL_VALUES(SQL_TEXT(id), SQL_TEXT(token), SQL_NUMBER(session->until_ns))));
    if (error != 0) {
        return error;
    }
    return sql_run(database,
                   "DELETE FROM sessions WHERE share = ?1 AND number NOT IN"
                   " (SELECT number FROM sessions WHERE share = ?1 ORDER BY number DESC LIMIT ?2)",
                   SQL_VALUES(SQL_TEXT(id), SQL_NUMBER(REGISTRY_SESSIONS_MAX)));
}

int registry_write_end_sessions(sqlite3 *database, const char *id, const struct sha256 *token,
                                bool others)
{
    char text[SHA256_TEXT_SIZE];
    sha256_format(token, text);
    return sql_run(database, "DELETE FROM sessions WHERE share = ?1 AND (token = ?2) <> (?3 <> 0)",
                   SQL_VALUES(SQL_TEXT(id), SQL_TEXT(text), SQL_NUMBER(others)));
}

int registry_write_end(sqlite3 *database, const char *id, uint64_t ended, const char *reason)
{
    int error = sql_run(database,
                        "UPDATE shares SET ended = max(created, ?2), reason = ?3, password = ''"
                        " WHERE id = ?1 AND ended IS NULL",
                        SQL_VALUES(SQL_TEXT(id), SQL_NUMBER(ended), SQL_TEXT(reason)));
    return error == 0 ? sql_run(database, "DELETE FROM sessions WHERE share = ?1",
                                SQL_VALUES(SQL_TEXT(id)))
                      : error;
}

#define PRUNE_AT_ONCE 64 /* shares: every write may take away more than one adds, and none many */

int registry_write_prune(sqlite3 *database, uint64_t before)
{
#define OLD " IN (SELECT id FROM shares WHERE ended < ?1 ORDER BY ended LIMIT ?2)"
    static const char *const statements[] = {
        "DELETE FROM clients WHERE share" OLD,   "DELETE FROM images WHERE share" OLD,
        "DELETE FROM protocols WHERE share" OLD, "DELETE FROM sessions WHERE share" OLD,
        "DELETE FROM shares WHERE id" OLD,
    };
#undef OLD
    int error = 0;
    for (size_t i = 0; error == 0 && i < sizeof statements / sizeof statements[0]; i++) {
        error = sql_run(database, statements[i],
                        SQL_VALUES(SQL_NUMBER(before), SQL_NUMBER(PRUNE_AT_ONCE)));
    }
    return error;
}
