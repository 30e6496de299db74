/* Growing text: capacity doubles; the first failure to allocate is remembered and ends growth. */
#include "text.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_FIRST 64

void text_free(struct text *text)
{
    free(text->data);
    *text = (struct text){0};
}

/* Makes room for `more` bytes and the NUL behind them. */
static bool reserve(struct text *text, size_t more)
{
    if (text->failed || more >= SIZE_MAX / 2 - text->length) {
        text->failed = true;
        return false;
    }
    size_t needed = text->length + more + 1;
    if (needed <= text->capacity) {
        return true;
    }
    size_t capacity = text->capacity > 0 ? text->capacity : TEXT_FIRST;
    while (capacity < needed) {
        capacity *= 2;
    }
    char *data = realloc(text->data, capacity);
    if (data == NULL) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void text_append(struct text *text, const char *bytes, size_t length)
{
    if (!reserve(text, length)) {
        return;
    }
    if (length > 0) {
        memcpy(text->data + text->length, bytes, length);
    }
    text->length += length;
    text->data[text->length] = '\0';
}

void text_add(struct text *text, const char *string)
{
    text_append(text, string, strlen(string));
}

void text_format(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text_vformat(text, format, arguments);
    va_end(arguments);
}

void text_vformat(struct text *text, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    if (length < 0) {
        text->failed = true;
    } else if (reserve(text, (size_t)length)) {
        vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
}

char *text_take(struct text *text)
{
    text_append(text, "", 0); /* an empty text becomes "" */
    char *data = text->failed ? NULL : TAKE_PTR(text->data);
    text_free(text);
    return data;
}

int text_copy(char *buffer, size_t size, const char *string)
{
    size_t length = strlen(string);
    if (length >= size) {
        if (size > 0) {
            buffer[0] = '\0';
        }
        return -ENAMETOOLONG;
    }
    memcpy(buffer, string, length + 1);
    return 0;
}

/* Reads to the end, or one byte more than the limit. */
static int read_all(int fd, size_t limit, struct text *out)
{
    char block[4096];
    while (out->length <= limit) {
        ssize_t count = read(fd, block, sizeof block);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return count < 0 ? -errno : 0;
        }
        text_append(out, block, (size_t)count);
        if (!text_ok(out)) {
            return -ENOMEM;
        }
    }
    return -EFBIG;
}

int text_read_file(int dirfd, const char *path, size_t limit, char **ret_data, size_t *ret_length)
{
    /* O_NONBLOCK: a FIFO in the file's place must not stop the reader for ever. */
    CLEANUP_CLOSE int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return -errno;
    }
    CLEANUP_TEXT struct text content = {0};
    int result = read_all(fd, limit, &content);
    if (result < 0) {
        return result;
    }
    size_t length = content.length;
    char *data = text_take(&content);
    if (data == NULL) {
        return -ENOMEM;
    }
    *ret_data = data;
    *ret_length = length;
    return 0;
}
