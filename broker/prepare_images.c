/*
 * Images are opened once, beneath the repository; what is linked and what is mounted is that open
 * file, whatever becomes of its name.
 */
#include "cleanup.h"
#include "guards.h"
#include "prepare_job.h"
#include "share_log.h"
#include "share_steps.h"
#include "stopping_point.h"
#include "tree.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static struct gallery_key key_of(const struct job_image *image)
{
    struct stat status = {0};

    fstat(image->file.fd, &status);
    return (struct gallery_key){.device = status.st_dev,
                                .inode = status.st_ino,
                                .size = (uint64_t)status.st_size,
                                .modified_ns = (uint64_t)status.st_mtim.tv_sec * 1000000000u +
                                               (uint64_t)status.st_mtim.tv_nsec};
}

/*
 * Notes what guards the image. Of a user's image, what he was let through for is what is opened
 * now: the same file, and the same passwords on the way to it. Whatever changes later was changed
 * after it was shared.
 */
static int check_guards(struct job *job, uint32_t i)
{
    const struct gate_seal *seal = &job->preparation->seals[i];
    struct job_image *image = &job->images[i];
    struct guards guards = {.repository_fd = job->broker->images_fd};
    struct guards_way way;

    int r = guards_walk(&guards, image->row.path.text, &way);
    guards_free(&guards);
    image->row.guards = way.digest;
    if (!seal->sealed) {
        return 0;
    }
    bool same = r == 0 && way.is_there && way.device == image->file.device &&
                way.inode == image->file.inode && seal->device == image->file.device &&
                seal->inode == image->file.inode && sha256_equal(&seal->guards, &way.digest);
    return same ? 0
                : job_fail(job, -ESTALE, "image",
                           "The image \"%s\" or a password for it was just being changed; try "
                           "again in a moment.",
                           job_printable(image->row.path.text));
}

static int open_image(struct job *job, uint32_t i)
{
    struct job_image *image = &job->images[i];
    const char *path = job->preparation->images[i].text;
    const char *why = "cannot be opened";

    int r = catalogue_open(job->broker->images_fd, path, &image->file, &why);
    if (r < 0) {
        return job_fail(job, r, "image", "The image \"%s\" %s; nothing was shared.",
                        job_printable(path), why);
    }
    image->row = (struct registry_image){.path = job->preparation->images[i],
                                         .device = image->file.device,
                                         .inode = image->file.inode,
                                         .size = image->file.info.size};
    snprintf(image->row.type, sizeof image->row.type, "%s", image_type_name(image->file.info.type));
    return check_guards(job, i);
}

static void note(struct job_image *image, const char *text)
{
    snprintf(image->row.note, sizeof image->row.note, "%s", text);
}

static void choose_driver(struct job *job, struct job_image *image)
{
    const struct image_info *info = &image->file.info;
    const char *why = NULL;

    image->driver = IMAGE_DRIVER_NONE;
    if (info->type == IMAGE_RAW) {
        return;
    }
    if (info->needs > info->size) {
        snprintf(image->row.note, sizeof image->row.note,
                 "it is truncated: %llu of %llu bytes are there", (unsigned long long)info->size,
                 (unsigned long long)info->needs);
        return;
    }
    image->driver = image_driver_for(&job->broker->settings, info, &why);
    if (image->driver == IMAGE_DRIVER_NONE) {
        note(image, why != NULL ? why : "nothing here reads it");
    } else if (why != NULL) {
        note(image, why);
    }
}

/*
 * The files' owner becomes the share's own user, so that an image that only its owner may read is
 * readable. One owner can be mapped so; whatever everybody may read needs no mapping.
 */
static int choose_owner(struct job *job)
{
    const struct job_image *closed = NULL;
    const struct registry_share *row = &job->share->row;
    bool bound = job->preparation->adding && row->n_images > 0;
    uid_t owner = bound ? row->images[0].owner : job->images[0].file.owner;
    gid_t group = bound ? row->images[0].group : job->images[0].file.group;

    for (uint32_t i = 0; i < job->n_images; i++) {
        const struct job_image *image = &job->images[i];
        if (image->file.mode & S_IROTH) {
            continue;
        }
        if (closed == NULL && !bound) {
            closed = image;
            owner = image->file.owner;
            group = image->file.group;
        } else if (image->file.owner != owner) {
            return job_fail(job, -EACCES, "image",
                            "The image \"%s\" is readable for its owner alone (uid %u), and the "
                            "share has images of uid %u: make it readable for all, or share it "
                            "alone.",
                            job_printable(image->row.path.text), image->file.owner, owner);
        }
    }
    job->owner = owner;
    job->group = group;
    for (uint32_t i = 0; i < job->n_images; i++) {
        job->images[i].row.owner = owner;
        job->images[i].row.group = group;
    }
    return 0;
}

int job_open_images(struct job *job)
{
    for (uint32_t i = 0; i < job->n_images; i++) {
        job->images[i] = (struct job_image){.file.fd = -1, .mount_fd = -1, .slot = SHARE_NO_SLOT};
    }
    for (uint32_t i = 0; i < job->n_images; i++) {
        int r = open_image(job, i);
        if (r < 0) {
            return r;
        }
        choose_driver(job, &job->images[i]);
    }
    STOPPING_POINT("prepare.images_opened");
    return choose_owner(job);
}

/* -- mounting -- */

