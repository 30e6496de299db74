/* Any bytes as a template, with values that look like templates themselves. */
#include "expand.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct expand_variable variables[] = {
    {"a", "A"}, {"evil", "{{never}}"}, {"path", "a b/\"\\\n"}, {"empty", ""}, {NULL, NULL},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_TEXT struct text out = {0};
    const char *why = NULL;
    text_add(&out, "before");
    int result = expand((const char *)data, size, variables, &out, &why);
    REQUIRE(memcmp(out.data, "before", 6) == 0 && out.data[out.length] == '\0');
    if (result == 0) {
        REQUIRE(why == NULL);
    } else {
        REQUIRE(result == -EINVAL && why != NULL && out.length == 6);
    }
    CLEANUP_TEXT struct text copy = {0};
    text_append(&copy, (const char *)data, size);
    /* A template that was taken names no variable that is not there, except behind a NUL. */
    REQUIRE(result != 0 || !expand_uses(copy.data, "never"));
    return 0;
}
