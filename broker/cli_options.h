/*
 * The command line's words: one table says which options there are, and what a value of each must
 * look like. Options may stand before or behind the command's words; "--" ends them.
 */
#pragma once

#include "wire.h"

#include <stdbool.h>

enum cli_option_id {
    OPTION_IMAGE,
    OPTION_CLIENT,
    OPTION_PROTOCOL,
    OPTION_FOR,
    OPTION_ALLOW_LOCAL,
    OPTION_AS_USER,
    OPTION_PASSWORD,
    OPTION_IMAGE_PASSWORDS,
    OPTION_LABEL,
    OPTION_CONFIG,
    OPTION_JSON,
    OPTION_HELP,
    OPTION_VERSION,
    OPTIONS_COUNT
};

/* A set of options is a word of these. */
#define OPTION_BIT(id) (1u << (id))
#define OPTIONS_COMMON                                                                             \
    (OPTION_BIT(OPTION_CONFIG) | OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_HELP))

struct cli_option {
    const char *name;  /* without the dashes */
    char letter;       /* of the short form, or 0 */
    const char *value; /* what it is called in the usage; NULL: the option takes none */
    size_t texts;      /* offset of a struct texts in struct cli_arguments, for OPTION_IS_LIST */
    size_t text;       /* offset of a const char *, otherwise */
    char separator;    /* also between values of one list option, or 0 */
    size_t most;       /* values of a list */
    bool is_list;
    const char *help;
    /* For the sentence about a bad value: "the NOUN "x" PHRASE; HINT". NULL: any text will do. */
    int (*check)(const char *value, const char **ret_why);
    const char *noun, *hint;
};

extern const struct cli_option cli_option_table[OPTIONS_COUNT];

/* Everything but texts is borrowed from argv. */
struct cli_arguments {
    uint32_t given; /* OPTION_BIT of each that was there */
    const char *config, *lifetime, *label;
    struct texts images, clients, protocols;
    struct texts words; /* what is no option: the command and its operands */
};

/* Sorts argv (argv[0] is skipped) into *ret, which the caller clears in any case. 0, -ENOMEM, or
 * -EINVAL with a sentence for people appended to *why. */
int cli_options_parse(int argc, char **argv, struct cli_arguments *ret, struct text *why);
void cli_arguments_clear(struct cli_arguments *arguments);

/* Checks the values of all options, and the counts of lists. 0 or -EINVAL with a sentence. */
int cli_options_check(const struct cli_arguments *arguments, struct text *why);

/* The same for a share's name. */
int cli_check_user(const char *name, struct text *why);
