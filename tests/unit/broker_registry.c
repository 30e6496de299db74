/* The registry on real files: what it keeps, what it refuses, and that it never makes one wait. */
#include "test.h"

#include "cleanup.h"
#include "registry.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static char state[64]; /* of this case; made by registry_open() */
static char file[80];  /* its database */
static char sentence[512];
static int answers, last_error;

/* A fresh path for each case, and nothing there. */
static void fresh(void)
{
    static int number;
    snprintf(state, sizeof state, "/tmp/cdss-registry-%d-%d", (int)getpid(), number++);
    snprintf(file, sizeof file, "%s/registry.sqlite", state);
    answers = 0;
}

static void sweep(void)
{
    CLEANUP_DIR DIR *directory = opendir(state);
    const struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (strncmp(entry->d_name, "registry.sqlite", 15) == 0) {
            unlinkat(dirfd(directory), entry->d_name, 0);
        }
    }
    CHECK(rmdir(state) == 0);
}

static struct registry *reopen(void)
{
    struct registry *registry = NULL;
    sentence[0] = '\0';
    CHECK(registry_open(state, &registry, sentence, sizeof sentence) == 0);
    CHECK_TEXT(sentence, "");
    if (registry == NULL) {
        exit(1);
    }
    return registry;
}

static struct registry *open_fresh(void)
{
    fresh();
    return reopen();
}

static void check_refused(int error, const char *part)
{
    struct registry *registry = NULL;
    sentence[0] = '\0';
    int got = registry_open(state, &registry, sentence, sizeof sentence);
    CHECK(got == error && registry == NULL);
    if (got != error) {
        printf("# %d %s\n", got, sentence);
    }
    if (strstr(sentence, part) == NULL || strstr(sentence, state) == NULL) {
        CHECK_TEXT(sentence, part);
    }
}

static void note(int error, void *user_data)
{
    CHECK(user_data == &answers);
    last_error = error;
    answers++;
}

/* Dispatches until `count` answers came; the last one's error. */
static int await(struct registry *registry, int count)
{
    for (answers = 0; answers < count;) {
        struct pollfd waiting = {.fd = registry_fd(registry), .events = POLLIN};
        if (poll(&waiting, 1, 20000) != 1) {
            CHECK(!"an answer came");
            return -ETIMEDOUT;
        }
        registry_dispatch(registry);
    }
    return last_error;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A share with two of everything. */
struct sample {
    struct registry_share share;
    struct prefix clients[2];
    struct registry_image images[2];
    struct registry_protocol protocols[2];
};

static void sample(struct sample *ret, const char *user, const char *id)
{
    memset(ret, 0, sizeof *ret);
    struct registry_share *share = &ret->share;
    text_copy(share->id, sizeof share->id, id);
    text_copy(share->user.text, sizeof share->user.text, user);
    text_copy(share->requester, sizeof share->requester, "root (uid 0)");
    parse_client("fd00:1::7", 9, &ret->clients[0], NULL);
    share->address = ret->clients[0].address;
    share->web = true;
    text_copy(share->password, sizeof share->password, "$y$j9T$salt$hash");
    share->born_ns = UINT64_C(1) << 60;
    share->mark = 0x5b000007;
    share->uid_first = 2100000004;
    share->local = true;
    share->created = 1700000000;
    share->ends = 1700086400;
    share->deadline_ns = UINT64_C(86400) * 1000000000;
    parse_client("10.0.0.1", 8, &ret->clients[0], NULL);
    parse_client("fd00:1::/64", 11, &ret->clients[1], NULL);
    share->clients = ret->clients;
    share->n_clients = 2;
    text_copy(ret->images[0].path.text, IMAGE_PATH_MAX, "linux/debian 12.iso");
    text_copy(ret->images[1].path.text, IMAGE_PATH_MAX, "odd\xff 'name.bin");
    text_copy(ret->images[0].type, sizeof ret->images[0].type, "iso9660");
    text_copy(ret->images[1].note, sizeof ret->images[1].note, "nothing to mount");
    ret->images[0].device = UINT64_MAX;
    ret->images[0].inode = 4711;
    ret->images[0].size = UINT64_C(1) << 40;
    ret->images[1].owner = UINT32_MAX;
    sha256("guards", 6, &ret->images[1].guards);
    share->images = ret->images;
    share->n_images = 2;
    text_copy(ret->protocols[0].name.text, PROTOCOL_NAME_MAX, "http");
    text_copy(ret->protocols[1].name.text, PROTOCOL_NAME_MAX, "nfs");
    ret->protocols[0].port = 21000;
    ret->protocols[1].port = 65535;
    share->protocols = ret->protocols;
    share->n_protocols = 2;
}

static int record(struct registry *registry, const char *user, const char *id)
{
    struct sample made;
    sample(&made, user, id);
    CHECK(registry_record(registry, &made.share, note, &answers) == 0);
    memset(&made, 0xa5, sizeof made); /* a copy was taken */
    return await(registry, 1);
}

static int end_share(struct registry *registry, const char *id, const char *reason)
{
    CHECK(registry_end(registry, id, reason, note, &answers) == 0);
    return await(registry, 1);
}

static uint32_t count_live(struct registry *registry)
{
    struct registry_share *shares = NULL;
    uint32_t count = 0;
    CHECK(registry_load(registry, &shares, &count) == 0);
    registry_shares_free(shares, count);
    return count;
}

static int sql(const char *statement)
{
    sqlite3 *database = NULL;
    CHECK(sqlite3_open(file, &database) == SQLITE_OK);
    int code = sqlite3_exec(database, statement, NULL, NULL, NULL);
    sqlite3_close(database);
    return code;
}

/* The first row's columns, joined by '|'. */
static void sql_row(const char *statement, char *text, size_t size)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *row = NULL;
    text[0] = '\0';
    CHECK(sqlite3_open_v2(file, &database, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK);
    CHECK(sqlite3_prepare_v2(database, statement, -1, &row, NULL) == SQLITE_OK);
    if (sqlite3_step(row) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(row); i++) {
            size_t used = strlen(text);
            snprintf(text + used, size - used, "%s%s", i > 0 ? "|" : "",
                     (const char *)sqlite3_column_text(row, i));
        }
    }
    sqlite3_finalize(row);
    sqlite3_close(database);
}

