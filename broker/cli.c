/* From argv to a command's handler; what is wrong before that is a usage error. */
#include "cli.h"

#include "cleanup.h"
#include "cli_help.h"
#include "json.h"
#include "version.h"

#include <errno.h>
#include <locale.h>
#include <string.h>

#define BIT OPTION_BIT

const struct cli_command cli_command_table[] = {
    {"share", "create", "USER",
     BIT(OPTION_IMAGE) | BIT(OPTION_CLIENT) | BIT(OPTION_PROTOCOL) | BIT(OPTION_FOR) |
         BIT(OPTION_ALLOW_LOCAL) | BIT(OPTION_AS_USER) | BIT(OPTION_PASSWORD) |
         BIT(OPTION_IMAGE_PASSWORDS),
     BIT(OPTION_IMAGE) | BIT(OPTION_CLIENT) | BIT(OPTION_PROTOCOL), cli_share_create,
     "share images with some addresses for some time",
     "Returns when every server of the share is ready, and says what to type on the clients.\n"
     "Interrupted before that, nothing stays. Without --for the site's default lifetime holds.\n"
     "Passwords are read one a line, the share's own first, or asked for on a terminal.\n"},
    {"share", "list", NULL, 0, 0, cli_share_list, "list the shares", NULL},
    {"share", "show", "USER", 0, 0, cli_share_show,
     "show one share and what to type on its clients", NULL},
    {"share", "remove", "USER", 0, 0, cli_share_remove, "end a share now",
     "Transfers are cut at once. Removing what is gone already ends with status 3.\n"},
    {"share", "extend", "USER", BIT(OPTION_FOR), BIT(OPTION_FOR), cli_share_extend,
     "let a share end at another time", "The time counts from now; it may also be shorter.\n"},
    {"share", "add", "USER", BIT(OPTION_IMAGE) | BIT(OPTION_IMAGE_PASSWORDS), BIT(OPTION_IMAGE),
     cli_share_add, "add images to a share", "Clients see the new images at once.\n"},
    {"image", "list", "[PATTERN]", 0, 0, cli_image_list, "list what can be shared",
     "PATTERN is a part of the path, in any case of letters; with one of * ? [ it is a shell\n"
     "pattern for the whole path, in which * stands for / too.\n"},
    {"password", "add", "PATH", BIT(OPTION_LABEL), 0, cli_password_add,
     "protect an image or a directory with a password",
     "PATH is an image, or a directory, then all in it; \".\" is the whole repository. The "
     "password\n"
     "is one line on standard input, or asked for on a terminal. Users then need one of the\n"
     "passwords of each such level above an image; administrators need none.\n"},
    {"password", "remove", "PATH LABEL", 0, 0, cli_password_remove,
     "take a password back, by its label or its line, such as #3",
     "Shares that were made with it go on until their end, but their users cannot extend them\n"
     "without one of the other passwords. Removing what is gone already ends with status 3.\n"},
    {"password", "list", "PATH", 0, 0, cli_password_list,
     "list the passwords of an image or a directory",
     "Shows labels and methods, and the lines of the password file that cannot be used.\n"},
    {NULL, "reap", NULL, 0, 0, cli_reap, "tidy up after shares whose time is over (for cron)",
     NULL},
    {NULL, "status", NULL, 0, 0, cli_show_status, "say how the broker is", NULL},
    {NULL, "doctor", NULL, 0, 0, cli_doctor,
     "say what this host can and cannot do, and what to mind",
     "Works without the broker, and changes nothing. Ends with status 1 when something is missing\n"
     "without which no share can be served.\n"},
    {0},
};

static enum cli_status put(struct cli *cli, FILE *stream, const struct text *text,
                           enum cli_status status)
{
    if (!text_ok(text) || fwrite(text->data, 1, text->length, stream) != text->length ||
        fflush(stream) != 0) {
        fprintf(cli->err, "cdss: the answer could not be written\n");
        return CLI_FAILED;
    }
    return status;
}

enum cli_status cli_write(struct cli *cli, const struct text *text, enum cli_status status)
{
    return put(cli, cli->out, text, status);
}

