/*
 * The unit tests' whole framework. A case is a function; TEST_MAIN runs a table of them and prints
 * "ok NAME" or "not ok NAME" a line each, which tests/run counts. CHECK keeps going after a
 * failure.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct test_case {
    const char *name;
    void (*run)(void);
};

static bool test_failed;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            test_failed = true;                                                                    \
            printf("# %s:%d: %s\n", __FILE__, __LINE__, #condition);                               \
        }                                                                                          \
    } while (0)

#define CHECK_TEXT(got, want)                                                                      \
    do {                                                                                           \
        const char *test_got = (got), *test_want = (want);                                         \
        if (test_got == NULL || strcmp(test_got, test_want) != 0) {                                \
            test_failed = true;                                                                    \
            printf("# %s:%d: got \"%s\", want \"%s\"\n", __FILE__, __LINE__,                       \
                   test_got ? test_got : "(null)", test_want);                                     \
        }                                                                                          \
    } while (0)

#define TEST_MAIN(...)                                                                             \
    int main(void)                                                                                 \
    {                                                                                              \
        static const struct test_case cases[] = {__VA_ARGS__};                                     \
        int failed = 0;                                                                            \
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {                              \
            test_failed = false;                                                                   \
            cases[i].run();                                                                        \
            printf("%s %s\n", test_failed ? "not ok" : "ok", cases[i].name);                       \
            fflush(stdout);                                                                        \
            failed += test_failed;                                                                 \
        }                                                                                          \
        return failed ? 1 : 0;                                                                     \
    }
