/* parse.h: what comes in, and above all what does not. */
#include "test.h"

#include "cleanup.h"
#include "parse.h"

#include <errno.h>

#define BYTES(text) (text), sizeof(text) - 1

struct bytes_case {
    const char *bytes;
    size_t length;
};

#define CASE(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

#define A8   "aaaaaaaa"
#define A32  A8 A8 A8 A8
#define A64  A32 A32
#define A256 A64 A64 A64 A64

static void users(void)
{
    static const struct bytes_case good[] = {CASE("a"), CASE("0"),   CASE("Alice.B_c-d@e"),
                                             CASE(A32), CASE("a.."), CASE("9@")};
    static const struct bytes_case bad[] = {
        CASE(""),    CASE(A32 "a"), CASE(".a"),  CASE("-rf"),      CASE("_a"),    CASE("@a"),
        CASE("a b"), CASE("a/b"),   CASE("a\n"), CASE("a\0b"),     CASE("\0"),    CASE("a%s"),
        CASE("a;b"), CASE("a'b"),   CASE("a{"),  CASE("\xc3\xa9"), CASE("a\xff"), CASE("a$(b)")};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct user_name user;
        memset(&user, 'x', sizeof user);
        CHECK(parse_user(good[i].bytes, good[i].length, &user, NULL) == 0);
        CHECK_TEXT(user.text, good[i].bytes);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct user_name user = {"kept"};
        const char *why = NULL;
        CHECK(parse_user(bad[i].bytes, bad[i].length, &user, &why) == -EINVAL);
        CHECK(why != NULL && why[0] != '\0');
        CHECK_TEXT(user.text, "kept");
    }
    struct user_name user;
    const char *why = NULL;
    CHECK(parse_user(BYTES(A32 "a"), &user, &why) == -EINVAL);
    CHECK_TEXT(why, "is longer than 32 bytes");
    CHECK(parse_user("abc", 2, &user, NULL) == 0); /* the length decides, not a NUL */
    CHECK_TEXT(user.text, "ab");
}

static void protocols(void)
{
    static const struct bytes_case good[] = {CASE("a"), CASE("http"), CASE("x-1"),
                                             CASE("abcdefghijklmno")};
    static const struct bytes_case bad[] = {CASE(""),     CASE("abcdefghijklmnop"),
                                            CASE("1a"),   CASE("-a"),
                                            CASE("HTTP"), CASE("a/b"),
                                            CASE("a_b"),  CASE("../x"),
                                            CASE("a\0"),  CASE("a b"),
                                            CASE("."),    CASE("\xc3\xa9")};
    struct protocol_name name = {"kept"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CHECK(parse_protocol(bad[i].bytes, bad[i].length, &name, NULL) == -EINVAL);
        CHECK_TEXT(name.text, "kept");
    }
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        CHECK(parse_protocol(good[i].bytes, good[i].length, &name, NULL) == 0);
        CHECK_TEXT(name.text, good[i].bytes);
    }
}

static void image_paths(void)
{
    static const struct bytes_case good[] = {CASE("a"),
                                             CASE("linux/debian-12.iso"),
                                             CASE("a b/\xc3\xa9\xff~.iso"),
                                             CASE("a\x80/\xc2\x85\xa0z"),
                                             CASE("..."),
                                             CASE(".a/b."),
                                             CASE("..a/a.."),
                                             CASE("passwd"),
                                             CASE(".passwd.iso"),
                                             CASE(".passwdx/a"),
                                             CASE("a.PASSWD"),
                                             CASE("{{image}}/%s;$(x)"),
                                             CASE(A64 A64 A64 A32 A8 A8 A8 "1234567")};
    static const struct bytes_case bad[] = {
        CASE(""),          CASE("/"),           CASE("/a"),           CASE("a/"),
        CASE("a//b"),      CASE("."),           CASE(".."),           CASE("./a"),
        CASE("../a"),      CASE("a/."),         CASE("a/.."),         CASE("a/../b"),
        CASE("a/./b"),     CASE("a\0b"),        CASE("a/\0"),         CASE(".passwd"),
        CASE("a/.passwd"), CASE(".passwd/a"),   CASE("a.iso.passwd"), CASE("a.passwd/b"),
        CASE(A256),        CASE("a/" A256 "/b")};
    static struct image_path path;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        memset(&path, 'x', sizeof path);
        CHECK(parse_image_path(good[i].bytes, good[i].length, &path, NULL) == 0);
        CHECK_TEXT(path.text, good[i].bytes);
    }
    memcpy(path.text, "kept", 5);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        const char *why = NULL;
        CHECK(parse_image_path(bad[i].bytes, bad[i].length, &path, &why) == -EINVAL);
        CHECK(why != NULL);
        CHECK_TEXT(path.text, "kept");
    }
}

