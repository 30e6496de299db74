#include "share_log.h"

#include <stdarg.h>

void share_log(enum log_level level, const char *event, const struct registry_share *row,
               const char *format, ...)
{
    char address[ADDRESS_TEXT_SIZE] = "";
    const struct log_subject subject = {
        .share = row->user.text, .id = row->id, .requester = row->requester, .address = address};
    va_list arguments;

    if (row->address.family != 0) {
        address_format(&row->address, address);
    }
    va_start(arguments, format);
    log_about(level, event, &subject, format, arguments);
    va_end(arguments);
}
