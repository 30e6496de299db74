/*
 * Log lines about a share: each has its user, its id, who asked for it and for which address.
 */
#pragma once

#include "log.h"
#include "registry.h"

/* Logs one event in the life of the share with this row. */
void share_log(enum log_level level, const char *event, const struct registry_share *row,
               const char *format, ...) __attribute__((format(printf, 4, 5)));
