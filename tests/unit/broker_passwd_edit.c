/* Password files as administrators change and list them, in a repository of the test's own. */
#include "passwd_edit.h"

#include "beneath.h"
#include "cleanup.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define HASH  "$y$j9T$6WSV5Y7XOcW0efdvmBjFI1$5lTZZBUvVt4jZSO/8sx8YrhwVIp0L7qBwUm238DOmN."
#define OTHER "$5$g9lRz4SMa9zxFyhJ$BwgRyUEc1BgAh2RqYhjfVKHbPOxooih4aluKoB6HcT/"
#define OWNER 1234u

static char root[] = "/tmp/cdss-edit-XXXXXX";
static int fd;
static struct passwd_outcome outcome;

static void write_file(const char *path, const char *text)
{
    CLEANUP_CLOSE int file = openat(fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text));
}

static void has(const char *path, const char *want)
{
    CLEANUP_FREE char *text = NULL;
    size_t length;
    CHECK(text_read_file(fd, path, 100000, &text, &length) == 0);
    CHECK_TEXT(text, want);
}

static void begin(void)
{
    CLEANUP_CLOSE int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(beneath_remove(tmp, root + strlen("/tmp/"), 1000000) == 0);
    CHECK(mkdir(root, 0755) == 0 && chown(root, OWNER, OWNER) == 0);
    fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(mkdirat(fd, "a", 0755) == 0);
    write_file("a/x.iso", "image");
}

static int edit(enum passwd_task task, const char *path, const char *label)
{
    struct passwd_order order = {.task = task, .hash = HASH};
    snprintf(order.path, sizeof order.path, "%s", path);
    snprintf(order.label, sizeof order.label, "%s", label);
    passwd_edit(fd, &order, &outcome);
    return outcome.error;
}

