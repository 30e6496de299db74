/*
 * cdss-verify: reads one secret, and with it one hash or none; answers whether they match, or with
 * a new hash; ends. It is started by cdssd alone, already without rights (verify_child.c), and
 * takes from itself here what a running program can do without.
 */
#include "verify_child.h"

#include <crypt.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

/* A sanitizer maps terabytes that it never touches. */
static int limit_memory(void)
{
#ifdef SANITIZED
    return 0;
#else
    const struct rlimit limit = {VERIFY_MEMORY_MB << 20, VERIFY_MEMORY_MB << 20};
    return setrlimit(RLIMIT_AS, &limit);
#endif
}

static int limit_everything(void)
{
    const struct rlimit none = {0, 0};

    if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        setrlimit(RLIMIT_NOFILE, &none) < 0 || setrlimit(RLIMIT_NPROC, &none) < 0) {
        return -1;
    }
    return limit_memory();
}

/* Two descriptors to talk through, memory to work in, salts, and the end. Anything else ends it at
 * once. */
static int forbid_calls(void)
{
    static const int allowed[] = {SCMP_SYS(read),      SCMP_SYS(write), SCMP_SYS(munmap),
                                  SCMP_SYS(mremap),    SCMP_SYS(brk),   SCMP_SYS(madvise),
                                  SCMP_SYS(getrandom), SCMP_SYS(futex), SCMP_SYS(exit_group)};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int r = filter == NULL ? -1 : 0;

    for (size_t i = 0; r == 0 && i < sizeof allowed / sizeof allowed[0]; i++) {
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    }
    if (r == 0) { /* memory, but no code */
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    }
    if (r == 0) {
        r = seccomp_load(filter);
    }
    if (filter != NULL) {
        seccomp_release(filter);
    }
    return r;
}

/* Takes as long wherever they differ. */
static int is_same(const char *got, const char *wanted)
{
    size_t length = strlen(wanted);
    unsigned char differ = 0;

    if (strlen(got) != length) {
        return 0;
    }
    for (size_t i = 0; i < length; i++) {
        differ |= (unsigned char)(got[i] ^ wanted[i]);
    }
    return differ == 0;
}

/* crypt(3) begins a failure with '*', and a hash that begins so is nobody's. */
static void check(const struct verify_request *request, struct crypt_data *data,
                  struct verify_reply *reply)
{
    const char *got = crypt_r(request->secret, request->hash, data);

    reply->right = got != NULL && got[0] != '*' && got[0] != '\0' && is_same(got, request->hash);
}

static void make(const struct verify_request *request, struct crypt_data *data,
                 struct verify_reply *reply)
{
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];

    if (crypt_gensalt_rn("$y$", 0, NULL, 0, salt, sizeof salt) == NULL) {
        return;
    }
    const char *got = crypt_r(request->secret, salt, data);
    if (got != NULL && got[0] == '$' && strlen(got) < sizeof reply->hash) {
        memcpy(reply->hash, got, strlen(got) + 1);
    }
}

int main(void)
{
    static struct crypt_data data;
    struct verify_request request;
    struct verify_reply reply = {0};

    if (limit_everything() < 0 || forbid_calls() < 0 ||
        read(VERIFY_CHILD_FD, &request, sizeof request) != (ssize_t)sizeof request) {
        _exit(1);
    }
    request.secret[sizeof request.secret - 1] = '\0';
    request.hash[sizeof request.hash - 1] = '\0';
    if (request.task == VERIFY_CHECK) {
        check(&request, &data, &reply);
    } else {
        make(&request, &data, &reply);
    }
    explicit_bzero(&request, sizeof request);
    explicit_bzero(&data, sizeof data);
    _exit(write(VERIFY_CHILD_FD, &reply, sizeof reply) == (ssize_t)sizeof reply ? 0 : 1);
}
