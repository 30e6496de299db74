/*
 * A new file is written without a name (O_TMPFILE), given one, and renamed over the old one. The
 * name in between ends in .passwd, so that it is neither listed nor shared should we die there.
 */
#include "passwd_edit.h"

#include "beneath.h"
#include "cleanup.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define SUFFIX  ".passwd"
#define BETWEEN ".cdss-new.passwd" /* who changes a directory's files has its lock */

struct place {
    int repository_fd;
    int directory_fd; /* locked */
    char name[NAME_MAX + 1];
    char shown[3 * GUARDS_PATH_SIZE]; /* its path, printable */
    struct stat repository;
};

static int fail(struct passwd_outcome *outcome, int error, const char *field, const char *format,
                ...) __attribute__((format(printf, 4, 5)));

static int fail(struct passwd_outcome *outcome, int error, const char *field, const char *format,
                ...)
{
    va_list arguments;

    outcome->error = error;
    snprintf(outcome->field, sizeof outcome->field, "%s", field);
    va_start(arguments, format);
    vsnprintf(outcome->sentence, sizeof outcome->sentence, format, arguments);
    va_end(arguments);
    return error;
}

static void say(struct passwd_outcome *outcome, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct passwd_outcome *outcome, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(outcome->sentence, sizeof outcome->sentence, format, arguments);
    va_end(arguments);
}

/* -- where it is -- */

static void show(char *buffer, size_t size, const char *directory, const char *name)
{
    CLEANUP_TEXT struct text printable = {0};

    text_add_printable(&printable, directory, strlen(directory));
    text_add(&printable, directory[0] != '\0' ? "/" : "");
    text_add_printable(&printable, name, strlen(name));
    bool fits = printable.length <= 300;
    snprintf(buffer, size, "%.*s%s", fits ? 300 : 290, printable.data != NULL ? printable.data : "",
             fits ? "" : "...");
}

/* What stands at the path: S_IFDIR, S_IFREG, something else, or 0. */
static mode_t type_of(int repository_fd, const char *path)
{
    struct stat status;
    CLEANUP_CLOSE int fd = beneath_open(repository_fd, path, O_PATH | O_NOFOLLOW);

    return fd >= 0 && fstat(fd, &status) == 0 ? status.st_mode & S_IFMT : 0;
}

static int name_file(struct place *place, const char *path, const char *name,
                     struct passwd_outcome *outcome)
{
    if (strlen(name) + strlen(SUFFIX) > NAME_MAX) {
        return fail(outcome, -ENAMETOOLONG, "image",
                    "The name of \"%s\" is so long that there is no room for %s behind it: protect "
                    "its directory, or rename it.",
                    place->shown, SUFFIX);
    }
    snprintf(place->name, sizeof place->name, "%s" SUFFIX, name);
    CLEANUP_FREE char *directory = strndup(path, name > path ? (size_t)(name - path - 1) : 0);
    show(place->shown, sizeof place->shown, directory != NULL ? directory : "", place->name);
    return 0;
}

/* Of a directory, .passwd in it; of an image, IMAGE.passwd beside it. An image that is gone may
 * have left one. */
static int find_place(struct place *place, const struct passwd_order *order,
                      struct passwd_outcome *outcome)
{
    const char *path = order->path;
    mode_t type = path[0] == '\0' ? S_IFDIR : type_of(place->repository_fd, path);
    bool must_be = order->task == PASSWD_ADD;

