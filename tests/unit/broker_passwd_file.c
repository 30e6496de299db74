/* Password files: what is a hash, what is a fault, and that changing one leaves the rest alone. */
#include "passwd_file.h"

#include "cleanup.h"
#include "test.h"

#include <errno.h>
#include <stdlib.h>

#define SALT "6WSV5Y7XOcW0efdvmBjFI1"
#define B43  "5lTZZBUvVt4jZSO/8sx8YrhwVIp0L7qBwUm238DOmN."
#define B86  B43 B43
#define B53  "O1U6dxUkgP.B/csYZdOOe.y9QvfaMDdRBPAcqKcoqQkEGhnPpJHMK"
#define YES  "$y$j9T$" SALT "$" B43

static struct passwd_file file;

static void parse(const char *text)
{
    passwd_file_parse(text, strlen(text), &file);
}

static void methods_and_their_price(void)
{
    static const struct {
        const char *text, *method;
        uint32_t cost;
    } cases[] = {
        {YES, "yescrypt", 16},
        {"$y$jBT$" SALT "$" B43, "yescrypt", 64},
        {"$y$j75$" SALT "$" B43, "yescrypt", 1},
        {"$gy$j9T$" SALT "$" B43, "gost-yescrypt", 16},
        {"$2b$04$" B53, "bcrypt", 1},
        {"$2y$10$" B53, "bcrypt", 40},
        {"$2a$12$" B53, "bcrypt", 160},
        {"$6$salt$" B86, "sha512crypt", 1},
        {"$6$rounds=100000$salt$" B86, "sha512crypt", 17},
        {"$5$rounds=999999$salt$" B43, "sha256crypt", 160},
        {"$5$$" B43, "sha256crypt", 1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        parse(cases[i].text);
        CHECK(file.n_entries == 1 && file.n_faults == 0);
        CHECK_TEXT(file.entries[0].hash, cases[i].text);
        CHECK_TEXT(file.entries[0].method, cases[i].method);
        if (file.entries[0].cost != cases[i].cost) {
            printf("# %s costs %u\n", cases[i].text, file.entries[0].cost);
            CHECK(!"the price");
        }
    }
}

static void what_is_no_hash_is_a_fault(void)
{
    static const char *const cases[] = {"secret",
                                        "*",
                                        "!",
                                        "x " YES,
                                        "\"" YES "\"",
                                        "root:" YES,
                                        YES ":",
                                        YES "x",
                                        "$",
                                        "$$",
                                        "$y",
                                        "$y$",
                                        "$y$j9T$",
                                        "$y$j9T$" SALT,
                                        "$y$j9T$" SALT "$",
                                        "$y$j9T$$" B43,
                                        "$y$j9X$" SALT "$" B43,
                                        "$y$jCT$" SALT "$" B43,
                                        "$y$jzT$" SALT "$" B43,
                                        "$y$k9T$" SALT "$" B43,
                                        "$y$j9T5$" SALT "$" B43,
                                        "$y$j9T$!!!$" B43,
                                        "$1$salt$abcdefghijklmnopqrstuv",
                                        "$2b$03$" B53,
                                        "$2b$13$" B53,
                                        "$2b$31$" B53,
                                        "$2b$ 4$" B53,
                                        "$2b$10" B53,
                                        "$2b$10$" B53 "x",
                                        "$2x$10$" B53,
                                        "$6$salt$" B43,
                                        "$6$rounds=$salt$" B86,
                                        "$6$rounds=999$salt$" B86,
                                        "$6$rounds=1000001$salt$" B86,
                                        "$6$rounds=999999999999$salt$" B86,
                                        "$6$rounds=-5000$salt$" B86,
                                        "$6$seventeenlettersx$" B86,
                                        "$7$C6..../....SodiumChloride$x",
                                        "$sha1$40000$jtNX3nZ2$hBNaIXkt4wBI2o5rsi8KejSjNqIq",
                                        "abcdefghijklm",
                                        "_J9..rasmBYk8r9AiWNc"};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        parse(cases[i]);
        if (file.n_entries != 0 || file.n_faults != 1) {
            printf("# %s\n", cases[i]);
            CHECK(!"a fault");
        }
        CHECK(file.faults[0].line == 1 && file.faults[0].why != NULL);
    }
}

static void a_hash_may_not_be_endless(void)
{
    CLEANUP_TEXT struct text text = {0};
    text_add(&text, "$y$j9T$");
    for (int i = 0; i < 1000; i++) {
        text_add(&text, "abcdefghij");
    }
    parse(text.data);
    CHECK(file.n_entries == 0 && file.n_faults == 1);
}