static void write_json_error(struct cli *cli, const char *field, const char *sentence)
{
    CLEANUP_TEXT struct text out = {0};
    struct json json;
    json_begin(&json, &out);
    json_object(&json, NULL);
    json_object(&json, "error");
    json_string(&json, "field", field);
    json_string(&json, "message", sentence);
    json_end_object(&json);
    json_end_object(&json);
    text_add(&out, "\n");
    cli_write(cli, &out, CLI_FAILED);
}

enum cli_status cli_fail(struct cli *cli, enum cli_status status, const char *field,
                         const char *format, ...)
{
    CLEANUP_TEXT struct text sentence = {0};
    va_list arguments;
    va_start(arguments, format);
    text_vformat(&sentence, format, arguments);
    va_end(arguments);
    const char *said = text_ok(&sentence) && sentence.data != NULL ? sentence.data : "no memory";
    fprintf(cli->err, "cdss: %s\n", said);
    if (cli_given(cli, OPTION_JSON)) {
        write_json_error(cli, field, said);
    }
    return status;
}

/* How many of the words a command is; 0: it is another. */
static size_t command_words(const struct cli_command *command, const struct texts *words)
{
    size_t count = command->group != NULL ? 2 : 1;
    if (words->count < count ||
        (command->group != NULL && strcmp(words->items[0], command->group) != 0)) {
        return 0;
    }
    return strcmp(words->items[count - 1], command->word) == 0 ? count : 0;
}

static size_t find_command(struct cli *cli)
{
    for (const struct cli_command *row = cli_command_table; row->word != NULL; row++) {
        size_t words = command_words(row, &cli->arguments.words);
        if (words > 0) {
            cli->command = row;
            return words;
        }
    }
    return 0;
}

static enum cli_status unknown_command(struct cli *cli)
{
    CLEANUP_TEXT struct text said = {0};
    const struct texts *words = &cli->arguments.words;
    for (size_t i = 0; i < words->count && i < 2; i++) {
        text_add(&said, i > 0 ? " " : "");
        text_add_printable(&said, words->items[i], strlen(words->items[i]));
    }
    return cli_fail(cli, CLI_USAGE, "",
                    "there is no command \"%s\"; 'cdss --help' lists what there is",
                    said.data != NULL ? said.data : "");
}