    show(place->shown, sizeof place->shown, "", path);
    if (type != S_IFDIR && type != S_IFREG && (type != 0 || must_be)) {
        return fail(outcome, type == 0 ? -ENOENT : -EINVAL, "image",
                    type == 0 ? "\"%s\" is not in the repository."
                              : "\"%s\" is neither an image nor a directory.",
                    place->shown);
    }
    if (type == S_IFDIR) {
        place->directory_fd = beneath_open(place->repository_fd, path[0] != '\0' ? path : ".",
                                           O_RDONLY | O_DIRECTORY);
        snprintf(place->name, sizeof place->name, SUFFIX);
        show(place->shown, sizeof place->shown, path, SUFFIX);
    } else {
        const char *slash = strrchr(path, '/');
        const char *name = slash != NULL ? slash + 1 : path;
        CLEANUP_FREE char *parent =
            slash != NULL ? strndup(path, (size_t)(slash - path)) : strdup(".");
        if (name_file(place, path, name, outcome) < 0) {
            return outcome->error;
        }
        place->directory_fd =
            parent == NULL ? -ENOMEM
                           : beneath_open(place->repository_fd, parent, O_RDONLY | O_DIRECTORY);
    }
    if (place->directory_fd < 0 || flock(place->directory_fd, LOCK_EX) < 0) {
        return fail(outcome, -ENOENT, "image", "The directory of %s cannot be opened.",
                    place->shown);
    }
    return 0;
}

/* -- replacing -- */

