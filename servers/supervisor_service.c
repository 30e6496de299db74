/* What differs between the kinds of start stands in one table; its rows are named by the plan. */
#include "supervisor_service.h"

#include "cleanup.h"
#include "supervisor_child.h"
#include "supervisor_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define SHORT_LIFE    SECOND_NS
#define LONG_LIFE     (5 * SECOND_NS)
#define FIRST_WAIT    (100 * MS_NS)
#define DRAIN_AT_ONCE 64
#define CANNOT_FORK   W_EXITCODE(126, 0)

typedef void start_handler(struct services *services, uint32_t index, uint32_t socket);
static start_handler start_connection, start_datagram, start_listen, start_reader;

static const struct kind {
    start_handler *start;
    uint64_t longest_wait;
    bool refuses;    /* its callers are refused while it backs off; otherwise they wait */
    bool zero_fails; /* to end within a second is a failure whatever the exit status */
} kinds[] = {
    [SUPERVISOR_CONNECTION] = {start_connection, SECOND_NS, false, false},
    [SUPERVISOR_DATAGRAM] = {start_datagram, 30 * SECOND_NS, true, true},
    [SUPERVISOR_LISTEN] = {start_listen, 30 * SECOND_NS, true, true},
    [SUPERVISOR_READER] = {start_reader, 30 * SECOND_NS, false, true},
};

static const struct kind *kind_of(const struct service *service)
{
    return &kinds[service->plan->start];
}

static void close_sockets(struct service *service)
{
    for (uint32_t i = 0; i < SUPERVISOR_SOCKETS_MAX; i++) {
        cleanup_close_fd(&service->sockets[i]);
        service->sockets[i] = -1;
    }
}

/* accept4(2) on a socket that was readable a moment ago must not wait. */
static void make_ready(const struct service *service)
{
    for (uint32_t i = 0; i < service->plan->n_sockets; i++) {
        int flags = fcntl(service->sockets[i], F_GETFL);
        if (service->plan->start == SUPERVISOR_CONNECTION && flags >= 0) {
            fcntl(service->sockets[i], F_SETFL, flags | O_NONBLOCK);
        }
    }
}

static void service_open(struct service *service, const struct supervisor_service *plan, bool mine)
{
    service->plan = plan;
    service->mine = mine;
    for (uint32_t i = 0; i < SUPERVISOR_SOCKETS_MAX; i++) {
        service->sockets[i] = i < plan->n_sockets ? plan->sockets[i] : -1;
    }
    if (mine) {
        make_ready(service);
    } else {
        close_sockets(service);
    }
}

void services_open(struct services *services, const struct supervisor_plan *plan,
                   struct supervisor_status *status, bool network_host)
{
    for (uint32_t i = 0; i < plan->n_services; i++) {
        struct service *service = &services->items[i];
        service->status = &status->services[i];
        service_open(service, &plan->services[i],
                     (plan->services[i].network_host != 0) == network_host);
    }
    services->count = plan->n_services;
}

/* ---- failures ---- */

static uint64_t wait_for(uint32_t failures, uint64_t longest)
{
    uint64_t wait = FIRST_WAIT;
    for (uint32_t i = 1; i < failures && wait < longest; i++) {
        wait *= 2;
    }
    return wait < longest ? wait : longest;
}

static void service_failed(struct service *service, int wait_status)
{
    struct supervisor_service_status *status = service->status;
    status->failures += status->failures < UINT32_MAX;
    status->last_exit = wait_status;
    status->backing_off = 1;
    service->wait_until = events_now() + wait_for(status->failures, kind_of(service)->longest_wait);
}

static void service_rested(struct service *service)
{
    service->wait_until = 0;
    service->status->backing_off = 0;
}

/* ---- processes ---- */

static struct process *process_new(struct services *services)
{
    if (services->n_processes == services->capacity) {
        size_t capacity = services->capacity + 32;
        struct process *grown =
            reallocarray(services->processes, capacity, sizeof services->processes[0]);
        if (grown == NULL) {
            return NULL;
        }
        services->processes = grown;
        services->capacity = capacity;
    }
    return &services->processes[services->n_processes];
}

