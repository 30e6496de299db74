/* cdss-supervisor: PID 1 of a share's sandbox (supervisor_run.h). */
#include "supervisor_run.h"

int main(int argc, char **argv)
{
    return supervisor_run(argc, argv);
}