static int ask(struct job *job, struct prepare_go *ret)
{
    struct prepare_images asked = {.kind = PREPARE_IMAGES, .count = job->n_images};
    int fds[4];
    unsigned n_fds;

    for (uint32_t i = 0; i < job->n_images; i++) {
        asked.images[i] = (struct prepare_image){.key = key_of(&job->images[i]),
                                                 .type = job->images[i].file.info.type,
                                                 .driver = job->images[i].driver};
    }
    int r = worker_tell(job->fd, &asked, sizeof asked, NULL, 0);
    if (r < 0) {
        return r;
    }
    STOPPING_POINT("prepare.images_asked");
    ssize_t length = worker_hear(job->fd, ret, sizeof *ret, fds, &n_fds);
    return length < 0 ? (int)length : length == (ssize_t)sizeof *ret ? 0 : -EPROTO;
}

/* An image's own fault makes it a raw one, with a note; what the host lacks fails the share. */
static bool is_hosts_fault(int error)
{
    static const int errors[] = {EBUSY,  ENOENT, ENXIO, ENOTTY, ENOMEM,
                                 EMFILE, ENFILE, EPERM, EACCES};

    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        if (error == -errors[i]) {
            return true;
        }
    }
    return false;
}

/* 1: mounted in the gallery; 0: shared raw. */
static int mount_one(struct job *job, struct job_image *image)
{
    char why[sizeof image->row.note] = "";
    CLEANUP_CLOSE int target = gallery_directory(job->broker->gallery, image->slot);

    int r = target < 0
                ? target
                : image_mount(image->file.fd, image->file.info.type, target, why, sizeof why);
    if (r < 0 && is_hosts_fault(r)) {
        return job_fail(job, r, "image", "The image \"%s\" could not be mounted: %s.",
                        job_printable(image->row.path.text), why[0] != '\0' ? why : strerror(-r));
    }
    if (r < 0) {
        note(image, why[0] != '\0' ? why : strerror(-r));
    }
    return r == 0;
}

static const char *not_held(uint32_t answer)
{
    return answer == GALLERY_BUSY ? "the same file is in this share under another name"
                                  : "as many images are mounted as the site allows (max_mounts)";
}

int job_mount_images(struct job *job)
{
    struct prepare_go go = {0};
    struct prepare_mounted mounted = {.kind = PREPARE_MOUNTED, .count = job->n_images};

    int r = ask(job, &go);
    for (uint32_t i = 0; r == 0 && i < job->n_images; i++) {
        struct job_image *image = &job->images[i];
        if (image->driver != IMAGE_DRIVER_KERNEL) {
            continue;
        }
        image->slot = go.images[i].slot;
        if (image->slot == SHARE_NO_SLOT) {
            note(image, not_held(go.images[i].answer));
        } else if (go.images[i].answer == GALLERY_MOUNT) {
            r = mount_one(job, image);
            STOPPING_POINT("prepare.image_mounted");
            image->mounted = r > 0;
            mounted.mounted[i] = image->mounted;
            r = r < 0 ? r : 0;
        } else {
            image->mounted = true;
        }
        if (!image->mounted) {
            image->driver = IMAGE_DRIVER_NONE;
        }
    }
    return r < 0 ? r : worker_tell(job->fd, &mounted, sizeof mounted, NULL, 0);
}

/* -- the tree -- */

static int link_one(struct job *job, struct job_image *image)
{
    int r =
        tree_link(job->broker->shares_fd, job->share->row.id, image->file.fd, image->row.path.text);
    if (r < 0) {
        return job_fail(job, r, "image", "The image \"%s\" could not be linked into the share: %s.",
                        job_printable(image->row.path.text), strerror(-r));
    }
    return 0;
}

static int make_contents(struct job *job, struct job_image *image)
{
    if (image->driver == IMAGE_DRIVER_NONE) {
        return 0;
    }
    int r = tree_make_contents(job->broker->shares_fd, job->share->row.id, image->row.path.text,
                               image->row.contents, sizeof image->row.contents);
    if (r < 0) {
        return job_fail(job, r, "image",
                        "The directory for the contents of \"%s\" could not be made: %s.",
                        job_printable(image->row.path.text), strerror(-r));
    }
    if (image->mounted) {
        image->mount_fd = gallery_directory(job->broker->gallery, image->slot);
        return image->mount_fd < 0 ? image->mount_fd : 0;
    }
    return 0;
}

int job_link_images(struct job *job)
{
    int r = 0;

    if (!job->preparation->adding) {
        r = tree_create(job->broker->shares_fd, job->share->row.id);
        if (r < 0) {
            return job_fail(job, r, "", "The share's directory could not be made: %s.",
                            strerror(-r));
        }
        STOPPING_POINT("create.tree_made");
    }
    for (uint32_t i = 0; r == 0 && i < job->n_images; i++) {
        r = link_one(job, &job->images[i]);
        STOPPING_POINT("prepare.image_linked");
    }
    for (uint32_t i = 0; r == 0 && i < job->n_images; i++) {
        r = make_contents(job, &job->images[i]);
        STOPPING_POINT("prepare.contents_made");
    }
    if (r < 0 && job->preparation->adding) {
        job_unlink_images(job);
    }
    return r;
}

void job_unlink_images(struct job *job)
{
    const struct registry_share *row = &job->share->row;
    CLEANUP_FREE const char **keep = share_paths(row);
    int r = keep == NULL
                ? -ENOMEM
                : tree_prune(job->broker->shares_fd, row->id, keep, 2 * (size_t)row->n_images);
    STOPPING_POINT("take_back.tree_pruned");
    if (r < 0) {
        share_log(LOG_LEVEL_ERROR, "share.add", row, "what was added cannot all be taken back: %s",
                  strerror(-r));
    }
}
