/*
 * Choosing a driver: the readers of [mount] readers in their order, each asked whether it can.
 * Whether the kernel has a filesystem is asked with fsopen(2), which loads its module where there
 * is one: /proc/filesystems knows of loaded ones only.
 */
#include "image.h"

#include "beneath.h"
#include "cleanup.h"
#include "image_kernel.h"
#include "settings.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
    const char *forbidden, *missing;
} reasons[IMAGE_TYPES] = {
    [IMAGE_ISO9660] = {"iso9660 is not among the filesystems that are mounted here",
                       "this kernel has no iso9660, and no reader is installed"},
    [IMAGE_UDF] = {"udf is not among the filesystems that are mounted here",
                   "this kernel has no udf, and no other reader can show it"},
    [IMAGE_SQUASHFS] = {"squashfs is not among the filesystems that are mounted here",
                        "this kernel has no squashfs"},
    [IMAGE_EROFS] = {"erofs is not among the filesystems that are mounted here",
                     "this kernel has no erofs"},
    [IMAGE_EXT] = {"ext is not among the filesystems that are mounted here",
                   "this kernel has no ext4"},
    [IMAGE_VFAT] = {"vfat is not among the filesystems that are mounted here",
                    "this kernel has no vfat"},
};

static bool allowed(const struct settings *settings, enum image_type type)
{
    return settings_has_word(&settings->filesystems, image_type_name(type));
}

static bool kernel_can(const struct settings *settings, const struct image_info *info,
                       const char **ret_note)
{
    *ret_note = image_unreadable_note(info->type);
    return allowed(settings, info->type) && image_kernel_has(image_kernel_type(info->type));
}

static bool installed(const char *root, const char *program)
{
    CLEANUP_CLOSE int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_CLOSE int fd = root_fd < 0 ? -1 : beneath_open(root_fd, program, O_PATH);
    struct stat status;

    return fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
           (status.st_mode & S_IXOTH) != 0;
}

static const char *fuseiso_note(const struct image_info *info)
{
    if (info->type == IMAGE_UDF) {
        return info->large_extents
                   ? "only its ISO 9660 half is shown, and files over 4 GiB there in pieces: "
                     "this kernel has no udf"
                   : "only its ISO 9660 half is shown: this kernel has no udf";
    }
    return info->large_extents ? "files over 4 GiB in it are shown in pieces: this kernel has no "
                                 "iso9660, and fuseiso does not join them"
                               : NULL;
}

static bool fuseiso_can(const struct settings *settings, const struct image_info *info,
                        const char **ret_note)
{
    *ret_note = fuseiso_note(info);
    return info->has_iso9660 && allowed(settings, IMAGE_ISO9660) &&
           installed(settings->root, "usr/bin/fuseiso") && image_kernel_has("fuse");
}

static const struct reader {
    const char *name;
    enum image_driver driver;
    bool (*can)(const struct settings *settings, const struct image_info *info,
                const char **ret_note);
} readers[] = {
    {"kernel", IMAGE_DRIVER_KERNEL, kernel_can},
    {"fuseiso", IMAGE_DRIVER_FUSEISO, fuseiso_can},
};

static const struct reader *find_reader(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
        if (strcmp(readers[i].name, name) == 0) {
            return &readers[i];
        }
    }
    return NULL;
}

static const char *why_none(const struct settings *settings, const struct image_info *info)
{
    if (!allowed(settings, info->type)) {
        return reasons[info->type].forbidden;
    }
    return settings_has_word(&settings->readers, "kernel")
               ? reasons[info->type].missing
               : "none of the readers that are used here can show it";
}

enum image_driver image_driver_for(const struct settings *settings, const struct image_info *info,
                                   const char **ret_why)
{
    if (info->type == IMAGE_RAW) {
        *ret_why = "it holds no filesystem that is known here";
        return IMAGE_DRIVER_NONE;
    }
    if (info->size < info->needs) {
        *ret_why = "it is cut short: its own header says that it is larger";
        return IMAGE_DRIVER_NONE;
    }
    if (info->other_devices) {
        *ret_why = IMAGE_OTHER_DEVICES;
        return IMAGE_DRIVER_NONE;
    }
    for (uint32_t i = 0; i < settings->readers.count; i++) {
        const struct reader *reader = find_reader(settings->readers.items[i]);
        if (reader != NULL && reader->can(settings, info, ret_why)) {
            return reader->driver;
        }
    }
    *ret_why = why_none(settings, info);
    return IMAGE_DRIVER_NONE;
}
