/* `cdss share ...`: each command is a request, and a way to print its answer. */
#include "cli_call.h"
#include "cli_print.h"
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

enum cli_status cli_share_create(struct cli *cli)
{
    const struct cli_arguments *arguments = &cli->arguments;
    struct message_share_create request = {
        .user = (char *)cli->operand,
        .images = arguments->images,
        .clients = arguments->clients,
        .protocols = arguments->protocols,
        .seconds = lifetime(cli),
        .flags = cli_given(cli, OPTION_ALLOW_LOCAL) ? SHARE_ALLOW_LOCAL : 0,
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
    struct message_share_add request = {.who.user = (char *)cli->operand,
                                        .images = cli->arguments.images};
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
