/* Trees of hard links below a directory of the test's own. */
#include "tree.h"

#include "beneath.h"
#include "cleanup.h"
#include "parse.h"
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define ID       "0123456789abcdef"
#define OTHER_ID "fedcba9876543210"

static char root[] = "/tmp/cdss-tree-XXXXXX";
static char images[64], shares[64];
static int images_fd, shares_fd;

static void set_up(void)
{
    CHECK(mkdtemp(root) != NULL);
    snprintf(images, sizeof images, "%s/images", root);
    snprintf(shares, sizeof shares, "%s/shares", root);
    CHECK(mkdir(images, 0755) == 0 && mkdir(shares, 0700) == 0);
    images_fd = open(images, O_PATH | O_DIRECTORY | O_CLOEXEC);
    shares_fd = open(shares, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(images_fd >= 0 && shares_fd >= 0);
}

static void tear_down(void)
{
    close(images_fd);
    close(shares_fd);
    CHECK(beneath_remove(AT_FDCWD, root + 1, 1) != 0); /* "tmp/..." is not beneath the directory */
    CLEANUP_CLOSE int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(beneath_remove(tmp, root + strlen("/tmp/"), 1000000) == 0);
}

static int make_image(void)
{
    int fd = openat(images_fd, "image", O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
    CHECK(fd >= 0);
    return fd;
}

/* The mode of something below SHARES, 0 when it is not there. */
static unsigned mode_of(const char *path)
{
    struct stat status;
    return fstatat(shares_fd, path, &status, AT_SYMLINK_NOFOLLOW) == 0 ? status.st_mode : 0;
}

static int contents(const char *path, char *ret)
{
    return tree_make_contents(shares_fd, ID, path, ret, IMAGE_PATH_MAX + 16);
}

static void test_link(void)
{
    CLEANUP_CLOSE int fd = make_image();
    struct stat a, b;

    umask(077); /* must not matter: servers that are not root walk here */
    CHECK(tree_create(shares_fd, ID) == 0);
    CHECK(tree_create(shares_fd, ID) == -EEXIST);
    CHECK(tree_link(shares_fd, ID, fd, "linux/a/x.iso") == 0);
    CHECK(mode_of(ID) == (S_IFDIR | 0755));
    CHECK(mode_of(ID "/linux/a") == (S_IFDIR | 0755));
    CHECK(fstat(fd, &a) == 0);
    CHECK(fstatat(shares_fd, ID "/linux/a/x.iso", &b, 0) == 0);
    CHECK(a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_nlink == 2);

    CHECK(tree_link(shares_fd, ID, fd, "linux/a/x.iso") == -EEXIST);
    CHECK(tree_link(shares_fd, ID, fd, "linux/a") == -EEXIST);
    CHECK(tree_link(shares_fd, ID, fd, "linux/a/x.iso/y.iso") == -ENOTDIR);
    CHECK(tree_link(shares_fd, ID, fd, "../x.iso") < 0);
    CHECK(tree_link(shares_fd, OTHER_ID, fd, "x.iso") == -ENOENT);
    CHECK(tree_prune(shares_fd, ID, NULL, 0) == 0);
    CHECK(mode_of(ID "/linux") == 0 && mode_of(ID) != 0);
    CHECK(tree_remove(shares_fd, ID) == 0);
    umask(022);
}

/* What was opened is what is linked, whoever has its name by then. */
static void test_name_changes_hands(void)
{
    CLEANUP_CLOSE int fd = make_image();
    struct stat opened, linked;

    CHECK(renameat(images_fd, "image", images_fd, "moved") == 0);
    CHECK(symlinkat("/etc/passwd", images_fd, "image") == 0);
    CHECK(tree_create(shares_fd, ID) == 0 && tree_link(shares_fd, ID, fd, "image") == 0);
    CHECK(fstat(fd, &opened) == 0);
    CHECK(fstatat(shares_fd, ID "/image", &linked, AT_SYMLINK_NOFOLLOW) == 0);
    CHECK(opened.st_ino == linked.st_ino && opened.st_dev == linked.st_dev);
    CHECK(tree_remove(shares_fd, ID) == 0);
    CHECK(renameat(images_fd, "moved", images_fd, "image") == 0);
}

static void test_ids(void)
{
    static const char *const wrong[] = {"",
                                        ".",
                                        "..",
                                        "0123456789abcde",
                                        "0123456789abcdef0",
                                        "../../images/abc",
                                        "0123456789ABCDEF"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        CHECK(tree_create(shares_fd, wrong[i]) == -EINVAL);
        CHECK(tree_remove(shares_fd, wrong[i]) == -EINVAL);
        CHECK(tree_link(shares_fd, wrong[i], 0, "x") == -EINVAL);
        CHECK(tree_prune(shares_fd, wrong[i], NULL, 0) == -EINVAL);
    }
}

static void test_contents_names(void)
{
    static const struct {
        const char *path, *want;
    } rows[] = {
        {"x.iso", "x"},
        {"y", "y.contents"},
        {"z.iso", "z.contents"},
        {"w.iso", "w.contents.2"},
        {"debian-12.5", "debian-12.5.contents"},
        {"debian-12.5.iso", "debian-12.5.contents.2"},
        {".iso", ".iso.contents"},
        {"d.d/name", "d.d/name.contents"},
        {"d.d/q.squashfs", "d.d/q"},
        {"odd.not an extension", "odd.not an extension.contents"},
    };
    static const char *const others[] = {"z/inner.iso", "w", "w.contents/inner.iso"};
    CLEANUP_CLOSE int fd = make_image();
    char got[IMAGE_PATH_MAX + 16];

    CHECK(tree_create(shares_fd, ID) == 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CHECK(tree_link(shares_fd, ID, fd, rows[i].path) == 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        CHECK(tree_link(shares_fd, ID, fd, others[i]) == 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CHECK(contents(rows[i].path, got) == 0);
        CHECK_TEXT(got, rows[i].want);
    }
    char small[4] = "old";
    CHECK(tree_make_contents(shares_fd, ID, "long.iso", small, sizeof small) == -ENAMETOOLONG);
    CHECK_TEXT(small, "old");
    CHECK(mode_of(ID "/long") == 0);
    CHECK(tree_remove(shares_fd, ID) == 0);
}

static void test_contents_exhausted(void)
{
    char got[IMAGE_PATH_MAX + 16] = "old";
    int n = 0, r;

    CHECK(tree_create(shares_fd, ID) == 0);
    while ((r = contents("x.iso", got)) == 0 && n < 1000) {
        n++;
    }
    CHECK(r == -EEXIST && n == 100);
    CHECK_TEXT(got, "x.contents.99");
    CHECK(tree_remove(shares_fd, ID) == 0);
}

/* An image that is added later must not be linked below a directory that a mount hides. */
static void test_through_contents(void)
{
    CLEANUP_CLOSE int fd = make_image();
    char got[IMAGE_PATH_MAX + 16];

    CHECK(tree_create(shares_fd, ID) == 0);
    CHECK(tree_link(shares_fd, ID, fd, "a/x.iso") == 0);
    CHECK(contents("a/x.iso", got) == 0);
    CHECK_TEXT(got, "a/x");
    CHECK(tree_link(shares_fd, ID, fd, "a/x/y.iso") == -EEXIST);
    const char *const keep[] = {"a/x.iso", "a/x"};
    CHECK(tree_prune(shares_fd, ID, keep, 2) == 0);
    CHECK(mode_of(ID "/a/x") == (S_IFDIR | 0555)); /* and it does not go because it is empty */
    CHECK(tree_prune(shares_fd, ID, NULL, 0) == 0);
    CHECK(mode_of(ID "/a") == 0 && mode_of(ID) != 0);
    CHECK(tree_prune(shares_fd, ID, NULL, 0) == 0);
    CHECK(tree_remove(shares_fd, ID) == 0);
}

/* Whoever added may have died anywhere: between mkdir and chmod, between a link and its contents.
 */
static void test_prune_keeps_others(void)
{
    const char *const keep[] = {"a/y.iso", "", "z.iso", "z"};
    CLEANUP_CLOSE int fd = make_image();

    CHECK(tree_create(shares_fd, ID) == 0);
    CHECK(tree_link(shares_fd, ID, fd, "a/b/x.iso") == 0);
    CHECK(tree_link(shares_fd, ID, fd, "a/y.iso") == 0);
    CHECK(tree_link(shares_fd, ID, fd, "z.iso") == 0);
    CHECK(mkdirat(shares_fd, ID "/z", 0555) == 0 && mkdirat(shares_fd, ID "/x", 0555) == 0);
    CHECK(mkdirat(shares_fd, ID "/half", 0700) == 0 && mkdirat(shares_fd, ID "/half/made", 0) == 0);
    CHECK(tree_prune(shares_fd, ID, keep, 4) == 0);
    CHECK(mode_of(ID "/a/b") == 0 && mode_of(ID "/x") == 0 && mode_of(ID "/half") == 0);
    CHECK(mode_of(ID "/a/y.iso") != 0 && mode_of(ID "/z.iso") != 0 && mode_of(ID "/z") != 0);
    CHECK(tree_remove(shares_fd, ID) == 0);
    CHECK(mode_of(ID) == 0);
}

static void test_other_filesystem(void)
{
    CLEANUP_CLOSE int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

    CHECK(tree_create(shares_fd, ID) == 0);
    CHECK(tree_link(shares_fd, ID, fd, "a/b") == -EXDEV);
    CHECK(mode_of(ID "/a") == 0); /* nothing half done */
    CHECK(tree_remove(shares_fd, ID) == 0);
}

static int entries_of(int dirfd)
{
    int n = 0;
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_DIR DIR *directory = fdopendir(fd);

    while (readdir(directory) != NULL) {
        n++;
    }
    return n - 2;
}

/* A crash between the rename and the end: the tombstone goes with the next removal. */
static void test_tombstone(void)
{
    CLEANUP_CLOSE int fd = make_image();

    CHECK(mkdirat(shares_fd, ".gone-" ID, 0755) == 0);
    CHECK(mkdirat(shares_fd, ".gone-" ID "/a", 0755) == 0);
    CHECK(linkat(fd, "", shares_fd, ".gone-" ID "/a/x", AT_EMPTY_PATH) == 0);
    CHECK(tree_create(shares_fd, ID) == 0);
    CHECK(tree_link(shares_fd, ID, fd, "a/x") == 0);
    CHECK(tree_remove(shares_fd, ID) == 0);
    CHECK(entries_of(shares_fd) == 0);
    CHECK(tree_remove(shares_fd, ID) == 0);
}

static bool keep_one(const char *id, void *user_data)
{
    int *asked = user_data;
    ++*asked;
    return strcmp(id, OTHER_ID) == 0;
}

static void test_sweep(void)
{
    CLEANUP_CLOSE int fd = make_image();
    int asked = 0;

    CHECK(tree_create(shares_fd, ID) == 0 && tree_link(shares_fd, ID, fd, "x") == 0);
    CHECK(tree_create(shares_fd, OTHER_ID) == 0 && tree_link(shares_fd, OTHER_ID, fd, "x") == 0);
    CHECK(mkdirat(shares_fd, ".gone-aaaaaaaaaaaaaaaa", 0755) == 0);
    CHECK(mkdirat(shares_fd, "lost+found", 0700) == 0);
    CHECK(mkdirat(shares_fd, "important", 0700) == 0);
    CHECK(tree_sweep(shares_fd, keep_one, &asked) == 0);
    CHECK(asked == 2);
    CHECK(mode_of(OTHER_ID "/x") != 0 && mode_of(ID) == 0);
    CHECK(mode_of("lost+found") != 0 && mode_of("important") != 0); /* nobody's tree */
    CHECK(entries_of(shares_fd) == 3);
    CHECK(tree_remove(shares_fd, OTHER_ID) == 0);
    CHECK(unlinkat(shares_fd, "lost+found", AT_REMOVEDIR) == 0);
    CHECK(unlinkat(shares_fd, "important", AT_REMOVEDIR) == 0);
}

static void test_many(void)
{
    char path[64];
    int made = 0;

    CHECK(tree_create(shares_fd, ID) == 0);
    for (int i = 0; i < 200; i++) {
        snprintf(path, sizeof path, ID "/%d", i);
        CHECK(mkdirat(shares_fd, path, 0755) == 0);
        for (int j = 0; j < 500; j++) {
            snprintf(path, sizeof path, ID "/%d/%d", i, j);
            made += mknodat(shares_fd, path, S_IFREG | 0600, 0) == 0;
        }
    }
    CHECK(made == 100000);
    CHECK(tree_remove(shares_fd, ID) == 0);
    CHECK(entries_of(shares_fd) == 0);
}

/* A user's symlink in the repository leads nowhere. */
static void test_symlink_in_tree(void)
{
    CLEANUP_CLOSE int fd = make_image();

    CHECK(tree_create(shares_fd, ID) == 0);
    CHECK(symlinkat(images, shares_fd, ID "/away") == 0);
    CHECK(tree_link(shares_fd, ID, fd, "away/x.iso") < 0);
    CHECK(faccessat(images_fd, "x.iso", F_OK, 0) < 0);
    CHECK(tree_remove(shares_fd, ID) == 0);
    CHECK(faccessat(images_fd, "image", F_OK, 0) == 0);
}

static void test_check(void)
{
    char why[512] = "", inner[128];

    CHECK(tree_check(images, shares, why, sizeof why) == 0);
    CHECK(tree_check("/nowhere/images", shares, why, sizeof why) == -ENOENT);
    CHECK(strstr(why, "/nowhere/images") != NULL);
    CHECK(tree_check(images, "/nowhere/shares", why, sizeof why) == -ENOENT);

    snprintf(inner, sizeof inner, "%s/made", root);
    CHECK(tree_check(images, inner, why, sizeof why) == 0);
    CHECK(chmod(inner, 0711) == 0);
    CHECK(tree_check(images, inner, why, sizeof why) == -EPERM);
    CHECK(strstr(why, "chmod 0700") != NULL);
    CHECK(chmod(inner, 0700) == 0 && chown(inner, 65534, 0) == 0);
    CHECK(tree_check(images, inner, why, sizeof why) == -EPERM);

    snprintf(inner, sizeof inner, "%s/shares", images);
    CHECK(tree_check(images, inner, why, sizeof why) == -EINVAL);
    CHECK(strstr(why, "side by side") != NULL);
    CHECK(rmdir(inner) < 0 && errno == ENOENT); /* a refusal leaves nothing that it made */
    CHECK(mkdir(inner, 0700) == 0);
    CHECK(tree_check(images, inner, why, sizeof why) == -EINVAL);
    CHECK(tree_check(inner, images, why, sizeof why) == -EINVAL);
    CHECK(tree_check(images, images, why, sizeof why) == -EINVAL);
}

/* Mounts are made in a namespace of the test's own. */
static void test_check_mounts(void)
{
    char why[512] = "", other[128];

    CHECK(unshare(CLONE_NEWNS) == 0);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        CHECK(!"private mounts");
        return;
    }
    snprintf(other, sizeof other, "%s/other", root);
    CHECK(mkdir(other, 0700) == 0);
    CHECK(mount("none", other, "tmpfs", 0, "mode=0700") == 0);
    CHECK(tree_check(images, other, why, sizeof why) == -EXDEV);
    CHECK(strstr(why, "not on one filesystem") != NULL);
    CHECK(umount2(other, MNT_DETACH) == 0);

    CHECK(mount(shares, other, NULL, MS_BIND, NULL) == 0);
    CHECK(tree_check(images, other, why, sizeof why) == -EXDEV);
    CHECK(strstr(why, "different mounts") != NULL);
    CHECK(umount2(other, MNT_DETACH) == 0);
}

TEST_MAIN({"set up", set_up}, {"links", test_link},
          {"a name that changes hands", test_name_changes_hands}, {"ids", test_ids},
          {"names of contents", test_contents_names},
          {"no name is left for contents", test_contents_exhausted},
          {"not through contents", test_through_contents},
          {"pruning keeps the others", test_prune_keeps_others},
          {"another filesystem", test_other_filesystem}, {"tombstones", test_tombstone},
          {"sweep", test_sweep}, {"a hundred thousand entries", test_many},
          {"symlinks", test_symlink_in_tree}, {"the check at start", test_check},
          {"the check of mounts", test_check_mounts}, {"nothing is left", tear_down})
