/* The socket is opened anew each time: these are few, and a descriptor would have to be kept from
 * every child. */
#include "notify.h"

#include "cleanup.h"
#include "text.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A path, or with an @ the name of an abstract socket. Returns the address's length. */
static int make_address(const char *name, struct sockaddr_un *ret)
{
    size_t length = strlen(name);

    if ((name[0] != '/' && name[0] != '@') || length < 2) {
        return -EINVAL;
    }
    if (length >= sizeof ret->sun_path) {
        return -ENAMETOOLONG;
    }
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret->sun_path, name, length);
    if (name[0] == '@') {
        ret->sun_path[0] = '\0';
    }
    return (int)(offsetof(struct sockaddr_un, sun_path) + length + (name[0] == '/'));
}

int notify_tell(const char *format, ...)
{
    const char *name = getenv("NOTIFY_SOCKET");
    CLEANUP_TEXT struct text message = {0};
    struct sockaddr_un address;
    va_list arguments;

    if (name == NULL) {
        return 0;
    }
    int length = make_address(name, &address);
    if (length < 0) {
        return length;
    }
    va_start(arguments, format);
    text_vformat(&message, format, arguments);
    va_end(arguments);
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (!text_ok(&message) || fd < 0) {
        return fd < 0 ? -errno : -ENOMEM;
    }
    ssize_t sent = sendto(fd, message.data, message.length, MSG_NOSIGNAL | MSG_DONTWAIT,
                          (const struct sockaddr *)&address, (socklen_t)length);
    return sent < 0 ? -errno : 1;
}
