#include "gate_count.h"

#include "cleanup.h"
#include "loop.h"
#include "throttle.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

enum counted { BY_REQUESTER, BY_PEER, BY_IMAGE, BY_DIRECTORY, COUNTED };

/* Who guesses is slowed down first. What others guess at is slowed down for everybody, so its waits
 * are short: a wait is what an attacker can impose on those who know the password. */
static const struct throttle_limits limits[COUNTED] = {
    [BY_REQUESTER] = {.free = 5, .forget_s = 60, .first_s = 1, .most_s = 300},
    [BY_PEER] = {.free = 60, .forget_s = 1, .first_s = 1, .most_s = 5},
    [BY_IMAGE] = {.free = 20, .forget_s = 60, .first_s = 1, .most_s = 60},
    [BY_DIRECTORY] = {.free = 60, .forget_s = 20, .first_s = 1, .most_s = 30},
};

struct gate_counts {
    struct throttle *by[COUNTED];
};

struct key {
    unsigned char bytes[16];
    size_t length;
};

/* Of IPv6 the network's half: the other half is the guesser's to choose. */
static struct key requester_key(const struct address *requester)
{
    struct key key = {.length = requester->family == AF_INET6 ? 8 : 4};

    memcpy(key.bytes, requester->bytes, key.length);
    return key;
}

int gate_counts_open(struct gate_counts **ret)
{
    struct gate_counts *counts = calloc(1, sizeof *counts);
    int r = counts == NULL ? -ENOMEM : 0;

    for (size_t i = 0; r == 0 && i < COUNTED; i++) {
        r = throttle_open(&limits[i], &counts->by[i]);
    }
    if (r < 0) {
        gate_counts_close(counts);
        return r;
    }
    *ret = counts;
    return 0;
}

void gate_counts_close(struct gate_counts *counts)
{
    for (size_t i = 0; counts != NULL && i < COUNTED; i++) {
        throttle_close(counts->by[i]);
    }
    free(counts);
}

static uint64_t longer(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t gate_counts_wait(const struct gate_counts *counts, const struct address *requester,
                          uid_t peer)
{
    const struct key key = requester_key(requester);
    uint64_t now = loop_now();

    return longer(throttle_wait(counts->by[BY_REQUESTER], key.bytes, key.length, now),
                  throttle_wait(counts->by[BY_PEER], &peer, sizeof peer, now));
}

/* The next directory above, as the length of its path: begins with the path's own length, and ends
 * with 0, the repository itself, which is not counted: that would be everybody's counter. */
static size_t above(const char *path, size_t length)
{
    const char *slash = memrchr(path, '/', length);

    return slash != NULL ? (size_t)(slash - path) : 0;
}

uint64_t gate_counts_wait_path(const struct gate_counts *counts, const struct image_path *path)
{
    size_t length = strlen(path->text);
    uint64_t now = loop_now();
    uint64_t wait = throttle_wait(counts->by[BY_IMAGE], path->text, length, now);

    while ((length = above(path->text, length)) > 0) {
        wait = longer(wait, throttle_wait(counts->by[BY_DIRECTORY], path->text, length, now));
    }
    return wait;
}

static bool is_below(const struct image_path *path, const char *directory, size_t length)
{
    return strncmp(path->text, directory, length) == 0 && path->text[length] == '/';
}

/* The directories above the last path that are above none of those before. */
static void fail_directories(struct gate_counts *counts, const struct image_path *const *paths,
                             uint32_t last, uint64_t now)
{
    const char *path = paths[last]->text;
    size_t length = strlen(path);

    while ((length = above(path, length)) > 0) {
        bool before = false;
        for (uint32_t i = 0; i < last; i++) {
            before |= is_below(paths[i], path, length);
        }
        if (!before) {
            throttle_fail(counts->by[BY_DIRECTORY], path, length, now);
        }
    }
}

void gate_counts_fail(struct gate_counts *counts, const struct address *requester, uid_t peer,
                      const struct image_path *const *paths, uint32_t n_paths)
{
    const struct key key = requester_key(requester);
    uint64_t now = loop_now();

    throttle_fail(counts->by[BY_REQUESTER], key.bytes, key.length, now);
    throttle_fail(counts->by[BY_PEER], &peer, sizeof peer, now);
    for (uint32_t i = 0; i < n_paths; i++) {
        throttle_fail(counts->by[BY_IMAGE], paths[i]->text, strlen(paths[i]->text), now);
        fail_directories(counts, paths, i, now);
    }
}
