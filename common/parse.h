/*
 * The only way for untrusted scalars to come in. Each parser takes bytes (no NUL needed) and gives
 * a type of its own, or a negative errno and in *ret_why a constant phrase that finishes the
 * sentence "The user name "x" ...": "is longer than 32 bytes". ret_why may be NULL. Nothing is
 * returned on failure.
 */
#pragma once

#include "address.h"

#include <stddef.h>
#include <stdint.h>

#define USER_NAME_MAX     32
#define IMAGE_PATH_MAX    1023
#define PROTOCOL_NAME_MAX 15

/* A share's user name: 1 to 32 of A-Z a-z 0-9 . _ - @, the first a letter or digit. */
struct user_name {
    char text[USER_NAME_MAX + 1];
};

/* An image's path in the repository: relative, components of 1 to 255 bytes joined by single '/',
 * none "." or "..", none named .passwd or ending in .passwd, no control characters (bytes 0 to 31
 * and 127: servers and clients lose them on the way); any other bytes are fine, UTF-8 or not. */
struct image_path {
    char text[IMAGE_PATH_MAX + 1];
};

/* A protocol's name as in templates/: 1 to 15 of a-z 0-9 -, the first a letter. */
struct protocol_name {
    char text[PROTOCOL_NAME_MAX + 1];
};

int parse_user(const char *text, size_t length, struct user_name *ret, const char **ret_why);
int parse_image_path(const char *text, size_t length, struct image_path *ret, const char **ret_why);
int parse_protocol(const char *text, size_t length, struct protocol_name *ret,
                   const char **ret_why);

/* A client's address or network ("10.0.0.1", "10.0.0.0/24", "fd00::/64"), canonical: mapped IPv4
 * unmapped first; refused are zones, host bits set, prefix length 0, and the addresses that no
 * client can have: unspecified, loopback, link-local, multicast, broadcast, reserved
 * (RFC 6890). What is refused for reasons of policy is not decided here. */
int parse_client(const char *text, size_t length, struct prefix *ret, const char **ret_why);

/* Any address or network, for configuration: only syntax and host bits are checked. */
int parse_prefix(const char *text, size_t length, struct prefix *ret, const char **ret_why);

/* Decimal digits only, min <= value <= max. */
int parse_number(const char *text, size_t length, uint64_t min, uint64_t max, uint64_t *ret,
                 const char **ret_why);

/* 90s, 45m, 24h or 3d, in seconds, 1 s to 3650 d; "0" is accepted only with `zero`. */
int parse_duration(const char *text, size_t length, int zero, uint64_t *ret_seconds,
                   const char **ret_why);
