/*
 * The plan as the supervisor finds it. It is the broker's own and trusted; what is checked here is
 * that both were built from the same header, so that a mistake ends in a sentence and not in a
 * wild descriptor.
 */
#pragma once

#include "supervisor.h"

/* Maps the plan for the life of the process. 0, -EBADMSG (not a plan of this version), or a
 * negative errno of fstat(2) or mmap(2). */
int plan_open(int fd, const struct supervisor_plan **ret);

/* -EBADMSG where a service's numbers or command lines are out of their bounds. */
int plan_check_service(const struct supervisor_service *service);
