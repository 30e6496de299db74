#include "gallery.h"

#include "beneath.h"
#include "cleanup.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

struct entry {
    struct entry *next;
    struct gallery_key key;
    uint32_t slot;
    uint32_t holds;
    bool mounted; /* false: somebody is mounting it */
};

struct gallery {
    int fd; /* RUN/gallery */
    char path[PATH_MAX];
    uint32_t max_mounts, count, next_slot;
    struct entry *entries;
};

static bool same_image(const struct gallery_key *a, const struct gallery_key *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->modified_ns == b->modified_ns;
}

static struct entry *find_key(struct gallery *gallery, const struct gallery_key *key)
{
    struct entry *entry = gallery->entries;

    while (entry != NULL && !same_image(&entry->key, key)) {
        entry = entry->next;
    }
    return entry;
}

static struct entry **find_slot(struct gallery *gallery, uint32_t slot)
{
    struct entry **place = &gallery->entries;

    while (*place != NULL && (*place)->slot != slot) {
        place = &(*place)->next;
    }
    return place;
}

int gallery_open(const char *run_directory, uint32_t max_mounts, struct gallery **ret)
{
    CLEANUP_FREE struct gallery *gallery = calloc(1, sizeof *gallery);

    if (gallery == NULL) {
        return -ENOMEM;
    }
    if (snprintf(gallery->path, sizeof gallery->path, "%s/gallery", run_directory) >=
        (int)sizeof gallery->path) {
        return -ENAMETOOLONG;
    }
    if (mkdir(gallery->path, 0700) < 0 && errno != EEXIST) {
        return -errno;
    }
    if (mount("cdss-gallery", gallery->path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
              "mode=0700,size=1m") < 0) {
        int r = -errno;
        rmdir(gallery->path);
        return r;
    }
    gallery->fd = open(gallery->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (gallery->fd < 0) {
        int r = -errno;
        umount2(gallery->path, MNT_DETACH | UMOUNT_NOFOLLOW);
        rmdir(gallery->path);
        return r;
    }
    gallery->max_mounts = max_mounts;
    *ret = TAKE_PTR(gallery);
    return 0;
}

static void slot_name(uint32_t slot, char name[16])
{
    snprintf(name, 16, "%u", slot);
}

int gallery_directory(const struct gallery *gallery, uint32_t slot)
{
    char name[16];

    slot_name(slot, name);
    if (mkdirat(gallery->fd, name, 0700) < 0 && errno != EEXIST) {
        return -errno;
    }
    int fd = openat(gallery->fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

enum gallery_answer gallery_look(struct gallery *gallery, const struct gallery_key *key)
{
    const struct entry *entry = find_key(gallery, key);

    if (entry != NULL) {
        return entry->mounted ? GALLERY_MOUNTED : GALLERY_BUSY;
    }
    return gallery->max_mounts != 0 && gallery->count >= gallery->max_mounts ? GALLERY_FULL
                                                                             : GALLERY_MOUNT;
}

int gallery_hold(struct gallery *gallery, const struct gallery_key *key, uint32_t *ret_slot)
{
    struct entry *entry = find_key(gallery, key);

    switch (gallery_look(gallery, key)) {
    case GALLERY_BUSY:
        return -EBUSY;
    case GALLERY_FULL:
        return -ENOSPC;
    case GALLERY_MOUNT:
        entry = calloc(1, sizeof *entry);
        if (entry == NULL) {
            return -ENOMEM;
        }
        *entry =
            (struct entry){.next = gallery->entries, .key = *key, .slot = gallery->next_slot++};
        gallery->entries = entry;
        gallery->count++;
        break;
    case GALLERY_MOUNTED:
        break;
    }
    entry->holds++;
    *ret_slot = entry->slot;
    return 0;
}

static void drop(struct gallery *gallery, struct entry **place)
{
    struct entry *gone = *place;
    char name[16];

    slot_name(gone->slot, name);
    int r = image_unmount(gallery->fd, name);
    if (r < 0) {
        log_write(LOG_LEVEL_WARN, "gallery.unmount", NULL, "slot %u: %s", gone->slot, strerror(-r));
    }
    unlinkat(gallery->fd, name, AT_REMOVEDIR);
    *place = gone->next;
    gallery->count--;
    free(gone);
}

void gallery_settle(struct gallery *gallery, uint32_t slot, bool mounted)
{
    struct entry **place = find_slot(gallery, slot);

    if (*place == NULL || (*place)->mounted) {
        return;
    }
    if (mounted) {
        (*place)->mounted = true;
    } else {
        drop(gallery, place);
    }
}

void gallery_release(struct gallery *gallery, uint32_t slot)
{
    struct entry **place = find_slot(gallery, slot);

    if (*place != NULL && --(*place)->holds == 0) {
        drop(gallery, place);
    }
}

uint32_t gallery_count(const struct gallery *gallery)
{
    return gallery->count;
}

void gallery_close(struct gallery *gallery)
{
    if (gallery == NULL) {
        return;
    }
    while (gallery->entries != NULL) {
        drop(gallery, &gallery->entries);
    }
    close(gallery->fd);
    umount2(gallery->path, MNT_DETACH | UMOUNT_NOFOLLOW);
    rmdir(gallery->path);
    free(gallery);
}
