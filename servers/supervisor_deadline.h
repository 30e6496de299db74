/*
 * The share's end: a timer on CLOCK_BOOTTIME, which counts while the machine sleeps. When it goes
 * off the file is read again, for the broker may have moved the end; only an end that has come ends
 * the share. A file that cannot be read is an end, too.
 */
#pragma once

#include "supervisor_events.h"

struct deadline {
    int file_fd, timer_fd;
};

/* 0 or a negative errno. */
int deadline_open(struct deadline *deadline, int file_fd);

/* Reads the file and sets the timer. Does not return when the end has come: the process exits, and
 * the kernel ends all others of its PID namespace. */
void deadline_set(struct deadline *deadline);

void deadline_watch(struct deadline *deadline, struct events *events);
