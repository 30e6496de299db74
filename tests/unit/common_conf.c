/* conf.h: lines, errors with their place, and the setters. */
#include "test.h"

#include "cleanup.h"
#include "conf.h"
#include "text.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* Writes down what it is given: "section|key|value\n". */
static int record(const char *section, const char *key, const char *value, void *user_data,
                  char *why, size_t why_size)
{
    if (strcmp(key, "bad") == 0) {
        snprintf(why, why_size, "%s is not good", value);
        return -ERANGE;
    }
    if (strcmp(key, "mute") == 0) {
        return -ENOENT;
    }
    text_format(user_data, "%s|%s|%s\n", section, key, value);
    return 0;
}

static void accepted(void)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"\n\r\n \t\n; c\n# c\n  # c\n", ""},
        {"[s]", ""},
        {"[s]\nk=v", "s|k|v\n"},
        {"[s]\r\nk=v\r\n", "s|k|v\n"},
        {"  [s]  \n\t k \t=\t v w \t\n", "s|k|v w\n"},
        {"[s]\nk=\nk= \nk=;x\nk= ;x\n", "s|k|\ns|k|\ns|k|;x\ns|k|\n"},
        {"[s] ; c\nk=v ; c\nk=v\t;c\nk=v;w ; c ; d\n", "s|k|v\ns|k|v\ns|k|v;w\n"},
        {"[s]\nk=a=b\nk==\nk=#x # y\nk=[z]\n", "s|k|a=b\ns|k|=\ns|k|#x # y\ns|k|[z]\n"},
        {"[a]\nk=1\n[b]\nk=2\n[a]\nk=3\n", "a|k|1\nb|k|2\na|k|3\n"},
        {"[s]\nk=\xff\x01%s{{x}}\n", "s|k|\xff\x01%s{{x}}\n"},
        {"[s]\nMy key=v\n", "s|My key|v\n"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP_TEXT struct text seen = {0};
        struct conf_error error = {"none"};
        text_add(&seen, "");
        CHECK(conf_read("f", cases[i][0], strlen(cases[i][0]), record, &seen, &error) == 0);
        CHECK_TEXT(seen.data, cases[i][1]);
        CHECK_TEXT(error.text, "none");
    }
}

