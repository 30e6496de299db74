/* A trial expansion: expand() itself decides what a template is. */
#include "definition_template.h"

#include "cleanup.h"
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What templates may name, with a value of the kind that they will get: docs/definitions.md. */
const struct expand_variable template_server_variables[] = {
    {"tree", "/srv/share"}, {"config", "/var/cfg"},     {"idle", "60"},
    {"max_processes", "8"}, {"user", "alice"},          {"port", "65535"},
    {"programs", "/prog"},  {"instance_port", "21000"}, {"passive_first", "30000"},
    {"uid_user", "1000"},   {"passive_last", "31999"},  {NULL, NULL},
};

const struct expand_variable template_show_variables[] = {
    {"host", "[fd00::1]"}, {"address", "fd00::1"}, {"port", "65535"}, {"user", "alice"},
    {"image", "a/b.iso"},  {"contents", "a/b"},    {NULL, NULL},
};

int template_refuse(char *why, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, size, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

int template_check(const char *text, const struct expand_variable *variables, char **ret, char *why,
                   size_t why_size)
{
    CLEANUP_TEXT struct text out = {0};
    const char *phrase = "is no template";
    int r = expand(text, strlen(text), variables, &out, &phrase);
    if (r == -EINVAL) {
        return template_refuse(why, why_size, "%s", phrase);
    }
    if (r < 0 || !text_ok(&out)) {
        return -ENOMEM;
    }
    if (ret != NULL) {
        *ret = text_take(&out);
        return *ret != NULL ? 0 : -ENOMEM;
    }
    return 0;
}
