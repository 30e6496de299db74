/*
 * The queue. An order is the pairs of one request; what runs is a pair, so that a long order holds
 * up nobody: the next pair is that of the asker whose last turn is longest ago.
 */
#include "verify.h"

#include "cleanup.h"
#include "verify_child.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define CHILDREN 2
#define NS_PER_S 1000000000ull

/* What crypt_gensalt(3) asks of yescrypt by default. The last of 43 characters stands for the last
 * 4 of 256 bits, and 'z' for 6 that are set: no secret has this hash. */
const char VERIFY_DUMMY[] =
    "$y$j9T$6WSV5Y7XOcW0efdvmBjFI1$5lTZZBUvVt4jZSO/8sx8YrhwVIp0L7qBwUm238DOmNz";

struct verify_order {
    struct verify_order *next;
    struct verify *verify;
    struct verify_request *items; /* owned; a secret is wiped when a child has it */
    enum verify_result *results;  /* owned */
    uint32_t count, started, done;
    uint64_t turn; /* when the asker had his last one */
    char asker[64];
    bool administrator;
    verify_checked *checked; /* this or the next */
    verify_hashed *hashed;
    char hash[VERIFY_HASH_MAX + 1];
    void *user_data;
};

struct child {
    struct verify *verify;
    struct worker *worker; /* NULL: there is none */
    struct loop_timer *limit;
    struct verify_order *order; /* NULL: nobody waits for it any more */
    uint32_t item;
};

struct verify {
    struct loop *loop;
    struct verify_birth birth;
    struct verify_order *orders; /* in the order of arrival */
    struct child children[CHILDREN];
    struct loop_timer *soon; /* somebody looks what is to do */
    uint64_t turns;          /* each started a child */
    void (*idle)(void *user_data);
    void *idle_data;
};

/* -- orders -- */

static void order_free(struct verify_order *order)
{
    if (order->items != NULL) {
        explicit_bzero(order->items, order->count * sizeof *order->items);
    }
    explicit_bzero(order->hash, sizeof order->hash);
    free(order->items);
    free(order->results);
    free(order);
}

/* Off the list; children that work for it are killed. */
static void order_remove(struct verify_order *order)
{
    struct verify *verify = order->verify;
    struct verify_order **place = &verify->orders;

    while (*place != order) {
        place = &(*place)->next;
    }
    *place = order->next;
    for (size_t i = 0; i < CHILDREN; i++) {
        if (verify->children[i].order == order) {
            verify->children[i].order = NULL;
            worker_kill(verify->children[i].worker);
        }
    }
}

static void order_answer(struct verify_order *order)
{
    order_remove(order);
    if (order->hashed != NULL) {
        bool made = order->results[0] == VERIFY_RIGHT;
        order->hashed(made ? 0 : -EIO, made ? order->hash : NULL, order->user_data);
    } else {
        order->checked(order->results, order->count, order->user_data);
    }
    order_free(order);
}

/* -- children -- */

static void look_soon(struct verify *verify);

static void item_done(struct verify_order *order, uint32_t item, enum verify_result result)
{
    order->results[item] = result;
    order->done++;
}

static bool is_hash(const char *text, size_t size)
{
    size_t length = strnlen(text, size);

    if (length == 0 || length == size || text[0] != '$') {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] <= ' ' || text[i] > '~' || text[i] == ':') {
            return false;
        }
    }
    return true;
}

/* The first word counts, if it is one. */
static void reply_heard(const void *message, size_t length, int *fds, unsigned n_fds,
                        void *user_data)
{
    struct child *child = user_data;
    const struct verify_reply *reply = message;

    while (n_fds > 0) {
        close(fds[--n_fds]);
    }
    if (child->order == NULL || length != sizeof *reply) {
        return;
    }
    struct verify_order *order = child->order;
    if (order->hashed != NULL && is_hash(reply->hash, sizeof reply->hash)) {
        memcpy(order->hash, reply->hash, sizeof order->hash);
        item_done(order, child->item, VERIFY_RIGHT);
    } else if (order->hashed != NULL) {
        item_done(order, child->item, VERIFY_FAILED);
    } else {
        item_done(order, child->item, reply->right == 1 ? VERIFY_RIGHT : VERIFY_WRONG);
    }
    child->order = NULL;
}

