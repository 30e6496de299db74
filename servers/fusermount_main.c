/*
 * cdss-fusermount stands at /bin/fusermount in a sandbox. libfuse 2 (lib/mount.c, fuse_mount_sys
 * and fuse_mount_fusermount) runs it when a file system is mounted with -o auto_unmount, and
 * expects the descriptor of /dev/fuse on the socket _FUSE_COMMFD. The broker mounted the file
 * system long before; the descriptor was inherited, and its number stands in CDSS_FUSE_FD. So
 * nothing here has a privilege, and the arguments do not matter.
 */
#include "parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int number_from(const char *name)
{
    const char *text = getenv(name);
    uint64_t number = 0;
    if (text == NULL || parse_number(text, strlen(text), 0, 65535, &number, NULL) < 0) {
        return -EINVAL;
    }
    return (int)number;
}

static int send_descriptor(int socket, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    char byte = 0;
    struct iovec part = {.iov_base = &byte, .iov_len = sizeof byte};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    return sendmsg(socket, &message, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

int main(void)
{
    int socket = number_from("_FUSE_COMMFD"), fd = number_from("CDSS_FUSE_FD");
    if (socket < 0 || fd < 0) {
        fprintf(stderr, "cdss-fusermount: it is run by a reader inside a share only\n");
        return 2;
    }
    int r = send_descriptor(socket, fd);
    if (r < 0) {
        fprintf(stderr, "cdss-fusermount: the descriptor could not be sent: %s\n", strerror(-r));
        return 1;
    }
    return 0;
}
