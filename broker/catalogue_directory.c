/*
 * Two passes: readdir(3) fills one block of text and offsets into it, and only when that block
 * moves no more do pointers into it come into being.
 */
#include "catalogue_directory.h"

#include "cleanup.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define PASSWORDS ".passwd"

enum kind { KIND_OTHER, KIND_FILE, KIND_DIRECTORY, KIND_PASSWORDS };

static enum kind kind_of_mode(mode_t mode)
{
    return S_ISREG(mode) ? KIND_FILE : S_ISDIR(mode) ? KIND_DIRECTORY : KIND_OTHER;
}

static bool is_password_file(const char *name)
{
    size_t length = strlen(name);
    return length >= strlen(PASSWORDS) && strcmp(name + length - strlen(PASSWORDS), PASSWORDS) == 0;
}

/* Some filesystems do not tell the type of an entry (readdir(3)). Whatever is named *.passwd
 * guards, be it a file or not: in doubt protected. */
static enum kind kind_of(int fd, const struct dirent *entry)
{
    struct stat status;

    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
        return KIND_OTHER;
    }
    if (is_password_file(entry->d_name)) {
        return KIND_PASSWORDS;
    }
    if (entry->d_type != DT_UNKNOWN) {
        return kind_of_mode(DTTOIF(entry->d_type));
    }
    return fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0
               ? kind_of_mode(status.st_mode)
               : KIND_OTHER;
}

/* A record of the block: the kind as a letter, the key, NUL. */
static const char letters[] = {
    [KIND_OTHER] = ' ', [KIND_FILE] = 'f', [KIND_DIRECTORY] = 'd', [KIND_PASSWORDS] = 'p'};

static void add_record(struct text *block, enum kind kind, const char *name)
{
    size_t length = strlen(name) - (kind == KIND_PASSWORDS ? strlen(PASSWORDS) : 0);

    text_append(block, &letters[kind], 1);
    text_append(block, name, length);
    text_append(block, "/", kind == KIND_DIRECTORY);
    text_append(block, "", 1);
}

static int read_block(int fd, unsigned *left, bool *ret_cut, struct text *block, size_t *ret_count)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    CLEANUP_DIR DIR *entries = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;

    if (entries == NULL) {
        int r = -errno;
        if (copy >= 0) {
            close(copy);
        }
        return r;
    }
    while ((errno = 0, entry = readdir(entries)) != NULL) {
        enum kind kind = kind_of(fd, entry);
        if (*left == 0) {
            *ret_cut = true;
            return 0;
        }
        --*left;
        if (kind != KIND_OTHER) {
            add_record(block, kind, entry->d_name);
            ++*ret_count;
        }
    }
    return -errno;
}

static int compare_names(const void *a, const void *b)
{
    const struct catalogue_name *left = a, *right = b;
    return strcmp(left->key, right->key);
}

static int compare_passwords(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void index_block(struct catalogue_directory *directory, size_t count)
{
    const char *record = directory->text;

    for (size_t i = 0; i < count; i++, record += strlen(record) + 1) {
        if (record[0] == letters[KIND_PASSWORDS]) {
            directory->passwords[directory->n_passwords++] = record + 1;
        } else {
            directory->names[directory->count++] =
                (struct catalogue_name){record + 1, record[0] == letters[KIND_DIRECTORY]};
        }
    }
    qsort(directory->names, directory->count, sizeof *directory->names, compare_names);
    qsort(directory->passwords, directory->n_passwords, sizeof *directory->passwords,
          compare_passwords);
}

int catalogue_directory_read(int fd, unsigned *left, bool *ret_cut, struct catalogue_directory *ret)
{
    CLEANUP_CLOSE int owned = fd;
    CLEANUP_TEXT struct text block = {0};
    struct catalogue_directory directory = {.fd = fd};
    size_t count = 0;

    int r = read_block(fd, left, ret_cut, &block, &count);
    if (r < 0) {
        return r;
    }
    directory.names = calloc(count + 1, sizeof *directory.names);
    directory.passwords = calloc(count + 1, sizeof *directory.passwords);
    directory.text = text_take(&block);
    TAKE_FD(owned);
    if (directory.names == NULL || directory.passwords == NULL || directory.text == NULL) {
        catalogue_directory_free(&directory);
        return -ENOMEM;
    }
    index_block(&directory, count);
    *ret = directory;
    return 0;
}

void catalogue_directory_free(struct catalogue_directory *directory)
{
    if (directory->fd >= 0) {
        close(directory->fd);
    }
    free(directory->names);
    free(directory->passwords);
    free(directory->text);
    *directory = (struct catalogue_directory){.fd = -1};
}

bool catalogue_directory_guards(const struct catalogue_directory *directory, const char *name)
{
    return bsearch(&name, directory->passwords, directory->n_passwords,
                   sizeof *directory->passwords, compare_passwords) != NULL;
}
