/*
 * Command lines as a plan holds them (struct supervisor_words): made by the broker, read by the
 * supervisor. Words NAME=VALUE before the program go into its environment.
 */
#pragma once

#include "supervisor.h"

#include <stddef.h>

#define WORDS_MAX       128 /* of a command line */
#define WORDS_VALUE_MAX 16  /* of those, for the environment */

/* Splits a command line at blanks and tabs; there is no quoting. 0 or -E2BIG. */
int words_split(const char *line, struct supervisor_words *ret);

/* Appends one word, which may hold anything but NUL and is not empty (-EINVAL), to words that begin
 * as {0}. 0 or -E2BIG. */
int words_add(struct supervisor_words *words, const char *word);

/* The first word that is the program, or NULL without one. */
const char *words_program(const struct supervisor_words *words);

/* Points argv at the program and its arguments and env at the words before it; each ends with NULL.
 * 0, -EINVAL (no program, or no end), -E2BIG. */
int words_vectors(const struct supervisor_words *words, const char *argv[WORDS_MAX + 1],
                  const char *env[WORDS_VALUE_MAX + 1]);
