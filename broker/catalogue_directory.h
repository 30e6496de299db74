/*
 * One directory of the repository, read and sorted such that walking it depth first meets paths in
 * the order of strcmp(3).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct catalogue_name {
    const char *key; /* the name; a directory's has '/' behind it, as in the paths below it */
    bool is_directory;
};

struct catalogue_directory {
    int fd; /* owned; O_RDONLY */
    struct catalogue_name *names;
    size_t count;
    const char *
        *passwords; /* names in .passwd, sorted, without that ending: "" for the directory */
    size_t n_passwords;
    char *text; /* what the names point into */
};

/* Reads what is regular files and directories. `*left` goes down by the number of entries; what
 * does not fit is left out and *left is then 0 and *ret_cut true. Takes `fd` over. 0 or a negative
 * errno. */
int catalogue_directory_read(int fd, unsigned *left, bool *ret_cut,
                             struct catalogue_directory *ret);
void catalogue_directory_free(struct catalogue_directory *directory);

/* True when NAME.passwd is there; "" asks for .passwd. */
bool catalogue_directory_guards(const struct catalogue_directory *directory, const char *name);