static void service_start(struct services *services, uint32_t index, uint32_t socket,
                          const int *fds, uint32_t n_fds)
{
    struct service *service = &services->items[index];
    struct process *process = process_new(services);
    struct child child = {.words = &service->plan->program,
                          .uid = service->plan->uid,
                          .gid = service->plan->gid,
                          .start = service->plan->start,
                          .n_fds = n_fds,
                          .output = -1};
    for (uint32_t i = 0; i < n_fds; i++) {
        child.fds[i] = fds[i];
    }
    pid_t pid = process == NULL ? -ENOMEM : child_start(&child);
    if (pid < 0) {
        service_failed(service, CANNOT_FORK);
        return;
    }
    *process = (struct process){pid, index, socket, events_now()};
    services->n_processes++;
    service->busy[socket] = true;
    service->status->started++;
    service->status->running++;
}

static void start_connection(struct services *services, uint32_t index, uint32_t socket)
{
    struct service *service = &services->items[index];
    CLEANUP_CLOSE int connection = accept4(service->sockets[socket], NULL, NULL, SOCK_CLOEXEC);
    if (connection >= 0) {
        service_start(services, index, socket, &connection, 1);
    } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        service_failed(service, CANNOT_FORK); /* no descriptors or memory left: not at once again */
    }
}

static void start_datagram(struct services *services, uint32_t index, uint32_t socket)
{
    service_start(services, index, socket, &services->items[index].sockets[socket], 1);
}

static void start_listen(struct services *services, uint32_t index, uint32_t socket)
{
    struct service *service = &services->items[index];
    (void)socket;
    service_start(services, index, 0, service->sockets, service->plan->n_sockets);
}

static void start_reader(struct services *services, uint32_t index, uint32_t socket)
{
    service_start(services, index, socket, services->items[index].sockets, 1);
}

/* ---- callers ---- */

/* A reset says at once what a closed connection would say only after the first request. */
static void refuse_connection(int socket)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    CLEANUP_CLOSE int connection = accept4(socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection >= 0) {
        setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
}

static void drain(int socket)
{
    char byte;
    for (int i = 0; i < DRAIN_AT_ONCE; i++) {
        if (recv(socket, &byte, sizeof byte, MSG_DONTWAIT | MSG_TRUNC) < 0) {
            return;
        }
    }
}

static void refuse(const struct service *service, uint32_t socket)
{
    if (service->plan->is_stream[socket]) {
        refuse_connection(service->sockets[socket]);
    } else {
        drain(service->sockets[socket]);
    }
}

static bool may_start(const struct service *service, uint32_t socket)
{
    if (service->plan->start == SUPERVISOR_CONNECTION) {
        return service->status->running < service->plan->max_processes;
    }
    return !service->busy[service->plan->start == SUPERVISOR_LISTEN ? 0 : socket];
}

/* number: service * SUPERVISOR_SOCKETS_MAX + socket */
static void caller_arrived(void *waiter, uint32_t number)
{
    struct services *services = waiter;
    uint32_t index = number / SUPERVISOR_SOCKETS_MAX, socket = number % SUPERVISOR_SOCKETS_MAX;
    struct service *service = &services->items[index];
    if (!may_start(service, socket)) {
        return; /* another socket of the same turn started it */
    }
    if (service->wait_until == 0) {
        kind_of(service)->start(services, index, socket);
    } else if (kind_of(service)->refuses) {
        refuse(service, socket);
    }
}

static void watch_sockets(struct services *services, uint32_t index, struct events *events)
{
    struct service *service = &services->items[index];
    if (service->wait_until != 0 && !kind_of(service)->refuses) {
        return;
    }
    for (uint32_t i = 0; i < service->plan->n_sockets; i++) {
        if (may_start(service, i)) {
            events_add(events, service->sockets[i], caller_arrived, services,
                       index * SUPERVISOR_SOCKETS_MAX + i);
        }
    }
}