static void check_same(const struct registry_share *got, const struct registry_share *want)
{
    CHECK_TEXT(got->id, want->id);
    CHECK_TEXT(got->user.text, want->user.text);
    CHECK_TEXT(got->requester, want->requester);
    CHECK(got->mark == want->mark && got->uid_first == want->uid_first);
    CHECK(got->local == want->local && got->created == want->created && got->ends == want->ends);
    CHECK(got->deadline_ns == want->deadline_ns && got->born_ns == want->born_ns);
    CHECK(address_equal(&got->address, &want->address) && got->web == want->web);
    CHECK_TEXT(got->password, want->password);
    CHECK(got->n_clients == want->n_clients && got->n_protocols == want->n_protocols);
    for (uint32_t i = 0; i < got->n_clients && i < want->n_clients; i++) {
        CHECK(address_equal(&got->clients[i].address, &want->clients[i].address));
        CHECK(got->clients[i].length == want->clients[i].length);
    }
    for (uint32_t i = 0; i < got->n_protocols && i < want->n_protocols; i++) {
        CHECK_TEXT(got->protocols[i].name.text, want->protocols[i].name.text);
        CHECK(got->protocols[i].port == want->protocols[i].port);
    }
}

static void check_image(const struct registry_image *got, const struct registry_image *want)
{
    CHECK_TEXT(got->path.text, want->path.text);
    CHECK_TEXT(got->contents, want->contents);
    CHECK_TEXT(got->type, want->type);
    CHECK_TEXT(got->note, want->note);
    CHECK(got->device == want->device && got->inode == want->inode && got->size == want->size);
    CHECK(got->owner == want->owner && got->group == want->group);
    CHECK(sha256_equal(&got->guards, &want->guards) && !got->sealed);
}

static void there_and_back(void)
{
    struct registry *registry = open_fresh();
    struct registry_share *shares = NULL;
    struct sample made;
    uint32_t count = 0;
    sample(&made, "alice", "0123456789abcdef");
    CHECK(record(registry, "alice", "0123456789abcdef") == 0);
    registry_close(registry);
    registry = reopen();
    CHECK(registry_load(registry, &shares, &count) == 0 && count == 1);
    CHECK(!shares[0].active && shares[0].pid == 0 && shares[0].n_images == 2);
    check_same(&shares[0], &made.share);
    check_image(&shares[0].images[0], &made.images[0]);
    check_image(&shares[0].images[1], &made.images[1]);
    registry_shares_free(shares, count);
    registry_close(registry);
    sweep();
}

