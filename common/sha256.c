/* By the letter of FIPS 180-4, section 6.2; the names there are the names here. */
#include "sha256.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define BLOCK 64 /* bytes */

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t word, unsigned bits)
{
    return word >> bits | word << (32 - bits);
}

static void schedule(const uint8_t block[BLOCK], uint32_t w[64])
{
    memcpy(w, block, BLOCK);
    for (unsigned t = 0; t < 16; t++) {
        w[t] = be32toh(w[t]);
    }
    for (unsigned t = 16; t < 64; t++) {
        uint32_t s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ w[t - 15] >> 3;
        uint32_t s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
}

static void take_block(uint32_t hash[8], const uint8_t block[BLOCK])
{
    uint32_t w[64], v[8];

    schedule(block, w);
    memcpy(v, hash, sizeof v);
    for (unsigned t = 0; t < 64; t++) {
        uint32_t sum1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
        uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t t1 = v[7] + sum1 + choice + constants[t] + w[t];
        uint32_t sum0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
        uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += t1;
        v[0] = t1 + sum0 + majority;
    }
    for (unsigned i = 0; i < 8; i++) {
        hash[i] += v[i];
    }
    explicit_bzero(w, sizeof w);
}

void sha256(const void *bytes, size_t length, struct sha256 *ret)
{
    uint32_t hash[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint8_t last[2 * BLOCK] = {0};
    const uint8_t *from = bytes;
    size_t rest = length % BLOCK;
    size_t padded = rest < BLOCK - 8 ? BLOCK : 2 * BLOCK;
    uint64_t bits = htobe64((uint64_t)length * 8);

    for (size_t at = 0; at + BLOCK <= length; at += BLOCK) {
        take_block(hash, from + at);
    }
    if (rest > 0) {
        memcpy(last, from + length - rest, rest);
    }
    last[rest] = 0x80;
    memcpy(last + padded - sizeof bits, &bits, sizeof bits);
    for (size_t at = 0; at < padded; at += BLOCK) {
        take_block(hash, last + at);
    }
    explicit_bzero(last, sizeof last);
    for (unsigned i = 0; i < 8; i++) {
        uint32_t big = htobe32(hash[i]);
        memcpy(ret->bytes + 4 * i, &big, sizeof big);
    }
}

bool sha256_equal(const struct sha256 *a, const struct sha256 *b)
{
    uint8_t difference = 0;

    for (size_t i = 0; i < sizeof a->bytes; i++) {
        difference |= a->bytes[i] ^ b->bytes[i];
    }
    return difference == 0;
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
