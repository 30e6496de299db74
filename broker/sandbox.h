/*
 * The sandbox of one share: mount, PID, IPC, UTS and user namespaces, a root of its own, no
 * capability that matters, seccomp. docs/architecture.md draws the order and says why.
 *
 * sandbox_prepare() is called once by the broker; sandbox_start() by the process that prepares one
 * share (it waits for the new process, so never by the loop; it has one thread, because it visits
 * another mount namespace). The new PID 1 is a child of the broker itself (CLONE_PARENT).
 *
 * Descriptors of directories (tree_fd, mount_fd) belong to the mount namespace they were opened in:
 * open them after sandbox_prepare(), or they cannot be cloned (EINVAL).
 */
#pragma once

#include "supervisor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ids in the sandbox and the uid of the share's block that stands behind each */
#define SANDBOX_ROOT     0u     /* block + 0 */
#define SANDBOX_NOBODY   65534u /* block + 1 */
#define SANDBOX_USER     1000u  /* block + 2: servers run as this; images belong to it */
#define SANDBOX_PRIVATE  1001u  /* block + 3: for a server's secrets that others must not read */
#define SANDBOX_TREE     "/srv/share"
#define SANDBOX_CONFIG   "/var/cfg"
#define SANDBOX_EMPTY    "/var/empty"
#define SANDBOX_PROGRAMS "/libexec" /* the supervisor's directory: what servers preload */

struct sandbox_template; /* what all sandboxes have in common: the template root, the seccomp
                            programs */

struct sandbox_settings {
    const char *root; /* [sandbox] root: where /usr comes from */
    const char *run;  /* [broker] run; RUN/template is the mount point, in the private namespace */
    const char *supervisor; /* path of cdss-supervisor; other programs of ours lie beside it */
    const char *fusermount; /* path of the stand-in for fusermount that readers call */
    uint32_t uid_per_share;
};

/* Makes the calling process's mount namespace private, builds the template root (read-only /usr,
 * /etc with passwd, /dev) on a tmpfs, compiles the seccomp programs. 0 or negative errno; `why`. */
int sandbox_prepare(const struct sandbox_settings *settings, struct sandbox_template **ret,
                    char *why, size_t why_size);
void sandbox_template_free(struct sandbox_template *template);

struct sandbox_image {
    const char *contents; /* where in the tree */
    int mount_fd; /* the directory where it is mounted in the broker's namespace; -1 for FUSE */
    bool idmap;   /* the owner of its root directory becomes SANDBOX_USER */
    int fuse_fd;  /* out, of sandbox_add_image() and FUSE: /dev/fuse, already mounted at contents;
                     otherwise -1 */
};

struct sandbox_file { /* a configuration file, written to SANDBOX_CONFIG/name, 0640 root:owner */
    const char *name, *text;
    uint32_t owner; /* id in the sandbox that may read it */
};

struct sandbox_request {
    const char *id; /* the share's: names the cgroup */
    int cgroup_fd;  /* its group of the unified hierarchy, to be born in; or -1 */
    const char *hostname;
    uint32_t uid_first; /* the share's block */
    int tree_fd;        /* SHARES/ID */
    uid_t owner;        /* the tree's files' owner and group on disk, which become SANDBOX_USER */
    gid_t group;
    struct sandbox_image *images;
    uint32_t n_images;
    const struct sandbox_file *files;
    uint32_t n_files;
    /* The plan, without its descriptors' final numbers: sockets[] and *_fd name descriptors of the
     * calling process; sandbox_start() moves them where the supervisor finds them. The k-th service
     * of kind READER is for the k-th image of kind FUSE and has one socket, which is filled in. */
    struct supervisor_plan *plan;
    bool any_host; /* a service of network=host is in the plan: start the second supervisor too */
};

struct sandbox {
    pid_t pid; /* PID 1, seen from the host; a child of the caller's parent */
    int pidfd; /* owned */
};

/* Called in the calling process between clone and the first step of the new process, with pid and
 * pidfd: the moment to tell the broker, so that no crash loses a process. Non-zero: abandon. */
typedef int sandbox_born(const struct sandbox *sandbox, void *user_data);

/* Starts the sandbox and returns when the supervisor was executed (it then says on plan->ready_fd
 * whether it is ready). 0, or a negative errno with the failing step and reason in `why`; nothing
 * of the sandbox is left then. */
int sandbox_start(struct sandbox_template *template, const struct sandbox_request *request,
                  sandbox_born *born, void *user_data, struct sandbox *ret, char *why,
                  size_t why_size);

/* In a process of its own (it joins a foreign mount namespace and cannot come back): shows a
 * further image at `contents` in the tree of a live sandbox. With mount_fd < 0 mounts FUSE there
 * and gives the /dev/fuse descriptor in image->fuse_fd. */
int sandbox_add_image(struct sandbox_template *template, int pidfd, uint32_t uid_first,
                      struct sandbox_image *image, char *why, size_t why_size);

/* The same for taking one away: unmounts `contents`. 0 also when nothing is mounted there. */
int sandbox_remove_image(int pidfd, const char *contents);

/* Visits what is shown in the tree of a live sandbox, by its PID 1: the `contents` of each image.
 * Nothing is touched there. 0 or a negative errno. */
int sandbox_each_image(pid_t pid, void (*visit)(const char *contents, void *user_data),
                       void *user_data);
