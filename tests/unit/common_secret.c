/*
 * Secrets are wiped before their memory goes back to the heap, and never shown as JSON. The C
 * library's explicit_bzero() is replaced here by one that counts (also in the form that
 * _FORTIFY_SOURCE calls).
 */
#include "test.h"

#include "cleanup.h"
#include "json.h"
#include "wire.h"

#include <stdlib.h>

#undef explicit_bzero
void explicit_bzero(void *memory, size_t length);
void __explicit_bzero_chk(void *memory, size_t length, size_t size);

static char wiped[256];

void explicit_bzero(void *memory, size_t length)
{
    size_t used = strlen(wiped);
    snprintf(wiped + used, sizeof wiped - used, "%.*s;", (int)length, (const char *)memory);
    for (volatile char *byte = memory; length > 0; length--) {
        *byte++ = '\0';
    }
}

void __explicit_bzero_chk(void *memory, size_t length, size_t size)
{
    (void)size;
    explicit_bzero(memory, length);
}

struct login {
    char *user, *password;
    struct texts keys;
};

static const struct wire_field login_fields[] = {
    {.name = "user", .kind = WIRE_TEXT, .offset = offsetof(struct login, user), .max = 32},
    {.name = "password", .kind = WIRE_SECRET, .offset = offsetof(struct login, password), .max = 9},
    {.name = "keys",
     .kind = WIRE_SECRETS,
     .offset = offsetof(struct login, keys),
     .max = 9,
     .item_max = 9},
};
static const struct wire_record login = {"login", sizeof(struct login), login_fields,
                                         ARRAY_SIZE(login_fields)};

static struct login new_login(void)
{
    struct login body = {.user = strdup("alice"), .password = strdup("tiger")};
    body.keys.items = calloc(2, sizeof *body.keys.items);
    body.keys.count = 2;
    body.keys.items[0] = strdup("one");
    body.keys.items[1] = strdup("two");
    return body;
}

static void wiped_on_free(void)
{
    struct login body = new_login();
    wiped[0] = '\0';
    wire_free_record(&login, &body);
    CHECK_TEXT(wiped, "tiger;one;two;");
    CHECK(body.password == NULL && body.keys.items == NULL && body.keys.count == 0);
}

/* A list that decoding gave up half-way holds NULLs. */
static void half_read(void)
{
    struct login body = {.keys = {calloc(2, sizeof(char *)), 2}};
    wiped[0] = '\0';
    wire_free_record(&login, &body);
    CHECK_TEXT(wiped, "");
}

static void not_in_json(void)
{
    CLEANUP_TEXT struct text out = {0};
    struct login body = new_login();
    struct json json;
    json_begin(&json, &out);
    json_object(&json, NULL);
    wire_json(&login, &body, &json);
    json_end_object(&json);
    CHECK_TEXT(out.data, "{\"user\":\"alice\"}");
    wire_free_record(&login, &body);
}

TEST_MAIN({"secrets are wiped when they are freed", wiped_on_free},
          {"a record that was read half-way", half_read}, {"secrets are not in JSON", not_in_json})
