/* text.h, escape.h, log.h: growing text, what terminals and logs are shown, small files. */
#include "test.h"

#include "cleanup.h"
#include "escape.h"
#include "log.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

static void growth(void)
{
    CLEANUP_TEXT struct text text = {0};
    for (int i = 0; i < 5000; i++) {
        text_format(&text, "%d,", i % 10);
    }
    CHECK(text_ok(&text));
    CHECK(text.length == 10000);
    CHECK(strlen(text.data) == 10000);
    CHECK(strncmp(text.data + 9990, "5,6,7,8,9,", 10) == 0);
}

static void taking(void)
{
    struct text text = {0};
    CLEANUP_FREE char *empty = text_take(&text);
    CHECK_TEXT(empty, "");
    text_add(&text, "a");
    text_append(&text, "bc", 1);
    CLEANUP_FREE char *taken = text_take(&text);
    CHECK_TEXT(taken, "ab");
    CHECK(text.data == NULL && text.length == 0 && text.capacity == 0);
}

static void failure_sticks(void)
{
    struct text text = {0};
    text_add(&text, "kept");
    text_append(&text, "x", SIZE_MAX / 2);
    CHECK(!text_ok(&text));
    text_add(&text, "more");
    CHECK_TEXT(text.data, "kept");
    CHECK(text_take(&text) == NULL);
    CHECK(text_ok(&text)); /* {0} again */
}

static void copying(void)
{
    char buffer[4];
    CHECK(text_copy(buffer, sizeof buffer, "abc") == 0);
    CHECK_TEXT(buffer, "abc");
    CHECK(text_copy(buffer, sizeof buffer, "abcd") == -ENAMETOOLONG);
    CHECK_TEXT(buffer, "");
    CHECK(text_copy(buffer, sizeof buffer, "") == 0);
    CHECK(text_copy(buffer, 0, "") == -ENAMETOOLONG);
}

struct shown {
    const char *bytes;
    size_t length;
    const char *want;
};

#define SHOWN(bytes, want)                                                                         \
    {                                                                                              \
        bytes, sizeof bytes - 1, want                                                              \
    }