static void child_gone(void *user_data)
{
    struct child *child = user_data;

    child->worker = NULL;
    loop_cancel(&child->limit);
    if (child->order != NULL) {
        item_done(child->order, child->item, VERIFY_FAILED);
        child->order = NULL;
    }
    look_soon(child->verify);
}

static void limit_reached(void *user_data)
{
    struct child *child = user_data;

    child->limit = NULL;
    worker_kill(child->worker);
}

static void become(int fd, void *user_data)
{
    struct child *child = user_data;

    verify_child_become(fd, &child->verify->birth);
}

static int child_start(struct child *child, struct verify_order *order, uint32_t item)
{
    struct verify *verify = child->verify;

    int r = loop_at(verify->loop, loop_now() + VERIFY_WALL_S * NS_PER_S, limit_reached, child,
                    &child->limit);
    if (r == 0) {
        r = worker_start(verify->loop, become, reply_heard, child_gone, child, &child->worker);
    }
    if (r < 0) {
        loop_cancel(&child->limit);
        return r;
    }
    child->order = order;
    child->item = item;
    if (worker_send(child->worker, &order->items[item], sizeof order->items[item]) < 0) {
        worker_kill(child->worker);
    }
    return 0;
}

/* -- turns -- */

/* The one to go on with: of those that have something to start, the longest without a turn. */
static struct verify_order *next_order(const struct verify *verify)
{
    struct verify_order *next = NULL;

    for (struct verify_order *order = verify->orders; order != NULL; order = order->next) {
        if (order->started < order->count && (next == NULL || order->turn < next->turn)) {
            next = order;
        }
    }
    return next;
}

/* An asker's turn is a turn for all that he has waiting. */
static void take_turn(struct verify *verify, const struct verify_order *taken)
{
    verify->turns++;
    for (struct verify_order *order = verify->orders; order != NULL; order = order->next) {
        if (strcmp(order->asker, taken->asker) == 0) {
            order->turn = verify->turns;
        }
    }
}

static void start_children(struct verify *verify)
{
    for (size_t i = 0; i < CHILDREN; i++) {
        struct verify_order *order = next_order(verify);
        if (order == NULL || verify->children[i].worker != NULL) {
            continue;
        }
        uint32_t item = order->started++;
        take_turn(verify, order);
        if (child_start(&verify->children[i], order, item) < 0) {
            item_done(order, item, VERIFY_FAILED);
            look_soon(verify);
        }
        explicit_bzero(&order->items[item], sizeof order->items[item]);
    }
}

/* A callback may make or cancel any order: after each one the list is looked at from its start. */
static void answer_orders(struct verify *verify)
{
    struct verify_order *order = verify->orders;

    while (order != NULL) {
        if (order->done == order->count) {
            order_answer(order);
            order = verify->orders;
        } else {
            order = order->next;
        }
    }
}

bool verify_running(const struct verify *verify)
{
    bool running = false;

    for (size_t i = 0; i < CHILDREN; i++) {
        running |= verify->children[i].worker != NULL;
    }
    return running;
}

uint64_t verify_children(const struct verify *verify)
{
    return verify->turns;
}

static void look(void *user_data)
{
    struct verify *verify = user_data;

    verify->soon = NULL;
    if (verify->idle == NULL) {
        answer_orders(verify);
        start_children(verify);
    } else if (!verify_running(verify)) {
        verify->idle(verify->idle_data);
    }
}

static void look_soon(struct verify *verify)
{
    if (verify->soon == NULL) {
        loop_at(verify->loop, loop_now(), look, verify, &verify->soon);
    }
}

/* -- asking -- */

static int admit(const struct verify *verify, const struct verify_order *order)
{
    unsigned all = 0, users = 0, own = 0;

    for (const struct verify_order *o = verify->orders; o != NULL; o = o->next) {
        all++;
        users += !o->administrator;
        own += strcmp(o->asker, order->asker) == 0;
    }
    bool full = order->administrator ? all >= VERIFY_ORDERS_MAX
                                     : own >= VERIFY_ORDERS_EACH || all >= VERIFY_ORDERS_MAX ||
                                           users >= VERIFY_ORDERS_MAX / 4 * 3;
    return full ? -EBUSY : 0;
}

