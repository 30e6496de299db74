/*
 * How answers look: tables for people, or with --json one document written from the messages'
 * tables.
 */
#pragma once

#include "cli_call.h"

/* Each is a cli_printer. */
enum cli_status cli_print_outcome(struct cli *cli, const struct cli_answer *answer,
                                  enum cli_status status);
enum cli_status cli_print_share(struct cli *cli, const struct cli_answer *answer,
                                enum cli_status status);
enum cli_status cli_print_shares(struct cli *cli, const struct cli_answer *answer,
                                 enum cli_status status);
enum cli_status cli_print_images(struct cli *cli, const struct cli_answer *answer,
                                 enum cli_status status);
enum cli_status cli_print_passwords(struct cli *cli, const struct cli_answer *answer,
                                    enum cli_status status);
enum cli_status cli_print_status(struct cli *cli, const struct cli_answer *answer,
                                 enum cli_status status);

/* One record as one JSON object. */
enum cli_status cli_print_json_record(struct cli *cli, const struct wire_message *message,
                                      enum cli_status status);
