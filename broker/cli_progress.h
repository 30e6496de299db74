/*
 * What the broker is doing, in one line that is drawn over itself. Nothing at all when the stream
 * is no terminal.
 */
#pragma once

#include "messages.h"

#include <stdio.h>

void cli_progress_show(FILE *stream, const struct message_progress *progress);
/* Leaves the line as if nothing had been there. */
void cli_progress_clear(FILE *stream);
