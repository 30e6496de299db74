/* Any file as cdss.conf: it is taken or refused with an error that can be shown, and what is taken
 * keeps the promises of settings.h. */
#include "escape.h"
#include "settings.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One line of valid UTF-8 without control characters, with the place in front. */
static void check_error(const struct conf_error *error)
{
    size_t length = strnlen(error->text, sizeof error->text);
    REQUIRE(length < sizeof error->text && strncmp(error->text, "cdss.conf:", 10) == 0);
    for (size_t at = 0; at < length;) {
        uint32_t code = 0;
        size_t taken = escape_utf8(error->text + at, length - at, &code);
        REQUIRE(taken > 0 && code >= 0x20 && code != 0x7f);
        at += taken;
    }
}

static void check_settings(const struct settings *settings)
{
    REQUIRE(settings->images[0] == '/' && settings->shares[0] == '/' && settings->root[0] == '/');
    REQUIRE(strlen(settings->socket) <= 107);
    REQUIRE(settings->ports.first <= settings->ports.last && settings->ports.first >= 1024);
    REQUIRE(settings->passive.first <= settings->passive.last);
    REQUIRE(settings->mark_prefix >= 1 && settings->mark_prefix <= 255);
    REQUIRE(settings->n_public_ports <= SETTINGS_LIST_MAX);
    REQUIRE(settings->networks.count <= SETTINGS_LIST_MAX);
    REQUIRE(settings->protocols.count >= 1 && settings->protocols.count <= SETTINGS_LIST_MAX);
    REQUIRE(settings->lifetime >= 1);
    REQUIRE(settings->max_images >= 1 && settings->max_clients >= 1);
    REQUIRE((uint64_t)settings->uid_first +
                (uint64_t)settings_uid_blocks(settings) * settings->uid_per_share <
            UINT32_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct settings settings;
    struct conf_error error = {""};
    if (settings_parse("cdss.conf", (const char *)data, size, &settings, &error) == 0) {
        check_settings(&settings);
    } else {
        check_error(&error);
    }
    return 0;
}