static void watch_reader(struct services *services, uint32_t index)
{
    struct service *service = &services->items[index];
    if (service->wait_until == 0 && service->sockets[0] >= 0 && may_start(service, 0)) {
        start_reader(services, index, 0);
    }
}

void services_watch(struct services *services, struct events *events)
{
    uint64_t now = events_now();
    for (uint32_t i = 0; i < services->count; i++) {
        struct service *service = &services->items[i];
        if (!service->mine) {
            continue;
        }
        if (service->wait_until != 0 && now >= service->wait_until) {
            service_rested(service);
        }
        if (service->plan->start == SUPERVISOR_READER) {
            watch_reader(services, i);
        } else {
            watch_sockets(services, i, events);
        }
        if (service->wait_until != 0) {
            events_wake(events, service->wait_until);
        }
    }
}

/* ---- ends ---- */

static bool fuse_is_gone(int fd)
{
    struct pollfd connection = {.fd = fd, .events = 0};
    return poll(&connection, 1, 0) > 0;
}

/* Never started again, however soon it has died: the kernel keeps its connection with the process
 * that answered first, and would leave everybody waiting for a second one. Closed, it says no. */
static void reader_ended(struct service *service)
{
    bool gone = fuse_is_gone(service->sockets[0]);
    if (gone) { /* unmounted: the image was taken out of the share */
        *service->status = (struct supervisor_service_status){
            .started = service->status->started,
        };
    }
    service_rested(service);
    close_sockets(service);
    service->status->failures += !gone && service->status->failures == 0;
}

static void service_ended(struct service *service, uint64_t lived, int wait_status)
{
    struct supervisor_service_status *status = service->status;
    status->running--;
    if (lived < SHORT_LIFE && (wait_status != 0 || kind_of(service)->zero_fails)) {
        service_failed(service, wait_status);
    } else if (wait_status == 0 || lived > LONG_LIFE) {
        status->failures = 0;
    }
    if (wait_status != 0) {
        status->last_exit = wait_status;
    }
    if (service->plan->start == SUPERVISOR_READER) {
        reader_ended(service);
    }
}

bool services_ended(struct services *services, pid_t pid, int wait_status)
{
    for (size_t i = 0; i < services->n_processes; i++) {
        struct process ended = services->processes[i];
        if (ended.pid != pid) {
            continue;
        }
        services->processes[i] = services->processes[--services->n_processes];
        services->items[ended.service].busy[ended.socket] = false;
        service_ended(&services->items[ended.service], events_now() - ended.started, wait_status);
        return true;
    }
    return false;
}

/* ---- more readers ---- */

/* A reader whose image is gone leaves its place to the next. */
static uint32_t free_place(const struct services *services)
{
    for (uint32_t i = 0; i < services->count; i++) {
        const struct service *service = &services->items[i];
        if (service->mine && service->plan->start == SUPERVISOR_READER && service->sockets[0] < 0 &&
            !service->busy[0]) {
            return i;
        }
    }
    return services->count;
}

int services_add_reader(struct services *services, const struct supervisor_service *reader,
                        int fuse_fd, struct supervisor_status *status)
{
    uint32_t place = free_place(services);
    if (reader->start != SUPERVISOR_READER || plan_check_service(reader) < 0) {
        return -EINVAL;
    }
    if (place == SUPERVISOR_SERVICES_MAX) {
        return -ENOSPC;
    }
    struct supervisor_service *added = malloc(sizeof *added);
    if (added == NULL) {
        return -ENOMEM;
    }
    *added = *reader;
    added->sockets[0] = fuse_fd;
    struct service *service = &services->items[place];
    free(service->added);
    *service = (struct service){.added = added, .status = &status->services[place]};
    *service->status = (struct supervisor_service_status){0};
    service_open(service, added, true);
    services->count += place == services->count;
    return 0;
}
