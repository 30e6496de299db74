/*
 * The messages of the broker protocol, version 1: ids, structs, and the table that the codec
 * works from. docs/protocol.md is the same in prose. A request is answered by any number of
 * PROGRESS or record messages (SHARE, IMAGE, ...) and then by exactly one DONE or REFUSED.
 */
#pragma once

#include "wire.h"

enum message_id {
    /* requests */
    MESSAGE_SHARE_CREATE = 1,
    MESSAGE_SHARE_LIST = 2,
    MESSAGE_SHARE_SHOW = 3,
    MESSAGE_SHARE_REMOVE = 4,
    MESSAGE_SHARE_EXTEND = 5,
    MESSAGE_SHARE_ADD = 6,
    MESSAGE_IMAGE_LIST = 7,
    MESSAGE_REAP = 8,
    MESSAGE_STATUS = 9,
    MESSAGE_SESSION_BEGIN = 10,
    MESSAGE_SESSION_END = 11,
    MESSAGE_CLIENT_RELEASE = 12,
    MESSAGE_PASSWORD_ADD = 13,
    MESSAGE_PASSWORD_REMOVE = 14,
    MESSAGE_PASSWORD_LIST = 15,
    /* answers */
    MESSAGE_DONE = 128,
    MESSAGE_REFUSED = 129,
    MESSAGE_PROGRESS = 130,
    MESSAGE_SHARE = 131,
    MESSAGE_IMAGE = 132,
    MESSAGE_STATUS_REPLY = 133,
    MESSAGE_SESSION = 134,
    MESSAGE_PASSWORD = 135,
};

#define MESSAGE_IMAGES_MAX    64
#define MESSAGE_CLIENTS_MAX   64
#define MESSAGE_LINE_MAX      2000 /* bytes of a line to type on a client */
#define MESSAGE_PASSWORD_MAX  128  /* bytes of a password */
#define MESSAGE_PASSWORDS_MAX 16   /* for images, in a request */
#define MESSAGE_TOKEN_LENGTH  64   /* hexadecimal digits of a session's token */
#define MESSAGE_LABEL_MAX     63   /* bytes of an image password's label */

/* flags of SHARE_CREATE */
#define SHARE_ALLOW_LOCAL 1u /* also serve the host's own addresses */
#define SHARE_AS_USER     2u /* as a user who asks from the requester's address */

struct message_share_create {
    char *user;
    char *password; /* the share's own; "": none */
    struct texts images;
    struct texts image_passwords;
    struct texts clients;
    struct texts protocols;
    uint64_t seconds; /* 0: the site's default lifetime */
    uint32_t flags;
    char *requester; /* the address that a web front end asks for; "" from others */
};

/* Whose share is meant, and by what right. Administrators say the user and nothing else; a web
 * front end says a password, or a token, with which the user may be empty. */
struct message_who {
    char *user, *password, *token;
    char *requester; /* as above */
};

struct message_share_user { /* SHOW, REMOVE */
    struct message_who who;
};

struct message_share_extend {
    struct message_who who;
    uint64_t seconds; /* from now */
    struct texts image_passwords;
};

struct message_share_add {
    struct message_who who;
    struct texts images;
    struct texts image_passwords;
};

struct message_session_begin {
    char *user, *password, *requester;
};

struct message_session_end {
    char *token;
};

struct message_client_release {
    char *requester;
};

struct message_password_add {
    char *path; /* of an image or a directory; "": the whole repository */
    char *label, *password;
};

struct message_password_remove {
    char *path, *label;
};

struct message_password_list {
    char *path;
};

struct message_image_list {
    char *pattern; /* fnmatch(3) on the path, or a part of it; "" for all */
};

struct message_done {
    uint32_t outcome; /* 0 done, 3 there was nothing to do: the exit status of cdss */
    char *sentence;   /* may be empty */
};

struct message_refused {
    char *field;    /* what of the request was wrong: user, password, image, image_password, client,
                       protocol, lifetime, requester, label; or "" */
    char *sentence; /* for people, one sentence */
};

struct message_progress {
    uint32_t step, steps; /* 1-based */
    char *text;           /* "mounting 3 images" */
};

struct message_share_image {
    char *path;
    char *type;     /* iso9660, squashfs, ..., raw */
    uint64_t size;  /* bytes */
    char *contents; /* the directory that shows what is inside; "" when not mounted */
    char *note;     /* why it could not be mounted; "" otherwise */
};

struct message_share_protocol {
    char *name, *title;
    char *ports;          /* "tcp/8080" or "tcp/2049 udp/2049 ..." */
    char *state;          /* "ready", or what is wrong with the server */
    uint64_t connections; /* servers or sessions started so far */
};

struct message_share_line { /* what to type on a client */
    char *protocol, *label, *text;
};

struct message_share {
    char *user, *id, *state; /* state: preparing, active, ending */
    char *requester;         /* who asked: "root (uid 0)" */
    uint64_t created, ends;  /* seconds since the epoch, for display */
    uint64_t remaining;      /* seconds by the clock that counts */
    struct texts clients;
    struct records images;    /* struct message_share_image */
    struct records protocols; /* struct message_share_protocol */
    struct records lines;     /* struct message_share_line */
};

struct message_image {
    char *path, *type;
    uint64_t size;
    uint32_t mountable;    /* its contents are shown beside it */
    uint32_t is_protected; /* a password guards it or a directory above */
};

struct message_status {
    char *version, *commit;
    uint64_t pid, started; /* s since the epoch */
    uint32_t active, preparing, ending;
    uint32_t images_mounted, ports_used;
    char *firewall, *registry; /* "ok" or what is wrong */
};

struct message_session {
    char *token;
    char *user;       /* whose share it is for */
    uint64_t seconds; /* until it ends, at the latest */
};

struct message_password { /* a line of a password file */
    uint32_t line;
    char *label;
    char *method; /* "yescrypt", ...; "": the line is none */
    char *note;   /* why it is none */
};

/* One row per message. */
struct message_row {
    uint16_t id;
    const char *name;                 /* as in docs/protocol.md */
    const struct wire_record *record; /* NULL: no fields */
};

/* NULL when the id is unknown. */
const struct message_row *message_find(uint16_t id);
extern const struct message_row message_table[];
extern const size_t message_table_size;