static unsigned entries_of(const char *path)
{
    CLEANUP_CLOSE int directory = openat(fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_DIR DIR *entries = fdopendir(dup(directory));
    unsigned n = 0;
    while (readdir(entries) != NULL) {
        n++;
    }
    return n - 2;
}

static void a_file_comes_and_grows(void)
{
    struct stat status;
    begin();
    CHECK(edit(PASSWD_ADD, "a/x.iso", "lab 2") == 0);
    CHECK_TEXT(
        outcome.sentence,
        "A password was added to a/x.iso.passwd, which has 1 now: a user needs one of them.");
    has("a/x.iso.passwd", HASH " lab 2\n");
    CHECK(fstatat(fd, "a/x.iso.passwd", &status, 0) == 0 && (status.st_mode & 07777) == 0600);
    CHECK(status.st_uid == OWNER && status.st_gid == OWNER);
    CHECK(edit(PASSWD_ADD, "a/x.iso", "") == 0);
    has("a/x.iso.passwd", HASH " lab 2\n" HASH "\n");
    CHECK(edit(PASSWD_ADD, "a", "all") == 0 && edit(PASSWD_ADD, "", "everybody") == 0);
    has("a/.passwd", HASH " all\n");
    has(".passwd", HASH " everybody\n");
    CHECK(entries_of("a") == 3); /* nothing in between stays */
    close(fd);
}

static void who_owns_it_keeps_it(void)
{
    struct stat status;
    begin();
    write_file("a/.passwd", "# mine\n" OTHER " old");
    CHECK(fchownat(fd, "a/.passwd", 0, 77, 0) == 0 && fchmodat(fd, "a/.passwd", 0644, 0) == 0);
    CHECK(edit(PASSWD_ADD, "a", "new") == 0);
    has("a/.passwd", "# mine\n" OTHER " old\n" HASH " new\n");
    CHECK(fstatat(fd, "a/.passwd", &status, 0) == 0 && (status.st_mode & 07777) == 0600);
    CHECK(status.st_uid == 0 && status.st_gid == 77);
    close(fd);
}

static void one_goes(void)
{
    begin();
    write_file("a/.passwd", "# mine\n" HASH " one\nnonsense\n" OTHER "\n");
    CHECK(edit(PASSWD_REMOVE, "a", "two") == 0 && outcome.nothing);
    CHECK(edit(PASSWD_REMOVE, "a", "#3") == 0 && outcome.nothing);
    CHECK(edit(PASSWD_REMOVE, "a", "one") == 0 && !outcome.nothing);
    has("a/.passwd", "# mine\nnonsense\n" OTHER "\n");
    CHECK(edit(PASSWD_REMOVE, "a", "#3") == 0 && !outcome.nothing);
    has("a/.passwd", "# mine\nnonsense\n"); /* and stays: it lets nobody in */
    CHECK(strstr(outcome.sentence, "nobody but administrators") != NULL);
    CHECK(edit(PASSWD_REMOVE, "a/x.iso", "one") == 0 && outcome.nothing);
    CHECK(entries_of("a") == 2);
    close(fd);
}

static void a_list(void)
{
    begin();
    CHECK(edit(PASSWD_LIST, "a", "") == 0 && outcome.nothing && outcome.n_records == 0);
    write_file("a/.passwd", "nonsense\n" HASH " one\n$1$x$y\n" OTHER "\n");
    CHECK(edit(PASSWD_LIST, "a", "") == 0 && outcome.n_records == 4);
    CHECK(outcome.records[0].line == 1 && outcome.records[0].method[0] == '\0');
    CHECK(strstr(outcome.records[0].note, "does not begin with a hash") != NULL);
    CHECK(outcome.records[1].line == 2);
    CHECK_TEXT(outcome.records[1].label, "one");
    CHECK_TEXT(outcome.records[1].method, "yescrypt");
    CHECK(outcome.records[2].line == 3 && outcome.records[3].line == 4);
    CHECK_TEXT(outcome.records[3].method, "sha256crypt");
    CHECK_TEXT(outcome.sentence, "2 lines of a/.passwd match nothing.");
    write_file("a/.passwd", "");
    CHECK(edit(PASSWD_LIST, "a", "") == 0 && outcome.n_records == 0 && !outcome.nothing);
    CHECK(strstr(outcome.sentence, "a/.passwd holds no password") == outcome.sentence);
    /* an image that is gone may have left its passwords */
    write_file("a/gone.iso.passwd", HASH " one\n");
    CHECK(edit(PASSWD_LIST, "a/gone.iso", "") == 0 && outcome.n_records == 1);
    CHECK(edit(PASSWD_REMOVE, "a/gone.iso", "one") == 0 && !outcome.nothing);
    close(fd);
}

static void refusals(void)
{
    static char large[PASSWD_FILE_MAX + 2];
    char path[300] = "a/";
    begin();
    CHECK(edit(PASSWD_ADD, "a/no.iso", "x") == -ENOENT);
    CHECK_TEXT(outcome.sentence, "\"a/no.iso\" is not in the repository.");
    CHECK(symlinkat("x.iso", fd, "a/link") == 0 && mkfifoat(fd, "a/fifo", 0600) == 0);
    CHECK(edit(PASSWD_ADD, "a/link", "x") == -EINVAL && edit(PASSWD_ADD, "a/fifo", "x") == -EINVAL);
    memset(path + 2, 'x', 250);
    write_file(path, "image");
    CHECK(edit(PASSWD_ADD, path, "x") == -ENAMETOOLONG);
    CHECK(edit(PASSWD_ADD, "a", "x") == 0 && edit(PASSWD_ADD, "a", "x") == -EEXIST);
    CHECK_TEXT(outcome.field, "label");
    /* what is no password file is not touched */
    CHECK(symlinkat("x.iso", fd, ".passwd") == 0);
    CHECK(edit(PASSWD_ADD, "", "x") == -EPERM);
    CHECK(strstr(outcome.sentence, ".passwd is not a regular file") != NULL);
    CHECK(edit(PASSWD_REMOVE, "", "x") == -EPERM && edit(PASSWD_LIST, "", "") == -EPERM);
    has("a/x.iso", "image");
    CHECK(unlinkat(fd, ".passwd", 0) == 0);
    memset(large, '\n', PASSWD_FILE_MAX - 10);
    write_file(".passwd", large);
    CHECK(edit(PASSWD_ADD, "", "x") == -EFBIG);
    CHECK(strstr(outcome.sentence, "longer than 32 KiB") != NULL);
    has(".passwd", large);
    close(fd);
}

static void there_is_a_most(void)
{
    char label[16];
    begin();
    for (int i = 0; i < PASSWD_ENTRIES_MAX; i++) {
        snprintf(label, sizeof label, "%d", i);
        CHECK(edit(PASSWD_ADD, "a", label) == 0);
    }
    CHECK(edit(PASSWD_ADD, "a", "more") == -EFBIG);
    CHECK(edit(PASSWD_LIST, "a", "") == 0 && outcome.n_records == PASSWD_ENTRIES_MAX);
    close(fd);
}

static void set_up(void)
{
    CHECK(mkdtemp(root) != NULL);
    umask(0);
}

static void tear_down(void)
{
    CLEANUP_CLOSE int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(beneath_remove(tmp, root + strlen("/tmp/"), 1000000) == 0);
}

TEST_MAIN({"a directory to work in", set_up}, {"a file comes and grows", a_file_comes_and_grows},
          {"who owns it keeps it", who_owns_it_keeps_it}, {"one goes", one_goes},
          {"a list", a_list}, {"refusals", refusals}, {"there is a most", there_is_a_most},
          {"and away with it", tear_down})
