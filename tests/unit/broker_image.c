/* Drivers and real mounts, in a mount namespace of the test's own; images are made here by
 * squashfs-tools, erofs-utils, e2fsprogs, xorriso and genisoimage. */
#include "image.h"

#include "beneath.h"
#include "cleanup.h"
#include "settings.h"
#include "test.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>

static char root[] = "/tmp/cdss-image-XXXXXX";
static int dir;

static const char content[] = "what is inside\n";

/* Runs a program in the test's directory, its output thrown away. False when it is not installed or
 * fails. */
static bool run(const char *const *arguments)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        if (fchdir(dir) == 0) {
            execvp(arguments[0], (char *const *)arguments);
        }
        _exit(127);
    }
    return waitpid(pid, &status, 0) == pid && status == 0;
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

static void write_file(const char *name, const char *text, mode_t mode)
{
    CLEANUP_CLOSE int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static void set_up(void)
{
    if (mkdtemp(root) == NULL || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        printf("not ok a mount namespace of its own\n"); /* never mount in the machine's */
        exit(1);
    }
    dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(mkdirat(dir, "source", 0755) == 0 && mkdirat(dir, "target", 0755) == 0);
    write_file("source/file.txt", content, 0600);
}

/* Each image by its maker; false: skipped, the maker is not installed. */
static bool make_squashfs(void)
{
    return RUN("mksquashfs", "source", "squashfs.img", "-quiet", "-noappend");
}
static bool make_erofs(void)
{
    return RUN("mkfs.erofs", "erofs.img", "source");
}
static bool make_ext(void)
{
    return RUN("truncate", "-s", "2M", "ext.img") &&
           RUN("mke2fs", "-q", "-t", "ext4", "-e", "panic", "-d", "source", "ext.img");
}
static bool make_vfat(void)
{
    return RUN("truncate", "-s", "2M", "vfat.img") && RUN("mkfs.vfat", "vfat.img");
}
static bool make_iso(void)
{
    return RUN("xorriso", "-as", "mkisofs", "-quiet", "-R", "-J", "-o", "iso9660.img", "source");
}
static bool make_bridge(void)
{
    return RUN("genisoimage", "-quiet", "-udf", "-R", "-o", "udf.img", "source");
}

static int open_image(const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

static int mount_image(const char *name, enum image_type type, char *why, size_t why_size)
{
    CLEANUP_CLOSE int image = open_image(name);
    CLEANUP_CLOSE int target = openat(dir, "target", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return image_mount(image, type, target, why, why_size);
}

/* How many loop devices stand on files of this test. */
static int count_loops(void)
{
    CLEANUP_DIR DIR *blocks = opendir("/sys/block");
    const struct dirent *entry;
    int n = 0;

    while (blocks != NULL && (entry = readdir(blocks)) != NULL) {
        CLEANUP_FREE char *text = NULL;
        char path[PATH_MAX];
        size_t length;
        snprintf(path, sizeof path, "/sys/block/%s/loop/backing_file", entry->d_name);
        n += text_read_file(AT_FDCWD, path, PATH_MAX, &text, &length) == 0 &&
             strncmp(text, root, strlen(root)) == 0;
    }
    return n;
}

/* The kernel lets go of a device a moment after its last user. */
static bool no_loops(void)
{
    for (int i = 0; i < 200 && count_loops() > 0; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return count_loops() == 0;
}

static void check_mounted(void)
{
    CLEANUP_FREE char *text = NULL;
    struct statvfs status;
    size_t length;
    CLEANUP_CLOSE int target = openat(dir, "target", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const unsigned long want = ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC;

    CHECK(fstatvfs(target, &status) == 0 && (status.f_flag & want) == want);
    CHECK(text_read_file(target, "file.txt", 1000, &text, &length) == 0);
    CHECK_TEXT(text, content);
    CHECK(openat(target, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 && errno == EROFS);
}

/* Where ids are never mapped, every file is readable; where this kernel only is too old for that,
 * modes are as they were. */
static void check_modes(enum image_type type, bool has_file)
{
    const bool forced = type == IMAGE_ISO9660 || type == IMAGE_UDF || type == IMAGE_VFAT;
    struct stat status;

    CHECK(!forced || !image_can_idmap(type));
    CHECK(fstatat(dir, "target", &status, 0) == 0 &&
          (status.st_mode & 0777) == (forced ? 0555 : 0755));
    if (has_file) {
        CHECK(fstatat(dir, "target/file.txt", &status, 0) == 0 &&
              (status.st_mode & 07777) == (forced ? 0444 : 0600));
    }
}

static const struct {
    enum image_type type;
    bool (*make)(void);
    bool has_file;
} makers[] = {
    {IMAGE_SQUASHFS, make_squashfs, true}, {IMAGE_EROFS, make_erofs, true},
    {IMAGE_EXT, make_ext, true},           {IMAGE_VFAT, make_vfat, false},
    {IMAGE_ISO9660, make_iso, true},       {IMAGE_UDF, make_bridge, true},
};

static bool in_kernel(const char *filesystem)
{
    CLEANUP_CLOSE int fd = fsopen(filesystem, FSOPEN_CLOEXEC);
    return fd >= 0;
}

static const char *driver_of(enum image_type type)
{
    return type == IMAGE_EXT ? "ext4" : image_type_name(type);
}

static void test_one(enum image_type type, bool has_file)
{
    char name[32], why[512] = "", want[64];

    snprintf(name, sizeof name, "%s.img", image_type_name(type));
    int r = mount_image(name, type, why, sizeof why);
    if (!in_kernel(driver_of(type))) {
        snprintf(want, sizeof want, "this kernel has no %s", driver_of(type));
        CHECK(r == -ENODEV);
        CHECK_TEXT(why, want);
        printf("# %s\n", why);
        return;
    }
    CHECK(r == 0);
    CHECK_TEXT(why, "");
    if (r == 0 && has_file) {
        check_mounted();
    }
    if (r == 0) {
        check_modes(type, has_file);
    }
    CHECK(count_loops() == 1);
    CHECK(image_unmount(dir, "target") == 0);
    CHECK(image_unmount(dir, "target") == 1);
    CHECK(no_loops());
}

static void test_mounts(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(makers); i++) {
        if (makers[i].make()) {
            test_one(makers[i].type, makers[i].has_file);
        } else {
            printf("skip mounting %s - it cannot be made here\n", image_type_name(makers[i].type));
        }
    }
}

/* What was opened is what is mounted, whoever has its name by then. */
static void test_name_changes_hands(void)
{
    char why[512] = "";

    CHECK(make_squashfs());
    CLEANUP_CLOSE int image = open_image("squashfs.img");
    CLEANUP_CLOSE int target = openat(dir, "target", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(renameat(dir, "squashfs.img", dir, "moved.img") == 0);
    write_file("squashfs.img", "another file", 0644);
    CHECK(image_mount(image, IMAGE_SQUASHFS, target, why, sizeof why) == 0);
    CHECK_TEXT(why, "");
    check_mounted();
    CHECK(image_unmount(dir, "target") == 0);
    CHECK(renameat(dir, "moved.img", dir, "squashfs.img") == 0);
    CHECK(no_loops());
}

static void test_truncated(void)
{
    char why[512] = "";

    CHECK(make_squashfs());
    CHECK(RUN("cp", "squashfs.img", "cut.img") && RUN("truncate", "-s", "200", "cut.img"));
    CHECK(mount_image("cut.img", IMAGE_SQUASHFS, why, sizeof why) == -ENODATA);
    CHECK(strstr(why, "cut short") != NULL && strstr(why, "the file has 200") != NULL);
    CHECK(mount_image("cut.img", IMAGE_SQUASHFS, NULL, 0) == -ENODATA);
    CHECK(count_loops() == 0);
}

/* The kernel's own words reach the user. */
static void test_damaged(void)
{
    char why[512] = "";
    CLEANUP_CLOSE int fd = openat(dir, "squashfs.img", O_WRONLY | O_CLOEXEC);

    CHECK(pwrite(fd, "\377\377", 2, 28) == 2); /* the version */
    CHECK(mount_image("squashfs.img", IMAGE_SQUASHFS, why, sizeof why) < 0);
    printf("# %s\n", why);
    CHECK(strstr(why, "quashfs") != NULL && strchr(why, '\n') == NULL);
    CHECK(image_unmount(dir, "target") == 1);
    CHECK(no_loops());
    CHECK(make_squashfs());
}

static void test_wrong_type(void)
{
    char why[512] = "";

    CHECK(mount_image("squashfs.img", IMAGE_EXT, why, sizeof why) == -EMEDIUMTYPE);
    CHECK_TEXT(why, "it is not of type ext");
    CHECK(mount_image("squashfs.img", IMAGE_RAW, why, sizeof why) == -EMEDIUMTYPE);
    CHECK(image_unmount(dir, "nothing") == 1);
    CHECK(image_unmount(dir, "source") == 1);
}

static void test_unmount_follows_nothing(void)
{
    CHECK(symlinkat("target", dir, "link") == 0);
    CHECK(mount_image("squashfs.img", IMAGE_SQUASHFS, NULL, 0) == 0);
    CHECK(image_unmount(dir, "link") == 1);
    CHECK(image_unmount(dir, "target") == 0);
}

/* A process that mounts and unmounts beside others that do the same. */
static int mount_often(int number)
{
    char name[32], why[512];
    int failed = 0;

    snprintf(name, sizeof name, "target-%d", number);
    mkdirat(dir, name, 0755);
    CLEANUP_CLOSE int target = openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_CLOSE int image = openat(dir, "squashfs.img", O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < 25; i++) {
        int r = image_mount(image, IMAGE_SQUASHFS, target, why, sizeof why);
        if (r < 0) {
            printf("# %s\n", why);
        }
        failed += r < 0 || image_unmount(dir, name) != 0;
    }
    return failed;
}

static void test_parallel(void)
{
    enum { PROCESSES = 8 };
    pid_t pids[PROCESSES];

    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            int failed = mount_often(i);
            fflush(stdout);
            _exit(failed);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        CHECK(waitpid(pids[i], &status, 0) == pids[i] && status == 0);
    }
    CHECK(no_loops());
}

/* An erofs may name block devices of the host that have its data: the kernel would open them. */
static void test_other_devices(void)
{
    const uint8_t device_table = 0x8;
    char why[512] = "";

    if (!make_erofs()) {
        printf("skip - erofs cannot be made here\n");
        return;
    }
    CLEANUP_CLOSE int fd = openat(dir, "erofs.img", O_WRONLY | O_CLOEXEC);
    CHECK(pwrite(fd, &device_table, 1, 1024 + 80) == 1);
    CHECK(mount_image("erofs.img", IMAGE_EROFS, why, sizeof why) == -EMEDIUMTYPE);
    CHECK_TEXT(why, IMAGE_OTHER_DEVICES);
    CHECK(count_loops() == 0 && make_erofs());
}

/* A superblock of ext may ask for a panic at the first error, and for a warning with a stack, which
 * is a panic on some hosts. */
static void test_ext_options(void)
{
    char why[512] = "";
    CLEANUP_FREE char *mounts = NULL;
    size_t length;

    if (!make_ext() || !in_kernel("ext4")) {
        printf("skip - ext4 cannot be made or mounted here\n");
        return;
    }
    CHECK(RUN("tune2fs", "-e", "panic", "-E", "mount_opts=warn_on_error", "ext.img"));
    CHECK(mount_image("ext.img", IMAGE_EXT, why, sizeof why) == 0);
    CHECK(text_read_file(AT_FDCWD, "/proc/self/mounts", 1 << 20, &mounts, &length) == 0);
    const char *line = strstr(mounts, "/target ext4 ");
    CHECK(line != NULL && strstr(line, "norecovery") != NULL);
    CHECK(line != NULL && strstr(line, "errors=remount-ro") != NULL);
    CHECK(line != NULL && strstr(line, "nowarn_on_error") != NULL);
    CHECK(image_unmount(dir, "target") == 0);
}

/* A container's /dev: the sentence says what is missing. */
static void test_no_loop_control(void)
{
    char why[512] = "";

    CHECK(mount("none", "/dev", "tmpfs", 0, "") == 0);
    CHECK(mount_image("squashfs.img", IMAGE_SQUASHFS, why, sizeof why) == -ENOENT);
    CHECK(strstr(why, "/dev/loop-control") != NULL);
    CHECK(mknod("/dev/loop-control", S_IFCHR | 0600, (10 << 8) | 237) == 0);
    CHECK(mount_image("squashfs.img", IMAGE_SQUASHFS, why, sizeof why) == -ENOENT);
    CHECK(strstr(why, "/dev/loop") != NULL && strstr(why, "control") == NULL);
    printf("# %s\n", why);
    CHECK(umount2("/dev", MNT_DETACH) == 0);
}

static struct settings settings_with(const char *readers, const char *filesystems)
{
    struct settings settings;
    struct conf_error error;
    char text[256];

    settings_defaults(&settings);
    int length = snprintf(text, sizeof text,
                          "[mount]\nreaders=%s\nfilesystems=%s\n[sandbox]\n"
                          "root=%s\n",
                          readers, filesystems, root);
    CHECK(settings_parse("test", text, (size_t)length, &settings, &error) == 0);
    return settings;
}

static void check_driver(const char *readers, const char *filesystems, struct image_info info,
                         enum image_driver want, const char *want_why)
{
    const struct settings settings = settings_with(readers, filesystems);
    const char *why = "untouched";

    CHECK(image_driver_for(&settings, &info, &why) == want);
    CHECK(why == NULL || strcmp(why, "untouched") != 0);
    if (want_why == NULL) {
        CHECK(why == NULL);
    } else {
        CHECK(why != NULL && strstr(why, want_why) != NULL);
    }
}

static void test_drivers(void)
{
    const struct image_info raw = {.type = IMAGE_RAW, .size = 1},
                            cut = {.type = IMAGE_SQUASHFS, .size = 1, .needs = 2},
                            squashfs = {.type = IMAGE_SQUASHFS, .size = 2, .needs = 2},
                            devices = {.type = IMAGE_EROFS, .size = 2, .other_devices = true},
                            ext = {.type = IMAGE_EXT, .size = 2},
                            iso = {.type = IMAGE_ISO9660, .size = 2, .has_iso9660 = true};

    check_driver("kernel", "iso9660", raw, IMAGE_DRIVER_NONE, "no filesystem");
    check_driver("kernel", "squashfs", cut, IMAGE_DRIVER_NONE, "cut short");
    check_driver("kernel", "iso9660 udf", ext, IMAGE_DRIVER_NONE, "ext is not among");
    check_driver("kernel", "erofs", devices, IMAGE_DRIVER_NONE, "other block devices");
    check_driver("fuseiso", "squashfs", squashfs, IMAGE_DRIVER_NONE, "none of the readers");
    check_driver("fuseiso", "udf", iso, IMAGE_DRIVER_NONE, "iso9660 is not among");
    if (in_kernel("squashfs")) {
        check_driver("kernel fuseiso", "squashfs", squashfs, IMAGE_DRIVER_KERNEL,
                     image_can_idmap(IMAGE_SQUASHFS) ? NULL : "stay unreadable");
    }
    if (in_kernel("iso9660")) {
        check_driver("kernel fuseiso", "iso9660", iso, IMAGE_DRIVER_KERNEL, NULL);
    } else {
        check_driver("kernel fuseiso", "iso9660", iso, IMAGE_DRIVER_NONE, "no reader is installed");
    }
}

/* A program of that name below [sandbox] root is all that is asked of fuseiso here. */
static void test_fuseiso(void)
{
    struct image_info iso = {.type = IMAGE_ISO9660, .size = 2, .has_iso9660 = true}, large = iso,
                      bridge = iso, udf = {.type = IMAGE_UDF, .size = 2};

    if (!in_kernel("fuse")) {
        printf("skip fuseiso - this kernel has no FUSE\n");
        return;
    }
    large.large_extents = true;
    bridge.type = IMAGE_UDF;
    CHECK(mkdirat(dir, "usr", 0755) == 0 && mkdirat(dir, "usr/bin", 0755) == 0);
    write_file("usr/bin/fuseiso", "", 0644);
    check_driver("fuseiso", "iso9660", iso, IMAGE_DRIVER_NONE, "none of the readers");
    CHECK(fchmodat(dir, "usr/bin/fuseiso", 0755, 0) == 0);
    check_driver("fuseiso", "iso9660", iso, IMAGE_DRIVER_FUSEISO, NULL);
    check_driver("fuseiso kernel", "iso9660", iso, IMAGE_DRIVER_FUSEISO, NULL);
    check_driver("fuseiso", "iso9660", large, IMAGE_DRIVER_FUSEISO, "in pieces");
    check_driver("fuseiso", "iso9660 udf", bridge, IMAGE_DRIVER_FUSEISO, "only its ISO 9660 half");
    check_driver("fuseiso", "iso9660 udf", udf, IMAGE_DRIVER_NONE, "none of the readers");
    if (!in_kernel("udf")) {
        check_driver("kernel fuseiso", "iso9660 udf", bridge, IMAGE_DRIVER_FUSEISO,
                     "ISO 9660 half");
        check_driver("kernel fuseiso", "iso9660 udf", udf, IMAGE_DRIVER_NONE, "has no udf");
    } else {
        check_driver("kernel fuseiso", "iso9660 udf", bridge, IMAGE_DRIVER_KERNEL, NULL);
    }
}

static void tear_down(void)
{
    CHECK(no_loops());
    close(dir);
    CLEANUP_CLOSE int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(beneath_remove(tmp, root + strlen("/tmp/"), 1000) == 0);
}

TEST_MAIN({"set up", set_up}, {"mounting", test_mounts},
          {"a name that changes hands", test_name_changes_hands},
          {"a truncated image", test_truncated}, {"a damaged image", test_damaged},
          {"another type", test_wrong_type},
          {"unmounting follows no symlink", test_unmount_follows_nothing},
          {"mounting in parallel", test_parallel}, {"without loop devices", test_no_loop_control},
          {"data on other devices", test_other_devices},
          {"an ext that asks for a panic", test_ext_options}, {"drivers", test_drivers},
          {"fuseiso", test_fuseiso}, {"nothing is left", tear_down})