static void a_life(void)
{
    struct registry *registry = open_fresh();
    struct registry_share *shares = NULL;
    struct sample made;
    uint32_t count = 0;
    sample(&made, "alice", "0123456789abcdef");
    CHECK(record(registry, "alice", made.share.id) == 0);
    made.share.pid = 4242;
    made.share.pid_start = UINT64_C(1) << 33;
    made.share.n_images = 1;
    text_copy(made.images[0].contents, sizeof made.images[0].contents, "linux/debian 12");
    CHECK(registry_activate(registry, &made.share, note, &answers) == 0);
    CHECK(registry_add_images(registry, made.share.id, &made.images[1], 1, note, &answers) == 0);
    made.share.ends += 60;
    made.share.deadline_ns += 60;
    CHECK(registry_extend(registry, made.share.id, made.share.ends, made.share.deadline_ns, note,
                          &answers) == 0);
    sha256("others", 6, &made.images[1].guards);
    CHECK(registry_guards(registry, made.share.id, &made.images[1], note, &answers) == 0);
    CHECK(await(registry, 4) == 0);
    CHECK(registry_load(registry, &shares, &count) == 0 && count == 1);
    CHECK(shares[0].active && shares[0].pid == 4242 && shares[0].pid_start == UINT64_C(1) << 33);
    check_same(&shares[0], &made.share);
    CHECK(shares[0].n_images == 2);
    check_image(&shares[0].images[0], &made.images[0]);
    check_image(&shares[0].images[1], &made.images[1]);
    registry_shares_free(shares, count);
    CHECK(end_share(registry, made.share.id, "removed by root (uid 0)") == 0);
    CHECK(count_live(registry) == 0);
    CHECK(registry_healthy(registry));
    registry_close(registry);
    sweep();
}

static void history(void)
{
    struct registry *registry = open_fresh();
    char row[1024];
    CHECK(record(registry, "alice", "0123456789abcdef") == 0);
    CHECK(end_share(registry, "0123456789abcdef", "its time was over") == 0);
    CHECK(record(registry, "alice", "0123456789abcde0") == 0);
    registry_close(registry);
    sql_row("SELECT user, requester, began, granted_until, reason, images, clients, protocols"
            " FROM history WHERE ended IS NOT NULL",
            row, sizeof row);
    CHECK_TEXT(row, "alice|root (uid 0)|2023-11-14 22:13:20|2023-11-15 22:13:20|its time was over|"
                    "linux/debian 12.iso\nodd\xff 'name.bin|10.0.0.1, fd00:1::/64|http nfs");
    sql_row("SELECT count(*) FROM history WHERE abs(unixepoch(ended) - unixepoch()) < 60", row,
            sizeof row);
    CHECK_TEXT(row, "1");
    sql_row("SELECT count(*) FROM history", row, sizeof row);
    CHECK_TEXT(row, "2");
    sweep();
}

static void last_end(void)
{
    struct registry *registry = open_fresh();
    uint64_t ended = 7;
    char reason[128] = "untouched";
    CHECK(registry_last_end(registry, "alice", &ended, reason, sizeof reason) == -ENOENT);
    CHECK(record(registry, "alice", "0123456789abcdef") == 0);
    CHECK(registry_last_end(registry, "alice", &ended, reason, sizeof reason) == -ENOENT);
    CHECK(ended == 7);
    CHECK_TEXT(reason, "untouched");
    CHECK(end_share(registry, "0123456789abcdef", "first") == 0);
    CHECK(end_share(registry, "0123456789abcdef", "again") == 0); /* ended already */
    CHECK(record(registry, "bob", "0123456789abcde0") == 0);
    CHECK(end_share(registry, "0123456789abcde0", "other") == 0);
    CHECK(registry_last_end(registry, "alice", &ended, reason, sizeof reason) == 0);
    CHECK_TEXT(reason, "first");
    CHECK(ended + 60 > (uint64_t)time(NULL) && ended <= (uint64_t)time(NULL));
    char little[4];
    CHECK(registry_last_end(registry, "alice", &ended, little, sizeof little) == 0);
    CHECK_TEXT(little, "fir");
    registry_close(registry);
    sweep();
}

static void unknown_share(void)
{
    struct registry *registry = open_fresh();
    struct sample made;
    sample(&made, "alice", "0123456789abcdef");
    for (int ended = 0; ended < 2; ended++) {
        registry_activate(registry, &made.share, note, &answers);
        CHECK(await(registry, 1) == -ENOENT);
        registry_extend(registry, made.share.id, 1, 1, note, &answers);
        CHECK(await(registry, 1) == -ENOENT);
        registry_add_images(registry, made.share.id, &made.images[0], 1, note, &answers);
        CHECK(await(registry, 1) == -ENOENT);
        CHECK(end_share(registry, made.share.id, "nothing") == 0);
        CHECK(registry_healthy(registry)); /* nothing is wrong with the file */
        CHECK(record(registry, "alice", made.share.id) == (ended ? -EEXIST : 0));
        CHECK(registry_healthy(registry));
        CHECK(end_share(registry, made.share.id, "over") == 0);
    }
    registry_close(registry);
    sweep();
}

