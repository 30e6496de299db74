#include "gate_read.h"

#include "catalogue.h"
#include "cleanup.h"
#include "log.h"
#include "worker.h"

#include <string.h>

/* An administrator hears of what is wrong in a file when somebody has stumbled over it. */
static void log_guard(const struct guard *guard)
{
    if (guard->trouble != NULL) {
        log_write(LOG_LEVEL_WARN, "password.file", NULL,
                  "%s %s: it lets nobody in but administrators", guard->path, guard->trouble);
    } else if (guard->file->n_faults > 0) {
        log_write(LOG_LEVEL_WARN, "password.file", NULL,
                  "%s: line %u %s, and matches nothing (%u such lines; 'cdss password list')",
                  guard->path, guard->file->faults[0].line, guard->file->faults[0].why,
                  guard->file->n_faults);
    }
}

static void take_hashes(struct gate_found *found, const struct guards *guards)
{
    for (uint32_t g = 0; g < guards->count; g++) {
        const struct guard *guard = &guards->items[g];
        uint32_t count = guard->trouble == NULL ? guard->file->n_entries : 0;
        log_guard(guard);
        memcpy(found->paths[g], guard->path, sizeof found->paths[g]);
        for (uint32_t i = 0; i < count; i++) {
            const struct passwd_entry *entry = &guard->file->entries[i];
            if (found->n_hashes == GATE_CHECKS_MAX) {
                found->too_many = true;
                return;
            }
            struct gate_hash *hash = &found->hashes[found->n_hashes++];
            *hash = (struct gate_hash){.cost = entry->cost, .guard = g, .line = entry->line};
            memcpy(hash->text, entry->hash, sizeof hash->text);
        }
    }
}

/* The image is the one of the directory whose guards were read, or it is none. */
static void look_at(struct gate_found *found, struct guards *guards, const char *path,
                    struct gate_found_image *ret)
{
    struct guards_way way;
    struct catalogue_image image;
    const char *why;

    if (guards_walk(guards, path, &way) < 0) {
        found->too_many = true;
    }
    *ret = (struct gate_found_image){
        .device = way.device, .inode = way.inode, .guards = way.guards, .digest = way.digest};
    if (catalogue_open(guards->repository_fd, path, &image, &why) == 0) {
        ret->shareable = way.is_there && image.device == way.device && image.inode == way.inode;
        close(image.fd);
    }
}

void gate_read(int fd, int repository_fd, const struct gate_image *images, uint32_t count)
{
    static struct gate_found found; /* large; this process does one job */
    static struct guards guards;

    guards.repository_fd = repository_fd;
    found.n_images = count;
    for (uint32_t i = 0; i < count; i++) {
        look_at(&found, &guards, images[i].path.text, &found.images[i]);
    }
    take_hashes(&found, &guards);
    worker_tell(fd, &found, sizeof found, NULL, 0);
}
