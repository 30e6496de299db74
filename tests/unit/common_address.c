/* address.h: comparison, networks, text, the kernel's form. */
#include "test.h"

#include "cleanup.h"
#include "parse.h"

#include <arpa/inet.h>
#include <errno.h>

static struct prefix prefix_of(const char *text)
{
    struct prefix prefix = {0};
    const char *why = "";
    CHECK(parse_prefix(text, strlen(text), &prefix, &why) == 0);
    CHECK_TEXT(why, "");
    return prefix;
}

static void equality(void)
{
    struct prefix a = prefix_of("10.0.0.1"), b = prefix_of("10.0.0.1"), c = prefix_of("10.0.0.2");
    struct prefix d = prefix_of("a00:1::"); /* begins with the same bytes as 10.0.0.1 */
    CHECK(address_equal(&a.address, &b.address));
    CHECK(!address_equal(&a.address, &c.address));
    CHECK(!address_equal(&a.address, &d.address));
    CHECK(!address_equal(&d.address, &a.address));
}

static void containment(void)
{
    static const struct {
        const char *outer, *inner;
        bool contains, overlaps;
    } cases[] = {
        {"10.0.0.0/8", "10.255.255.255", true, true}, {"10.0.0.0/8", "11.0.0.0", false, false},
        {"10.0.0.0/9", "10.128.0.0/9", false, false}, {"10.0.0.0/31", "10.0.0.1", true, true},
        {"10.0.0.0/30", "10.0.0.4", false, false},    {"10.1.2.3", "10.1.2.3", true, true},
        {"10.1.2.3", "10.0.0.0/8", false, true},      {"10.0.0.0/16", "10.0.0.0/8", false, true},
        {"0.0.0.0/0", "255.255.255.255", true, true}, {"0.0.0.0/0", "::1", false, false},
        {"::/0", "10.0.0.1", false, false},           {"::/0", "ff02::1", true, true},
        {"fd00::/8", "fdff::1", true, true},          {"fd00::/9", "fd80::/9", false, false},
        {"fd00::/127", "fd00::1", true, true},        {"fd00::/127", "fd00::2", false, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct prefix outer = prefix_of(cases[i].outer), inner = prefix_of(cases[i].inner);
        CHECK(prefix_contains(&outer, &inner) == cases[i].contains);
        CHECK(prefix_overlaps(&outer, &inner) == cases[i].overlaps);
        CHECK(prefix_overlaps(&inner, &outer) == cases[i].overlaps);
    }
}

static void last_address(void)
{
    static const char *const cases[][2] = {
        {"10.0.0.0/8", "10.255.255.255"},
        {"10.0.0.0/15", "10.1.255.255"},
        {"10.0.0.1", "10.0.0.1"},
        {"0.0.0.0/0", "255.255.255.255"},
        {"fd00::/8", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"fd00::/126", "fd00::3"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct prefix prefix = prefix_of(cases[i][0]);
        struct address last;
        char text[ADDRESS_TEXT_SIZE];
        prefix_last(&prefix, &last);
        address_format(&last, text);
        CHECK_TEXT(text, cases[i][1]);
    }
}

static void formatting(void)
{
    static const char *const cases[][2] = {
        {"10.0.0.1/32", "10.0.0.1"},
        {"10.0.0.0/24", "10.0.0.0/24"},
        {"FD00:0:0::1/128", "fd00::1"},
        {"fd00::/64", "fd00::/64"},
        {"0.0.0.0/0", "0.0.0.0/0"},
        {"::/0", "::/0"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct prefix prefix = prefix_of(cases[i][0]);
        char text[PREFIX_TEXT_SIZE];
        prefix_format(&prefix, text);
        CHECK_TEXT(text, cases[i][1]);
    }
    struct address none = {0};
    char text[ADDRESS_TEXT_SIZE];
    address_format(&none, text);
    CHECK_TEXT(text, "?");
}

static void kernel_form(void)
{
    static const char *const cases[] = {"192.168.1.2", "fd00::5"};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct prefix prefix = prefix_of(cases[i]);
        struct sockaddr_storage storage;
        socklen_t length = address_to_sockaddr(&prefix.address, 8080, &storage);
        CHECK(length == (i == 0 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)));
        struct address back = {0};
        uint16_t port = 0;
        CHECK(address_from_sockaddr((struct sockaddr *)&storage, &back, &port) == 0);
        CHECK(address_equal(&back, &prefix.address) && port == 8080);
        CHECK(address_from_sockaddr((struct sockaddr *)&storage, &back, NULL) == 0);
    }
}

static void mapped_becomes_ipv4(void)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(53)};
    CHECK(inet_pton(AF_INET6, "::ffff:10.1.2.3", &in6.sin6_addr) == 1);
    struct address address = {0};
    uint16_t port = 0;
    CHECK(address_from_sockaddr((struct sockaddr *)&in6, &address, &port) == 0);
    CHECK(address.family == AF_INET && port == 53);
    char text[ADDRESS_TEXT_SIZE];
    address_format(&address, text);
    CHECK_TEXT(text, "10.1.2.3");
}

static void other_families(void)
{
    struct sockaddr_storage storage = {.ss_family = AF_UNIX};
    struct address address = {.family = 77};
    uint16_t port = 7;
    CHECK(address_from_sockaddr((struct sockaddr *)&storage, &address, &port) == -EAFNOSUPPORT);
    CHECK(address.family == 77 && port == 7);
}

TEST_MAIN({"equality", equality}, {"containment and overlap", containment},
          {"the last address", last_address}, {"text", formatting},
          {"to and from the kernel", kernel_form}, {"mapped IPv4 is IPv4", mapped_becomes_ipv4},
          {"other families are refused", other_families})