/* Each byte by itself: in the middle of a name it is refused, or comes back as it was. */
static void control_characters(void)
{
    static struct image_path path;
    for (int byte = 0; byte < 256; byte++) {
        char text[] = {'d', '/', 'a', (char)byte, 'b'};
        const char *why = NULL;
        int result = parse_image_path(text, sizeof text, &path, &why);
        if (byte < 32 || byte == 127) {
            CHECK(result == -EINVAL);
            CHECK_TEXT(why, "holds a control character, which no protocol can name");
        } else {
            CHECK(result == 0 && memcmp(path.text, text, sizeof text) == 0);
        }
    }
}

static void long_paths(void)
{
    static char text[IMAGE_PATH_MAX + 1];
    static struct image_path path;
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = i % 200 == 199 ? '/' : 'a';
    }
    const char *why = NULL;
    CHECK(parse_image_path(text, IMAGE_PATH_MAX, &path, NULL) == 0);
    CHECK(strlen(path.text) == IMAGE_PATH_MAX);
    CHECK(parse_image_path(text, IMAGE_PATH_MAX + 1, &path, &why) == -EINVAL);
    CHECK_TEXT(why, "is longer than 1023 bytes");
}

/* Text, and its canonical form or NULL when it is refused. */
struct prefix_case {
    const char *bytes;
    size_t length;
    const char *want;
};

#define PREFIX(text, want)                                                                         \
    {                                                                                              \
        text, sizeof(text) - 1, want                                                               \
    }

static void check_prefix(const struct prefix_case *test,
                         int (*parse)(const char *, size_t, struct prefix *, const char **))
{
    struct prefix prefix, kept;
    memset(&prefix, 0x55, sizeof prefix);
    kept = prefix;
    const char *why = NULL;
    int result = parse(test->bytes, test->length, &prefix, &why);
    if (test->want == NULL) {
        CHECK(result == -EINVAL && why != NULL);
        CHECK(memcmp(&prefix, &kept, sizeof prefix) == 0);
        if (result == 0) {
            printf("# taken: %s\n", test->bytes);
        }
        return;
    }
    CHECK(result == 0 && why == NULL);
    char text[PREFIX_TEXT_SIZE] = "(refused)";
    if (result == 0) {
        prefix_format(&prefix, text);
    }
    CHECK_TEXT(text, test->want);
}

