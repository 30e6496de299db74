/*
 * The control socket (supervisor.h, struct supervisor_request). It stands in a directory that only
 * root may enter, and that is all the identity a caller needs. A packet that is not exactly a
 * request costs its sender the connection.
 */
#pragma once

#include "supervisor_deadline.h"
#include "supervisor_service.h"

#define CONTROL_PEERS 4

struct control {
    int listener;             /* owned */
    int peers[CONTROL_PEERS]; /* owned; -1: free */
    struct services *services;
    struct supervisor_status *status;
    int status_fd; /* borrowed: the same as a memfd */
    struct deadline *deadline;
};

void control_open(struct control *control, int listener, struct services *services,
                  struct supervisor_status *status, int status_fd, struct deadline *deadline);
void control_watch(struct control *control, struct events *events);
