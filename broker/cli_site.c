/* The commands about the site as a whole: images, reap, status, doctor. */
#include "cli_call.h"
#include "cli_print.h"
#include "doctor.h"

enum cli_status cli_image_list(struct cli *cli)
{
    struct message_image_list request = {.pattern =
                                             (char *)(cli->operand != NULL ? cli->operand : "")};
    return cli_ask_and_print(cli, MESSAGE_IMAGE_LIST, &request, cli_print_images);
}

enum cli_status cli_reap(struct cli *cli)
{
    return cli_ask_and_print(cli, MESSAGE_REAP, NULL, cli_print_outcome);
}

enum cli_status cli_show_status(struct cli *cli)
{
    return cli_ask_and_print(cli, MESSAGE_STATUS, NULL, cli_print_status);
}

enum cli_status cli_doctor(struct cli *cli)
{
    CLEANUP_TEXT struct text out = {0};
    bool fine = doctor_run(&cli->settings, cli_given(cli, OPTION_JSON), &out);
    return cli_write(cli, &out, fine ? CLI_DONE : CLI_FAILED);
}
