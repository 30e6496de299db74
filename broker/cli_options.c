/* One pass over argv; what an option does with its value stands in its row. */
#include "cli_options.h"

#include "definition.h"
#include "messages.h"
#include "parse.h"
#include "passwd_file.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static int check_image(const char *value, const char **ret_why)
{
    struct image_path path;
    return parse_image_path(value, strlen(value), &path, ret_why);
}

static int check_client(const char *value, const char **ret_why)
{
    struct prefix client;
    return parse_client(value, strlen(value), &client, ret_why);
}

static int check_protocol(const char *value, const char **ret_why)
{
    struct protocol_name name;
    return parse_protocol(value, strlen(value), &name, ret_why);
}

static int check_duration(const char *value, const char **ret_why)
{
    uint64_t seconds;
    return parse_duration(value, strlen(value), 0, &seconds, ret_why);
}

static int check_label(const char *value, const char **ret_why)
{
    return passwd_label_parse(value, ret_why);
}

#define LIST(field) .is_list = true, .texts = offsetof(struct cli_arguments, field)
#define TEXT(field) .text = offsetof(struct cli_arguments, field)

const struct cli_option cli_option_table[OPTIONS_COUNT] = {
    [OPTION_IMAGE] = {"image", .value = "PATH", LIST(images), .most = MESSAGE_IMAGES_MAX,
                      .help = "an image, as 'cdss image list' shows it; may be repeated",
                      .check = check_image, .noun = "image path",
                      .hint = "give the path inside the repository, such as linux/debian-12.iso"},
    [OPTION_CLIENT] = {"client", .value = "ADDRESS", LIST(clients), .most = MESSAGE_CLIENTS_MAX,
                       .help = "who gets it: an address, or a network such as 10.0.0.0/24; may be "
                               "repeated",
                       .check = check_client, .noun = "client",
                       .hint = "give an address such as 10.0.0.5 or fd00::5, or a network such as "
                               "10.0.0.0/24"},
    [OPTION_PROTOCOL] = {"protocol", .value = "NAME,...", LIST(protocols), .separator = ',',
                         .most = DEFINITIONS_MAX,
                         .help = "over which protocols: http, ftp, tftp; may be repeated",
                         .check = check_protocol, .noun = "protocol",
                         .hint = "give names such as http,ftp,tftp"},
    [OPTION_FOR] = {"for", .value = "DURATION", TEXT(lifetime),
                    .help = "until when, counted from now: 90s, 45m, 24h or 3d",
                    .check = check_duration, .noun = "duration",
                    .hint = "give a number and its unit, such as 90s, 45m, 24h or 3d"},
    [OPTION_ALLOW_LOCAL] = {"allow-local",
                            .help = "serve clients on this host itself, too: every local user can "
                                    "then read the share"},
    [OPTION_AS_USER] = {"as-user", .help = "as a user who asks from the first client's address: "
                                           "bound by user policy and image passwords"},
    [OPTION_PASSWORD] = {"password-stdin",
                         .help = "guard the share with the password on standard input"},
    [OPTION_IMAGE_PASSWORDS] = {"image-passwords-stdin",
                                .help = "passwords for images, on standard input"},
    [OPTION_LABEL] = {"label", .value = "TEXT", TEXT(label),
                      .help = "what to call it, to remove it again", .check = check_label,
                      .noun = "label", .hint = "give a word or two, such as 'lab 2'"},
    [OPTION_CONFIG] = {"config", 'c', .value = "FILE", TEXT(config),
                       .help = "another configuration than /etc/cdss/cdss.conf"},
    [OPTION_JSON] = {"json", .help = "print one JSON document instead of text"},
    [OPTION_HELP] = {"help", 'h', .help = "say what a command does and takes"},
    [OPTION_VERSION] = {"version", .help = "print version and commit"},
};

static int texts_add(struct texts *texts, const char *bytes, size_t length)
{
    char **items = reallocarray(texts->items, texts->count + 1, sizeof *items);
    if (items == NULL) {
        return -ENOMEM;
    }
    texts->items = items;
    items[texts->count] = strndup(bytes, length);
    if (items[texts->count] == NULL) {
        return -ENOMEM;
    }
    texts->count++;
    return 0;
}

static void texts_clear(struct texts *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        free(texts->items[i]);
    }
    free(texts->items);
    *texts = (struct texts){0};
}

void cli_arguments_clear(struct cli_arguments *arguments)
{
    texts_clear(&arguments->images);
    texts_clear(&arguments->clients);
    texts_clear(&arguments->protocols);
    texts_clear(&arguments->words);
    *arguments = (struct cli_arguments){0};
}

static void add_quoted(struct text *why, const char *bytes, size_t length)
{
    text_add(why, "\"");
    text_add_printable(why, bytes, length);
    text_add(why, "\"");
}

/* The row of "--name", "--name=value", "-x" or "-xvalue"; *ret_value points behind the name where
 * a value is attached. NULL: no such option. */
