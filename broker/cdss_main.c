/* cdss(1): the administrator's command line. */
#include "cli.h"

int main(int argc, char **argv)
{
    return cli_run(argc, argv, stdout, stderr);
}