static void other_boot(void)
{
    struct registry *registry = open_fresh();
    uint64_t ended = 0;
    char reason[128] = "";
    CHECK(record(registry, "alice", "0123456789abcdef") == 0);
    CHECK(record(registry, "bob", "0123456789abcde0") == 0);
    registry_close(registry);
    CHECK(sql("UPDATE shares SET boot = 'another' WHERE user = 'alice'") == SQLITE_OK);
    registry = reopen();
    CHECK(count_live(registry) == 1);
    CHECK(registry_last_end(registry, "alice", &ended, reason, sizeof reason) == 0);
    CHECK_TEXT(reason, "the machine was restarted");
    CHECK(ended >= 1700000000 && ended <= 1700086400);
    CHECK(registry_last_end(registry, "bob", &ended, reason, sizeof reason) == -ENOENT);
    registry_close(registry);
    sweep();
}

static void counters(void)
{
    struct registry *registry = open_fresh();
    CHECK(registry_next_mark(registry) == 1 && registry_next_mark(registry) == 2);
    CHECK(registry_next_block(registry) == 0 && registry_next_block(registry) == 1);
    CHECK(record(registry, "alice", "0123456789abcdef") == 0);
    CHECK(registry_next_mark(registry) == 3); /* never recorded: given again */
    registry_close(registry);
    registry = reopen();
    CHECK(registry_next_mark(registry) == 3 && registry_next_block(registry) == 2);
    registry_close(registry);
    CHECK(sql("UPDATE counters SET value = 16777214 WHERE name = 'mark'") == SQLITE_OK);
    registry = reopen();
    CHECK(registry_next_mark(registry) == 0xfffffe && registry_next_mark(registry) == 0xffffff);
    CHECK(registry_next_mark(registry) == 1);
    registry_close(registry);
    CHECK(sql("UPDATE counters SET value = 16777216 WHERE name = 'mark'") == SQLITE_OK);
    registry = reopen();
    CHECK(registry_next_mark(registry) == 1);
    registry_close(registry);
    sweep();
}

static void two(struct registry *registry)
{
    CHECK(record(registry, "alice", "0123456789abcdef") == 0);
    CHECK(record(registry, "bob", "0123456789abcde0") == 0);
}

static void begin_session(struct registry *registry, const char *id, const char *token, int error)
{
    struct registry_session session = {.until_ns = UINT64_C(1) << 62};
    sha256(token, strlen(token), &session.token);
    CHECK(registry_begin_session(registry, id, &session, note, &answers) == 0);
    CHECK(await(registry, 1) == error);
}

static void end_sessions(struct registry *registry, const char *id, const char *token, bool others)
{
    struct sha256 hash;
    if (token != NULL) {
        sha256(token, strlen(token), &hash);
    }
    CHECK(registry_end_sessions(registry, id, token != NULL ? &hash : NULL, others, note,
                                &answers) == 0);
    CHECK(await(registry, 1) == 0);
}

/* The tokens of the share that was recorded first, or second, each a letter. */
static void check_sessions(struct registry *registry, unsigned which, const char *tokens)
{
    struct registry_share *shares = NULL;
    uint32_t count = 0;
    CHECK(registry_load(registry, &shares, &count) == 0 && which < count);
    const char *id = which == 0 ? "0123456789abcdef" : "0123456789abcde0";
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(shares[i].id, id) != 0) {
            continue;
        }
        CHECK(shares[i].n_sessions == strlen(tokens));
        for (uint32_t j = 0; j < shares[i].n_sessions && tokens[j] != '\0'; j++) {
            struct sha256 hash;
            sha256(&tokens[j], 1, &hash);
            CHECK(sha256_equal(&shares[i].sessions[j].token, &hash));
            CHECK(shares[i].sessions[j].until_ns == UINT64_C(1) << 62);
        }
    }
    registry_shares_free(shares, count);
}

static void sessions(void)
{
    struct registry *registry = open_fresh();
    two(registry);
    begin_session(registry, "0123456789abcdef", "a", 0);
    begin_session(registry, "0123456789abcdef", "b", 0);
    begin_session(registry, "0123456789abcdef", "c", 0);
    begin_session(registry, "0123456789abcde0", "x", 0);
    begin_session(registry, "0123456789abcde0", "y", 0);
    begin_session(registry, "0123456789abcde7", "z", -ENOENT);
    registry_close(registry);
    registry = reopen();
    check_sessions(registry, 0, "abc");
    check_sessions(registry, 1, "xy");
    end_sessions(registry, "0123456789abcdef", "x", false); /* of another share */
    check_sessions(registry, 1, "xy");
    end_sessions(registry, "0123456789abcdef", "a", false);
    check_sessions(registry, 0, "bc");
    end_sessions(registry, "0123456789abcdef", "b", true);
    check_sessions(registry, 0, "b");
    end_sessions(registry, "0123456789abcdef", NULL, true);
    check_sessions(registry, 0, "");
    check_sessions(registry, 1, "xy");
    registry_close(registry);
    sweep();
}

