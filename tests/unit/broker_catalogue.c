/* The repository as it is listed and opened, in a directory of the test's own. */
#include "catalogue.h"

#include "beneath.h"
#include "cleanup.h"
#include "test.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

static char root[] = "/tmp/cdss-catalogue-XXXXXX";
static int fd;

static void make(const char *path)
{
    static const char squashfs[96] = "hsqs";
    CLEANUP_CLOSE int file = openat(fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CHECK(file >= 0 && write(file, squashfs, sizeof squashfs) == sizeof squashfs);
}

static void make_directory(const char *path)
{
    CHECK(mkdirat(fd, path, 0755) == 0);
}

static void set_up(void)
{
    CHECK(mkdtemp(root) != NULL);
    fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(fd >= 0);
    umask(0);
}

/* Empties the repository. */
static void clear(void)
{
    CLEANUP_CLOSE int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

    close(fd);
    CHECK(beneath_remove(tmp, root + strlen("/tmp/"), 1000000) == 0);
    CHECK(mkdir(root, 0755) == 0);
    fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void tear_down(void)
{
    clear();
    close(fd);
    CHECK(rmdir(root) == 0);
}

static int add_line(const struct catalogue_entry *entry, void *user_data)
{
    struct text *lines = user_data;
    text_format(lines, "%s%s %s\n", entry->path, entry->is_protected ? " protected" : "",
                image_type_name(entry->info.type));
    return 0;
}

static void check_scan(const char *pattern, const char *want)
{
    CLEANUP_TEXT struct text lines = {0};
    text_add(&lines, "");
    CHECK(catalogue_scan(fd, pattern, add_line, &lines) == 0);
    CHECK_TEXT(lines.data, want);
}

static void test_empty(void)
{
    check_scan("", "");
}

/* '.' and '-' and ' ' sort before '/', letters after it. */
static void test_order(void)
{
    clear();
    make_directory("a");
    make_directory("a.d");
    make_directory("a0");
    make("a/z");
    make("a.iso");
    make("a-1");
    make("a0.iso");
    make("a.d/x");
    make("a0/x");
    make("Z");
    check_scan("", "Z squashfs\na-1 squashfs\na.d/x squashfs\na.iso squashfs\na/z squashfs\n"
                   "a0.iso squashfs\na0/x squashfs\n");
}

static void make_socket(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    CLEANUP_CLOSE int at = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(name.sun_path, sizeof name.sun_path, "/proc/self/fd/%d/%s", fd, path);
    CHECK(bind(at, (struct sockaddr *)&name, sizeof name) == 0);
}

static void test_only_files(void)
{
    clear();
    make("file");
    make_directory("directory");
    make("directory/inside");
    CHECK(mkfifoat(fd, "fifo", 0644) == 0);
    CHECK(mknodat(fd, "device", S_IFCHR | 0644, 0) == 0);
    make_socket("socket");
    CHECK(symlinkat("file", fd, "link") == 0);
    CHECK(symlinkat("directory", fd, "linked") == 0);
    CHECK(symlinkat("/etc", fd, "etc") == 0);
    check_scan("", "directory/inside squashfs\nfile squashfs\n");
}

static void test_protected(void)
{
    clear();
    make_directory("open");
    make_directory("shut");
    make_directory("shut/deep");
    make("open/a.iso");
    make("open/a.iso.passwd");
    make("open/b.iso");
    make("shut/.passwd");
    make("shut/c.iso");
    make("shut/deep/d.iso");
    make("x.passwd");
    CHECK(symlinkat("/nowhere", fd, "y.passwd") == 0);
    make("y");
    check_scan("", "open/a.iso protected squashfs\nopen/b.iso squashfs\n"
                   "shut/c.iso protected squashfs\nshut/deep/d.iso protected squashfs\n"
                   "y protected squashfs\n");
    make(".passwd");
    check_scan("b.iso", "open/b.iso protected squashfs\n");
}

/* What cannot be shared is not offered, nor is anything in a directory of such a name. */
static void test_control_characters(void)
{
    clear();
    make("a\n.iso");
    make("b\x7f.iso");
    make("c\xff\xc2\x85.iso");
    make_directory("d\t");
    make("d\t/e.iso");
    make_directory("f");
    make("f/\x01.iso");
    make("f/g.iso");
    check_scan("", "c\xff\xc2\x85.iso squashfs\nf/g.iso squashfs\n");
}

static void test_patterns(void)
{
    clear();
    make_directory("linux");
    make("linux/Debian-12.iso");
    make("linux/fedora.iso");
    make("tool[1].iso");
    check_scan("DEBIAN", "linux/Debian-12.iso squashfs\n");
    check_scan("linux/", "linux/Debian-12.iso squashfs\nlinux/fedora.iso squashfs\n");
    check_scan("*.iso", "linux/Debian-12.iso squashfs\nlinux/fedora.iso squashfs\n"
                        "tool[1].iso squashfs\n");
    check_scan("l*o", "linux/Debian-12.iso squashfs\nlinux/fedora.iso squashfs\n");
    check_scan("linux/????????iso", "");
    check_scan("*/fed[a-e]ra.iso", "");
    check_scan("*/fed[n-p]ra.iso", "linux/fedora.iso squashfs\n");
    check_scan("none", "");
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

/* A pattern made to be slow. */
static void test_hostile_pattern(void)
{
    char name[251] = "", pattern[400] = "";
    struct timespec start;

    clear();
    memset(name, 'a', sizeof name - 1);
    for (size_t i = 0; i + 3 < sizeof pattern; i += 2) {
        memcpy(pattern + i, "*a", 3);
    }
    memcpy(pattern + strlen(pattern) - 1, "b", 2);
    for (int i = 0; i < 100; i++) {
        snprintf(name + 200, 51, "%d", i);
        make(name);
    }
    clock_gettime(CLOCK_MONOTONIC, &start);
    check_scan(pattern, "");
    CHECK(seconds_since(&start) < 1);
}

static int stop_at_second(const struct catalogue_entry *entry, void *user_data)
{
    int *count = user_data;
    (void)entry;
    return ++*count == 2 ? 42 : 0;
}

static void test_stop(void)
{
    int count = 0;

    clear();
    make("a");
    make("b");
    make("c");
    CHECK(catalogue_scan(fd, "", stop_at_second, &count) == 42);
    CHECK(count == 2);
    CHECK(catalogue_scan(-1, "", stop_at_second, &count) < 0);
}

/* Names that cannot be asked for are not listed. */
static void test_names(void)
{
    CLEANUP_TEXT struct text path = {0};

    clear();
    for (int i = 0; i < 10; i++) {
        for (int j = 0; j < 120; j++) {
            text_add(&path, "d");
        }
        make_directory(path.data);
        if (i == 0 || i == 9) {
            text_add(&path, "/x");
            make(path.data);
            path.length -= 2;
            path.data[path.length] = '\0';
        }
        text_add(&path, "/");
    }
    int count = 0;
    CHECK(catalogue_scan(fd, "", stop_at_second, &count) == 0 && count == 1); /* 1209 is too long */
}

static void test_deep(void)
{
    CLEANUP_TEXT struct text path = {0};
    int count = 0;

    clear();
    for (unsigned i = 0; i < CATALOGUE_DEPTH_MAX + 3; i++) {
        text_add(&path, i == 0 ? "d" : "/d");
        make_directory(path.data);
    }
    text_add(&path, "/x");
    make(path.data);
    CHECK(catalogue_scan(fd, "", stop_at_second, &count) == 0 && count == 0);
}

static int count_all(const struct catalogue_entry *entry, void *user_data)
{
    int *count = user_data;
    (void)entry;
    ++*count;
    return 0;
}

static void make_many(int from, int to)
{
    char name[32];
    for (int i = from; i < to; i++) {
        snprintf(name, sizeof name, "d%02d/image-%06d", i % 50, i);
        make(name);
    }
}

static void test_many(void)
{
    struct timespec start;
    int count = 0;

    clear();
    for (int i = 0; i < 50; i++) {
        char name[16];
        snprintf(name, sizeof name, "d%02d", i);
        make_directory(name);
    }
    make_many(0, 10000);
    CHECK(catalogue_scan(fd, "", count_all, &count) == 0 && count == 10000);
    clock_gettime(CLOCK_MONOTONIC, &start);
    count = 0;
    CHECK(catalogue_scan(fd, "", count_all, &count) == 0 && count == 10000);
    printf("# 10000 images in %.1f ms\n", 1000 * seconds_since(&start));
    CHECK(seconds_since(&start) < 2); /* a sanitizer's build on a busy machine included */

    make_many(10000, CATALOGUE_ENTRIES_MAX + 10);
    count = 0;
    CHECK(catalogue_scan(fd, "", count_all, &count) == -EFBIG);
    CHECK(count > 90000 && count < (int)CATALOGUE_ENTRIES_MAX);
}

static void check_open(const char *path, const char *want_why)
{
    struct catalogue_image image = {.fd = -1};
    const char *why = "";
    int r = catalogue_open(fd, path, &image, &why);

    CHECK((r == 0) == (want_why[0] == '\0'));
    CHECK_TEXT(why, want_why);
    if (r == 0) {
        close(image.fd);
    }
}

static void test_open(void)
{
    static const char absent[] = "is not in the repository";
    struct catalogue_image image;
    struct stat status;
    const char *why;

    clear();
    make_directory("d");
    make("d/x");
    CHECK(fchownat(fd, "d/x", 0, 1234, 0) == 0);
    CHECK(catalogue_open(fd, "d/x", &image, &why) == 0);
    CHECK(fstat(image.fd, &status) == 0);
    CHECK(image.inode == status.st_ino && image.device == status.st_dev && image.group == 1234);
    CHECK(image.owner == 0 && image.mode == (S_IFREG | 0644) && image.info.size == 96);
    CHECK(image.info.type == IMAGE_SQUASHFS);
    CHECK(fcntl(image.fd, F_GETFD) == FD_CLOEXEC);
    CHECK((fcntl(image.fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_PATH)) == O_RDONLY);
    close(image.fd);

    CHECK(mkfifoat(fd, "fifo", 0644) == 0);
    CHECK(mknodat(fd, "device", S_IFCHR | 0644, 0) == 0);
    CHECK(symlinkat("d/x", fd, "link") == 0);
    CHECK(symlinkat("d", fd, "linked") == 0);
    check_open("fifo", "is not a regular file");
    check_open("device", "is not a regular file");
    check_open("d", "is not a regular file");
    check_open("link", "is not a regular file");
    check_open("linked/x", "is not a regular file");
    check_open("none", absent);
    check_open("d/none", absent);
    check_open("d/x/y", absent);
    check_open("../etc/passwd", "cannot be opened");
}

static void test_writable(void)
{
    static const char why[] = "may be changed by others than root and the repository's owner";
    static const struct {
        uid_t owner;
        gid_t group;
        mode_t mode;
        bool good;
    } rows[] = {{0, 0, 0644, true},      {1000, 1000, 0644, true}, {1001, 1000, 0644, false},
                {1000, 0, 0664, true},   {1000, 1000, 0664, true}, {1000, 1001, 0664, false},
                {0, 0, 0666, false},     {0, 1001, 0640, true},    {0, 0, 0602, false},
                {1000, 1000, 0600, true}};

    clear();
    make("x");
    CHECK(fchownat(fd, "", 1000, 1000, AT_EMPTY_PATH) == 0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CHECK(fchownat(fd, "x", rows[i].owner, rows[i].group, 0) == 0);
        CHECK(fchmodat(fd, "x", rows[i].mode, 0) == 0);
        check_open("x", rows[i].good ? "" : why);
    }
}

/* Mounts are made in a namespace of the test's own. */
static void test_mounts(void)
{
    char path[64];

    clear();
    make_directory("mounted");
    make("plain");
    make("covered");
    CHECK(unshare(CLONE_NEWNS) == 0);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        CHECK(!"private mounts");
        return;
    }
    close(fd); /* it is in the old namespace's mount */
    fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    snprintf(path, sizeof path, "%s/mounted", root);
    CHECK(mount("none", path, "tmpfs", 0, "") == 0);
    make("mounted/x");
    char cover[64];
    snprintf(cover, sizeof cover, "%s/covered", root);
    CHECK(mount("/proc/self/status", cover, NULL, MS_BIND, NULL) == 0);
    check_scan("", "plain squashfs\n");
    check_open("mounted/x", "is on another filesystem than the repository");
    check_open("covered", "is on another filesystem than the repository");
    CHECK(umount2(cover, MNT_DETACH) == 0);
    CHECK(umount2(path, MNT_DETACH) == 0);
}

TEST_MAIN({"set up", set_up}, {"nothing there", test_empty}, {"the order of strcmp", test_order},
          {"regular files only", test_only_files}, {"passwords", test_protected},
          {"control characters", test_control_characters}, {"patterns", test_patterns},
          {"a hostile pattern", test_hostile_pattern}, {"the visitor stops it", test_stop},
          {"names too long", test_names}, {"too deep", test_deep}, {"many", test_many},
          {"opening", test_open}, {"writable by others", test_writable},
          {"other filesystems", test_mounts}, {"nothing is left", tear_down})
