/* Lists are words between blanks; every word goes through a parser of parse.h or a table here. */
#include "settings_set.h"

#include "cleanup.h"
#include "settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BLANKS " \t"

/* Adds one word (not NUL-terminated) to a list. */
typedef int add_word(void *list, const char *word, size_t length, char *why, size_t why_size);

static int refuse(char *why, size_t why_size, const char *word, size_t length, const char *phrase)
{
    snprintf(why, why_size, "\"%.*s\" %s", (int)(length < 80 ? length : 80), word, phrase);
    return -EINVAL;
}

static int each_word(const char *value, add_word *add, void *list, char *why, size_t why_size)
{
    int result = 0;
    for (value += strspn(value, BLANKS); *value != '\0' && result == 0;) {
        size_t length = strcspn(value, BLANKS);
        result = add(list, value, length, why, why_size);
        value += length;
        value += strspn(value, BLANKS);
    }
    return result;
}

static int check_count(const struct conf_key *row, uint32_t count, char *why, size_t why_size)
{
    if (count < row->min) {
        snprintf(why, why_size, "needs at least %llu", (unsigned long long)row->min);
        return -EINVAL;
    }
    return 0;
}

static int add_prefix(void *list, const char *word, size_t length, char *why, size_t why_size)
{
    struct settings_prefixes *prefixes = list;
    const char *phrase;
    if (prefixes->count == SETTINGS_LIST_MAX) {
        return refuse(why, why_size, word, length, "is one too many: 32 are allowed");
    }
    if (parse_prefix(word, length, &prefixes->items[prefixes->count], &phrase) < 0) {
        return refuse(why, why_size, word, length, phrase);
    }
    prefixes->count++;
    return 0;
}

int settings_set_prefixes(const struct conf_key *row, const char *value, void *target, char *why,
                          size_t why_size)
{
    struct settings_prefixes prefixes = {0};
    int result = each_word(value, add_prefix, &prefixes, why, why_size);
    if (result == 0 && (result = check_count(row, prefixes.count, why, why_size)) == 0) {
        memcpy((char *)target + row->offset, &prefixes, sizeof prefixes);
    }
    return result;
}

static int add_any(void *list, const char *word, size_t length, char *why, size_t why_size)
{
    struct settings_words *words = list;
    if (words->count == SETTINGS_LIST_MAX) {
        return refuse(why, why_size, word, length, "is one too many: 32 are allowed");
    }
    if (length >= sizeof words->items[0]) {
        return refuse(why, why_size, word, length, "is longer than 31 bytes");
    }
    char *item = words->items[words->count];
    memcpy(item, word, length);
    item[length] = '\0';
    if (settings_has_word(words, item)) {
        return refuse(why, why_size, word, length, "is there twice");
    }
    words->count++;
    return 0;
}

static int add_account(void *list, const char *word, size_t length, char *why, size_t why_size)
{
    struct user_name name; /* as strict as a share's user, but for "_www" */
    const char *phrase;
    size_t skip = word[0] == '_';
    if (parse_user(word + skip, length - skip, &name, &phrase) < 0) {
        return refuse(why, why_size, word, length, phrase);
    }
    return add_any(list, word, length, why, why_size);
}

static int add_protocol(void *list, const char *word, size_t length, char *why, size_t why_size)
{
    struct protocol_name name;
    const char *phrase;
    if (parse_protocol(word, length, &name, &phrase) < 0) {
        return refuse(why, why_size, word, length, phrase);
    }
    return add_any(list, word, length, why, why_size);
}

static int add_choice(const char *const *choices, const char *phrase, void *list, const char *word,
                      size_t length, char *why, size_t why_size)
{
    for (; *choices != NULL; choices++) {
        if (strlen(*choices) == length && memcmp(*choices, word, length) == 0) {
            return add_any(list, word, length, why, why_size);
        }
    }
    return refuse(why, why_size, word, length, phrase);
}

static int add_reader(void *list, const char *word, size_t length, char *why, size_t why_size)
{
    static const char *const choices[] = {"kernel", "fuseiso", NULL};
    return add_choice(choices, "is not one of kernel fuseiso", list, word, length, why, why_size);
}

static int add_filesystem(void *list, const char *word, size_t length, char *why, size_t why_size)
{
    static const char *const choices[] = {"iso9660", "udf",  "squashfs", "erofs",
                                          "ext",     "vfat", NULL};
    return add_choice(choices, "is not one of iso9660 udf squashfs erofs ext vfat", list, word,
                      length, why, why_size);
}

static int set_words(const struct conf_key *row, const char *value, void *target, add_word *add,
                     char *why, size_t why_size)
{
    struct settings_words words = {0};
    int result = each_word(value, add, &words, why, why_size);
    if (result == 0 && (result = check_count(row, words.count, why, why_size)) == 0) {
        memcpy((char *)target + row->offset, &words, sizeof words);
    }
    return result;
}

int settings_set_accounts(const struct conf_key *row, const char *value, void *target, char *why,
                          size_t why_size)
{
    return set_words(row, value, target, add_account, why, why_size);
}

int settings_set_protocols(const struct conf_key *row, const char *value, void *target, char *why,
                           size_t why_size)
{
    return set_words(row, value, target, add_protocol, why, why_size);
}

int settings_set_readers(const struct conf_key *row, const char *value, void *target, char *why,
                         size_t why_size)
{
    return set_words(row, value, target, add_reader, why, why_size);
}

int settings_set_filesystems(const struct conf_key *row, const char *value, void *target, char *why,
                             size_t why_size)
{
    return set_words(row, value, target, add_filesystem, why, why_size);
}