static void the_oldest_session_goes(void)
{
    struct registry *registry = open_fresh();
    two(registry);
    for (char token[] = "a"; token[0] <= 'r'; token[0]++) {
        begin_session(registry, "0123456789abcdef", token, 0);
    }
    begin_session(registry, "0123456789abcde0", "x", 0);
    check_sessions(registry, 0, "cdefghijklmnopqr");
    check_sessions(registry, 1, "x");
    registry_close(registry);
    sweep();
}

/* Neither hash nor token is there when the share has ended, however it did. */
static void secrets_end_with_the_share(void)
{
    struct registry *registry = open_fresh();
    char row[64];
    two(registry);
    begin_session(registry, "0123456789abcdef", "a", 0);
    begin_session(registry, "0123456789abcde0", "x", 0);
    CHECK(end_share(registry, "0123456789abcdef", "removed") == 0);
    sql_row("SELECT count(*) FROM sessions WHERE share LIKE '%f'", row, sizeof row);
    CHECK_TEXT(row, "0");
    sql_row("SELECT count(*) FROM shares WHERE password <> ''", row, sizeof row);
    CHECK_TEXT(row, "1");
    registry_close(registry);
    CHECK(sql("UPDATE shares SET boot = 'another'") == SQLITE_OK);
    registry = reopen();
    CHECK(count_live(registry) == 0);
    registry_close(registry);
    sql_row("SELECT count(*) FROM sessions", row, sizeof row);
    CHECK_TEXT(row, "0");
    sql_row("SELECT count(*) FROM shares WHERE password <> ''", row, sizeof row);
    CHECK_TEXT(row, "0");
    sweep();
}

static void a_released_client(void)
{
    struct registry *registry = open_fresh();
    struct registry_share *shares = NULL;
    struct prefix client;
    uint32_t count = 0;
    char row[200];
    CHECK(record(registry, "alice", "0123456789abcdef") == 0);
    parse_client("10.0.0.1", 8, &client, NULL);
    CHECK(registry_release(registry, "0123456789abcdef", &client, note, &answers) == 0);
    CHECK(await(registry, 1) == 0);
    CHECK(registry_load(registry, &shares, &count) == 0 && count == 1);
    CHECK(shares[0].n_clients == 1 && shares[0].clients[0].length == 64);
    registry_shares_free(shares, count);
    registry_close(registry);
    sql_row("SELECT clients FROM history", row, sizeof row);
    CHECK(strncmp(row, "10.0.0.1 until 20", 17) == 0);
    CHECK(strstr(row, ", fd00:1::/64") != NULL);
    sweep();
}

/* Descriptors of the registry's files and of its eventfd that are, or are not, close-on-exec. */
static int count_inherited(bool closed)
{
    int count = 0;
    for (int fd = 3; fd < 64; fd++) {
        char link[32], target[128] = "";
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        if (readlink(link, target, sizeof target - 1) > 0 &&
            (strncmp(target, state, strlen(state)) == 0 || strstr(target, "eventfd") != NULL)) {
            count += closed == ((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        }
    }
    return count;
}

static void modes(void)
{
    struct registry *registry = open_fresh();
    struct stat status;
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    CHECK(record(registry, "alice", "0123456789abcdef") == 0);
    CHECK(stat(state, &status) == 0 && (status.st_mode & 07777) == 0700);
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        char path[96];
        snprintf(path, sizeof path, "%s%s", file, suffixes[i]);
        CHECK(stat(path, &status) == 0 && (status.st_mode & 07777) == 0600);
    }
    CHECK(count_inherited(true) >= 5 && count_inherited(false) == 0);
    registry_close(registry);
    CHECK(chmod(file, 0644) == 0);
    registry_close(reopen());
    CHECK(stat(file, &status) == 0 && (status.st_mode & 07777) == 0600);
    sweep();
}

static void write_file(const char *bytes, off_t offset)
{
    CLEANUP_CLOSE int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(pwrite(fd, bytes, strlen(bytes), offset) == (ssize_t)strlen(bytes));
}

/* The one file beside the registry whose name says that it was damaged, or "". */
static const char *kept_aside(void)
{
    static char path[PATH_MAX];
    CLEANUP_DIR DIR *directory = opendir(state);
    const struct dirent *entry;
    unsigned found = 0;
    path[0] = '\0';
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (strncmp(entry->d_name, "registry.sqlite.damaged-", 24) == 0 &&
            strstr(entry->d_name, "-wal") == NULL) {
            snprintf(path, sizeof path, "%s/%s", state, entry->d_name);
            found++;
        }
    }
    return found == 1 ? path : "";
}

