/*
 * The supervisor as a function, so that a test can be its own cdss-supervisor.
 *
 *   cdss-supervisor none [PID]   PID 1 of the sandbox. PID: the second supervisor, whose end is the
 *                                share's end, too
 *   cdss-supervisor host         the second one: servers in the host's network namespace
 *
 * The plan is descriptor SUPERVISOR_PLAN_FD. Returns the exit status, or does not return.
 */
#pragma once

int supervisor_run(int argc, char **argv);