static struct verify_order *order_new(struct verify *verify, const struct verify_asker *asker,
                                      uint32_t count, void *user_data)
{
    struct verify_order *order = calloc(1, sizeof *order);

    if (order == NULL) {
        return NULL;
    }
    order->verify = verify;
    order->count = count;
    order->turn = verify->turns;
    order->administrator = asker->administrator;
    order->user_data = user_data;
    snprintf(order->asker, sizeof order->asker, "%s", asker->name);
    order->items = calloc(count + 1, sizeof *order->items);
    order->results = calloc(count + 1, sizeof *order->results);
    if (order->items == NULL || order->results == NULL) {
        order_free(order);
        return NULL;
    }
    return order;
}

/* Takes `order` over. */
static int order_add(struct verify_order *order, struct verify_order **ret)
{
    struct verify *verify = order->verify;
    struct verify_order **place = &verify->orders;
    int r = verify->idle != NULL ? -ESHUTDOWN : admit(verify, order);

    if (r < 0) {
        order_free(order);
        return r;
    }
    while (*place != NULL) {
        place = &(*place)->next;
    }
    *place = order;
    *ret = order;
    look_soon(verify);
    return 0;
}

/* A pair that cannot be right is checked all the same: against a hash that nothing matches. */
static void fill_item(struct verify_request *item, const struct verify_pair *pair)
{
    bool fits =
        strlen(pair->secret) < sizeof item->secret && strlen(pair->hash) < sizeof item->hash;

    item->task = VERIFY_CHECK;
    snprintf(item->secret, sizeof item->secret, "%s", fits ? pair->secret : "");
    snprintf(item->hash, sizeof item->hash, "%s", fits ? pair->hash : VERIFY_DUMMY);
}

int verify_check(struct verify *verify, const struct verify_asker *asker,
                 const struct verify_pair *pairs, uint32_t count, verify_checked *checked,
                 void *user_data, struct verify_order **ret)
{
    if (count > VERIFY_PAIRS_MAX) {
        return -E2BIG;
    }
    struct verify_order *order = order_new(verify, asker, count, user_data);
    if (order == NULL) {
        return -ENOMEM;
    }
    order->checked = checked;
    for (uint32_t i = 0; i < count; i++) {
        fill_item(&order->items[i], &pairs[i]);
    }
    return order_add(order, ret);
}

int verify_hash(struct verify *verify, const struct verify_asker *asker, const char *secret,
                verify_hashed *hashed, void *user_data, struct verify_order **ret)
{
    if (strlen(secret) > VERIFY_SECRET_MAX) {
        return -EINVAL;
    }
    struct verify_order *order = order_new(verify, asker, 1, user_data);
    if (order == NULL) {
        return -ENOMEM;
    }
    order->hashed = hashed;
    order->items[0].task = VERIFY_MAKE;
    snprintf(order->items[0].secret, sizeof order->items[0].secret, "%s", secret);
    return order_add(order, ret);
}

void verify_cancel(struct verify_order **order)
{
    if (*order != NULL) {
        order_remove(*order);
        order_free(*order);
        *order = NULL;
    }
}

/* -- beginning and end -- */

int verify_open(struct loop *loop, const char *program, uid_t uid, struct verify **ret)
{
    CLEANUP_CLOSE int program_fd = open(program, O_PATH | O_CLOEXEC);
    int r = program_fd < 0 ? -errno : 0;
    CLEANUP_CLOSE int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct verify *verify = calloc(1, sizeof *verify);

    if (r < 0 || null_fd < 0 || verify == NULL) {
        free(verify);
        return r < 0 ? r : null_fd < 0 ? -ENODEV : -ENOMEM;
    }
    verify->loop = loop;
    verify->birth = (struct verify_birth){
        .program_fd = TAKE_FD(program_fd), .null_fd = TAKE_FD(null_fd), .uid = uid};
    for (size_t i = 0; i < CHILDREN; i++) {
        verify->children[i].verify = verify;
    }
    *ret = verify;
    return 0;
}

void verify_stop(struct verify *verify, void (*idle)(void *user_data), void *user_data)
{
    verify->idle = idle;
    verify->idle_data = user_data;
    for (size_t i = 0; i < CHILDREN; i++) {
        if (verify->children[i].worker != NULL) {
            worker_kill(verify->children[i].worker);
        }
    }
    look_soon(verify);
}

void verify_close(struct verify *verify)
{
    if (verify == NULL) {
        return;
    }
    while (verify->orders != NULL) {
        struct verify_order *order = verify->orders;
        verify_cancel(&order);
    }
    loop_cancel(&verify->soon);
    close(verify->birth.program_fd);
    close(verify->birth.null_fd);
    free(verify);
}