static void refused(void)
{
    static const char *const cases[][2] = {
        {"k=v", "f:1: a key comes after the [section] that it belongs to"},
        {"[s]\n\nword\n", "f:3: this is neither [section] nor key=value"},
        {"[s]\n=v\n", "f:2: this is neither [section] nor key=value"},
        {"[s]\nk ;=v\n", "f:2: this is neither [section] nor key=value"},
        {"[s\n", "f:1: a section is written [name]"},
        {"[]\n", "f:1: a section is written [name]"},
        {"[s]x\n", "f:1: a section is written [name]"},
        {"[s] k=v\n", "f:1: a section is written [name]"},
        {"[s]]\n", "f:1: a section is written [name]"},
        {"[s]\nbad=7\n", "f:2: [s] bad: 7 is not good"},
        {"[s]\nbad=\x1b[31m\xe2\x80\xae\n", "f:2: [s] bad: \\x1b[31m\\xe2\\x80\\xae is not good"},
        {"[s]\nmute=1\nbad=2\n", "f:2: [s] mute: is refused"},
        {"[0123456789012345678901234567890123456789012345678901234567890123]\n",
         "f:1: this section's name is too long"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP_TEXT struct text seen = {0};
        struct conf_error error = {""};
        CHECK(conf_read("f", cases[i][0], strlen(cases[i][0]), record, &seen, &error) == -EINVAL);
        CHECK_TEXT(error.text, cases[i][1]);
    }
}

static void nul(void)
{
    CLEANUP_TEXT struct text seen = {0};
    struct conf_error error = {""};
    CHECK(conf_read("f", "[s]\nk=a\0b\n", 10, record, &seen, &error) == -EINVAL);
    CHECK_TEXT(error.text, "f:2: this line holds a NUL byte");
}

static void long_lines(void)
{
    static char line[8192];
    CLEANUP_TEXT struct text seen = {0};
    struct conf_error error = {""};
    memset(line, 'a', sizeof line);
    memcpy(line, "[s]\nk=", 6);
    CHECK(conf_read("f", line, 4 + 4096, record, &seen, &error) == 0);
    CHECK(seen.length == 4 + 4094 + 1);
    CHECK(conf_read("f", line, 4 + 4097, record, &seen, &error) == -EINVAL);
    CHECK_TEXT(error.text, "f:2: this line is longer than 4096 bytes");
    line[4 + 4096] = '\r';
    line[4 + 4097] = '\n';
    CHECK(conf_read("f", line, 4 + 4098, record, &seen, &error) == 0);
}

/* Neither a long name nor a long value pushes the reason out of the error. */
static void long_errors(void)
{
    static char name[5000], file[5000];
    CLEANUP_TEXT struct text seen = {0};
    struct conf_error error = {""};
    memset(name, 'd', sizeof name - 1);
    CHECK(conf_read(name, "x\n", 2, record, &seen, &error) == -EINVAL);
    CHECK(strstr(error.text, "ddd:1: this is neither [section] nor key=value") != NULL);
    memcpy(file, "[s]\nbad=", 8);
    memset(file + 8, 0xff, 4000);
    CHECK(conf_read(name, file, 4008, record, &seen, &error) == -EINVAL);
    CHECK(strlen(error.text) < sizeof error.text);
    CHECK(strstr(error.text, "ddd:2: [s] bad: \\xff\\xff") != NULL);
}

struct target {
    char text[9];
    char path[PATH_MAX];
    uint32_t number;
    uint64_t duration, short_duration;
};

static const struct conf_key rows[] = {
    {"a", "text", conf_set_text, offsetof(struct target, text), 2, 8},
    {"a", "path", conf_set_path, offsetof(struct target, path), 0, 0},
    {"a", "socket", conf_set_path, offsetof(struct target, path), 0, 5},
    {"b", "number", conf_set_uint32, offsetof(struct target, number), 1, 65535},
    {"b", "all", conf_set_uint32, offsetof(struct target, number), 0, UINT32_MAX},
    {"b", "duration", conf_set_duration, offsetof(struct target, duration), 0, 86400},
    {"b", "short", conf_set_duration, offsetof(struct target, short_duration), 60, 120},
};

static int set(struct target *target, const char *section, const char *key, const char *value,
               char why[256])
{
    why[0] = '\0';
    return conf_apply(rows, ARRAY_SIZE(rows), section, key, value, target, why, 256);
}

static void setters_accept(void)
{
    static struct target target;
    char why[256];
    CHECK(set(&target, "a", "text", "12345678", why) == 0);
    CHECK_TEXT(target.text, "12345678");
    CHECK(set(&target, "a", "path", "/a b/c", why) == 0);
    CHECK_TEXT(target.path, "/a b/c");
    CHECK(set(&target, "b", "number", "65535", why) == 0 && target.number == 65535);
    CHECK(set(&target, "b", "all", "4294967295", why) == 0 && target.number == UINT32_MAX);
    CHECK(set(&target, "b", "duration", "24h", why) == 0 && target.duration == 86400);
    CHECK(set(&target, "b", "duration", "0", why) == 0 && target.duration == 0);
    CHECK(set(&target, "b", "short", "2m", why) == 0 && target.short_duration == 120);
}

static void setters_refuse(void)
{
    static const char *const cases[][4] = {
        {"a", "text", "1", "is shorter than 2 bytes"},
        {"a", "text", "123456789", "is longer than 8 bytes"},
        {"a", "path", "", "\"\" is not an absolute path"},
        {"a", "path", "a/b", "\"a/b\" is not an absolute path"},
        {"a", "socket", "/abcde", "is longer than 5 bytes"},
        {"b", "number", "0", "0 is below 1"},
        {"b", "number", "70000", "70000 is above 65535"},
        {"b", "number", "4294967297", "4294967297 is above 65535"},
        {"b", "number", "99999999999999999999", "\"99999999999999999999\" is too large"},
        {"b", "number", "", "\"\" is empty"},
        {"b", "number", "0x10", "\"0x10\" is not a whole number"},
        {"b", "number", "-1", "\"-1\" is not a whole number"},
        {"b", "all", "4294967296", "4294967296 is above 4294967295"},
        {"b", "duration", "25h", "25h is above 86400 s"},
        {"b", "duration", "5", "\"5\" is not a duration like 90s, 45m, 24h or 3d"},
        {"b", "short", "0", "\"0\" is shorter than a second"},
        {"b", "short", "59s", "59s is below 60 s"},
        {"b", "text", "x", "there is no such key"},
        {"c", "text", "x", "there is no such section"},
        {"", "", "", "there is no such section"},
    };
    struct target *target = calloc(1, sizeof *target), *kept = calloc(1, sizeof *kept);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char why[256];
        CHECK(set(target, cases[i][0], cases[i][1], cases[i][2], why) < 0);
        CHECK_TEXT(why, cases[i][3]);
    }
    CHECK(memcmp(target, kept, sizeof *target) == 0);
    static char path[PATH_MAX + 1];
    char why[256];
    memset(path, '/', PATH_MAX);
    CHECK(set(target, "a", "path", path, why) < 0);
    path[PATH_MAX - 1] = '\0';
    CHECK(set(target, "a", "path", path, why) == 0);
    free(target);
    free(kept);
}

TEST_MAIN({"what is accepted", accepted}, {"what is refused, and where", refused},
          {"NUL bytes", nul}, {"long lines", long_lines}, {"long errors", long_errors},
          {"setters accept", setters_accept}, {"setters refuse", setters_refuse})
