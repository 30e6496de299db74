/* The version and the commit that every program prints for --version. */
#pragma once

/* "0.1.0 (1a2b3c4)": a constant string. */
const char *version_text(void);
const char *version_number(void);
const char *version_commit(void);
