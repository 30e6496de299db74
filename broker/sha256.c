#include "sha256.h"

#include <errno.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <string.h>

void sha256(const void *bytes, size_t length, struct sha256 *ret)
{
    struct sha256_ctx context;

    sha256_init(&context);
    sha256_update(&context, length, bytes);
    sha256_digest(&context, sizeof ret->bytes, ret->bytes);
    explicit_bzero(&context, sizeof context);
}

bool sha256_equal(const struct sha256 *a, const struct sha256 *b)
{
    return memeql_sec(a->bytes, b->bytes, sizeof a->bytes) != 0;
}

void sha256_format(const struct sha256 *hash, char text[SHA256_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < sizeof hash->bytes; i++) {
        text[2 * i] = digits[hash->bytes[i] >> 4];
        text[2 * i + 1] = digits[hash->bytes[i] & 15];
    }
    text[SHA256_TEXT_SIZE - 1] = '\0';
}

static int digit(char byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

int sha256_parse(const char *text, struct sha256 *ret)
{
    struct sha256 hash;

    if (strnlen(text, SHA256_TEXT_SIZE) != SHA256_TEXT_SIZE - 1) {
        return -EINVAL;
    }
    for (size_t i = 0; i < sizeof hash.bytes; i++) {
        int high = digit(text[2 * i]);
        int low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return -EINVAL;
        }
        hash.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *ret = hash;
    return 0;
}