static void prefixes(void)
{
    static const struct prefix_case cases[] = {
        PREFIX("10.0.0.1", "10.0.0.1"),
        PREFIX("10.0.0.1/32", "10.0.0.1"),
        PREFIX("10.0.0.0/8", "10.0.0.0/8"),
        PREFIX("0.0.0.0/0", "0.0.0.0/0"),
        PREFIX("127.0.0.0/8", "127.0.0.0/8"),
        PREFIX("::/0", "::/0"),
        PREFIX("::1", "::1"),
        PREFIX("FD00::1", "fd00::1"),
        PREFIX("fd00:0:0:0:0:0:0:1/128", "fd00::1"),
        PREFIX("::ffff:10.0.0.1", "10.0.0.1"),
        PREFIX("::ffff:a00:1/128", "10.0.0.1"),
        PREFIX("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        PREFIX("::ffff:0:0/96", "0.0.0.0/0"),
        PREFIX("::ffff:0:0/95", NULL),
        PREFIX("::ffff:10.0.0.0/95", NULL),
        PREFIX("::ffff:10.0.0.1/104", NULL),
        PREFIX("::ffff:10.0.0.1/32", NULL),
        PREFIX("", NULL),
        PREFIX(" 10.0.0.1", NULL),
        PREFIX("10.0.0.1 ", NULL),
        PREFIX("10.0.0.1\n", NULL),
        PREFIX("10.0.0.1\0", NULL),
        PREFIX("10.0.0.1/3\0"
               "2",
               NULL),
        PREFIX("10.0.0", NULL),
        PREFIX("10.1", NULL),
        PREFIX("167772161", NULL),
        PREFIX("0x0a.0.0.1", NULL),
        PREFIX("010.0.0.1", NULL),
        PREFIX("10.0.0.256", NULL),
        PREFIX("10.0.0.1.", NULL),
        PREFIX("10.0.0.1/", NULL),
        PREFIX("10.0.0.1/33", NULL),
        PREFIX("10.0.0.1/032", NULL),
        PREFIX("10.0.0.1/+32", NULL),
        PREFIX("10.0.0.1/-1", NULL),
        PREFIX("10.0.0.1/32/32", NULL),
        PREFIX("10.0.0.1/4294967328", NULL),
        PREFIX("10.0.0.0/00", NULL),
        PREFIX("10.0.0.1/255.255.255.255", NULL),
        PREFIX("10.0.0.1/24", NULL),
        PREFIX("10.128.0.0/8", NULL),
        PREFIX("128.0.0.0/0", NULL),
        PREFIX("fd00::/129", NULL),
        PREFIX("fd00::1/64", NULL),
        PREFIX("fd00::8000:0:0:0/64", NULL), /* the bit right behind */
        PREFIX("fd00:::1", NULL),
        PREFIX("[fd00::1]", NULL),
        PREFIX("fd00::1%eth0", NULL),
        PREFIX("fe80::1%1", NULL),
        PREFIX("fd00::12345", NULL),
        PREFIX("localhost", NULL),
        PREFIX("/8", NULL),
        PREFIX(A256, NULL),
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        check_prefix(&cases[i], parse_prefix);
    }
}

static void clients(void)
{
    static const struct prefix_case cases[] = {
        PREFIX("10.0.0.1", "10.0.0.1"),
        PREFIX("10.0.0.0/24", "10.0.0.0/24"),
        PREFIX("192.168.0.0/16", "192.168.0.0/16"),
        PREFIX("100.64.0.1", "100.64.0.1"),
        PREFIX("8.8.8.8", "8.8.8.8"),
        PREFIX("1.0.0.0", "1.0.0.0"),
        PREFIX("126.255.255.255", "126.255.255.255"),
        PREFIX("128.0.0.1", "128.0.0.1"),
        PREFIX("223.255.255.255", "223.255.255.255"),
        PREFIX("fd00::/64", "fd00::/64"),
        PREFIX("2001:4860::8888", "2001:4860::8888"),
        PREFIX("64:ff9b::808:808", "64:ff9b::808:808"),
        PREFIX("::ffff:10.0.0.1", "10.0.0.1"),
        PREFIX("0.0.0.0", NULL),
        PREFIX("0.0.0.0/0", NULL),
        PREFIX("0.1.2.3", NULL),
        PREFIX("0.0.0.0/1", NULL),
        PREFIX("64.0.0.0/2", NULL), /* holds 127.0.0.0/8 */
        PREFIX("127.0.0.1", NULL),
        PREFIX("127.255.255.254", NULL),
        PREFIX("126.0.0.0/7", NULL),
        PREFIX("169.254.1.1", NULL),
        PREFIX("169.254.0.0/16", NULL),
        PREFIX("168.0.0.0/6", NULL),
        PREFIX("192.0.0.1", NULL),
        PREFIX("224.0.0.1", NULL),
        PREFIX("239.255.255.255", NULL),
        PREFIX("240.0.0.1", NULL),
        PREFIX("255.255.255.255", NULL),
        PREFIX("192.0.0.0/2", NULL),
        PREFIX("::", NULL),
        PREFIX("::/0", NULL),
        PREFIX("::1", NULL),
        PREFIX("::/127", NULL),
        PREFIX("::10.0.0.1", NULL), /* IPv4-compatible, RFC 4291 2.5.5.1: deprecated */
        PREFIX("::ffff:127.0.0.1", NULL),
        PREFIX("::ffff:0.0.0.0/96", NULL),
        PREFIX("::ffff:255.255.255.255", NULL),
        PREFIX("::fffe:0:0/95", NULL), /* holds all mapped addresses */
        PREFIX("::/64", NULL),
        PREFIX("100::1", NULL),
        PREFIX("fe80::1", NULL),
        PREFIX("febf::1", NULL),
        PREFIX("fe80::1%lo", NULL),
        PREFIX("fe00::/8", NULL),
        PREFIX("ff02::1", NULL),
        PREFIX("ff00::/8", NULL),
        PREFIX("8000::/1", NULL),
        PREFIX("10.0.0.1/24", NULL),
        PREFIX("10.0.0.1\0", NULL),
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        check_prefix(&cases[i], parse_client);
    }
}

/* Each length of both families, formatted and read again. */
static void round_trip(void)
{
    for (unsigned family = 0; family < 2; family++) {
        for (unsigned length = 0; length <= (family == 0 ? 32u : 128u); length++) {
            struct prefix prefix = {.address.family = family == 0 ? AF_INET : AF_INET6,
                                    .length = (uint8_t)length};
            for (unsigned bit = 0; bit < length; bit++) {
                prefix.address.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
            }
            char text[PREFIX_TEXT_SIZE];
            struct prefix back = {0};
            prefix_format(&prefix, text);
            CHECK(parse_prefix(text, strlen(text), &back, NULL) == 0);
            CHECK(back.length == length && address_equal(&back.address, &prefix.address));
        }
    }
}

static void numbers(void)
{
    uint64_t value = 7;
    const char *why = NULL;
    static const struct bytes_case bad[] = {CASE(""),    CASE("-1"),  CASE("+1"),      CASE(" 1"),
                                            CASE("1 "),  CASE("0x1"), CASE("1.0"),     CASE("1e3"),
                                            CASE("1\0"), CASE("a"),   CASE("\xd9\xa1")};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CHECK(parse_number(bad[i].bytes, bad[i].length, 0, UINT64_MAX, &value, NULL) == -EINVAL);
    }
    CHECK(value == 7);
    CHECK(parse_number(BYTES("18446744073709551615"), 0, UINT64_MAX, &value, NULL) == 0);
    CHECK(value == UINT64_MAX);
    CHECK(parse_number(BYTES("18446744073709551616"), 0, UINT64_MAX, &value, &why) == -EINVAL);
    CHECK_TEXT(why, "is too large");
    CHECK(parse_number(BYTES("184467440737095516150"), 0, UINT64_MAX, &value, NULL) == -EINVAL);
    CHECK(parse_number(BYTES("5"), 5, 5, &value, NULL) == 0 && value == 5);
    CHECK(parse_number(BYTES("4"), 5, 9, &value, &why) == -EINVAL);
    CHECK_TEXT(why, "is too small");
    CHECK(parse_number(BYTES("10"), 5, 9, &value, NULL) == -EINVAL);
    CHECK(value == 5);
}

