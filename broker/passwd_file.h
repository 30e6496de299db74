/*
 * The text of a password file: IMAGE.passwd beside an image, or .passwd in a directory. A line is
 * one hash as crypt(5) writes it and, behind blanks, a label:
 *
 *   # the keys of the lab
 *   $y$j9T$6WSV5Y7XOcW0efdvmBjFI1$5lTZZBUvVt4jZSO/8sx8YrhwVIp0L7qBwUm238DOmN.  lab 2
 *
 * Empty lines and lines that begin with '#' say nothing. Anything else is a fault: it matches no
 * password and is told to the administrator. A file in which nothing is right opens nothing.
 * docs/passwords.md is the same for people.
 */
#pragma once

#include "text.h"

#include <stddef.h>
#include <stdint.h>

#define PASSWD_FILE_MAX    32768 /* bytes; a longer one is not read */
#define PASSWD_ENTRIES_MAX 64
#define PASSWD_FAULTS_MAX  16 /* that are described; all are counted */
#define PASSWD_LABEL_MAX   63
#define PASSWD_HASH_MAX    159

/* What checking costs, in sixteenths of yescrypt's default; by what the hash says of itself. */
#define PASSWD_COST_DEFAULT 16
#define PASSWD_COST_MAX     160 /* a hash that says more is a fault */

struct passwd_entry {
    uint32_t line; /* from 1 on */
    uint32_t cost;
    const char *method; /* "yescrypt", ...; constant */
    char hash[PASSWD_HASH_MAX + 1];
    char label[PASSWD_LABEL_MAX + 1]; /* "" for none */
};

struct passwd_fault {
    uint32_t line;
    const char *why; /* finishes "line 3 ..."; constant */
};

struct passwd_file {
    struct passwd_entry entries[PASSWD_ENTRIES_MAX];
    uint32_t n_entries;
    struct passwd_fault faults[PASSWD_FAULTS_MAX];
    uint32_t n_faults;
};

/* Takes any bytes. */
void passwd_file_parse(const char *text, size_t length, struct passwd_file *ret);

/* A label: at most PASSWD_LABEL_MAX bytes without control characters, blanks at the ends, or '#' at
 * the beginning; may be empty. 0, or -EINVAL and in *ret_why the end of "The label "x" ...". */
int passwd_label_parse(const char *label, const char **ret_why);

/* The entry of this label, or of "#3" the entry in line 3, which may have no label; NULL. */
const struct passwd_entry *passwd_file_find(const struct passwd_file *file, const char *label);

/* The text with one line more at its end, or without one of its lines; the rest stays as it is.
 * Appended to *out. */
void passwd_file_add(const char *text, size_t length, const char *hash, const char *label,
                     struct text *out);
void passwd_file_drop(const char *text, size_t length, uint32_t line, struct text *out);
