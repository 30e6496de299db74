/*
 * Log lines: what stands in them for a share, that they are valid JSON whatever they are about, and
 * that docs/logging.md lists the same events as the sources.
 */
#include "test.h"

#include "cleanup.h"
#include "escape.h"
#include "log.h"
#include "text.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define LINE_SIZE 8192

__attribute__((format(printf, 2, 3))) static void about(const struct log_subject *subject,
                                                        const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_about(LOG_LEVEL_INFO, "share.ended", subject, format, arguments);
    va_end(arguments);
}

/* Standard error is a file meanwhile. */
static void logged(char line[LINE_SIZE], enum log_format format, const struct log_subject *subject,
                   const char *message)
{
    CLEANUP_CLOSE int file = memfd_create("log", MFD_CLOEXEC);
    CLEANUP_CLOSE int saved = dup(STDERR_FILENO);
    CHECK(file >= 0 && dup2(file, STDERR_FILENO) >= 0);
    log_open("unit", format, LOG_LEVEL_INFO);
    about(subject, "%s", message);
    CHECK(dup2(saved, STDERR_FILENO) >= 0);
    ssize_t length = pread(file, line, LINE_SIZE - 1, 0);
    line[length > 0 ? length : 0] = '\0';
}

static const struct log_subject whole = {
    .share = "alice", .id = "1f2e", .requester = "uid 33 for 10.0.0.5", .address = "10.0.0.5"};

static void what_a_share_is_told_by(void)
{
    char line[LINE_SIZE], want[256];
    logged(line, LOG_FORMAT_TEXT, &whole, "expired");
    snprintf(want, sizeof want,
             "unit[%ld] info share.ended alice: expired [id 1f2e, by uid 33 for 10.0.0.5]\n",
             (long)getpid());
    CHECK_TEXT(line, want);
    logged(line, LOG_FORMAT_JSON, &whole, "expired");
    CHECK_TEXT(strstr(line, "\"event\""),
               "\"event\":\"share.ended\",\"share\":\"alice\",\"id\":\"1f2e\",\"requester\":"
               "\"uid 33 for 10.0.0.5\",\"address\":\"10.0.0.5\",\"message\":\"expired\"}\n");

    const struct log_subject some = {.share = "alice", .id = "1f2e", .requester = ""};
    logged(line, LOG_FORMAT_TEXT, &some, "x");
    snprintf(want, sizeof want, "unit[%ld] info share.ended alice: x [id 1f2e]\n", (long)getpid());
    CHECK_TEXT(line, want);
    logged(line, LOG_FORMAT_JSON, &some, "x");
    CHECK_TEXT(strstr(line, "\"id\""), "\"id\":\"1f2e\",\"message\":\"x\"}\n");
}

/* -- JSON -- */

/* A string of RFC 8259: behind its end, or NULL. Bytes beyond ASCII have to be valid UTF-8. */
static const char *skip_string(const char *at)
{
    if (*at++ != '"') {
        return NULL;
    }
    while (*at != '"') {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            return NULL;
        }
        if (*at == '\\') {
            at++;
            if (*at == 'u') {
                for (int i = 1; i <= 4; i++) {
                    if (!isxdigit((unsigned char)at[i])) {
                        return NULL;
                    }
                }
                at += 4;
            } else if (*at == '\0' || strchr("\"\\/bfnrt", *at) == NULL) {
                return NULL;
            }
        }
        at++;
    }
    return at + 1;
}

/* {"key":"value","key":123,...} and a newline, and no more; all of it UTF-8. */
static bool is_json_line(const char *line)
{
    if (*line != '{') {
        return false;
    }
    const char *at = line;
    do {
        at = skip_string(at + 1);
        if (at == NULL || *at != ':') {
            return false;
        }
        at++;
        at = *at == '"' ? skip_string(at) : at + strspn(at, "0123456789");
        if (at == NULL) {
            return false;
        }
    } while (*at == ',');
    for (size_t left = strlen(line), n; left > 0; line += n, left -= n) {
        uint32_t code;
        n = escape_utf8(line, left, &code);
        if (n == 0) {
            return false;
        }
    }
    return strcmp(at, "}\n") == 0;
}

static bool is_text_line(const char *line)
{
    size_t length = strcspn(line, "\n");
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) {
            return false;
        }
    }
    return strcmp(line + length, "\n") == 0;
}

static void check_both(const char *hostile)
{
    char line[LINE_SIZE];
    const struct log_subject subject = {
        .share = hostile, .id = hostile, .requester = hostile, .address = hostile};
    logged(line, LOG_FORMAT_JSON, &subject, hostile);
    CHECK(strlen(line) <= PIPE_BUF && is_json_line(line));
    logged(line, LOG_FORMAT_TEXT, &subject, hostile);
    CHECK(strlen(line) <= PIPE_BUF && is_text_line(line));
}

/* Every byte, alone and before and behind every kind of byte. */
static void every_byte(void)
{
    static const unsigned char others[] = {'a',  '"',  '\\', '\n', 0x1b, 0x80, 0xbf,
                                           0xc3, 0xe2, 0xed, 0xf0, 0xf4, 0xff};
    for (unsigned byte = 1; byte < 256; byte++) {
        for (size_t i = 0; i < sizeof others; i++) {
            const char text[] = {(char)byte, (char)others[i], (char)byte, '\0'};
            check_both(text);
        }
    }
}

