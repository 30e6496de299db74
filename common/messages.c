/*
 * The tables of messages.h. A bound is as tight as what fills the field allows; in answers only the
 * texts that identify something must not be empty. The member's type is checked by the compiler.
 */
#include "messages.h"

#include "address.h"
#include "cleanup.h"
#include "parse.h"

#define SENTENCE_MAX  1000
#define PROTOCOLS_MAX 32
#define LINES_MAX     2048
#define LIFETIME_MAX  (UINT64_C(3650) * 24 * 60 * 60) /* as in parse_duration() */
#define TIME_MAX      UINT64_C(253402300799)          /* the end of the year 9999 */
#define SHARE_ID_MAX  16                              /* hexadecimal digits */
#define TYPE_MAX      15
#define CONTENTS_MAX  (IMAGE_PATH_MAX + 15)

/* The member's offset, and an error at compile time when it is not of this type. */
#define MEMBER(message, member, type)                                                              \
    (offsetof(struct message, member) +                                                            \
     0 * sizeof(struct {                                                                           \
         _Static_assert(_Generic(((struct message *)0)->member, type : 1, default : 0), #member);  \
         int unused;                                                                               \
     }))

#define NUMBER32(message, member, least, most)                                                     \
    {                                                                                              \
        .name = #member, .kind = WIRE_U32, .offset = MEMBER(message, member, uint32_t),            \
        .min = (least), .max = (most)                                                              \
    }
#define NUMBER64(message, member, least, most)                                                     \
    {                                                                                              \
        .name = #member, .kind = WIRE_U64, .offset = MEMBER(message, member, uint64_t),            \
        .min = (least), .max = (most)                                                              \
    }
#define TEXT(message, member, least, most)                                                         \
    {                                                                                              \
        .name = #member, .kind = WIRE_TEXT, .offset = MEMBER(message, member, char *),             \
        .min = (least), .max = (most)                                                              \
    }
#define SECRET(message, member, least, most)                                                       \
    {                                                                                              \
        .name = #member, .kind = WIRE_SECRET, .offset = MEMBER(message, member, char *),           \
        .min = (least), .max = (most)                                                              \
    }
#define TEXTS(message, member, least, most, item_most)                                             \
    {                                                                                              \
        .name = #member, .kind = WIRE_TEXTS, .offset = MEMBER(message, member, struct texts),      \
        .min = (least), .max = (most), .item_max = (item_most)                                     \
    }
#define SECRETS(message, member, least, most, item_most)                                           \
    {                                                                                              \
        .name = #member, .kind = WIRE_SECRETS, .offset = MEMBER(message, member, struct texts),    \
        .min = (least), .max = (most), .item_max = (item_most)                                     \
    }
#define RECORDS(message, member, inner, least, most)                                               \
    {                                                                                              \
        .name = #member, .kind = WIRE_RECORDS, .offset = MEMBER(message, member, struct records),  \
        .min = (least), .max = (most), .record = &(inner)                                          \
    }
#define RECORD(message)                                                                            \
    {                                                                                              \
#message, sizeof(struct message), message##_fields, ARRAY_SIZE(message##_fields)           \
    }

/* The four fields of a struct message_who that a message begins with. */
#define WHO(message)                                                                               \
    {.name = "user",                                                                               \
     .kind = WIRE_TEXT,                                                                            \
     .offset = MEMBER(message, who.user, char *),                                                  \
     .max = USER_NAME_MAX},                                                                        \
        {.name = "password",                                                                       \
         .kind = WIRE_SECRET,                                                                      \
         .offset = MEMBER(message, who.password, char *),                                          \
         .max = MESSAGE_PASSWORD_MAX},                                                             \
        {.name = "token",                                                                          \
         .kind = WIRE_SECRET,                                                                      \
         .offset = MEMBER(message, who.token, char *),                                             \
         .max = MESSAGE_TOKEN_LENGTH},                                                             \
    {                                                                                              \
        .name = "requester", .kind = WIRE_TEXT, .offset = MEMBER(message, who.requester, char *),  \
        .max = PREFIX_TEXT_SIZE - 1                                                                \
    }

static const struct wire_field message_share_create_fields[] = {
    TEXT(message_share_create, user, 1, USER_NAME_MAX),
    SECRET(message_share_create, password, 0, MESSAGE_PASSWORD_MAX),
    TEXTS(message_share_create, images, 1, MESSAGE_IMAGES_MAX, IMAGE_PATH_MAX),
    SECRETS(message_share_create, image_passwords, 0, MESSAGE_PASSWORDS_MAX, MESSAGE_PASSWORD_MAX),
    TEXTS(message_share_create, clients, 1, MESSAGE_CLIENTS_MAX, PREFIX_TEXT_SIZE - 1),
    TEXTS(message_share_create, protocols, 1, PROTOCOLS_MAX, PROTOCOL_NAME_MAX),
    NUMBER64(message_share_create, seconds, 0, LIFETIME_MAX),
    NUMBER32(message_share_create, flags, 0, SHARE_ALLOW_LOCAL | SHARE_AS_USER),
    TEXT(message_share_create, requester, 0, PREFIX_TEXT_SIZE - 1),
};
static const struct wire_record share_create = RECORD(message_share_create);

static const struct wire_field message_share_user_fields[] = {WHO(message_share_user)};
static const struct wire_record share_user = RECORD(message_share_user);

static const struct wire_field message_share_extend_fields[] = {
    WHO(message_share_extend),
    NUMBER64(message_share_extend, seconds, 1, LIFETIME_MAX),
    SECRETS(message_share_extend, image_passwords, 0, MESSAGE_PASSWORDS_MAX, MESSAGE_PASSWORD_MAX),
};
static const struct wire_record share_extend = RECORD(message_share_extend);

static const struct wire_field message_share_add_fields[] = {
    WHO(message_share_add),
    TEXTS(message_share_add, images, 1, MESSAGE_IMAGES_MAX, IMAGE_PATH_MAX),
    SECRETS(message_share_add, image_passwords, 0, MESSAGE_PASSWORDS_MAX, MESSAGE_PASSWORD_MAX),
};
static const struct wire_record share_add = RECORD(message_share_add);

static const struct wire_field message_session_begin_fields[] = {
    TEXT(message_session_begin, user, 1, USER_NAME_MAX),
    SECRET(message_session_begin, password, 1, MESSAGE_PASSWORD_MAX),
    TEXT(message_session_begin, requester, 0, PREFIX_TEXT_SIZE - 1),
};
static const struct wire_record session_begin = RECORD(message_session_begin);

static const struct wire_field message_session_end_fields[] = {
    SECRET(message_session_end, token, 1, MESSAGE_TOKEN_LENGTH),
};
static const struct wire_record session_end = RECORD(message_session_end);

static const struct wire_field message_client_release_fields[] = {
    TEXT(message_client_release, requester, 1, PREFIX_TEXT_SIZE - 1),
};
static const struct wire_record client_release = RECORD(message_client_release);

static const struct wire_field message_password_add_fields[] = {
    TEXT(message_password_add, path, 0, IMAGE_PATH_MAX),
    TEXT(message_password_add, label, 0, MESSAGE_LABEL_MAX),
    SECRET(message_password_add, password, 1, MESSAGE_PASSWORD_MAX),
};
static const struct wire_record password_add = RECORD(message_password_add);

static const struct wire_field message_password_remove_fields[] = {
    TEXT(message_password_remove, path, 0, IMAGE_PATH_MAX),
    TEXT(message_password_remove, label, 0, MESSAGE_LABEL_MAX),
};
static const struct wire_record password_remove = RECORD(message_password_remove);

static const struct wire_field message_password_list_fields[] = {
    TEXT(message_password_list, path, 0, IMAGE_PATH_MAX),
};
static const struct wire_record password_list = RECORD(message_password_list);

static const struct wire_field message_image_list_fields[] = {
    TEXT(message_image_list, pattern, 0, IMAGE_PATH_MAX),
};
static const struct wire_record image_list = RECORD(message_image_list);

static const struct wire_field message_done_fields[] = {
    NUMBER32(message_done, outcome, 0, 3),
    TEXT(message_done, sentence, 0, SENTENCE_MAX),
};
static const struct wire_record done = RECORD(message_done);

static const struct wire_field message_refused_fields[] = {
    TEXT(message_refused, field, 0, 15),
    TEXT(message_refused, sentence, 1, SENTENCE_MAX),
};
static const struct wire_record refused = RECORD(message_refused);

static const struct wire_field message_progress_fields[] = {
    NUMBER32(message_progress, step, 1, 1000),
    NUMBER32(message_progress, steps, 1, 1000),
    TEXT(message_progress, text, 0, SENTENCE_MAX),
};
static const struct wire_record progress = RECORD(message_progress);

static const struct wire_field message_share_image_fields[] = {
    TEXT(message_share_image, path, 1, IMAGE_PATH_MAX),
    TEXT(message_share_image, type, 0, TYPE_MAX),
    NUMBER64(message_share_image, size, 0, UINT64_MAX),
    TEXT(message_share_image, contents, 0, CONTENTS_MAX),
    TEXT(message_share_image, note, 0, SENTENCE_MAX),
};
static const struct wire_record share_image = RECORD(message_share_image);

static const struct wire_field message_share_protocol_fields[] = {
    TEXT(message_share_protocol, name, 1, PROTOCOL_NAME_MAX),
    TEXT(message_share_protocol, title, 0, 31),
    TEXT(message_share_protocol, ports, 0, 127),
    TEXT(message_share_protocol, state, 0, SENTENCE_MAX),
    NUMBER64(message_share_protocol, connections, 0, UINT64_MAX),
};
static const struct wire_record share_protocol = RECORD(message_share_protocol);

static const struct wire_field message_share_line_fields[] = {
    TEXT(message_share_line, protocol, 1, PROTOCOL_NAME_MAX),
    TEXT(message_share_line, label, 0, 63),
    TEXT(message_share_line, text, 0, MESSAGE_LINE_MAX),
};
static const struct wire_record share_line = RECORD(message_share_line);

static const struct wire_field message_share_fields[] = {
    TEXT(message_share, user, 1, USER_NAME_MAX),
    TEXT(message_share, id, SHARE_ID_MAX, SHARE_ID_MAX),
    TEXT(message_share, state, 1, 15),
    TEXT(message_share, requester, 0, 63),
    NUMBER64(message_share, created, 0, TIME_MAX),
    NUMBER64(message_share, ends, 0, TIME_MAX),
    NUMBER64(message_share, remaining, 0, LIFETIME_MAX),
    TEXTS(message_share, clients, 0, MESSAGE_CLIENTS_MAX, PREFIX_TEXT_SIZE - 1),
    RECORDS(message_share, images, share_image, 0, MESSAGE_IMAGES_MAX),
    RECORDS(message_share, protocols, share_protocol, 0, PROTOCOLS_MAX),
    RECORDS(message_share, lines, share_line, 0, LINES_MAX),
};
static const struct wire_record share = RECORD(message_share);

static const struct wire_field message_image_fields[] = {
    TEXT(message_image, path, 1, IMAGE_PATH_MAX), TEXT(message_image, type, 0, TYPE_MAX),
    NUMBER64(message_image, size, 0, UINT64_MAX), NUMBER32(message_image, mountable, 0, 1),
    NUMBER32(message_image, is_protected, 0, 1),
};
static const struct wire_record image = RECORD(message_image);

static const struct wire_field message_status_fields[] = {
    TEXT(message_status, version, 1, 63),
    TEXT(message_status, commit, 0, 63),
    NUMBER64(message_status, pid, 1, INT32_MAX),
    NUMBER64(message_status, started, 0, TIME_MAX),
    NUMBER32(message_status, active, 0, UINT32_MAX),
    NUMBER32(message_status, preparing, 0, UINT32_MAX),
    NUMBER32(message_status, ending, 0, UINT32_MAX),
    NUMBER32(message_status, images_mounted, 0, UINT32_MAX),
    NUMBER32(message_status, ports_used, 0, 65535),
    TEXT(message_status, firewall, 1, SENTENCE_MAX),
    TEXT(message_status, registry, 1, SENTENCE_MAX),
};
static const struct wire_record status_reply = RECORD(message_status);

static const struct wire_field message_session_fields[] = {
    SECRET(message_session, token, MESSAGE_TOKEN_LENGTH, MESSAGE_TOKEN_LENGTH),
    TEXT(message_session, user, 1, USER_NAME_MAX),
    NUMBER64(message_session, seconds, 0, LIFETIME_MAX),
};
static const struct wire_record session = RECORD(message_session);

static const struct wire_field message_password_fields[] = {
    NUMBER32(message_password, line, 1, UINT32_MAX),
    TEXT(message_password, label, 0, MESSAGE_LABEL_MAX),
    TEXT(message_password, method, 0, 31),
    TEXT(message_password, note, 0, SENTENCE_MAX),
};
static const struct wire_record password = RECORD(message_password);

const struct message_row message_table[] = {
    {MESSAGE_SHARE_CREATE, "SHARE_CREATE", &share_create},
    {MESSAGE_SHARE_LIST, "SHARE_LIST", NULL},
    {MESSAGE_SHARE_SHOW, "SHARE_SHOW", &share_user},
    {MESSAGE_SHARE_REMOVE, "SHARE_REMOVE", &share_user},
    {MESSAGE_SHARE_EXTEND, "SHARE_EXTEND", &share_extend},
    {MESSAGE_SHARE_ADD, "SHARE_ADD", &share_add},
    {MESSAGE_IMAGE_LIST, "IMAGE_LIST", &image_list},
    {MESSAGE_REAP, "REAP", NULL},
    {MESSAGE_STATUS, "STATUS", NULL},
    {MESSAGE_SESSION_BEGIN, "SESSION_BEGIN", &session_begin},
    {MESSAGE_SESSION_END, "SESSION_END", &session_end},
    {MESSAGE_CLIENT_RELEASE, "CLIENT_RELEASE", &client_release},
    {MESSAGE_PASSWORD_ADD, "PASSWORD_ADD", &password_add},
    {MESSAGE_PASSWORD_REMOVE, "PASSWORD_REMOVE", &password_remove},
    {MESSAGE_PASSWORD_LIST, "PASSWORD_LIST", &password_list},
    {MESSAGE_DONE, "DONE", &done},
    {MESSAGE_REFUSED, "REFUSED", &refused},
    {MESSAGE_PROGRESS, "PROGRESS", &progress},
    {MESSAGE_SHARE, "SHARE", &share},
    {MESSAGE_IMAGE, "IMAGE", &image},
    {MESSAGE_STATUS_REPLY, "STATUS_REPLY", &status_reply},
    {MESSAGE_SESSION, "SESSION", &session},
    {MESSAGE_PASSWORD, "PASSWORD", &password},
};
const size_t message_table_size = ARRAY_SIZE(message_table);

const struct message_row *message_find(uint16_t id)
{
    for (size_t i = 0; i < message_table_size; i++) {
        if (message_table[i].id == id) {
            return &message_table[i];
        }
    }
    return NULL;
}
