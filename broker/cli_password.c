/* `cdss password ...`: the passwords of images and directories. */
#include "cli_call.h"
#include "cli_print.h"
#include "cli_secrets.h"

#include <string.h>

/* As the protocol says it: the repository itself is "". */
static char *path_of(const struct cli *cli)
{
    static char none[] = "";

    return strcmp(cli->operand, ".") == 0 ? none : (char *)cli->operand;
}

enum cli_status cli_password_add(struct cli *cli)
{
    static const char *const prompts[] = {"New password: ", NULL};
    static const struct cli_secrets_wanted wanted = {
        .least = 1, .most = 1, .prompts = prompts, .again = true};
    static char none[] = "";
    CLEANUP_SECRETS struct texts passwords = {0};
    enum cli_status status = cli_secrets_read(cli, &wanted, &passwords);

    if (status != CLI_DONE) {
        return status;
    }
    struct message_password_add request = {
        .path = path_of(cli),
        .label = cli->arguments.label != NULL ? (char *)cli->arguments.label : none,
        .password = passwords.items[0]};
    return cli_ask_and_print(cli, MESSAGE_PASSWORD_ADD, &request, cli_print_outcome);
}

enum cli_status cli_password_remove(struct cli *cli)
{
    struct message_password_remove request = {.path = path_of(cli), .label = (char *)cli->second};

    return cli_ask_and_print(cli, MESSAGE_PASSWORD_REMOVE, &request, cli_print_outcome);
}

enum cli_status cli_password_list(struct cli *cli)
{
    struct message_password_list request = {.path = path_of(cli)};

    return cli_ask_and_print(cli, MESSAGE_PASSWORD_LIST, &request, cli_print_passwords);
}