/* As long as it may get, cut wherever it is cut. */
static void long_lines(void)
{
    static const char *const pieces[] = {"\"", "\xff", "\xc3\xa9", "\xf0\x9f\x92\xbf", "\n", "ab"};
    static char text[6000];
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        for (size_t shift = 0; shift < 5; shift++) {
            size_t length = shift;
            memset(text, 'x', shift);
            for (; length + 5 < sizeof text; length += strlen(pieces[i])) {
                memcpy(text + length, pieces[i], strlen(pieces[i]));
            }
            text[length] = '\0';
            check_both(text);
        }
    }
}

/* The judge itself. */
static void what_is_no_json(void)
{
    CHECK(is_json_line("{\"a\":\"b\",\"c\":12}\n"));
    CHECK(!is_json_line("{\"a\":\"b\"}"));
    CHECK(!is_json_line("{\"a\":\"b\"}\n\n"));
    CHECK(!is_json_line("{\"a\":\"b\"c\"}\n"));
    CHECK(!is_json_line("{\"a\":\"\\x\"}\n"));
    CHECK(!is_json_line("{\"a\":\"\t\"}\n"));
    CHECK(!is_json_line("{\"a\":\"\xff\"}\n"));
    CHECK(!is_json_line("{\"a\":\"b\",}\n"));
}

/* -- events -- */

struct events {
    char names[128][40];
    unsigned count;
};

static void add_event(struct events *events, const char *name, size_t length)
{
    CHECK(length > 0 && length < sizeof events->names[0] &&
          events->count < ARRAY_SIZE(events->names));
    for (unsigned i = 0; i < events->count; i++) {
        if (strlen(events->names[i]) == length && strncmp(events->names[i], name, length) == 0) {
            return;
        }
    }
    memcpy(events->names[events->count], name, length);
    events->names[events->count++][length] = '\0';
}

/* Each call of `function` in the text: its second argument is the event. */
static void collect_calls(struct events *events, const char *text, const char *function)
{
    while ((text = strstr(text, function)) != NULL) {
        text += strlen(function);
        const char *first = strchr(text, '"');
        bool is_call =
            first != NULL && memmem(text, (size_t)(first - text), "LOG_LEVEL_", 10) != NULL;
        if (is_call) {
            add_event(events, first + 1, strcspn(first + 1, "\""));
        }
    }
}

static void collect_sources(struct events *events)
{
    CLEANUP_DIR DIR *directory = opendir(CDSS_SOURCE "/broker");
    CHECK(directory != NULL);
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        size_t length = strlen(entry->d_name), size;
        CLEANUP_FREE char *text = NULL;
        if (length > 2 && strcmp(entry->d_name + length - 2, ".c") == 0) {
            CHECK(text_read_file(dirfd(directory), entry->d_name, 1 << 20, &text, &size) == 0);
            collect_calls(events, text, "log_write(");
            collect_calls(events, text, "share_log(");
        }
    }
}

static void collect_page(struct events *events)
{
    CLEANUP_FREE char *text = NULL;
    size_t size;
    CHECK(text_read_file(AT_FDCWD, CDSS_SOURCE "/docs/logging.md", 1 << 20, &text, &size) == 0);
    char *end = strstr(text, "\n## Records of the firewall");
    CHECK(end != NULL);
    *end = '\0';
    for (const char *row = text; (row = strstr(row, "\n| `")) != NULL; row++) {
        add_event(events, row + 4, strcspn(row + 4, "`"));
    }
}

static unsigned missing(const struct events *from, const struct events *in, const char *where)
{
    unsigned count = 0;
    for (unsigned i = 0; i < from->count; i++) {
        bool found = false;
        for (unsigned j = 0; j < in->count; j++) {
            found |= strcmp(from->names[i], in->names[j]) == 0;
        }
        if (!found) {
            printf("# the event %s is not in %s\n", from->names[i], where);
            count++;
        }
    }
    return count;
}

static void the_page_lists_the_events(void)
{
    static struct events sources, page;
    collect_sources(&sources);
    collect_page(&page);
    CHECK(sources.count > 30);
    CHECK(missing(&sources, &page, "docs/logging.md") == 0);
    CHECK(missing(&page, &sources, "the sources") == 0);
}

/* What is about a share goes through share_log(), which adds what tells it from others. */
static void shares_are_told_in_full(void)
{
    CLEANUP_DIR DIR *directory = opendir(CDSS_SOURCE "/broker");
    CHECK(directory != NULL);
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        size_t length = strlen(entry->d_name), size;
        CLEANUP_FREE char *text = NULL;
        if (length <= 2 || strcmp(entry->d_name + length - 2, ".c") != 0) {
            continue;
        }
        CHECK(text_read_file(dirfd(directory), entry->d_name, 1 << 20, &text, &size) == 0);
        for (const char *call = text; (call = strstr(call, "log_write(")) != NULL; call++) {
            size_t until = strcspn(call, ";");
            const char *user = memmem(call, until, "row.user.text", 13);
            if (user == NULL) {
                user = memmem(call, until, "row->user.text", 14);
            }
            if (user != NULL) {
                printf("# %s: log_write() about a share\n", entry->d_name);
            }
            CHECK(user == NULL);
        }
    }
}

TEST_MAIN({"what a share is told by", what_a_share_is_told_by},
          {"what is no JSON", what_is_no_json}, {"every byte", every_byte},
          {"long lines", long_lines}, {"the page lists the events", the_page_lists_the_events},
          {"shares are told in full", shares_are_told_in_full})
