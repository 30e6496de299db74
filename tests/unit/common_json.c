/* json.h: commas, escapes, hostile strings, wrong nesting. */
#include "test.h"

#include "json.h"

static void members(void)
{
    CLEANUP_TEXT struct text text = {0};
    struct json json;
    json_begin(&json, &text);
    json_object(&json, NULL);
    json_string(&json, "a", "x");
    json_number(&json, "b", UINT64_MAX);
    json_bool(&json, "c", true);
    json_array(&json, "d");
    json_string(&json, NULL, "y");
    json_object(&json, NULL);
    json_end_object(&json);
    json_object(&json, NULL);
    json_bool(&json, "e", false);
    json_end_object(&json);
    json_end_array(&json);
    json_array(&json, "f");
    json_end_array(&json);
    json_string(&json, "g", NULL);
    json_end_object(&json);
    CHECK(text_ok(&text));
    CHECK_TEXT(text.data, "{\"a\":\"x\",\"b\":18446744073709551615,\"c\":true,"
                          "\"d\":[\"y\",{},{\"e\":false}],\"f\":[],\"g\":null}");
}

static void escapes(void)
{
    static const char *const cases[][2] = {
        {"", "\"\""},
        {"\"\\/", "\"\\\"\\\\/\""},
        {"\b\f\n\r\t\x01\x1f\x7f", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\""},
        {"\xc3\xa9\xf0\x9f\x92\xbf", "\"\xc3\xa9\xf0\x9f\x92\xbf\""},
        {"\xff"
         "a\xc0\xaf",
         "\"\xef\xbf\xbd"
         "a\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xc2\x9b\xe2\x80\xae\xe2\x80\xa8", "\"\\u009b\\u202e\\u2028\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLEANUP_TEXT struct text text = {0};
        struct json json;
        json_begin(&json, &text);
        json_string(&json, NULL, cases[i][0]);
        CHECK_TEXT(text.data, cases[i][1]);
    }
}

static void keys(void)
{
    CLEANUP_TEXT struct text text = {0};
    struct json json;
    json_begin(&json, &text);
    json_object(&json, NULL);
    json_number(&json, "a\"\n", 0);
    json_end_object(&json);
    CHECK_TEXT(text.data, "{\"a\\\"\\n\":0}");
}

static void nesting(void)
{
    CLEANUP_TEXT struct text text = {0};
    struct json json;
    json_begin(&json, &text);
    for (int i = 0; i < JSON_DEPTH - 1; i++) {
        json_array(&json, NULL);
    }
    json_number(&json, NULL, 1);
    CHECK(text_ok(&text));
    json_array(&json, NULL);
    json_array(&json, NULL);
    json_number(&json, NULL, 1);
    CHECK(!text_ok(&text));
    for (int i = 0; i < JSON_DEPTH + 4; i++) {
        json_end_array(&json);
    }
    CHECK(json.depth == 0);
}

static void end_without_begin(void)
{
    CLEANUP_TEXT struct text text = {0};
    struct json json;
    json_begin(&json, &text);
    json_end_object(&json);
    CHECK(!text_ok(&text));
}

TEST_MAIN({"members and commas", members}, {"escapes", escapes}, {"keys are escaped", keys},
          {"nesting has a bound", nesting}, {"an end without a beginning", end_without_begin})
