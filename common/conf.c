/* Each line is copied into a buffer of its own, because values become strings there; what an error
 * quotes is made printable, because a wrong file may hold anything. */
#include "conf.h"

#include "escape.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 4096
#define SECTION_MAX    63
#define NAME_SHOWN     160 /* of a long path its end, so that the reason still fits */
#define BLANKS         " \t"

struct reader {
    const char *name;
    unsigned line_number;
    char section[SECTION_MAX + 1];
    conf_handler *handler;
    void *user_data;
    struct conf_error *error;
};

/* Cuts in whole characters. */
static void set_error(struct conf_error *error, const char *raw)
{
    size_t used = 0, left = strlen(raw);
    while (left > 0) {
        char out[ESCAPE_MAX];
        size_t made = 0, taken = escape_printable(raw, left, out, &made);
        if (used + made >= sizeof error->text) {
            break;
        }
        memcpy(error->text + used, out, made);
        used += made;
        raw += taken;
        left -= taken;
    }
    error->text[used] = '\0';
}

static int fail(const struct reader *reader, const char *what)
{
    char raw[1024];
    size_t length = strlen(reader->name);
    const char *name = reader->name + (length > NAME_SHOWN ? length - NAME_SHOWN : 0);
    snprintf(raw, sizeof raw, "%s:%u: %s", name, reader->line_number, what);
    set_error(reader->error, raw);
    return -EINVAL;
}

static void trim_end(char *text)
{
    size_t length = strlen(text);
    while (length > 0 && strchr(BLANKS, text[length - 1]) != NULL) {
        length--;
    }
    text[length] = '\0';
}

/* Ends `text` at white space followed by ';'. */
static void cut_comment(char *text)
{
    for (char *at = strchr(text, ';'); at != NULL; at = strchr(at + 1, ';')) {
        if (at > text && strchr(BLANKS, at[-1]) != NULL) {
            *at = '\0';
            return;
        }
    }
}

static int read_section(struct reader *reader, const char *line)
{
    size_t length = strlen(line);
    if (length < 3 || line[length - 1] != ']' || strchr(line, ']') != line + length - 1) {
        return fail(reader, "a section is written [name]");
    }
    if (length - 2 > SECTION_MAX) {
        return fail(reader, "this section's name is too long");
    }
    memcpy(reader->section, line + 1, length - 2);
    reader->section[length - 2] = '\0';
    return 0;
}

static int read_pair(struct reader *reader, char *line)
{
    char *equals = strchr(line, '=');
    if (equals == NULL || equals == line) {
        return fail(reader, "this is neither [section] nor key=value");
    }
    if (reader->section[0] == '\0') {
        return fail(reader, "a key comes after the [section] that it belongs to");
    }
    *equals = '\0';
    trim_end(line);
    char why[320] = "", what[512];
    const char *value = equals + 1 + strspn(equals + 1, BLANKS);
    if (reader->handler(reader->section, line, value, reader->user_data, why, sizeof why) < 0) {
        snprintf(what, sizeof what, "[%.63s] %.80s: %s", reader->section, line,
                 why[0] != '\0' ? why : "is refused");
        return fail(reader, what);
    }
    return 0;
}

static int read_line(struct reader *reader, const char *text, size_t length)
{
    char buffer[LINE_MAX_BYTES + 1];
    if (length > 0 && text[length - 1] == '\r') {
        length--;
    }
    if (length > LINE_MAX_BYTES) {
        return fail(reader, "this line is longer than 4096 bytes");
    }
    if (memchr(text, '\0', length) != NULL) {
        return fail(reader, "this line holds a NUL byte");
    }
    memcpy(buffer, text, length);
    buffer[length] = '\0';
    char *line = buffer + strspn(buffer, BLANKS);
    if (line[0] == '\0' || line[0] == ';' || line[0] == '#') {
        return 0;
    }
    cut_comment(line);
    trim_end(line);
    return line[0] == '[' ? read_section(reader, line) : read_pair(reader, line);
}

int conf_read(const char *name, const char *text, size_t length, conf_handler *handler,
              void *user_data, struct conf_error *ret_error)
{
    struct reader reader = {
        .name = name, .handler = handler, .user_data = user_data, .error = ret_error};
    for (const char *end = text + length; text < end;) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = newline != NULL ? newline : end;
        reader.line_number++;
        int result = read_line(&reader, text, (size_t)(line_end - text));
        if (result < 0) {
            return result;
        }
        text = newline != NULL ? newline + 1 : end;
    }
    return 0;
}
