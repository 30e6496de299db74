/* The examples of NIST, and every length around a block's end against another implementation. */
#include "sha256.h"

#include "cleanup.h"
#include "test.h"

#include <errno.h>

static void examples(void)
{
    static const struct {
        const char *bytes, *hash;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct sha256 hash;
        char text[SHA256_TEXT_SIZE];
        sha256(cases[i].bytes, strlen(cases[i].bytes), &hash);
        sha256_format(&hash, text);
        CHECK_TEXT(text, cases[i].hash);
    }
}

/* One hash over those of all lengths; what it must be was calculated with Python's hashlib. */
static void lengths(void)
{
    uint8_t bytes[200];
    struct sha256 all[sizeof bytes], hash;
    char text[SHA256_TEXT_SIZE];

    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 7 + 3);
    }
    for (size_t length = 0; length < sizeof bytes; length++) {
        sha256(bytes, length, &all[length]);
    }
    sha256(all, sizeof all, &hash);
    sha256_format(&hash, text);
    CHECK_TEXT(text, "615d67a99b8c846e1f0582dfe127019e93c33a66e89ced6a4f81f932c82ece87");
}

static void there_and_back(void)
{
    struct sha256 a, b;
    char text[SHA256_TEXT_SIZE + 1];

    sha256("abc", 3, &a);
    sha256_format(&a, text);
    CHECK(sha256_parse(text, &b) == 0 && sha256_equal(&a, &b));
    for (size_t i = 0; i < sizeof b.bytes; i++) {
        b.bytes[i] ^= 1;
        CHECK(!sha256_equal(&a, &b));
        b.bytes[i] ^= 1;
    }
    text[3] = 'A';
    CHECK(sha256_parse(text, &b) == -EINVAL);
    text[3] = 'g';
    CHECK(sha256_parse(text, &b) == -EINVAL);
    text[3] = '0';
    text[64] = '0';
    text[65] = '\0';
    CHECK(sha256_parse(text, &b) == -EINVAL);
    text[63] = '\0';
    CHECK(sha256_parse(text, &b) == -EINVAL);
    CHECK(sha256_parse("", &b) == -EINVAL);
}

TEST_MAIN({"the examples of NIST", examples}, {"every length around the ends of blocks", lengths},
          {"as text and back", there_and_back})