static void lines_labels_and_comments(void)
{
    parse("# keys\n\n  \t\n" YES "\n\t" YES "  lab 2 \r\n" YES "\tk\303\274che\nnonsense\n" YES
          " last");
    CHECK(file.n_entries == 4 && file.n_faults == 1);
    CHECK(file.entries[0].line == 4 && file.entries[1].line == 5 && file.entries[3].line == 8);
    CHECK_TEXT(file.entries[0].label, "");
    CHECK_TEXT(file.entries[1].label, "lab 2");
    CHECK_TEXT(file.entries[2].label, "k\303\274che");
    CHECK_TEXT(file.entries[3].label, "last");
    CHECK(file.faults[0].line == 7);
    parse("");
    CHECK(file.n_entries == 0 && file.n_faults == 0);
    parse("\n\n#" YES);
    CHECK(file.n_entries == 0 && file.n_faults == 0);
}

static void bad_labels(void)
{
    static const char *const cases[] = {
        YES " #3", YES " a\001b", YES " a\tb\177",
        YES " 0123456789012345678901234567890123456789012345678901234567890123"};
    const char *why = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        parse(cases[i]);
        CHECK(file.n_entries == 0 && file.n_faults == 1);
    }
    parse(YES " twice\n" YES " twice");
    CHECK(file.n_entries == 1 && file.n_faults == 1 && file.faults[0].line == 2);
    passwd_file_parse(YES " a\0b", strlen(YES) + 4, &file);
    CHECK(file.n_entries == 0 && file.n_faults == 1);
    passwd_file_parse("\0" YES, strlen(YES) + 1, &file);
    CHECK(file.n_entries == 0 && file.n_faults == 1);
    CHECK(passwd_label_parse("", NULL) == 0 && passwd_label_parse("lab 2", NULL) == 0);
    CHECK(passwd_label_parse(" x", &why) == -EINVAL);
    CHECK_TEXT(why, "begins or ends with a blank");
    CHECK(passwd_label_parse("#3", NULL) == -EINVAL && passwd_label_parse("a\nb", NULL) == -EINVAL);
}

static void only_so_many_count(void)
{
    CLEANUP_TEXT struct text text = {0};
    for (int i = 0; i < PASSWD_ENTRIES_MAX + 30; i++) {
        text_format(&text, "%s %d\n", YES, i);
    }
    parse(text.data);
    CHECK(file.n_entries == PASSWD_ENTRIES_MAX && file.n_faults == 30);
    CHECK(file.faults[0].line == PASSWD_ENTRIES_MAX + 1);
    CHECK(file.faults[PASSWD_FAULTS_MAX - 1].line == PASSWD_ENTRIES_MAX + PASSWD_FAULTS_MAX);
}

static void finding(void)
{
    parse("#\n" YES "\n" YES " lab\n" YES "\n");
    CHECK(passwd_file_find(&file, "lab") == &file.entries[1]);
    CHECK(passwd_file_find(&file, "#3") == &file.entries[1]);
    CHECK(passwd_file_find(&file, "#4") == &file.entries[2]);
    CHECK(passwd_file_find(&file, "#1") == NULL && passwd_file_find(&file, "#5") == NULL);
    CHECK(passwd_file_find(&file, "#") == NULL && passwd_file_find(&file, "#x") == NULL);
    CHECK(passwd_file_find(&file, "Lab") == NULL);
}

static void adding_and_dropping(void)
{
    CLEANUP_TEXT struct text one = {0}, two = {0}, three = {0}, four = {0};
    static const char before[] = "# a\r\n\n" YES " x\n nonsense ";
    passwd_file_add(before, strlen(before), YES, "lab 2", &one);
    CHECK_TEXT(one.data, "# a\r\n\n" YES " x\n nonsense \n" YES " lab 2\n");
    passwd_file_add("", 0, YES, "", &two);
    CHECK_TEXT(two.data, YES "\n");
    passwd_file_drop(one.data, one.length, 3, &three);
    CHECK_TEXT(three.data, "# a\r\n\n nonsense \n" YES " lab 2\n");
    passwd_file_drop(two.data, two.length, 1, &four);
    CHECK(four.length == 0);
}

TEST_MAIN({"methods and their price", methods_and_their_price},
          {"what is no hash is a fault", what_is_no_hash_is_a_fault},
          {"a hash may not be endless", a_hash_may_not_be_endless},
          {"lines, labels and comments", lines_labels_and_comments}, {"bad labels", bad_labels},
          {"only so many count", only_so_many_count}, {"finding", finding},
          {"adding and dropping", adding_and_dropping})