static void check_begun_anew(struct registry *registry)
{
    struct registry_share *shares = NULL;
    uint32_t count = 7;
    CHECK(registry_load(registry, &shares, &count) == 0 && count == 0);
    registry_shares_free(shares, count);
    CHECK(record(registry, "bob", "fedcba9876543210") == 0);
}

static void not_a_database(void)
{
    char line[64] = "";
    fresh();
    CHECK(mkdir(state, 0700) == 0);
    write_file("This is a letter to my aunt, and longer than the header of a database is.\n"
               "Dear aunt, how are you? The weather here is fine.\n",
               0);
    struct registry *registry = reopen();
    check_begun_anew(registry);
    CLEANUP_CLOSE int fd = open(kept_aside(), O_RDONLY | O_CLOEXEC);
    CHECK(read(fd, line, 16) == 16);
    CHECK_TEXT(line, "This is a letter"); /* nothing happened to it */
    registry_close(registry);
    sweep();
}

static void foreign_database(void)
{
    fresh();
    CHECK(mkdir(state, 0700) == 0);
    CHECK(sql("CREATE TABLE aunts (name TEXT)") == SQLITE_OK);
    check_refused(-EBADMSG, "another program");
    sweep();
    registry_close(open_fresh());
    CHECK(sql("PRAGMA user_version = 3") == SQLITE_OK);
    check_refused(-EPROTONOSUPPORT, "newer version");
    CHECK(sql("PRAGMA user_version = 1") == SQLITE_OK);
    check_refused(-EPROTONOSUPPORT, "older version");
    sweep();
}

static void damaged(void)
{
    struct registry *registry = open_fresh();
    struct stat status;
    CHECK(record(registry, "alice", "0123456789abcdef") == 0);
    registry_close(registry);
    CHECK(stat(file, &status) == 0);
    for (off_t at = 4096; at < status.st_size; at += 4096) {
        write_file("what a mess this page is, which was a leaf of a tree", at);
    }
    registry = reopen();
    check_begun_anew(registry);
    CHECK(kept_aside()[0] != '\0');
    registry_close(registry);
    sweep();
}

static unsigned renewals;

static void renewed(void *user_data)
{
    struct registry *registry = *(struct registry **)user_data;
    struct sample made;
    renewals++;
    sample(&made, "alice", "0123456789abcdef");
    CHECK(registry_record(registry, &made.share, NULL, NULL) == 0);
}

/* Whatever happens to the file while it is open: what lives is written into a new one. */
static void check_renewal(struct registry *registry, int expected)
{
    struct registry_share *shares = NULL;
    uint32_t count = 0;
    renewals = 0;
    registry_on_renewal(registry, renewed, &registry);
    CHECK(record(registry, "bob", "fedcba9876543210") == expected);
    CHECK(renewals == 1);
    CHECK(record(registry, "carol", "aaaaaaaa76543210") == 0);
    CHECK(renewals == 1 && registry_healthy(registry));
    registry_close(registry);
    registry = reopen();
    CHECK(registry_load(registry, &shares, &count) == 0 && count == 2);
    registry_shares_free(shares, count);
    registry_close(registry);
}

static void removed_while_open(void)
{
    struct registry *registry = open_fresh();
    CHECK(record(registry, "alice", "0123456789abcdef") == 0);
    CHECK(unlink(file) == 0);
    check_renewal(registry, -ESTALE);
    sweep();
    registry = open_fresh();
    CHECK(record(registry, "alice", "0123456789abcdef") == 0);
    sweep(); /* the directory, too */
    check_renewal(registry, -ESTALE);
    sweep();
}

static void damaged_while_open(void)
{
    struct registry *registry = open_fresh();
    CHECK(record(registry, "alice", "0123456789abcdef") == 0);
    registry_close(registry); /* into the file itself */
    registry = reopen();
    for (off_t at = 0; at < 65536; at += 512) {
        write_file("what a mess this page is, which was a leaf of a tree", at);
    }
    check_renewal(registry, -EBADMSG);
    CHECK(kept_aside()[0] != '\0');
    sweep();
}

static long rows_of(const char *table)
{
    char text[96], row[32];
    snprintf(text, sizeof text, "SELECT count(DISTINCT %s", table);
    sql_row(text, row, sizeof row);
    return strtol(row, NULL, 10);
}

/* Two shares that ended long ago and one that has just ended; a setting, and one more end. */
static void history_is_bounded(void)
{
    struct registry *registry = open_fresh();
    static const char *const ids[] = {"0000000000000001", "0000000000000002", "0000000000000003"};
    for (size_t i = 0; i < 3; i++) {
        CHECK(record(registry, "alice", ids[i]) == 0);
        CHECK(end_share(registry, ids[i], "removed") == 0);
    }
    CHECK(sql("UPDATE shares SET ended = 1000 WHERE id < '0000000000000003'") == SQLITE_OK);
    CHECK(record(registry, "alice", "0000000000000004") == 0);
    CHECK(rows_of("id) FROM shares") == 4);
    registry_keep_history(registry, 86400);
    CHECK(end_share(registry, "0000000000000004", "removed") == 0);
    registry_close(registry);
    CHECK(rows_of("id) FROM shares") == 2);
    CHECK(rows_of("share) FROM clients") == 2);
    CHECK(rows_of("share) FROM images") == 2);
    sweep();
}

