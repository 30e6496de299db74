/* Terminals: ECMA-48 "erase in line". The line is cut so that it never wraps. */
#include "cli_progress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ERASE_LINE "\r\033[K"

static bool is_terminal(FILE *stream)
{
    int fd = fileno(stream);
    return fd >= 0 && isatty(fd);
}

static int terminal_columns(FILE *stream)
{
    struct winsize size;
    bool known = ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return known ? size.ws_col - 1 : 79;
}

void cli_progress_show(FILE *stream, const struct message_progress *progress)
{
    CLEANUP_TEXT struct text line = {0};
    if (!is_terminal(stream)) {
        return;
    }
    text_format(&line, "[%u/%u] ", progress->step, progress->steps);
    text_add_printable(&line, progress->text, strlen(progress->text));
    if (text_ok(&line)) {
        fprintf(stream, ERASE_LINE "%.*s", terminal_columns(stream), line.data);
        fflush(stream);
    }
}

void cli_progress_clear(FILE *stream)
{
    if (is_terminal(stream)) {
        fputs(ERASE_LINE, stream);
        fflush(stream);
    }
}
