/* What no single key can say of itself. */
#pragma once

#include "settings.h"

/* 0, or -EINVAL with `why` a sentence that begins with the key: "[network] passive: ...". */
int settings_check(const struct settings *settings, char *why, size_t why_size);
