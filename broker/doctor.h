/*
 * `cdss doctor`: what this kernel and host can and cannot do, and what to install or mind. A table
 * of checks (doctor.c); each looks at one thing, changes nothing, and says in one sentence what it
 * means and what to do. Works without the broker.
 *
 * Files are read below a root directory, so that tests give a made-up /proc. What must be asked
 * from the running kernel itself is asked only when `live`.
 */
#pragma once

#include "definition.h"
#include "messages.h"
#include "settings.h"
#include "text.h"

enum doctor_result {
    DOCTOR_OK,
    DOCTOR_NOTE, /* good to know */
    DOCTOR_WARN, /* works, with a gap */
    DOCTOR_FAIL, /* no share can be served like this */
    DOCTOR_RESULTS
};

struct doctor {
    int root_fd;     /* what "/" is */
    bool live;       /* root_fd is the real root */
    bool privileged; /* we are root */
    const struct settings *settings;
    const struct definitions *definitions; /* NULL: could not be read, for this reason: */
    const char *definitions_error;
    const struct message_status *broker; /* what it says of itself; NULL: nothing, since: */
    int broker_error;                    /* a negative errno; 0: it answered something else */
};

struct doctor_check {
    const char *name;
    /* Appends one sentence, without newline. */
    enum doctor_result (*look)(const struct doctor *doctor, struct text *says);
};

extern const struct doctor_check doctor_checks[]; /* ends with a row without name */

/* Runs all checks and appends the report, as text or JSON, to *out. False when one failed. */
bool doctor_run(const struct settings *settings, bool json, struct text *out);
