/*
 * Mounting by descriptors alone: loop device, fsopen(2), fsconfig(2), fsmount(2), move_mount(2).
 * docs/architecture.md, "Mounts", says why this and not libmount.
 */
#include "image.h"

#include "cleanup.h"
#include "image_kernel.h"
#include "loop_device.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#define MESSAGES_MAX 16
#define FLAGS        (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

/* What the kernel said through the context: lines "e text", "w text", "i text" (fsopen(2)). A
 * filesystem may quote the image in it, hence printable. */
static void add_kernel_messages(int context_fd, struct text *text)
{
    char line[1024];

    for (int i = 0; i < MESSAGES_MAX; i++) {
        ssize_t got = read(context_fd, line, sizeof line);
        if (got < 0) {
            return;
        }
        if (got > 2 && line[0] == 'e') {
            size_t length = (size_t)got - 2;
            length -= line[got - 1] == '\n';
            text_add(text, text->length > 0 ? "; " : "");
            text_add_printable(text, line + 2, length);
        }
    }
}

static void explain(int context_fd, enum image_type type, int error, char *why, size_t why_size)
{
    CLEANUP_TEXT struct text text = {0};

    add_kernel_messages(context_fd, &text);
    if (text_ok(&text) && text.length > 0) {
        snprintf(why, why_size, "%s", text.data);
    } else {
        snprintf(why, why_size, "the kernel cannot read it as %s: %s", image_type_name(type),
                 strerror(-error));
    }
}

static int set(int context_fd, const char *key, const char *value)
{
    int command = value != NULL ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;
    return fsconfig(context_fd, command, key, value, 0) < 0 ? -errno : 0;
}

static int configure(int context_fd, enum image_type type, const char *device)
{
    int r = set(context_fd, "source", device);

    if (r == 0) {
        r = set(context_fd, "ro", NULL);
    }
    for (const struct image_option *option = image_kernel_options(type);
         r == 0 && option->key != NULL; option++) {
        r = set(context_fd, option->key, option->value);
    }
    if (r == 0 && fsconfig(context_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
        r = -errno;
    }
    return r;
}

/* A filesystem context, or a negative errno. */
static int open_context(enum image_type type, char *why, size_t why_size)
{
    int fd = fsopen(image_kernel_type(type), FSOPEN_CLOEXEC);

    if (fd >= 0) {
        return fd;
    }
    int r = -errno;
    if (r == -ENODEV) {
        snprintf(why, why_size, "this kernel has no %s", image_kernel_type(type));
    } else {
        snprintf(why, why_size, "fsopen: %s", strerror(-r));
    }
    return r;
}

/* A detached mount of the device, or a negative errno. */
static int make_mount(int context_fd, const char *device, enum image_type type, char *why,
                      size_t why_size)
{
    int r = configure(context_fd, type, device);
    int mount_fd = r < 0 ? -1 : fsmount(context_fd, FSMOUNT_CLOEXEC, FLAGS);

    if (mount_fd < 0) {
        r = r < 0 ? r : -errno;
        explain(context_fd, type, r, why, why_size);
        return r;
    }
    return mount_fd;
}

/* Looks again, with what the descriptor holds now. No driver sees an image that is not whole: what
 * is missing would come as I/O errors in the middle of a file. */
static int check(int image_fd, enum image_type type, char *why, size_t why_size)
{
    struct image_info info;
    int r = image_probe(image_fd, &info);

    if (r < 0) {
        snprintf(why, why_size, "it cannot be read: %s", strerror(-r));
        return r;
    }
    if (image_kernel_type(type) == NULL ||
        (info.type != type && !(type == IMAGE_ISO9660 && info.has_iso9660))) {
        snprintf(why, why_size, "it is not of type %s", image_type_name(type));
        return -EMEDIUMTYPE;
    }
    if (info.size < info.needs) {
        snprintf(why, why_size, "it is cut short: its header says %llu bytes, the file has %llu",
                 (unsigned long long)info.needs, (unsigned long long)info.size);
        return -ENODATA;
    }
    if (info.other_devices) {
        snprintf(why, why_size, "%s", IMAGE_OTHER_DEVICES);
        return -EMEDIUMTYPE;
    }
    return 0;
}

int image_mount(int image_fd, enum image_type type, int target_fd, char *why, size_t why_size)
{
    char device[LOOP_DEVICE_PATH_SIZE], unheard[1];

    if (why == NULL) {
        why = unheard;
        why_size = sizeof unheard;
    }
    int r = check(image_fd, type, why, why_size);
    if (r < 0) {
        return r;
    }
    CLEANUP_CLOSE int context_fd = open_context(type, why, why_size);
    if (context_fd < 0) {
        return context_fd;
    }
    CLEANUP_CLOSE int loop_fd = loop_device_attach(image_fd, device, why, why_size);
    if (loop_fd < 0) {
        return loop_fd;
    }
    CLEANUP_CLOSE int mount_fd = make_mount(context_fd, device, type, why, why_size);
    if (mount_fd < 0) {
        return mount_fd;
    }
    if (move_mount(mount_fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) <
        0) {
        r = -errno;
        snprintf(why, why_size, "the mount cannot be put in its place: %s", strerror(-r));
        return r;
    }
    return 0;
}

int image_unmount(int dirfd, const char *name)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dirfd, name) >= (int)sizeof path) {
        return -ENAMETOOLONG;
    }
    if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
        return 0;
    }
    return errno == EINVAL || errno == ENOENT ? 1 : -errno;
}
