/*
 * A line is put together in a buffer on the stack and is at most PIPE_BUF bytes, so that one
 * write(2) to a pipe is never mixed with another process's. No gmtime_r(3): it takes a lock, which
 * a thread may hold at the moment of a fork.
 */
#include "log.h"

#include "escape.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_MAX 2000
#define WORD_MAX    256 /* program, event, share: each at most this long once escaped */

struct line {
    char data[PIPE_BUF];
    size_t length;
};

static struct {
    const char *program;
    enum log_format format;
    enum log_level most;
} log_state = {"cdss", LOG_FORMAT_TEXT, LOG_LEVEL_INFO};

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

void log_open(const char *program, enum log_format format, enum log_level most)
{
    log_state.program = program;
    log_state.format = format;
    log_state.most = most;
}

/* Appends what fits into `limit` bytes more, in whole characters, and "..." where it was cut. */
static void put_escaped(struct line *line, escape_function *escape, const char *text, size_t limit)
{
    size_t end = line->length + limit, length = strlen(text);
    size_t dots = line->length; /* the last place that leaves room for the dots */
    while (length > 0) {
        char out[ESCAPE_MAX];
        size_t made = 0;
        size_t taken = escape(text, length, out, &made);
        if (line->length + made > end) {
            line->length = dots;
            memcpy(line->data + line->length, "...", 3);
            line->length += 3;
            return;
        }
        memcpy(line->data + line->length, out, made);
        line->length += made;
        if (line->length + 3 <= end) {
            dots = line->length;
        }
        text += taken;
        length -= taken;
    }
}

/* For text of ours, short by construction. */
static void put(struct line *line, const char *text)
{
    size_t length = strlen(text);
    memcpy(line->data + line->length, text, length);
    line->length += length;
}

static void put_member(struct line *line, const char *key, const char *value, size_t limit)
{
    put(line, key);
    put_escaped(line, escape_json, value, limit);
    put(line, "\"");
}

/* Days since 1970-01-01 as a date, by counting from a first of March, so that leap days come last
 * in their year (the proleptic Gregorian calendar, eras of 400 years). */
static void civil_date(long days, long *ret_year, long *ret_month, long *ret_day)
{
    long shifted = days + 719468, era = shifted / 146097, of_era = shifted % 146097;
    long year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    long of_year = of_era - (365 * year + year / 4 - year / 100);
    long month = (5 * of_year + 2) / 153; /* 0 is March */
    *ret_day = of_year - (153 * month + 2) / 5 + 1;
    *ret_month = month < 10 ? month + 3 : month - 9;
    *ret_year = year + era * 400 + (*ret_month <= 2);
}

static void put_time(struct line *line)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    long year, month, day, second = (long)(now.tv_sec % 86400);
    civil_date((long)(now.tv_sec / 86400), &year, &month, &day);
    char text[96];
    snprintf(text, sizeof text, "%04ld-%02ld-%02ldT%02ld:%02ld:%02ld.%03ldZ", year, month, day,
             second / 3600, second / 60 % 60, second % 60, now.tv_nsec / 1000000);
    put(line, text);
}

static void put_pid(struct line *line, const char *before, const char *after)
{
    char text[48];
    snprintf(text, sizeof text, "%s%ld%s", before, (long)getpid(), after);
    put(line, text);
}

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* " [id 1f2e, by root]"; the latter names the address, too */
static void put_subject(struct line *line, const struct log_subject *subject)
{
    const struct {
        const char *word, *value;
    } parts[] = {{"id ", subject->id}, {"by ", subject->requester}};
    const char *before = " [";
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (is_given(parts[i].value)) {
            put(line, before);
            put(line, parts[i].word);
            put_escaped(line, escape_printable, parts[i].value, WORD_MAX);
            before = ", ";
        }
    }
    put(line, before[0] == ',' ? "]" : "");
}

static void make_text(struct line *line, const char *level, const char *event,
                      const struct log_subject *subject, const char *message)
{
    put_escaped(line, escape_printable, log_state.program, WORD_MAX);
    put_pid(line, "[", "] ");
    put(line, level);
    put(line, " ");
    put_escaped(line, escape_printable, event, WORD_MAX);
    if (subject->share != NULL) {
        put(line, " ");
        put_escaped(line, escape_printable, subject->share, WORD_MAX);
    }
    put(line, ": ");
    put(line, message); /* is printable already */
    put_subject(line, subject);
    put(line, "\n");
}

static void make_json(struct line *line, const char *level, const char *event,
                      const struct log_subject *subject, const char *message)
{
    const struct {
        const char *key, *value;
    } parts[] = {{",\"id\":\"", subject->id},
                 {",\"requester\":\"", subject->requester},
                 {",\"address\":\"", subject->address}};
    put(line, "{\"time\":\"");
    put_time(line);
    put_member(line, "\",\"program\":\"", log_state.program, WORD_MAX);
    put_pid(line, ",\"pid\":", ",\"level\":\"");
    put(line, level);
    put_member(line, "\",\"event\":\"", event, WORD_MAX);
    if (subject->share != NULL) {
        put_member(line, ",\"share\":\"", subject->share, WORD_MAX);
    }
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (is_given(parts[i].value)) {
            put_member(line, parts[i].key, parts[i].value, WORD_MAX);
        }
    }
    const char *key = ",\"message\":\"", *end = "\"}\n";
    put_member(line, key, message, sizeof line->data - line->length - strlen(key) - strlen(end));
    put(line, end + 1);
}

void log_about(enum log_level level, const char *event, const struct log_subject *subject,
               const char *format, va_list arguments)
{
    if (level > log_state.most) {
        return;
    }
    int saved = errno;
    char raw[MESSAGE_MAX + 64];
    if (vsnprintf(raw, sizeof raw, format, arguments) < 0) {
        raw[0] = '\0';
    }
    struct line message, line; /* the former is cut in whole characters */
    message.length = line.length = 0;
    put_escaped(&message, escape_printable, raw, MESSAGE_MAX);
    message.data[message.length] = '\0';
    (log_state.format == LOG_FORMAT_JSON ? make_json : make_text)(&line, level_names[level], event,
                                                                  subject, message.data);
    while (write(STDERR_FILENO, line.data, line.length) < 0 && errno == EINTR) {
    }
    errno = saved;
}

void log_write(enum log_level level, const char *event, const char *share, const char *format, ...)
{
    const struct log_subject subject = {.share = share};
    va_list arguments;
    va_start(arguments, format);
    log_about(level, event, &subject, format, arguments);
    va_end(arguments);
}
