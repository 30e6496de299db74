/*
 * One table. Since when a driver has FS_ALLOW_IDMAP is from the kernel's history; a kernel that has
 * it earlier is not believed, and shows those files that everybody may read.
 */
#include "image_kernel.h"

#include "cleanup.h"

#include <string.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <time.h>

#define BELIEVED_SECONDS 10

#define UNREADABLE(type, version)                                                                  \
    "files in it that not everybody may read stay unreadable: id-mapped mounts of " type           \
    " came with Linux " version

static const struct row {
    const char *filesystem;
    struct image_option options[IMAGE_OPTIONS_MAX];
    unsigned idmap_major, idmap_minor; /* 0: never */
    const char *unreadable;            /* what is said where the kernel is older than that */
} rows[IMAGE_TYPES] = {
    /* Without overriderockperm the modes of Rock Ridge win over mode= and dmode=. */
    [IMAGE_ISO9660] =
        {"iso9660",
         {{"mode", "0444"}, {"dmode", "0555"}, {"overriderockperm", NULL}, {"utf8", NULL}},
         0,
         0,
         NULL},
    [IMAGE_UDF] = {"udf", {{"mode", "0444"}, {"dmode", "0555"}}, 0, 0, NULL},
    [IMAGE_SQUASHFS] = {"squashfs", {{NULL, NULL}}, 6, 2, UNREADABLE("squashfs", "6.2")},
    [IMAGE_EROFS] = {"erofs", {{NULL, NULL}}, 5, 19, UNREADABLE("erofs", "5.19")},
    /* The superblock may say errors=panic, or in its own mount options warn_on_error; a journal is
       not to be replayed, and one on another device not to be opened. */
    [IMAGE_EXT] = {"ext4",
                   {{"errors", "remount-ro"}, {"noload", NULL}, {"nowarn_on_error", NULL}},
                   5,
                   12,
                   UNREADABLE("ext4", "5.12")},
    [IMAGE_VFAT] =
        {"vfat",
         {{"fmask", "0333"}, {"dmask", "0222"}, {"errors", "remount-ro"}, {"utf8", NULL}},
         0,
         0,
         NULL},
};

const char *image_kernel_type(enum image_type type)
{
    return rows[type].filesystem;
}

const struct image_option *image_kernel_options(enum image_type type)
{
    return rows[type].options;
}

static bool ask(const char *filesystem)
{
    CLEANUP_CLOSE int fd = fsopen(filesystem, FSOPEN_CLOEXEC);
    return fd >= 0;
}

/* The answers so far: not state but a copy of the kernel's, so that a list of thousands of images
 * does not start thousands of modprobes. */
bool image_kernel_has(const char *filesystem)
{
    static struct {
        char name[16];
        time_t until;
        bool has;
    } answers[IMAGE_TYPES + 1];
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    size_t i = 0;
    while (i < ARRAY_SIZE(answers) - 1 && answers[i].name[0] != '\0' &&
           strcmp(answers[i].name, filesystem) != 0) {
        i++;
    }
    if (strcmp(answers[i].name, filesystem) != 0 || answers[i].until <= now.tv_sec) {
        strncpy(answers[i].name, filesystem, sizeof answers[i].name - 1);
        answers[i].has = ask(filesystem);
        answers[i].until = now.tv_sec + BELIEVED_SECONDS;
    }
    return answers[i].has;
}

bool image_can_idmap(enum image_type type)
{
    const struct row *row = &rows[type];
    struct utsname name;
    char *end;

    if (row->idmap_major == 0 || uname(&name) < 0) {
        return false;
    }
    unsigned long major = strtoul(name.release, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    return major > row->idmap_major || (major == row->idmap_major && minor >= row->idmap_minor);
}

const char *image_unreadable_note(enum image_type type)
{
    return image_can_idmap(type) ? NULL : rows[type].unreadable;
}
