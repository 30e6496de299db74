/*
 * A restart loses nothing: compares the registry's rows with what is alive, takes up again what is
 * whole, and undoes what is not. Called once, before the firewall is installed; nothing else runs
 * yet.
 */
#pragma once

#include "broker.h"

/* Afterwards broker->shares are the shares that live on, the firewall is installed with them, and
 * no process, directory, control group or row of any other share is left. 0 or negative errno. */
int recover(struct broker *broker, char *why, size_t why_size);
