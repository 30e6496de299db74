#include "version.h"

#include "build_id.h"

const char *version_text(void)
{
    return CDSS_VERSION " (" CDSS_COMMIT ")";
}

const char *version_number(void)
{
    return CDSS_VERSION;
}

const char *version_commit(void)
{
    return CDSS_COMMIT;
}
