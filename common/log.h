/*
 * One log line per event, on standard error, as text or as JSON, written with one write(2) and
 * without a lock: safe after fork(). Nothing secret is ever logged.
 *
 *   text: cdssd[1234] warn share.end alice: its tree stays: Device busy [id 1f2e, by root]
 *   JSON: {"time":"...","program":"cdssd","pid":1234,"level":"warn","event":"share.end",
 *          "share":"alice","id":"1f2e","requester":"root","message":"..."}
 *
 * docs/logging.md lists the events.
 */
#pragma once

#include <stdarg.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* What an event is about. What is NULL or "" is left out. */
struct log_subject {
    const char *share;     /* its user's name */
    const char *id;        /* the share's */
    const char *requester; /* who asked for it */
    const char *address;   /* for whom he asked: the address of a web user */
};

/* Names the program and chooses the format; before it, lines are text from "cdss". `program` is
 * borrowed for the life of the process. Lines above `most` are dropped. */
void log_open(const char *program, enum log_format format, enum log_level most);

/* The same about a share, with all that tells it from others. */
void log_about(enum log_level level, const char *event, const struct log_subject *subject,
               const char *format, va_list arguments) __attribute__((format(printf, 4, 0)));

/* Logs one event. `event` is a dotted category ("share.end"); `share` is the share's user name or
 * NULL. The message is formatted, made printable (no control characters) and cut at 2000 bytes. */
void log_write(enum log_level level, const char *event, const char *share, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
