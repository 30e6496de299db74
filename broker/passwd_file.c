/*
 * Only such hashes are taken as this parser knows to the last character, with parameters that it
 * can price: what crypt(3) would make of any other text is not tried out.
 */
#include "passwd_file.h"

#include "cleanup.h"
#include "parse.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define BASE64 "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" /* crypt(5)'s */
#define BLANKS " \t\r"

/* A piece of text that is eaten from the front. */
struct rest {
    const char *at;
    size_t length;
};

static bool eat(struct rest *rest, const char *word)
{
    size_t length = strlen(word);

    if (rest->length < length || memcmp(rest->at, word, length) != 0) {
        return false;
    }
    rest->at += length;
    rest->length -= length;
    return true;
}

/* As many as there are of these characters; false when that is not from least to most. */
static bool eat_all(struct rest *rest, const char *set, size_t least, size_t most)
{
    size_t n = 0;

    while (n < rest->length && rest->at[n] != '\0' && strchr(set, rest->at[n]) != NULL) {
        n++;
    }
    rest->at += n;
    rest->length -= n;
    return n >= least && n <= most;
}

/* -- methods: each takes all behind its prefix; its cost, 0 when it is malformed -- */

/* "j9T$SALT$HASH": flavour j; the logarithm of N, '9' for 4096 blocks; r, 'T' for 32 or '5' for 8.
 * More than 'B' needs more memory than a checking child has. */
static uint32_t price_yescrypt(struct rest rest)
{
    static const char sizes[] = "56789AB";
    const char *size = rest.length > 3 && rest.at[0] == 'j' && rest.at[1] != '\0'
                           ? strchr(sizes, rest.at[1])
                           : NULL;

    if (size == NULL || (rest.at[2] != 'T' && rest.at[2] != '5')) {
        return 0;
    }
    uint32_t cost = (1u << (size - sizes)) * (rest.at[2] == 'T' ? 4 : 1) / 4;
    rest.at += 3;
    rest.length -= 3;
    bool well = eat(&rest, "$") && eat_all(&rest, BASE64, 1, 86) && eat(&rest, "$") &&
                eat_all(&rest, BASE64, 43, 43) && rest.length == 0;
    return !well ? 0 : cost > 0 ? cost : 1;
}

/* "10$", 22 characters of salt and 31 of hash. */
static uint32_t price_bcrypt(struct rest rest)
{
    uint64_t rounds;

    if (rest.length != 56 || parse_number(rest.at, 2, 4, 12, &rounds, NULL) < 0) {
        return 0;
    }
    rest.at += 2;
    rest.length -= 2;
    bool well = eat(&rest, "$") && eat_all(&rest, BASE64, 53, 53);
    return !well ? 0 : rounds < 5 ? 1 : 160u >> (12 - rounds);
}

/* "SALT$HASH" or "rounds=100000$SALT$HASH". */
static uint32_t price_sha(struct rest rest, size_t length)
{
    uint64_t rounds = 5000;
    bool well = true;

    if (eat(&rest, "rounds=")) {
        struct rest digits = rest;
        well = eat_all(&rest, "0123456789", 4, 7) &&
               parse_number(digits.at, digits.length - rest.length, 1000, 1000000, &rounds, NULL) ==
                   0 &&
               eat(&rest, "$");
    }
    well = well && eat_all(&rest, BASE64, 0, 16) && eat(&rest, "$") &&
           eat_all(&rest, BASE64, length, length) && rest.length == 0;
    return well ? (uint32_t)(rounds / 6250) + 1 : 0;
}

static uint32_t price_sha256(struct rest rest)
{
    return price_sha(rest, 43);
}

static uint32_t price_sha512(struct rest rest)
{
    return price_sha(rest, 86);
}

static const struct {
    const char *prefix, *name;
    uint32_t (*price)(struct rest rest);
} methods[] = {
    {"$y$", "yescrypt", price_yescrypt},  {"$gy$", "gost-yescrypt", price_yescrypt},
    {"$6$", "sha512crypt", price_sha512}, {"$5$", "sha256crypt", price_sha256},
    {"$2b$", "bcrypt", price_bcrypt},     {"$2y$", "bcrypt", price_bcrypt},
    {"$2a$", "bcrypt", price_bcrypt},
};

/* NULL when it is one; entry->method and cost are filled. */
static const char *check_hash(struct rest hash, struct passwd_entry *entry)
{
    if (hash.length > PASSWD_HASH_MAX) {
        return "is longer than any hash that is known here";
    }
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        struct rest rest = hash;
        if (eat(&rest, methods[i].prefix)) {
            entry->method = methods[i].name;
            entry->cost = methods[i].price(rest);
            return entry->cost > 0 && entry->cost <= PASSWD_COST_MAX
                       ? NULL
                       : "has a hash that is cut off or costs too much to check";
        }
    }
    return "does not begin with a hash of a method that is known here (make one with mkpasswd)";
}