/* The owner of the file that it replaces, or of the repository. */
static int write_nameless(const struct place *place, const struct guard *old,
                          const struct text *text)
{
    struct stat status;
    bool has_old = old->path[0] != '\0' &&
                   fstatat(place->directory_fd, place->name, &status, AT_SYMLINK_NOFOLLOW) == 0;
    const struct stat *owner = has_old ? &status : &place->repository;
    CLEANUP_CLOSE int fd = openat(place->directory_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

    if (fd < 0 || fchown(fd, owner->st_uid, owner->st_gid) < 0 || fchmod(fd, 0600) < 0) {
        return -errno;
    }
    size_t done = 0;
    while (done < text->length) {
        ssize_t written = write(fd, text->data + done, text->length - done);
        if (written < 0) {
            return -errno;
        }
        done += (size_t)written;
    }
    return fsync(fd) < 0 ? -errno : TAKE_FD(fd);
}

static int replace_file(const struct place *place, const struct guard *old, const struct text *text)
{
    char path[32];
    CLEANUP_CLOSE int fd = text_ok(text) ? write_nameless(place, old, text) : -ENOMEM;

    if (fd < 0) {
        return fd;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    unlinkat(place->directory_fd, BETWEEN, 0); /* of one who died here */
    if (linkat(AT_FDCWD, path, place->directory_fd, BETWEEN, AT_SYMLINK_FOLLOW) < 0) {
        return -errno;
    }
    if (renameat(place->directory_fd, BETWEEN, place->directory_fd, place->name) < 0) {
        int r = -errno;
        unlinkat(place->directory_fd, BETWEEN, 0);
        return r;
    }
    fsync(place->directory_fd);
    return 0;
}

static int store(const struct place *place, const struct guard *old, const struct text *text,
                 struct passwd_outcome *outcome)
{
    if (text->length > PASSWD_FILE_MAX) {
        return fail(outcome, -EFBIG, "", "The password file %s would be longer than 32 KiB.",
                    place->shown);
    }
    int r = replace_file(place, old, text);
    return r == 0 ? 0
                  : fail(outcome, r, "", "The password file %s could not be written: %s.",
                         place->shown, strerror(-r));
}

/* -- the tasks; `guard` is empty where there is no file -- */

typedef void task(const struct place *place, const struct passwd_order *order,
                  const struct guard *guard, struct passwd_outcome *outcome);

static const char *plural(uint32_t count)
{
    return count == 1 ? "" : "s";
}

static void add(const struct place *place, const struct passwd_order *order,
                const struct guard *guard, struct passwd_outcome *outcome)
{
    CLEANUP_TEXT struct text text = {0};
    uint32_t count = guard->file != NULL ? guard->file->n_entries : 0;

    if (order->label[0] != '\0' && count > 0 &&
        passwd_file_find(guard->file, order->label) != NULL) {
        fail(outcome, -EEXIST, "label",
             "%s has a password of this label already; remove it first, or choose another label.",
             place->shown);
        return;
    }
    if (count == PASSWD_ENTRIES_MAX) {
        fail(outcome, -EFBIG, "", "%s has %u passwords already, the limit; remove one first.",
             place->shown, count);
        return;
    }
    passwd_file_add(guard->text != NULL ? guard->text : "", guard->length, order->hash,
                    order->label, &text);
    if (store(place, guard, &text, outcome) == 0) {
        say(outcome, "A password was added to %s, which has %u now: a user needs one of them.",
            place->shown, count + 1);
    }
}

static void drop(const struct place *place, const struct passwd_order *order,
                 const struct guard *guard, struct passwd_outcome *outcome)
{
    CLEANUP_TEXT struct text text = {0};
    const struct passwd_entry *entry =
        guard->file != NULL ? passwd_file_find(guard->file, order->label) : NULL;

    if (entry == NULL) {
        outcome->nothing = 1;
        say(outcome, "%s has no password of this label.", place->shown);
        return;
    }
    uint32_t left = guard->file->n_entries - 1;
    passwd_file_drop(guard->text, guard->length, entry->line, &text);
    if (store(place, guard, &text, outcome) < 0) {
        return;
    }
    if (left > 0) {
        say(outcome, "The password was removed from %s, which has %u left.", place->shown, left);
    } else {
        say(outcome,
            "The last password was removed from %s, which now lets in nobody but administrators; "
            "delete the file to let everybody in.",
            place->shown);
    }
}

static void add_record(struct passwd_outcome *outcome, uint32_t line, const char *label,
                       const char *method, const char *note)
{
    struct passwd_record *record = &outcome->records[outcome->n_records++];

    record->line = line;
    snprintf(record->label, sizeof record->label, "%s", label);
    snprintf(record->method, sizeof record->method, "%s", method);
    snprintf(record->note, sizeof record->note, "%s", note);
}

/* In the order of lines. */
static void list(const struct place *place, const struct passwd_order *order,
                 const struct guard *guard, struct passwd_outcome *outcome)
{
    const struct passwd_file *file = guard->file;
    uint32_t e = 0, f = 0;

    (void)order;
    if (file == NULL) {
        outcome->nothing = 1;
        say(outcome, "There is no password file %s.", place->shown);
        return;
    }
    uint32_t described = file->n_faults < PASSWD_FAULTS_MAX ? file->n_faults : PASSWD_FAULTS_MAX;
    while (e < file->n_entries || f < described) {
        const struct passwd_entry *entry = &file->entries[e];
        const struct passwd_fault *fault = &file->faults[f];
        if (f == described || (e < file->n_entries && entry->line < fault->line)) {
            add_record(outcome, entry->line, entry->label, entry->method, "");
            e++;
        } else {
            add_record(outcome, fault->line, "", "", fault->why);
            f++;
        }
    }
    if (file->n_entries == 0) {
        say(outcome, "%s holds no password: it lets in nobody but administrators.", place->shown);
    } else if (file->n_faults > 0) {
        say(outcome, "%u line%s of %s match%s nothing.", file->n_faults, plural(file->n_faults),
            place->shown, file->n_faults == 1 ? "es" : "");
    }
}

void passwd_edit(int repository_fd, const struct passwd_order *order, struct passwd_outcome *ret)
{
    static task *const tasks[] = {[PASSWD_ADD] = add, [PASSWD_REMOVE] = drop, [PASSWD_LIST] = list};
    struct place place = {.repository_fd = repository_fd, .directory_fd = -1};
    struct guard guard = {0};

    *ret = (struct passwd_outcome){0};
    if (fstat(repository_fd, &place.repository) < 0) {
        fail(ret, -errno, "", "The repository cannot be read.");
        return;
    }
    if (find_place(&place, order, ret) == 0) {
        int there = guards_read(repository_fd, place.directory_fd, place.name, place.name, &guard);
        if (there && guard.text == NULL) {
            fail(ret, -EPERM, "",
                 "The password file %s %s, so it lets in nobody but administrators, and is left as "
                 "it is: put it right by hand.",
                 place.shown, guard.trouble);
        } else {
            tasks[order->task](&place, order, &guard, ret);
        }
    }
    guards_free_one(&guard);
    if (place.directory_fd >= 0) {
        close(place.directory_fd);
    }
}