static void printable(void)
{
    static const struct shown cases[] = {
        SHOWN("", ""),
        SHOWN("plain ~ text", "plain ~ text"),
        SHOWN("a\nb\tc\\", "a\\nb\\tc\\\\"),
        SHOWN("\r\x1b[31m\x7f", "\\x0d\\x1b[31m\\x7f"),
        SHOWN("a\0b", "a\\x00b"),
        SHOWN("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x92\xbf", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x92\xbf"),
        SHOWN("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"),                 /* U+10FFFF, the last */
        SHOWN("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"),             /* one above */
        SHOWN("\xc0\xaf", "\\xc0\\xaf"),                               /* overlong '/' */
        SHOWN("\xe0\x80\xaf", "\\xe0\\x80\\xaf"),                      /* overlong, 3 bytes */
        SHOWN("\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf"),             /* overlong, 4 bytes */
        SHOWN("\xed\xa0\x80", "\\xed\\xa0\\x80"),                      /* surrogate U+D800 */
        SHOWN("\xed\xbf\xbf", "\\xed\\xbf\\xbf"),                      /* surrogate U+DFFF */
        SHOWN("\xed\x9f\xbf\xee\x80\x80", "\xed\x9f\xbf\xee\x80\x80"), /* their neighbours */
        SHOWN("\xc2\x9b"
              "1m",
              "\\xc2\\x9b"
              "1m"), /* C1: CSI */
        SHOWN("\xc2\x80\xc2\x9f\xc2\xa0", "\\xc2\\x80\\xc2\\x9f\xc2\xa0"),
        SHOWN("\xe2\x80\xaa\xe2\x80\xae", "\\xe2\\x80\\xaa\\xe2\\x80\\xae"), /* U+202A, 202E */
        SHOWN("\xe2\x80\xaf", "\xe2\x80\xaf"),                               /* U+202F is a space */
        SHOWN("\xe2\x81\xa6\xe2\x81\xa9", "\\xe2\\x81\\xa6\\xe2\\x81\\xa9"), /* U+2066, 2069 */
        SHOWN("\xe2\x81\xa5\xe2\x81\xaa", "\xe2\x81\xa5\xe2\x81\xaa"),
        SHOWN("\xe2\x80\xa8", "\\xe2\\x80\\xa8"), /* line separator */
        SHOWN("\xe2\x82", "\\xe2\\x82"),          /* cut short */
        SHOWN("\xe2\x82"
              "a",
              "\\xe2\\x82"
              "a"),
        SHOWN("\x80\xff\xfe", "\\x80\\xff\\xfe"),
        SHOWN("\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80"), /* 5 bytes */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP_TEXT struct text text = {0};
        text_append(&text, "", 0);
        text_add_printable(&text, cases[i].bytes, cases[i].length);
        CHECK_TEXT(text.data, cases[i].want);
    }
}

/* Every pair of bytes: what comes out is valid UTF-8 without anything harmful, and printable text
 * stays as it is when it is escaped again, but for backslashes. */
static void printable_is_safe(void)
{
    for (unsigned pair = 0; pair < 65536; pair++) {
        const char bytes[2] = {(char)(pair >> 8), (char)pair};
        CLEANUP_TEXT struct text text = {0};
        text_add_printable(&text, bytes, sizeof bytes);
        for (size_t at = 0; at < text.length;) {
            uint32_t code = 0;
            size_t taken = escape_utf8(text.data + at, text.length - at, &code);
            if (taken == 0 || code < 0x20 || (code >= 0x7f && code <= 0x9f)) {
                CHECK(!"harmful output");
                return;
            }
            at += taken;
        }
    }
}

static void url(void)
{
    static const struct shown cases[] = {
        SHOWN("linux/debian-12.iso", "linux/debian-12.iso"),
        SHOWN("a b?c#d%e", "a%20b%3Fc%23d%25e"),
        SHOWN("\xc3\xa9~_.-", "%C3%A9~_.-"),
        SHOWN("a\0\n\"'<>&;:@[]", "a%00%0A%22%27%3C%3E%26%3B%3A%40%5B%5D"),
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP_TEXT struct text text = {0};
        text_add_url(&text, cases[i].bytes, cases[i].length);
        CHECK_TEXT(text.data, cases[i].want);
    }
}

struct numbered {
    unsigned long long number;
    const char *want;
};

static void sizes(void)
{
    static const struct numbered cases[] = {
        {0, "0 B"},         {999, "999 B"},     {1000, "1.0 kB"},       {1449, "1.4 kB"},
        {1450, "1.5 kB"},   {9949, "9.9 kB"},   {9950, "10 kB"},        {612345, "612 kB"},
        {999499, "999 kB"}, {999500, "1.0 MB"}, {1400000000, "1.4 GB"}, {ULLONG_MAX, "18 EB"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP_TEXT struct text text = {0};
        text_add_size(&text, cases[i].number);
        CHECK_TEXT(text.data, cases[i].want);
    }
}

static void durations(void)
{
    static const struct numbered cases[] = {
        {0, "0s"},          {9, "9s"},
        {60, "1m"},         {250, "4m 10s"},
        {3600, "1h"},       {3601, "1h"},
        {86399, "23h 59m"}, {86400, "1d"},
        {90000, "1d 1h"},   {ULLONG_MAX, "213503982334601d 7h"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP_TEXT struct text text = {0};
        text_add_duration(&text, cases[i].number);
        CHECK_TEXT(text.data, cases[i].want);
    }
}

/* A file in memory with this content; the path is in /proc, where links are followed. */
static int memory_file(const char *content, size_t length)
{
    char name[] = "/tmp/cdss-unit-text-XXXXXX";
    int fd = mkostemp(name, O_CLOEXEC);
    CHECK(fd >= 0 && unlink(name) == 0);
    CHECK(write(fd, content, length) == (ssize_t)length);
    return fd;
}

static void files(void)
{
    CLEANUP_CLOSE int fd = memory_file("ab\0cd", 5);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CLEANUP_FREE char *data = NULL;
    size_t length = 77;
    CHECK(text_read_file(AT_FDCWD, path, 4, &data, &length) == -EFBIG);
    CHECK(data == NULL && length == 77);
    CHECK(text_read_file(AT_FDCWD, path, 5, &data, &length) == 0);
    CHECK(length == 5 && data != NULL && memcmp(data, "ab\0cd", 6) == 0);
    char *other = NULL;
    CHECK(text_read_file(AT_FDCWD, "/nonexistent", 5, &other, &length) == -ENOENT);
    CHECK(text_read_file(AT_FDCWD, "/", 5, &other, &length) == -EISDIR);
    CHECK(text_read_file(AT_FDCWD, "/dev/zero", 100000, &other, &length) == -EFBIG);
    CHECK(other == NULL && length == 5);
    CHECK(text_read_file(AT_FDCWD, "/dev/null", 0, &other, &length) == 0 && length == 0);
    CHECK_TEXT(other, "");
    free(other);
}

/* Nobody has the other end: a reader that waited would wait for ever. */
static void fifo(void)
{
    char directory[] = "/tmp/cdss-unit-text-XXXXXX", path[64];
    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/fifo", directory);
    CHECK(mkfifo(path, 0600) == 0);
    CLEANUP_FREE char *data = NULL;
    size_t length = 1;
    CHECK(text_read_file(AT_FDCWD, path, 10, &data, &length) == 0 && length == 0);
    CHECK(unlink(path) == 0 && rmdir(directory) == 0);
}

/* What log_write() puts on standard error, which is a file meanwhile. */
static void logged(char line[8192], enum log_format format, const char *share, const char *message)
{
    CLEANUP_CLOSE int file = memory_file("", 0);
    CLEANUP_CLOSE int saved = dup(STDERR_FILENO);
    CHECK(dup2(file, STDERR_FILENO) >= 0);
    log_open("unit", format, LOG_LEVEL_INFO);
    errno = EXDEV;
    log_write(LOG_LEVEL_WARN, "share.end", share, "%s", message);
    CHECK(errno == EXDEV);
    log_write(LOG_LEVEL_DEBUG, "not.shown", NULL, "x");
    dup2(saved, STDERR_FILENO);
    ssize_t length = pread(file, line, 8191, 0);
    line[length > 0 ? length : 0] = '\0';
}

/* Standard error is closed: write(2) fails, and the caller's errno is still his. */
static void log_keeps_errno(void)
{
    CLEANUP_CLOSE int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    close(STDERR_FILENO);
    log_open("unit", LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
    errno = EXDEV;
    log_write(LOG_LEVEL_ERROR, "x", NULL, "x");
    CHECK(errno == EXDEV);
    CHECK(dup2(saved, STDERR_FILENO) == STDERR_FILENO);
}

static void log_text(void)
{
    char line[8192], want[256];
    logged(line, LOG_FORMAT_TEXT, "alice", "a\nb \x1b[0m\xff");
    snprintf(want, sizeof want, "unit[%ld] warn share.end alice: a\\nb \\x1b[0m\\xff\n",
             (long)getpid());
    CHECK_TEXT(line, want);
    logged(line, LOG_FORMAT_TEXT, NULL, "m");
    snprintf(want, sizeof want, "unit[%ld] warn share.end: m\n", (long)getpid());
    CHECK_TEXT(line, want);
}

static void log_json(void)
{
    char line[8192], want[256];
    logged(line, LOG_FORMAT_JSON, "al\"ice", "say \"hi\"\n\xff");
    snprintf(want, sizeof want,
             "\"program\":\"unit\",\"pid\":%ld,\"level\":\"warn\",\"event\":\"share.end\","
             "\"share\":\"al\\\"ice\",\"message\":\"say \\\"hi\\\"\\\\n\\\\xff\"}\n",
             (long)getpid());
    char *program = strstr(line, "\"program\"");
    CHECK_TEXT(program, want);
    CHECK(strncmp(line, "{\"time\":\"20", 11) == 0);
    CHECK(line[19] == 'T' && line[32] == 'Z');
}

/* The longest messages: cut at 2000 bytes in whole characters, one write, JSON still closed. */
static void log_long(void)
{
    static char message[5000];
    char line[8192];
    memset(message, '"', sizeof message - 1);
    logged(line, LOG_FORMAT_JSON, message, message);
    size_t length = strlen(line);
    CHECK(length <= PIPE_BUF);
    CHECK_TEXT(line + length - 8, "\\\"...\"}\n");
    for (size_t i = 0; i + 2 < sizeof message; i += 2) {
        memcpy(message + i, "\xc3\xa9", 2);
    }
    logged(line, LOG_FORMAT_TEXT, NULL, message);
    const char *start = strstr(line, ": ");
    CHECK(start != NULL && strlen(start + 2) <= 2001 && strlen(start + 2) > 1990);
    length = strlen(line);
    CHECK_TEXT(line + length - 6, "\xc3\xa9...\n");
}

TEST_MAIN({"text grows", growth}, {"text is handed over", taking},
          {"a failure of text sticks", failure_sticks}, {"text is copied or refused", copying},
          {"printable text", printable},
          {"printable text is safe for all byte pairs", printable_is_safe}, {"URLs", url},
          {"sizes for people", sizes}, {"durations for people", durations},
          {"small files are read whole", files}, {"a FIFO does not stop the reader", fifo},
          {"log lines as text", log_text}, {"log lines as JSON", log_json},
          {"long log lines", log_long}, {"the log keeps errno", log_keeps_errno})