/* -- lines -- */

int passwd_label_parse(const char *label, const char **ret_why)
{
    size_t length = strlen(label);
    const char *why = NULL;

    if (length > PASSWD_LABEL_MAX) {
        why = "is longer than 63 bytes";
    } else if (label[0] == '#') {
        why = "begins with a #, as the number of a line does";
    } else if (length > 0 && (strchr(BLANKS, label[0]) || strchr(BLANKS, label[length - 1]))) {
        why = "begins or ends with a blank";
    }
    for (size_t i = 0; why == NULL && i < length; i++) {
        if ((unsigned char)label[i] < ' ' || label[i] == 0x7f) {
            why = "has a control character";
        }
    }
    if (why != NULL && ret_why != NULL) {
        *ret_why = why;
    }
    return why == NULL ? 0 : -EINVAL;
}

static bool has_label(const struct passwd_file *file, const char *label)
{
    return label[0] != '\0' && passwd_file_find(file, label) != NULL;
}

/* NULL, or why the line is a fault. */
static const char *take_line(struct passwd_file *file, uint32_t number, struct rest line)
{
    struct passwd_entry entry = {.line = number};
    struct rest hash = line;
    const char *why = NULL;

    while (line.length > 0 && line.at[0] != '\0' && strchr(BLANKS, line.at[0]) == NULL) {
        line.at++;
        line.length--;
    }
    hash.length -= line.length;
    eat_all(&line, BLANKS, 0, SIZE_MAX);
    if (memchr(line.at, '\0', line.length) != NULL) {
        return "holds a NUL byte";
    }
    why = check_hash(hash, &entry);
    if (why != NULL) {
        return why;
    }
    if (line.length > PASSWD_LABEL_MAX) {
        return "has a label longer than 63 bytes";
    }
    memcpy(entry.hash, hash.at, hash.length);
    memcpy(entry.label, line.at, line.length);
    if (passwd_label_parse(entry.label, NULL) < 0) {
        return "has a label with a control character or a # at its beginning";
    }
    if (has_label(file, entry.label)) {
        return "has the label of a line above";
    }
    if (file->n_entries == PASSWD_ENTRIES_MAX) {
        return "is behind 64 others and not looked at";
    }
    file->entries[file->n_entries++] = entry;
    return NULL;
}

/* The next line without its blanks at both ends; false at the end. */
static bool next_line(struct rest *text, struct rest *ret)
{
    if (text->length == 0) {
        return false;
    }
    const char *end = memchr(text->at, '\n', text->length);
    size_t length = end != NULL ? (size_t)(end - text->at) : text->length;
    *ret = (struct rest){text->at, length};
    text->at += length + (end != NULL);
    text->length -= length + (end != NULL);
    eat_all(ret, BLANKS, 0, SIZE_MAX);
    while (ret->length > 0 && ret->at[ret->length - 1] != '\0' &&
           strchr(BLANKS, ret->at[ret->length - 1]) != NULL) {
        ret->length--;
    }
    return true;
}

void passwd_file_parse(const char *text, size_t length, struct passwd_file *ret)
{
    struct rest rest = {text, length}, line;

    ret->n_entries = ret->n_faults = 0;
    for (uint32_t number = 1; next_line(&rest, &line); number++) {
        if (line.length == 0 || line.at[0] == '#') {
            continue;
        }
        const char *why = take_line(ret, number, line);
        if (why != NULL && ret->n_faults < PASSWD_FAULTS_MAX) {
            ret->faults[ret->n_faults] = (struct passwd_fault){number, why};
        }
        ret->n_faults += why != NULL;
    }
}

const struct passwd_entry *passwd_file_find(const struct passwd_file *file, const char *label)
{
    uint64_t line = 0;

    if (label[0] == '#' &&
        parse_number(label + 1, strlen(label + 1), 1, UINT32_MAX, &line, NULL) < 0) {
        return NULL;
    }
    for (uint32_t i = 0; i < file->n_entries; i++) {
        const struct passwd_entry *entry = &file->entries[i];
        if (line != 0 ? entry->line == line : strcmp(entry->label, label) == 0) {
            return entry;
        }
    }
    return NULL;
}

/* -- changing -- */

void passwd_file_add(const char *text, size_t length, const char *hash, const char *label,
                     struct text *out)
{
    text_append(out, text, length);
    if (length > 0 && text[length - 1] != '\n') {
        text_add(out, "\n");
    }
    text_format(out, "%s%s%s\n", hash, label[0] != '\0' ? " " : "", label);
}

void passwd_file_drop(const char *text, size_t length, uint32_t line, struct text *out)
{
    struct rest rest = {text, length}, ignored;

    for (uint32_t number = 1; rest.length > 0; number++) {
        const char *from = rest.at;
        next_line(&rest, &ignored);
        if (number != line) {
            text_append(out, from, (size_t)(rest.at - from));
        }
    }
}
