/*
 * Starting and stopping the broker: a table of steps, each with its undoing, in order.
 */
#pragma once

#include "broker.h"

/* Whatever can be told before anything is changed: settings, definitions, and whether they fit each
 * other. For `cdssd -n` and for every start. 0 or negative errno; `why` is a sentence. */
int daemon_check(const char *config, struct broker *broker, char *why, size_t why_size);

/* Runs until SIGTERM or SIGINT. Live shares go on; with none alive nothing is left behind. */
int daemon_run(struct broker *broker, char *why, size_t why_size);

void daemon_free(struct broker *broker);
