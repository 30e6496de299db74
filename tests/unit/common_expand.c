/* expand.h: variables, filters, and text that tries to be more than text. */
#include "test.h"

#include "cleanup.h"
#include "expand.h"

#include <errno.h>

static const struct expand_variable variables[] = {
    {"host", "10.0.0.1"}, {"image", "a b/\"c\"\\d#.iso"},
    {"evil", "{{host}}"}, {"half", "{{"},
    {"empty", ""},        {"line", "a\nb"},
    {"del", "a\x7f"},     {"utf8", "\xc3\xa9"},
    {NULL, NULL},
};

static void good(void)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"no variables { } }} {", "no variables { } }} {"},
        {"{{host}}", "10.0.0.1"},
        {"x{{host}}y{{host}}z", "x10.0.0.1y10.0.0.1z"},
        {"{{host}}{{empty}}{{host}}", "10.0.0.110.0.0.1"},
        {"{{empty}}", ""},
        {"http://{{host}}/{{image|url}}", "http://10.0.0.1/a%20b/%22c%22%5Cd%23.iso"},
        {"\"{{image|quoted}}\"", "\"a b/\\\"c\\\"\\\\d#.iso\""},
        {"{{utf8|quoted}}{{utf8|url}}", "\xc3\xa9%C3%A9"},
        {"{{evil}}", "{{host}}"},
        {"{{half}}host}}", "{{host}}"},
        {"{{half}}{{host}}", "{{10.0.0.1"},
        {"{{line}}", "a\nb"},
        {"{{line|url}}", "a%0Ab"},
        {"{ {host}}", "{ {host}}"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP_TEXT struct text out = {0};
        const char *why = NULL;
        text_add(&out, ">");
        CHECK(expand(cases[i][0], strlen(cases[i][0]), variables, &out, &why) == 0);
        CHECK(why == NULL);
        CHECK_TEXT(out.data + 1, cases[i][1]);
    }
}

static void bad(void)
{
    static const char *const cases[][2] = {
        {"{{nothing}}", "names an unknown variable"},
        {"{{}}", "names an unknown variable"},
        {"{{ host }}", "names an unknown variable"},
        {"{{HOST}}", "names an unknown variable"},
        {"{{hos}}", "names an unknown variable"},
        {"{{hostt}}", "names an unknown variable"},
        {"{{|url}}", "names an unknown variable"},
        {"{{{host}}}", "names an unknown variable"},
        {"{{host|}}", "names an unknown filter"},
        {"{{host|shell}}", "names an unknown filter"},
        {"{{host|url|quoted}}", "names an unknown filter"},
        {"{{host|ur}}", "names an unknown filter"},
        {"{{", "has a {{ without its }}"},
        {"{{host", "has a {{ without its }}"},
        {"{{host}", "has a {{ without its }}"},
        {"{{host\n}}", "has a {{ without its }}"},
        {"{{host}}{{", "has a {{ without its }}"},
        {"{{line|quoted}}", "has a value with control characters"},
        {"{{del|quoted}}", "has a value with control characters"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP_TEXT struct text out = {0};
        const char *why = NULL;
        text_add(&out, "before ");
        CHECK(expand(cases[i][0], strlen(cases[i][0]), variables, &out, &why) == -EINVAL);
        CHECK_TEXT(why, cases[i][1]);
        CHECK_TEXT(out.data, "before ");
        CHECK(out.length == 7);
        CHECK(expand(cases[i][0], strlen(cases[i][0]), variables, &out, NULL) == -EINVAL);
    }
}

static void bytes(void)
{
    CLEANUP_TEXT struct text out = {0};
    CHECK(expand("a\0{{host}}\0", 11, variables, &out, NULL) == 0);
    CHECK(out.length == 11 && memcmp(out.data, "a\00010.0.0.1\0", 12) == 0);
    CHECK(expand("{{host}}", 7, variables, &out, NULL) == -EINVAL); /* the length decides */
}

static void first_failure_of_memory(void)
{
    struct text out = {.failed = true};
    CHECK(expand("{{host}}", 8, variables, &out, NULL) == -ENOMEM);
}

static void uses(void)
{
    CHECK(expand_uses("a {{host}} b", "host"));
    CHECK(expand_uses("{{a}}{{host|url}}", "host"));
    CHECK(!expand_uses("", "host"));
    CHECK(!expand_uses("host {{hostname}} {{x|host}} {{hos}} { {host}}", "host"));
    CHECK(!expand_uses("{{host", "host"));
}

TEST_MAIN({"variables and filters", good}, {"mistakes are refused, and nothing is added", bad},
          {"bytes", bytes}, {"lack of memory", first_failure_of_memory},
          {"which variables are used", uses})
