/*
 * Which variables a definition's templates may name (docs/definitions.md), and the check that a
 * template names no others. The broker gives the same names their values when it makes a share.
 */
#pragma once

#include "expand.h"

#include <stddef.h>

#define DEFINITION_FILE "server.conf"

/* Names with a value of the kind that each will get; {NULL, NULL} ends them. */
extern const struct expand_variable template_server_variables[]; /* config, program, check */
extern const struct expand_variable template_show_variables[];   /* [show] */

/* Expands `text` with such values. 0 with the expansion in *ret (may be NULL; owned by the caller),
 * -EINVAL with the reason in `why`, -ENOMEM. */
int template_check(const char *text, const struct expand_variable *variables, char **ret, char *why,
                   size_t why_size);

/* Fills `why` and returns -EINVAL. */
int template_refuse(char *why, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
