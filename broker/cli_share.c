/* `cdss share ...`: each command is a request, and a way to print its answer. */
#include "cli_call.h"
#include "cli_print.h"
#include "cli_secrets.h"
#include "parse.h"

#include <string.h>

/* --for, which cli_options_check() has accepted; 0 when it was not given. */
static uint64_t lifetime(const struct cli *cli)
{
    const char *text = cli->arguments.lifetime;
    uint64_t seconds = 0;
    if (text != NULL) {
        parse_duration(text, strlen(text), 0, &seconds, NULL);
    }
    return seconds;
}

/* The passwords that a command asks for: the share's own, then those for images. */
static enum cli_status read_passwords(struct cli *cli, struct texts *ret)
{
    static const char *const both[] = {
        "Password of the share: ", "Password for images (or none): ", NULL};
    bool own = cli_given(cli, OPTION_PASSWORD), images = cli_given(cli, OPTION_IMAGE_PASSWORDS);
    const struct cli_secrets_wanted wanted = {.least = own,
                                              .most = own + (images ? MESSAGE_PASSWORDS_MAX : 0),
                                              .prompts = own ? both : both + 1,
                                              .again = own};

    return own || images ? cli_secrets_read(cli, &wanted, ret) : CLI_DONE;
}

enum cli_status cli_share_create(struct cli *cli)
{
    static char none[] = "";
    const struct cli_arguments *arguments = &cli->arguments;
    CLEANUP_SECRETS struct texts passwords = {0};
    size_t own = cli_given(cli, OPTION_PASSWORD);
    bool as_user = cli_given(cli, OPTION_AS_USER);
    enum cli_status status = read_passwords(cli, &passwords);

    if (status != CLI_DONE) {
        return status;
    }
    struct message_share_create request = {
        .user = (char *)cli->operand,
        .password = own ? passwords.items[0] : none,
        .images = arguments->images,
        .image_passwords = {passwords.items + own, passwords.count - own},
        .clients = arguments->clients,
        .protocols = arguments->protocols,
        .seconds = lifetime(cli),
        .flags = (cli_given(cli, OPTION_ALLOW_LOCAL) ? SHARE_ALLOW_LOCAL : 0) |
                 (as_user ? SHARE_AS_USER : 0),
        .requester = as_user ? arguments->clients.items[0] : none,
    };
    return cli_ask_and_print(cli, MESSAGE_SHARE_CREATE, &request, cli_print_share);
}

enum cli_status cli_share_show(struct cli *cli)
{
    struct message_share_user request = {.who.user = (char *)cli->operand};
    return cli_ask_and_print(cli, MESSAGE_SHARE_SHOW, &request, cli_print_share);
}

enum cli_status cli_share_extend(struct cli *cli)
{
    struct message_share_extend request = {.who.user = (char *)cli->operand,
                                           .seconds = lifetime(cli)};
    return cli_ask_and_print(cli, MESSAGE_SHARE_EXTEND, &request, cli_print_share);
}

enum cli_status cli_share_add(struct cli *cli)
{
    CLEANUP_SECRETS struct texts passwords = {0};
    enum cli_status status = read_passwords(cli, &passwords);

    if (status != CLI_DONE) {
        return status;
    }
    struct message_share_add request = {.who.user = (char *)cli->operand,
                                        .images = cli->arguments.images,
                                        .image_passwords = passwords};
    return cli_ask_and_print(cli, MESSAGE_SHARE_ADD, &request, cli_print_share);
}

enum cli_status cli_share_remove(struct cli *cli)
{
    struct message_share_user request = {.who.user = (char *)cli->operand};
    return cli_ask_and_print(cli, MESSAGE_SHARE_REMOVE, &request, cli_print_outcome);
}

enum cli_status cli_share_list(struct cli *cli)
{
    return cli_ask_and_print(cli, MESSAGE_SHARE_LIST, NULL, cli_print_shares);
}
