/* What all checks read with. */
#include "cleanup.h"
#include "doctor_checks.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MOST ((size_t)16 << 20)

/* Paths are absolute; below the root they are relative. */
static const char *below_root(const char *path)
{
    path += strspn(path, "/");
    return *path != '\0' ? path : ".";
}

char *doctor_read(const struct doctor *doctor, const char *path)
{
    char *data = NULL;
    size_t length = 0;
    return text_read_file(doctor->root_fd, below_root(path), FILE_MOST, &data, &length) == 0 ? data
                                                                                             : NULL;
}

long long doctor_read_number(const struct doctor *doctor, const char *path, long long otherwise)
{
    CLEANUP_FREE char *data = doctor_read(doctor, path);
    if (data == NULL) {
        return otherwise;
    }
    char *end;
    long long number = strtoll(data, &end, 10);
    return end != data ? number : otherwise;
}

bool doctor_exists(const struct doctor *doctor, const char *path)
{
    struct stat status;
    return fstatat(doctor->root_fd, below_root(path), &status, 0) == 0;
}

bool doctor_executable(const struct doctor *doctor, const char *root, const char *path)
{
    struct stat status;
    CLEANUP_CLOSE int fd =
        openat(doctor->root_fd, below_root(root), O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fstatat(fd, below_root(path), &status, 0) == 0 && S_ISREG(status.st_mode) &&
           (status.st_mode & S_IXUSR) != 0;
}

bool doctor_has_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    while (*list != '\0') {
        list += strspn(list, " \t\n,");
        size_t item = strcspn(list, " \t\n,");
        if (item == length && strncmp(list, word, length) == 0) {
            return true;
        }
        list += item;
    }
    return false;
}

bool doctor_each_line(char *text, bool (*visit)(char *line, void *user_data), void *user_data)
{
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        if (line[0] != '\0' && visit(line, user_data)) {
            return true;
        }
    }
    return false;
}

enum doctor_result doctor_say(struct text *says, enum doctor_result result, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text_vformat(says, format, arguments);
    va_end(arguments);
    return result;
}

unsigned doctor_kernel_version(const struct doctor *doctor)
{
    CLEANUP_FREE char *release = doctor_read(doctor, "/proc/sys/kernel/osrelease");
    if (release == NULL) {
        return 0;
    }
    char *end;
    unsigned long major = strtoul(release, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    return (unsigned)(major * 1000 + minor);
}

void doctor_add_piece(struct text *says, unsigned *count, const char *piece)
{
    text_add(says, *count > 0 ? ", " : "");
    text_add(says, piece);
    ++*count;
}
