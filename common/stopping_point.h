/*
 * Named places at which a test has cdssd killed: with SIGKILL, exactly there, whichever of its
 * processes or threads comes by. They exist in builds with CDSS_STOPPING_POINTS only (the presets
 * dev, asan and fuzz); elsewhere nothing of them is compiled, not even a name.
 *
 *   STOPPING_POINT("end.cut");
 *
 * A name is used at one place. The word before its dot is the operation that passes it, which is
 * how tests/net/crash_points.sh knows what to do to get there: `cdssd --stopping-points` lists them
 * all, so that none is forgotten.
 */
#pragma once

#ifdef CDSS_STOPPING_POINTS

/* Pointers to the names of all places lie side by side in a section of their own. */
#define STOPPING_POINT(name)                                                                       \
    do {                                                                                           \
        static const char *const stopping_point_here                                               \
            __attribute__((section("stopping_points"), used)) = (name);                            \
        stopping_point_pass(stopping_point_here);                                                  \
    } while (0)

void stopping_point_pass(const char *name);

/* Called once, first of all, by the process that is to be killed: CDSS_STOP_AT in its environment
 * is NAME, or NAME:N for the N-th time that the place is passed, by all its processes together. */
void stopping_points_begin(void);

/* Prints the names, one a line. */
void stopping_points_list(void);

#else

#define STOPPING_POINT(name) ((void)0)

#endif
