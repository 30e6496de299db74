/* A record as JSON: every kind of field, the commas between them, and bytes that are not text. */
#include "test.h"

#include "cleanup.h"
#include "json.h"
#include "messages.h"

#define TEXT(string) ((char[]){string})

static void check_json(uint16_t id, const void *body, const char *want)
{
    CLEANUP_TEXT struct text out = {0};
    struct json json;
    json_begin(&json, &out);
    json_object(&json, NULL);
    wire_json(message_find(id)->record, body, &json);
    json_end_object(&json);
    CHECK(text_ok(&out));
    CHECK_TEXT(out.data, want);
}

static void every_kind(void)
{
    struct message_share_image images[] = {
        {.path = TEXT("linux/a.iso"),
         .type = TEXT("iso9660"),
         .size = 5000000000u,
         .contents = TEXT("linux/a"),
         .note = TEXT("")},
        {.path = TEXT("b\"\\\xff\n.bin"), .type = TEXT("raw"), .size = 1}};
    struct message_share_protocol protocols[] = {{.name = TEXT("http"),
                                                  .title = TEXT("HTTP"),
                                                  .ports = TEXT("tcp/8080"),
                                                  .state = TEXT("ready"),
                                                  .connections = 3}};
    struct message_share share = {.user = TEXT("alice"),
                                  .id = TEXT("0123456789abcdef"),
                                  .state = TEXT("active"),
                                  .requester = TEXT("root (uid 0)"),
                                  .created = 1,
                                  .ends = 86401,
                                  .remaining = 86400,
                                  .clients = {(char *[]){TEXT("10.0.0.1"), TEXT("fd00::/64")}, 2},
                                  .images = {images, ARRAY_SIZE(images)},
                                  .protocols = {protocols, ARRAY_SIZE(protocols)}};
    check_json(MESSAGE_SHARE, &share,
               "{\"user\":\"alice\",\"id\":\"0123456789abcdef\",\"state\":\"active\","
               "\"requester\":\"root (uid 0)\",\"created\":1,\"ends\":86401,\"remaining\":86400,"
               "\"clients\":[\"10.0.0.1\",\"fd00::/64\"],"
               "\"images\":[{\"path\":\"linux/a.iso\",\"type\":\"iso9660\",\"size\":5000000000,"
               "\"contents\":\"linux/a\",\"note\":\"\"},"
               "{\"path\":\"b\\\"\\\\\xef\xbf\xbd\\n.bin\",\"type\":\"raw\",\"size\":1,"
               "\"contents\":\"\",\"note\":\"\"}],"
               "\"protocols\":[{\"name\":\"http\",\"title\":\"HTTP\",\"ports\":\"tcp/8080\","
               "\"state\":\"ready\",\"connections\":3}],\"lines\":[]}");
}

static void inside_an_object(void)
{
    CLEANUP_TEXT struct text out = {0};
    struct message_done done = {.outcome = 3, .sentence = TEXT("nothing")};
    struct json json;
    json_begin(&json, &out);
    json_object(&json, NULL);
    json_number(&json, "before", 1);
    wire_json(message_find(MESSAGE_DONE)->record, &done, &json);
    json_number(&json, "after", 2);
    json_end_object(&json);
    CHECK_TEXT(out.data, "{\"before\":1,\"outcome\":3,\"sentence\":\"nothing\",\"after\":2}");
}

TEST_MAIN({"every kind of field", every_kind}, {"between other members", inside_an_object})