static void wrong_directory(void)
{
    fresh();
    CHECK(mkdir(state, 0700) == 0 && chmod(state, 0777) == 0);
    check_refused(-EPERM, "by others");
    CHECK(rmdir(state) == 0);
    CHECK(close(open(state, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) == 0);
    check_refused(-ENOTDIR, "not a directory");
    CHECK(unlink(state) == 0);
    CHECK(mkdir(state, 0700) == 0 && symlink("nowhere", file) == 0);
    check_refused(-ELOOP, "opened");
    CHECK(unlink(file) == 0 && mkdir(file, 0700) == 0);
    check_refused(-EISDIR, "opened");
    CHECK(rmdir(file) == 0 && rmdir(state) == 0);
    snprintf(state, sizeof state, "/tmp/cdss-no-such-directory-%d/state", (int)getpid());
    check_refused(-ENOENT, "made");
}

/* Runs the case in a child that may change what it likes; the child reports by its exit status. */
static void in_child(void (*run)(void))
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        test_failed = false;
        run();
        fflush(stdout);
        _exit(test_failed ? 1 : 0);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void as_nobody(void)
{
    CHECK(setgid(65534) == 0 && setuid(65534) == 0);
    check_refused(-EACCES, "opened");
}

static void read_only_mount(void)
{
    CHECK(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount(state, state, NULL, MS_BIND, NULL) == 0);
    CHECK(mount(NULL, state, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0);
    check_refused(-EROFS, "opened");
}

static void unwritable(void)
{
    fresh();
    CHECK(mkdir(state, 0700) == 0);
    in_child(as_nobody);
    in_child(read_only_mount);
    CHECK(rmdir(state) == 0);
}

static void fill_disk(const char *path)
{
    static char block[4096];
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(fd, block, sizeof block) > 0) {
    }
    CHECK(errno == ENOSPC);
}

static void on_small_disk(void)
{
    char filler[96];
    uint64_t ended;
    char reason[64] = "";
    CHECK(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount("none", state, "tmpfs", MS_NODEV | MS_NOSUID, "size=1m,mode=0700") == 0);
    snprintf(filler, sizeof filler, "%s/filler", state);
    struct registry *registry = reopen();
    two(registry);
    begin_session(registry, "0123456789abcde0", "x", 0);
    fill_disk(filler);
    for (int i = 0; i < 64 && registry_healthy(registry); i++) { /* what was allocated already */
        char id[SHARE_ID_SIZE];
        snprintf(id, sizeof id, "%016x", i);
        record(registry, "bob", id);
    }
    CHECK(!registry_healthy(registry) && last_error == -ENOSPC);
    CHECK(record(registry, "carol", "cccccccccccccccc") == -ENOSPC);
    CHECK(end_share(registry, "0123456789abcdef", "while the disk was full") == -ENOSPC);
    CHECK(registry_end_sessions(registry, "0123456789abcde0", NULL, true, note, &answers) == 0);
    CHECK(await(registry, 1) == -ENOSPC);
    CHECK(count_live(registry) >= 1); /* reading goes on */
    CHECK(unlink(filler) == 0);
    CHECK(record(registry, "carol", "cccccccccccccccc") == 0 && registry_healthy(registry));
    CHECK(registry_last_end(registry, "alice", &ended, reason, sizeof reason) == 0);
    CHECK_TEXT(reason, "while the disk was full"); /* the late end was written */
    check_sessions(registry, 1, "");               /* and the other one, too */
    fill_disk(filler);
    for (int i = 64; i < 128 && registry_healthy(registry); i++) {
        char id[SHARE_ID_SIZE];
        snprintf(id, sizeof id, "%016x", i);
        record(registry, "bob", id);
    }
    CHECK(end_share(registry, "cccccccccccccccc", "too late") == -ENOSPC);
    CHECK(unlink(filler) == 0);
    registry_close(registry); /* the last attempt */
    registry = reopen();
    CHECK(registry_last_end(registry, "carol", &ended, reason, sizeof reason) == 0);
    CHECK_TEXT(reason, "too late");
    registry_close(registry);
}

static void full_disk(void)
{
    fresh();
    CHECK(mkdir(state, 0700) == 0);
    in_child(on_small_disk);
    CHECK(rmdir(state) == 0);
}

static void locked(void)
{
    struct registry *registry = open_fresh();
    sqlite3 *other = NULL;
    uint64_t ended;
    char reason[32];
    struct sample made;
    sample(&made, "alice", "0123456789abcdef");
    CHECK(sqlite3_open(file, &other) == SQLITE_OK);
    CHECK(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
    int64_t before = now_ms();
    CHECK(registry_record(registry, &made.share, note, &answers) == 0);
    CHECK(registry_last_end(registry, "alice", &ended, reason, sizeof reason) == -ENOENT);
    registry_dispatch(registry);
    CHECK(now_ms() - before < 500 && answers == 0); /* nobody waited */
    CHECK(await(registry, 1) == -EBUSY && !registry_healthy(registry));
    CHECK(now_ms() - before > 3000); /* the thread did */
    before = now_ms();
    CHECK(end_share(registry, made.share.id, "while it was locked") == -EBUSY);
    CHECK(now_ms() - before < 2000); /* but not so long again */
    sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL);
    CHECK(record(registry, "alice", "0123456789abcde0") == 0 && registry_healthy(registry));
    sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    CHECK(registry_record(registry, &made.share, note, &answers) == 0);
    usleep(300000);
    sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL);
    CHECK(await(registry, 1) == 0); /* a short lock is waited for */
    sqlite3_close(other);
    registry_close(registry);
    sweep();
}

