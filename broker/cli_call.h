/*
 * One request to the broker and all of its answers.
 */
#pragma once

#include "cli.h"
#include "messages.h"

/* The records of an answer in their order, and how it ended. */
struct cli_answer {
    struct wire_message *records; /* SHARE, IMAGE, STATUS_REPLY, PASSWORD; owned */
    size_t count;
    char *sentence; /* of DONE; never NULL after success; owned */
};

/* Prints an answer that came to an end as `status`, which it returns unless printing fails. */
typedef enum cli_status cli_printer(struct cli *cli, const struct cli_answer *answer,
                                    enum cli_status status);

/* Sends the request, waits for its end with a progress line on a terminal meanwhile, and prints
 * what came. Returns the exit status; what went wrong was said. */
enum cli_status cli_ask_and_print(struct cli *cli, uint16_t id, const void *body,
                                  cli_printer *print);
