/*
 * What an image is, and mounting it. The type comes from a table of magic numbers read with
 * pread(2) (magic.c); neither the kernel nor libblkid ever probes.
 *
 * An image is mounted once, by image_mount(), in the broker's private mount namespace: one loop
 * device (LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR), one superblock. Shares get clones of that
 * mount. Mount flags always: ro, nosuid, nodev, noexec.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum image_type {
    IMAGE_RAW, /* nothing that is mounted: audio CD, firmware, ... */
    IMAGE_ISO9660,
    IMAGE_UDF,
    IMAGE_SQUASHFS,
    IMAGE_EROFS,
    IMAGE_EXT,
    IMAGE_VFAT,
    IMAGE_TYPES
};

struct image_info {
    enum image_type type;
    uint64_t size; /* of the file, bytes */
    uint64_t
        needs; /* the least size that its own header claims; 0 unknown; size < needs: truncated */
    bool has_iso9660;   /* also or only an ISO 9660 volume: a UDF bridge has both halves */
    bool large_extents; /* ISO 9660 with a file of several extents (> 4 GiB): fuseiso shows it
                           wrongly */
    bool other_devices; /* erofs that names further block devices for its data: never mounted, since
                           the kernel would open whatever device of the host it names */
};

/* Why an image with other_devices is not mounted. */
#define IMAGE_OTHER_DEVICES                                                                        \
    "it wants data from other block devices of this host, which no image is given"

/* "iso9660", "raw", ...; and back (-ENOENT). Names as in [mount] filesystems. */
const char *image_type_name(enum image_type type);
int image_type_from_name(const char *name, enum image_type *ret);

/* Reads the magic numbers of an open image. 0 or a negative errno of fstat/pread. */
int image_probe(int fd, struct image_info *ret);

/* The same on bytes, through a reader (for the fuzz target): reads `length` bytes at `offset` into
 * buffer, returns the count, short at the end, negative errno on failure. */
typedef ssize_t image_reader(void *source, void *buffer, size_t length, uint64_t offset);
int image_probe_reader(image_reader *reader, void *source, uint64_t size, struct image_info *ret);

/* How an image can be read on this host. */
enum image_driver { IMAGE_DRIVER_NONE, IMAGE_DRIVER_KERNEL, IMAGE_DRIVER_FUSEISO };

struct settings;
/* Chooses by [mount] readers and filesystems, what fsopen(2) says of the kernel's drivers (asked
 * again after some seconds) and the programs under [sandbox] root. *ret_why is a constant phrase
 * for people. NONE: why, "this kernel has no udf, and no reader is installed". Otherwise what is
 * shown incompletely, or NULL: "only its ISO 9660 half is shown: this kernel has no udf". Needs
 * the rights to mount. */
enum image_driver image_driver_for(const struct settings *settings, const struct image_info *info,
                                   const char **ret_why);

/* Mounts the image at the existing directory `target` (a descriptor) of the calling process's mount
 * namespace with the kernel's driver. 0 or a negative errno; *why (when not NULL) gets the kernel's
 * own words (fsopen(2) log) or ours. -EBUSY after many tries: no loop device to be had; -ENODATA:
 * the image is truncated; -EMEDIUMTYPE: it is not of this type, or names other devices; -ENODEV: no
 * such driver. */
int image_mount(int image_fd, enum image_type type, int target_fd, char *why, size_t why_size);

/* Unmounts what is mounted at directory `name` in `dirfd` (MNT_DETACH | UMOUNT_NOFOLLOW).
 * 0; 1 when nothing is mounted there; or a negative errno. */
int image_unmount(int dirfd, const char *name);

/* True when a mount of this type can be id-mapped by this kernel (squashfs: 6.2, erofs: 5.19, ...);
 * where it cannot, image_mount() has made every file readable instead (isofs, udf: mode=, dmode=)
 * or files that others may not read stay unreadable. */
bool image_can_idmap(enum image_type type);

/* Where such files stay unreadable on this kernel: a phrase that says so; NULL elsewhere. */
const char *image_unreadable_note(enum image_type type);