static void locked_at_open(void)
{
    sqlite3 *other = NULL;
    registry_close(open_fresh());
    CHECK(sqlite3_open(file, &other) == SQLITE_OK);
    CHECK(sqlite3_exec(other, "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;", NULL, NULL,
                       NULL) == SQLITE_OK);
    int64_t before = now_ms();
    check_refused(-EBUSY, "locked");
    CHECK(now_ms() - before < 20000);
    sqlite3_close(other);
    registry_close(reopen());
    sweep();
}

/* The writer is killed the moment that it has heard of the commit. */
static void die_after_record(void)
{
    struct registry *registry = reopen();
    if (record(registry, "alice", "0123456789abcdef") == 0) {
        raise(SIGKILL);
    }
}

static void killed(void)
{
    int status;
    fresh();
    pid_t child = fork();
    if (child == 0) {
        die_after_record();
        _exit(1);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    struct registry *registry = reopen();
    CHECK(count_live(registry) == 1);
    registry_close(registry);
    sweep();
}

static void closing(void)
{
    struct registry *registry = open_fresh();
    for (int i = 0; i < 50; i++) {
        struct sample made;
        char id[SHARE_ID_SIZE];
        snprintf(id, sizeof id, "%016x", i);
        sample(&made, "alice", id);
        CHECK(registry_record(registry, &made.share, i % 2 ? note : NULL, &answers) == 0);
    }
    registry_close(registry);
    CHECK(answers == 0);
    registry = reopen();
    CHECK(count_live(registry) == 50);
    registry_close(registry);
    registry_close(NULL);
    sweep();
}

/* What nobody of ours has written is damage, too. */
static void bad_row(void)
{
    static const char *const damages[] = {"UPDATE shares SET user = '../x'",
                                          "UPDATE clients SET prefix = 'everybody'",
                                          "UPDATE images SET path = '../../etc/shadow'"};
    for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
        struct registry *registry = open_fresh();
        CHECK(record(registry, "alice", "0123456789abcdef") == 0);
        CHECK(sql(damages[i]) == SQLITE_OK);
        check_begun_anew(registry);
        CHECK(kept_aside()[0] != '\0');
        registry_close(registry);
        sweep();
    }
}

TEST_MAIN({"a share there and back", there_and_back}, {"a share's life", a_life},
          {"sessions", sessions}, {"the oldest of too many sessions goes", the_oldest_session_goes},
          {"hashes and tokens end with the share", secrets_end_with_the_share},
          {"a released client", a_released_client},
          {"the history says who, what, to whom, when and why", history},
          {"the last end of a user", last_end}, {"a share that is not there", unknown_share},
          {"rows of another boot are closed", other_boot},
          {"counters survive, and a mark is never 0", counters}, {"modes and descriptors", modes},
          {"a file that is not a database", not_a_database},
          {"a database that is not ours", foreign_database}, {"a damaged database", damaged},
          {"removed while it is open", removed_while_open},
          {"damaged while it is open", damaged_while_open},
          {"history is bounded", history_is_bounded},
          {"a directory that is not right", wrong_directory},
          {"nothing can be written", unwritable}, {"a full disk", full_disk},
          {"a locked database", locked}, {"a database locked at the start", locked_at_open},
          {"killed after the commit", killed}, {"closing writes what is queued", closing},
          {"rows changed by hand", bad_row})
