/* What guards an image: where password files are looked for, and what is made of odd ones. */
#include "guards.h"

#include "beneath.h"
#include "cleanup.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define HASH  "$y$j9T$6WSV5Y7XOcW0efdvmBjFI1$5lTZZBUvVt4jZSO/8sx8YrhwVIp0L7qBwUm238DOmN."
#define OTHER "$5$g9lRz4SMa9zxFyhJ$BwgRyUEc1BgAh2RqYhjfVKHbPOxooih4aluKoB6HcT/"

static char root[] = "/tmp/cdss-guards-XXXXXX";
static int fd;
static struct guards guards;

static void write_file(const char *path, const char *text)
{
    CLEANUP_CLOSE int file = openat(fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text));
}

static void begin(void)
{
    CLEANUP_CLOSE int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(beneath_remove(tmp, root + strlen("/tmp/"), 1000000) == 0);
    CHECK(mkdir(root, 0755) == 0);
    fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(mkdirat(fd, "a", 0755) == 0 && mkdirat(fd, "a/b", 0755) == 0);
    write_file("a/b/x.iso", "image");
    guards = (struct guards){.repository_fd = fd};
}

static void end(void)
{
    guards_free(&guards);
    close(fd);
}

static struct guards_way walk(const char *path)
{
    struct guards_way way;
    CHECK(guards_walk(&guards, path, &way) == 0);
    return way;
}

static bool is_same(const struct guards_way *a, const struct guards_way *b)
{
    return sha256_equal(&a->digest, &b->digest);
}

static void nothing_guards(void)
{
    static const struct sha256 none;
    struct stat status;
    begin();
    write_file("x.iso.passwd", HASH); /* another image's */
    write_file("a/y.iso.passwd", HASH);
    write_file("a/b/x.passwd", HASH);
    write_file("a/b.passwd", HASH); /* a directory's stands inside of it */
    const struct guards_way way = walk("a/b/x.iso");
    CHECK(!way.is_guarded && way.guards == 0 && guards.count == 0);
    CHECK(sha256_equal(&way.digest, &none));
    CHECK(fstatat(fd, "a/b/x.iso", &status, 0) == 0);
    CHECK(way.is_there && way.inode == status.st_ino && way.device == status.st_dev);
    end();
}

static void every_level_guards(void)
{
    static const char *const paths[] = {".passwd", "a/.passwd", "a/b/.passwd", "a/b/x.iso.passwd"};
    begin();
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        write_file(paths[i], HASH);
    }
    struct guards_way way = walk("a/b/x.iso");
    CHECK(way.is_guarded && way.guards == 15 && guards.count == 4);
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        CHECK_TEXT(guards.items[i].path, paths[i]);
        CHECK(guards.items[i].trouble == NULL && guards.items[i].file->n_entries == 1);
    }
    /* others have some of the same, which are not read again */
    write_file("a/z.iso", "image");
    struct guards_way other = walk("a/z.iso");
    CHECK(other.guards == 3 && guards.count == 4 && !is_same(&way, &other));
    end();
}

/* An image that is not there is guarded as it would be. */
static void what_is_missing_is_guarded_too(void)
{
    begin();
    write_file("a/.passwd", HASH);
    write_file("a/b/no.iso.passwd", HASH);
    struct guards_way way = walk("a/b/no.iso");
    CHECK(!way.is_there && way.guards == 3);
    way = walk("a/no/no/no.iso");
    CHECK(!way.is_there && way.guards == 1);
    way = walk("a/b/x.iso/y");
    CHECK(!way.is_there && way.guards == 1);
    end();
}

static const char *trouble_of(const char *path)
{
    guards_free(&guards);
    const struct guards_way way = walk("a/b/x.iso");
    CHECK(way.is_guarded && way.guards == 1 && guards.count == 1);
    CHECK_TEXT(guards.items[0].path, path);
    return guards.items[0].trouble;
}