static const struct cli_option *find_option(const char *word, const char **ret_value)
{
    bool is_long = word[1] == '-';
    size_t length = is_long ? strcspn(word + 2, "=") : 1;
    *ret_value = NULL;
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        const struct cli_option *row = &cli_option_table[i];
        if (is_long ? strncmp(row->name, word + 2, length) != 0 || row->name[length] != '\0'
                    : row->letter != word[1]) {
            continue;
        }
        const char *rest = word + (is_long ? 2 + length : 2);
        if (*rest != '\0') {
            *ret_value = is_long ? rest + 1 : rest;
        }
        return row;
    }
    return NULL;
}

static int add_values(struct texts *texts, const char *value, char separator)
{
    for (;;) {
        const char *end = separator != '\0' ? strchr(value, separator) : NULL;
        int error = texts_add(texts, value, end != NULL ? (size_t)(end - value) : strlen(value));
        if (error < 0 || end == NULL) {
            return error;
        }
        value = end + 1;
    }
}

static int store(const struct cli_option *row, const char *value, struct cli_arguments *ret,
                 struct text *why)
{
    uint32_t bit = OPTION_BIT((unsigned)(row - cli_option_table));
    bool again = (ret->given & bit) != 0;
    ret->given |= bit;
    if (row->is_list) {
        return add_values((struct texts *)((char *)ret + row->texts), value, row->separator);
    }
    if (row->value == NULL) {
        return 0;
    }
    if (again) {
        text_format(why, "--%s is given twice; give it once", row->name);
        return -EINVAL;
    }
    *(const char **)((char *)ret + row->text) = value;
    return 0;
}

/* Takes the option argv[*at] and, where it stands apart, its value. */
static int take_option(int argc, char **argv, int *at, struct cli_arguments *ret, struct text *why)
{
    const char *word = argv[*at], *value;
    const struct cli_option *row = find_option(word, &value);
    if (row == NULL) {
        text_add(why, "there is no option ");
        add_quoted(why, word, strcspn(word, "="));
        text_add(why, "; 'cdss --help' lists what there is, and \"--\" before a word that begins "
                      "with a dash makes it no option");
        return -EINVAL;
    }
    if (row->value == NULL && value != NULL) {
        text_format(why, "--%s takes no value; leave out ", row->name);
        add_quoted(why, value, strlen(value));
        return -EINVAL;
    }
    if (row->value != NULL && value == NULL) {
        if (*at + 1 >= argc) {
            text_format(why, "--%s needs a value: --%s %s", row->name, row->name, row->value);
            return -EINVAL;
        }
        value = argv[++*at];
    }
    return store(row, value, ret, why);
}

int cli_options_parse(int argc, char **argv, struct cli_arguments *ret, struct text *why)
{
    *ret = (struct cli_arguments){0};
    bool options_end = false;
    for (int at = 1; at < argc; at++) {
        const char *word = argv[at];
        int error = 0;
        if (!options_end && strcmp(word, "--") == 0) {
            options_end = true;
        } else if (!options_end && word[0] == '-' && word[1] != '\0') {
            error = take_option(argc, argv, &at, ret, why);
        } else {
            error = texts_add(&ret->words, word, strlen(word));
        }
        if (error < 0) {
            return error;
        }
    }
    return 0;
}

static int check_value(const struct cli_option *row, const char *value, struct text *why)
{
    const char *phrase = "is not understood";
    if (row->check(value, &phrase) == 0) {
        return 0;
    }
    text_format(why, "the %s ", row->noun);
    add_quoted(why, value, strlen(value));
    text_format(why, " %s; %s", phrase, row->hint);
    return -EINVAL;
}

static int check_list(const struct cli_option *row, const struct texts *texts, struct text *why)
{
    if (texts->count > row->most) {
        text_format(why, "--%s is given %zu times, and a request holds at most %zu; make several",
                    row->name, texts->count, row->most);
        return -EINVAL;
    }
    for (size_t i = 0; i < texts->count; i++) {
        int error = check_value(row, texts->items[i], why);
        if (error < 0) {
            return error;
        }
    }
    return 0;
}

int cli_options_check(const struct cli_arguments *arguments, struct text *why)
{
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        const struct cli_option *row = &cli_option_table[i];
        if (row->check == NULL || (arguments->given & OPTION_BIT(i)) == 0) {
            continue;
        }
        const char *field = (const char *)arguments + (row->is_list ? row->texts : row->text);
        int error = row->is_list ? check_list(row, (const struct texts *)field, why)
                                 : check_value(row, *(const char *const *)field, why);
        if (error < 0) {
            return error;
        }
    }
    return 0;
}

static int check_user(const char *value, const char **ret_why)
{
    struct user_name name;
    return parse_user(value, strlen(value), &name, ret_why);
}

int cli_check_user(const char *name, struct text *why)
{
    static const struct cli_option row = {.check = check_user,
                                          .noun = "user name",
                                          .hint = "use 1 to 32 of A-Z a-z 0-9 . _ - @, a letter or "
                                                  "digit first"};
    return check_value(&row, name, why);
}