static void durations(void)
{
    static const struct {
        const char *text;
        int zero;
        int64_t want; /* -1: refused */
    } cases[] = {
        {"1s", 0, 1},
        {"90s", 0, 90},
        {"45m", 0, 2700},
        {"24h", 0, 86400},
        {"3d", 0, 259200},
        {"3650d", 0, 315360000},
        {"3651d", 0, -1},
        {"87601h", 0, -1},
        {"315360000s", 0, 315360000},
        {"315360001s", 0, -1},
        {"0", 0, -1},
        {"0", 1, 0},
        {"0s", 1, -1},
        {"0d", 0, -1},
        {"", 1, -1},
        {"s", 1, -1},
        {"5", 1, -1},
        {"24H", 0, -1},
        {"1 h", 0, -1},
        {"-1h", 0, -1},
        {"+1h", 0, -1},
        {"1h30m", 0, -1},
        {"1.5h", 0, -1},
        {"1w", 0, -1},
        {"18446744073709551616s", 0, -1},
        {"213503982334602d", 0, -1},
        {"00", 1, -1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t seconds = 7;
        const char *why = NULL;
        int result =
            parse_duration(cases[i].text, strlen(cases[i].text), cases[i].zero, &seconds, &why);
        bool refused = cases[i].want < 0;
        CHECK(result == (refused ? -EINVAL : 0));
        CHECK(seconds == (refused ? 7 : (uint64_t)cases[i].want));
        CHECK((why != NULL) == refused);
    }
    uint64_t seconds = 7;
    CHECK(parse_duration("1h\0", 3, 0, &seconds, NULL) == -EINVAL && seconds == 7);
}

TEST_MAIN({"user names", users}, {"protocol names", protocols}, {"image paths", image_paths},
          {"control characters in image paths", control_characters},
          {"long image paths", long_paths}, {"prefixes", prefixes}, {"clients", clients},
          {"prefixes come back from their text", round_trip}, {"numbers", numbers},
          {"durations", durations})
