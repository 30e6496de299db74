/*
 * What the files of the preparing worker share: prepare.c (the conversation and its order),
 * prepare_images.c (images, tree), prepare_plan.c (the supervisor's plan and the servers'
 * configurations), prepare_ports.c (control group, ports), prepare_sandbox.c (run directory,
 * sandbox, readiness), prepare_readers.c (FUSE readers, images for a live sandbox).
 *
 * Every step returns 0, or a negative errno after job_fail() has said what a person should know.
 */
#pragma once

#include "catalogue.h"
#include "ports.h"
#include "prepare.h"

struct job_image {
    struct catalogue_image file; /* fd -1 when not open */
    struct registry_image row;
    enum image_driver driver;
    bool mounted;  /* in the gallery, at slot */
    uint32_t slot; /* SHARE_NO_SLOT */
    int mount_fd;  /* of the gallery's directory; -1 */
};

struct job {
    struct broker *broker;
    struct share *share;
    struct preparation *preparation;
    int fd; /* the conversation */
    uint32_t n_images;
    struct job_image images[PREPARE_IMAGES_MAX];
    uid_t owner; /* of the files; becomes the share's own user */
    gid_t group;
    int group_fd; /* the share's control group in the unified hierarchy; -1 where there is none */
    struct ports_bound ports[PREPARE_PROTOCOLS_MAX];
    int deadline_fd, control_fd, status_fd;
    int ready_read_fd, ready_write_fd;
    uint64_t patience_ns; /* until then readers may take their time (CLOCK_BOOTTIME) */
    struct sandbox sandbox;
    struct prepare_failed failed;
};

/* Notes the sentence and returns `error`. The first one counts. */
int job_fail(struct job *job, int error, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void job_progress(struct job *job, uint32_t step, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A path or name from outside, printable, for a sentence: valid until the 4th further call. */
const char *job_printable(const char *text);

/* prepare_images.c */
int job_open_images(struct job *job);  /* files, types, drivers, owners */
int job_mount_images(struct job *job); /* asks the broker, mounts what is ours, tells it */
int job_link_images(struct job *job);  /* creates the tree when preparing; links, contents */
void job_unlink_images(struct job *job);

/* prepare_plan.c */
struct job_plan {
    struct supervisor_plan *plan; /* owned */
    struct sandbox_file *files;   /* owned, with their texts */
    uint32_t n_files;
    bool any_host;
};
int job_make_plan(struct job *job, struct job_plan *ret);
void job_free_plan(struct job_plan *plan);
/* The service that reads one image through FUSE; its descriptor is filled in by the sandbox. */
int job_reader(const struct job_image *image, struct supervisor_service *ret);

/* prepare_ports.c */
int job_bind_ports(struct job *job); /* makes the group, too */
int job_fence(struct job *job);      /* behind the ports: nothing is bound in the group any more */

/* prepare_sandbox.c */
int job_start_sandbox(struct job *job);
int job_await_ready(struct job *job);

/* prepare_readers.c */
/* Looks whether each reader really shows its image; one that does not is taken away, with a note.
 */
void job_check_readers(struct job *job, int pidfd);
int job_add_images(struct job *job); /* to the live sandbox of the share */
/* Takes them back, from the sandbox and the tree. */
void job_take_back(struct job *job);
