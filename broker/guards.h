/*
 * What guards an image: IMAGE.passwd beside it, and .passwd in each directory above it, the
 * repository's own too. Whatever has such a name guards, be it a file or not: what cannot be used
 * as a password file matches no password. For workers: this reads from the disk.
 *
 * A way is walked by descriptor, one name at a time, so that the password files and the image are
 * those of the same directories.
 */
#pragma once

#include "parse.h"
#include "passwd_file.h"
#include "sha256.h"

#include <stdbool.h>
#include <sys/stat.h>

#define GUARDS_MAX       64 /* different files of one request */
#define GUARDS_PATH_SIZE (IMAGE_PATH_MAX + sizeof "/.passwd")

struct guard {
    dev_t device;
    ino_t inode;
    char path[GUARDS_PATH_SIZE]; /* in the repository */
    const char *trouble;      /* why it matches nothing ("is not a regular file"); NULL: it may */
    struct passwd_file *file; /* owned; NULL when it could not be read */
    char *text;               /* the same as it stands there; owned */
    size_t length;
};

/* The files of several ways, each once; begins as {.repository_fd = fd}. */
struct guards {
    int repository_fd; /* borrowed */
    struct guard items[GUARDS_MAX];
    uint32_t count;
};

struct guards_way {
    uint64_t guards; /* a bit for each of the items */
    bool is_guarded;
    struct sha256 digest; /* of where they are and of their hashes; zeros when it is not guarded */
    bool is_there;        /* the image, whatever it is */
    dev_t device;
    ino_t inode;
};

/* Walks to an image, as far as the way exists. 0; -E2BIG: there are more files than GUARDS_MAX (the
 * digest then says so, and the bits are not all there); -ENOMEM. */
int guards_walk(struct guards *guards, const char *path, struct guards_way *ret);

/* One password file by its directory and name, for who changes or lists it. 1, or 0 when there is
 * none. `path` is for ret->path; what *ret owns is freed by guards_free_one(). */
int guards_read(int repository_fd, int directory_fd, const char *name, const char *path,
                struct guard *ret);

void guards_free_one(struct guard *guard);
void guards_free(struct guards *guards);
