/*
 * What lighttpd lacks, preloaded into it (LD_PRELOAD; templates/http/server.conf): an answer of
 * more than 64 KiB that it makes itself, a listing of some hundreds of names, goes through a
 * temporary file, and in the tree there is no place to write; the listing was empty then, without
 * an error. So a temporary file is one in memory, which counts as the share's own.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int mkostemp64(char *pattern, int flags);

/* lighttpd removes the name in the end; that there is none is well. */
int mkostemp64(char *pattern, int flags)
{
    (void)pattern;
    int fd = memfd_create("lighttpd", MFD_CLOEXEC);
    if (fd >= 0 && (flags & O_APPEND) != 0 && fcntl(fd, F_SETFL, O_APPEND) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}