/* The n-th word of "PATH LABEL"; empty when there are not so many. */
static struct cli_usage operand_word(const char *operands, size_t n)
{
    struct cli_usage word = {""};
    const char *at = operands != NULL ? operands : "";
    while (n-- > 0) {
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    snprintf(word.text, sizeof word.text, "%.*s", (int)strcspn(at, " "), at);
    return word;
}

static enum cli_status check_operand(struct cli *cli, size_t n_words)
{
    const struct cli_command *command = cli->command;
    const struct texts *words = &cli->arguments.words;
    size_t count = words->count - n_words, most = 0;
    for (; operand_word(command->operand, most).text[0] != '\0'; most++) {
        const struct cli_usage word = operand_word(command->operand, most);
        if (most >= count && word.text[0] != '[') {
            return cli_fail(cli, CLI_USAGE, "", "%s is missing: %s", word.text,
                            cli_help_usage(command).text);
        }
    }
    if (count > most) {
        CLEANUP_TEXT struct text extra = {0};
        const char *word = words->items[n_words + most];
        text_add_printable(&extra, word, strlen(word));
        return cli_fail(cli, CLI_USAGE, "", "\"%s\" is one word too many: %s",
                        extra.data != NULL ? extra.data : "", cli_help_usage(command).text);
    }
    cli->operand = count > 0 ? words->items[n_words] : NULL;
    cli->second = count > 1 ? words->items[n_words + 1] : NULL;
    return CLI_DONE;
}

/* The first option of a set, as a row; NULL when it is empty. */
static const struct cli_option *first_option(uint32_t bits)
{
    return bits != 0 ? &cli_option_table[__builtin_ctz(bits)] : NULL;
}

static enum cli_status check_options(struct cli *cli)
{
    const struct cli_command *command = cli->command;
    uint32_t given = cli->arguments.given;
    const struct cli_option *extra = first_option(given & ~(command->takes | OPTIONS_COMMON));
    const struct cli_option *missing = first_option(command->needs & ~given);
    if (extra != NULL) {
        return cli_fail(cli, CLI_USAGE, "", "--%s does not belong here: %s", extra->name,
                        cli_help_usage(command).text);
    }
    if (missing != NULL) {
        return cli_fail(cli, CLI_USAGE, "", "--%s is missing: %s", missing->name,
                        cli_help_usage(command).text);
    }
    return CLI_DONE;
}

static enum cli_status check_values(struct cli *cli)
{
    CLEANUP_TEXT struct text why = {0};
    int error = cli_options_check(&cli->arguments, &why);
    if (error == 0 && cli->operand != NULL && strcmp(cli->command->operand, "USER") == 0) {
        error = cli_check_user(cli->operand, &why);
    }
    return error == 0 ? CLI_DONE
                      : cli_fail(cli, CLI_USAGE, "", "%s", why.data != NULL ? why.data : "");
}

static enum cli_status load_settings(struct cli *cli)
{
    const char *file = cli->arguments.config != NULL ? cli->arguments.config : SETTINGS_FILE;
    struct conf_error error = {"it cannot be read"};
    if (settings_load(file, &cli->settings, &error) < 0) {
        return cli_fail(cli, CLI_FAILED, "", "the configuration is not usable: %s", error.text);
    }
    return CLI_DONE;
}

typedef enum cli_status step_function(struct cli *cli);

static enum cli_status run_command(struct cli *cli, size_t n_words)
{
    step_function *const steps[] = {check_options, check_values, load_settings, cli->command->run};
    enum cli_status status = check_operand(cli, n_words);
    for (size_t i = 0; i < ARRAY_SIZE(steps) && status == CLI_DONE; i++) {
        status = steps[i](cli);
    }
    return status;
}

/* --help and --version, and no command at all. CLI_NOTHING: none of them. */
static enum cli_status answer_alone(struct cli *cli)
{
    CLEANUP_TEXT struct text text = {0};
    const struct texts *words = &cli->arguments.words;
    const char *group = words->count == 1 ? words->items[0] : NULL;
    if (cli_given(cli, OPTION_VERSION)) {
        text_format(&text, "cdss %s\n", version_text());
        return cli_write(cli, &text, CLI_DONE);
    }
    if (cli_given(cli, OPTION_HELP)) {
        if (cli->command != NULL) {
            cli_help_command(cli->command, &text);
        } else if (words->count > 0 && !cli_help_group(group, &text)) {
            return unknown_command(cli);
        } else if (words->count == 0) {
            cli_help(&text);
        }
        return cli_write(cli, &text, CLI_DONE);
    }
    if (cli->command == NULL && (words->count == 0 || cli_help_group(group, &text))) {
        if (words->count == 0) {
            cli_help(&text);
        }
        return put(cli, cli->err, &text, CLI_USAGE);
    }
    return CLI_NOTHING;
}

static enum cli_status run(struct cli *cli, int argc, char **argv)
{
    CLEANUP_TEXT struct text why = {0};
    int error = cli_options_parse(argc, argv, &cli->arguments, &why);
    if (error < 0) {
        return cli_fail(cli, error == -ENOMEM ? CLI_FAILED : CLI_USAGE, "", "%s",
                        why.data != NULL ? why.data : strerror(-error));
    }
    size_t n_words = find_command(cli);
    enum cli_status status = answer_alone(cli);
    if (status != CLI_NOTHING) {
        return status;
    }
    return cli->command != NULL ? run_command(cli, n_words) : unknown_command(cli);
}

int cli_run(int argc, char **argv, FILE *out, FILE *err)
{
    struct cli cli = {.out = out, .err = err};
    setlocale(LC_CTYPE, "C.UTF-8");
    enum cli_status status = run(&cli, argc, argv);
    cli_arguments_clear(&cli.arguments);
    return (int)status;
}