/* Whatever has the name guards. */
static void odd_files_match_nothing(void)
{
    static char large[PASSWD_FILE_MAX + 2];
    static const char name[] = "a/b/.passwd";
    begin();
    write_file(name, "");
    CHECK_TEXT(trouble_of(name), "holds no password");
    write_file(name, "secret\n* x\n");
    CHECK_TEXT(trouble_of(name), "holds no password");
    memset(large, '\n', PASSWD_FILE_MAX + 1);
    memcpy(large, HASH, strlen(HASH));
    write_file(name, large);
    CHECK_TEXT(trouble_of(name), "is longer than 32 KiB");
    large[PASSWD_FILE_MAX] = '\0';
    write_file(name, large);
    CHECK(trouble_of(name) == NULL);
    CHECK(fchmodat(fd, name, 0666, 0) == 0);
    CHECK_TEXT(trouble_of(name), "may be changed by others than root and the repository's owner");
    CHECK(fchmodat(fd, name, 0600, 0) == 0 && fchownat(fd, name, 1234, 0, 0) == 0);
    CHECK_TEXT(trouble_of(name), "may be changed by others than root and the repository's owner");
    CHECK(unlinkat(fd, name, 0) == 0);
    write_file("good", HASH);
    CHECK(symlinkat("../../good", fd, name) == 0);
    CHECK_TEXT(trouble_of(name), "is not a regular file");
    CHECK(unlinkat(fd, name, 0) == 0 && symlinkat("nowhere", fd, name) == 0);
    CHECK_TEXT(trouble_of(name), "is not a regular file");
    CHECK(unlinkat(fd, name, 0) == 0 && mkdirat(fd, name, 0700) == 0);
    CHECK_TEXT(trouble_of(name), "is not a regular file");
    CHECK(unlinkat(fd, name, AT_REMOVEDIR) == 0 && mkfifoat(fd, name, 0600) == 0);
    CHECK_TEXT(trouble_of(name), "is not a regular file");
    end();
}

static void a_symlinked_directory_is_no_way(void)
{
    begin();
    CHECK(symlinkat("a", fd, "link") == 0);
    write_file("a/.passwd", HASH);
    const struct guards_way way = walk("link/b/x.iso");
    CHECK(!way.is_there && !way.is_guarded);
    end();
}

/* The digest tells when the passwords have changed, and only then. */
static void the_digest_is_of_the_passwords(void)
{
    begin();
    write_file("a/.passwd", HASH " lab\n");
    const struct guards_way one = walk("a/b/x.iso");
    guards_free(&guards);
    write_file("a/.passwd", "# other words\n" HASH "\n");
    const struct guards_way same = walk("a/b/x.iso");
    guards_free(&guards);
    write_file("a/.passwd", HASH "\n" OTHER "\n");
    const struct guards_way more = walk("a/b/x.iso");
    guards_free(&guards);
    write_file("a/.passwd", "");
    const struct guards_way none = walk("a/b/x.iso");
    guards_free(&guards);
    CHECK(renameat(fd, "a/.passwd", fd, "a/b/.passwd") == 0);
    write_file("a/b/.passwd", HASH);
    const struct guards_way elsewhere = walk("a/b/x.iso");
    CHECK(is_same(&one, &same));
    CHECK(!is_same(&one, &more) && !is_same(&one, &none) && !is_same(&one, &elsewhere));
    end();
}

static void hard_links_are_one_file(void)
{
    begin();
    write_file("a/.passwd", HASH);
    CHECK(linkat(fd, "a/.passwd", fd, "a/b/.passwd", 0) == 0);
    const struct guards_way way = walk("a/b/x.iso");
    CHECK(way.guards == 1 && guards.count == 1);
    end();
}

/* A long name has no room for a password file behind it, and so has none. */
static void long_names(void)
{
    char path[300] = "a/b/";
    begin();
    memset(path + 4, 'x', 255);
    write_file(path, "image");
    struct guards_way way = walk(path);
    CHECK(way.is_there && !way.is_guarded);
    path[4 + 248] = '\0';
    write_file(path, "image");
    memcpy(path + 4 + 248, ".passwd", 8);
    write_file(path, HASH);
    path[4 + 248] = '\0';
    way = walk(path);
    CHECK(way.is_there && way.guards == 1);
    end();
}

static void there_is_a_most(void)
{
    char path[64];
    struct guards_way way;
    begin();
    for (int i = 0; i < GUARDS_MAX; i++) {
        snprintf(path, sizeof path, "a/%d.iso.passwd", i);
        write_file(path, HASH);
        path[strlen(path) - strlen(".passwd")] = '\0';
        way = walk(path);
        CHECK(way.guards == UINT64_C(1) << i);
    }
    write_file("a/b/x.iso.passwd", HASH);
    CHECK(guards_walk(&guards, "a/b/x.iso", &way) == -E2BIG);
    CHECK(way.is_guarded && way.guards == 0 && way.is_there && guards.count == GUARDS_MAX);
    end();
}

static void set_up(void)
{
    CHECK(mkdtemp(root) != NULL);
}

static void tear_down(void)
{
    CLEANUP_CLOSE int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(beneath_remove(tmp, root + strlen("/tmp/"), 1000000) == 0);
}

TEST_MAIN({"a directory to work in", set_up}, {"nothing guards", nothing_guards},
          {"every level guards", every_level_guards},
          {"what is missing is guarded, too", what_is_missing_is_guarded_too},
          {"odd files match nothing", odd_files_match_nothing},
          {"a symlinked directory is no way", a_symlinked_directory_is_no_way},
          {"the digest is of the passwords", the_digest_is_of_the_passwords},
          {"hard links are one file", hard_links_are_one_file}, {"long names", long_names},
          {"there is a most", there_is_a_most}, {"and away with it", tear_down})
