/*
 * The password file of an image or a directory, changed or listed for an administrator. For
 * workers: this reads and writes the disk. A file is replaced as a whole, by rename(2), so that
 * nobody ever reads half of one; what cannot be read as a password file is not touched.
 */
#pragma once

#include "guards.h"

#include <stddef.h>
#include <stdint.h>

#define PASSWD_RECORDS_MAX (PASSWD_ENTRIES_MAX + PASSWD_FAULTS_MAX)

enum passwd_task { PASSWD_ADD, PASSWD_REMOVE, PASSWD_LIST };

struct passwd_order {
    enum passwd_task task;
    char path[IMAGE_PATH_MAX + 1]; /* parse_image_path(), or "": the repository itself */
    char label[PASSWD_LABEL_MAX + 1];
    char hash[PASSWD_HASH_MAX + 1]; /* to add */
};

struct passwd_record {
    uint32_t line;
    char label[PASSWD_LABEL_MAX + 1];
    char method[16]; /* "": the line is a fault */
    char note[128];  /* why, then */
};

/* One message to the loop. */
struct passwd_outcome {
    int error;        /* 0, or a negative errno: refused with the sentence */
    uint32_t nothing; /* 1: there was nothing to do */
    char field[16];
    char sentence[900];
    uint32_t n_records;
    struct passwd_record records[PASSWD_RECORDS_MAX];
};

void passwd_edit(int repository_fd, const struct passwd_order *order, struct passwd_outcome *ret);
