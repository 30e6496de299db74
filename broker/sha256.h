/*
 * SHA-256 (FIPS 180-4, by libnettle) of some bytes that are in memory: what is kept of a session's
 * token. Not for passwords, which need a slow hash.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sha256 {
    uint8_t bytes[32];
};

#define SHA256_TEXT_SIZE 65 /* 64 hexadecimal digits and NUL */

void sha256(const void *bytes, size_t length, struct sha256 *ret);

/* The same whether they differ at the first byte or the last. */
bool sha256_equal(const struct sha256 *a, const struct sha256 *b);

void sha256_format(const struct sha256 *hash, char text[SHA256_TEXT_SIZE]);
/* 64 digits in lower case. 0 or -EINVAL. */
int sha256_parse(const char *text, struct sha256 *ret);
