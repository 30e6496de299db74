/* The programs, instruction by instruction: they are short, and there is no compiler on a host.
 * Each begins with its context in r1 and ends with its verdict in r0, 1 for yes. */
#include "fence.h"

#include "cleanup.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define R0 BPF_REG_0
#define R1 BPF_REG_1
#define R2 BPF_REG_2
#define R3 BPF_REG_3
#define R4 BPF_REG_4
#define FP BPF_REG_10

#define INSN(c, dst, src, o, i)                                                                    \
    ((struct bpf_insn){.code = (c), .dst_reg = (dst), .src_reg = (src), .off = (o), .imm = (i)})
#define SET(dst, value)          INSN(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, (int32_t)(value))
#define COPY(dst, src)           INSN(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define ADD(dst, value)          INSN(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, (int32_t)(value))
#define LOAD(dst, src, o)        INSN(BPF_LDX | BPF_MEM | BPF_W, dst, src, (int16_t)(o), 0)
#define STORE(size, dst, o, src) INSN(BPF_STX | BPF_MEM | (size), dst, src, (int16_t)(o), 0)
#define TO_HOST16(dst)           INSN(BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, 0, 16)
#define CALL(function)           INSN(BPF_JMP | BPF_CALL, 0, 0, 0, (function))
#define EXIT                     INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
/* Skips `n` instructions when the low 32 bits of `dst` compare so with a constant. */
#define SKIP(how, dst, value, n)                                                                   \
    INSN(BPF_JMP32 | (how) | BPF_K, dst, 0, (int16_t)(n), (int32_t)(value))
/* The same when it is a null pointer, and 0 then. */
#define SKIP_NULL(dst, n) INSN(BPF_JMP | BPF_JEQ | BPF_K, dst, 0, (int16_t)(n), 0)
/* The address of a map; two instructions long. */
#define MAP(dst, fd)                                                                               \
    INSN(BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, 0, (fd)), INSN(0, 0, 0, 0, 0)

static int bpf(enum bpf_cmd command, union bpf_attr *attr)
{
    long r = syscall(SYS_bpf, command, attr, sizeof *attr);
    return r < 0 ? -errno : (int)r;
}

struct program {
    enum bpf_prog_type type;
    enum bpf_attach_type place;
    const struct bpf_insn *code;
    uint32_t length;
};

static int load(const struct program *program)
{
    union bpf_attr attr = {.prog_type = program->type,
                           .expected_attach_type = program->place,
                           .insns = (uint64_t)(uintptr_t)program->code,
                           .insn_cnt = program->length,
                           .license = (uint64_t)(uintptr_t) "GPL"};
    return bpf(BPF_PROG_LOAD, &attr);
}

/* Loads it and, unless `group_fd` is -1, attaches it; the group keeps it then. Beside others': a
 * service manager may have programs of its own above. */
static int put(int group_fd, const struct program *program)
{
    CLEANUP_CLOSE int fd = load(program);
    if (fd < 0 || group_fd < 0) {
        return fd < 0 ? fd : 0;
    }
    union bpf_attr attr = {.target_fd = (uint32_t)group_fd,
                           .attach_bpf_fd = (uint32_t)fd,
                           .attach_type = program->place,
                           .attach_flags = BPF_F_ALLOW_MULTI};
    return bpf(BPF_PROG_ATTACH, &attr);
}

/* The guard has written the flow's mark into each packet that it accepts (docs/architecture.md). */
static int put_marks(int group_fd, const struct fence *fence)
{
    const struct bpf_insn code[] = {
        LOAD(R2, R1, offsetof(struct __sk_buff, mark)),
        SET(R0, 1),
        SKIP(BPF_JEQ, R2, fence->mark, 1),
        SET(R0, 0),
        EXIT,
    };
    const struct program program = {BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS, code,
                                    ARRAY_SIZE(code)};
    return put(group_fd, &program);
}

/* A hash of the sockets that are there, by their cookies: when it is full, there is no further one.
 */
static int make_map(const struct fence *fence)
{
    union bpf_attr attr = {.map_type = BPF_MAP_TYPE_HASH,
                           .key_size = sizeof(uint64_t),
                           .value_size = sizeof(uint32_t),
                           .max_entries = fence->sockets,
                           .map_flags = BPF_F_NO_PREALLOC};
    return bpf(BPF_MAP_CREATE, &attr);
}

/* Port 0 lets the kernel pick. */
static int put_no_ports(int group_fd, enum bpf_attach_type place)
{
    const struct bpf_insn code[] = {
        LOAD(R2, R1, offsetof(struct bpf_sock_addr, user_port)),
        SET(R0, 1),
        SKIP(BPF_JEQ, R2, 0, 1),
        SET(R0, 0),
        EXIT,
    };
    const struct program program = {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, place, code, ARRAY_SIZE(code)};
    return put(group_fd, &program);
}

/* Passive ports are for the sockets that are counted: connections that were accepted are as many as
 * clients make, and could be unbound and bound again. */
static int put_ports(int group_fd, const struct fence *fence, int map, enum bpf_attach_type place)
{
    const struct bpf_insn code[] = {
        LOAD(R2, R1, offsetof(struct bpf_sock_addr, user_port)),
        TO_HOST16(R2),
        SET(R0, 1),
        SKIP(BPF_JEQ, R2, 0, 12), /* to the end */
        SET(R0, 0),
        SKIP(BPF_JLT, R2, fence->passive_first, 10),
        SKIP(BPF_JGT, R2, fence->passive_last, 9),
        CALL(BPF_FUNC_get_socket_cookie),
        STORE(BPF_DW, FP, -8, R0),
        MAP(R1, map),
        COPY(R2, FP),
        ADD(R2, -8),
        CALL(BPF_FUNC_map_lookup_elem),
        SKIP_NULL(R0, 1),
        SET(R0, 1),
        EXIT,
    };
    const struct program program = {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, place, code, ARRAY_SIZE(code)};
    return put(group_fd, &program);
}

static int put_made(int group_fd, int map)
{
    const struct bpf_insn code[] = {
        CALL(BPF_FUNC_get_socket_cookie),
        STORE(BPF_DW, FP, -8, R0),
        SET(R0, 0),
        STORE(BPF_W, FP, -16, R0),
        MAP(R1, map),
        COPY(R2, FP),
        ADD(R2, -8),
        COPY(R3, FP),
        ADD(R3, -16),
        SET(R4, BPF_ANY),
        CALL(BPF_FUNC_map_update_elem),
        COPY(R1, R0),
        SET(R0, 1),
        SKIP(BPF_JEQ, R1, 0, 1),
        SET(R0, 0),
        EXIT,
    };
    const struct program program = {BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE, code,
                                    ARRAY_SIZE(code)};
    return put(group_fd, &program);
}

static int put_released(int group_fd, int map)
{
    const struct bpf_insn code[] = {
        CALL(BPF_FUNC_get_socket_cookie),
        STORE(BPF_DW, FP, -8, R0),
        MAP(R1, map),
        COPY(R2, FP),
        ADD(R2, -8),
        CALL(BPF_FUNC_map_delete_elem),
        SET(R0, 1),
        EXIT,
    };
    const struct program program = {BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_RELEASE, code,
                                    ARRAY_SIZE(code)};
    return put(group_fd, &program);
}

static int put_own_sockets(int group_fd, const struct fence *fence)
{
    CLEANUP_CLOSE int map = make_map(fence); /* the programs keep it */
    int r = map < 0 ? map : put_ports(group_fd, fence, map, BPF_CGROUP_INET4_BIND);
    r = r < 0 ? r : put_ports(group_fd, fence, map, BPF_CGROUP_INET6_BIND);
    r = r < 0 ? r : put_released(group_fd, map);
    r = r < 0 ? r : put_made(group_fd, map);
    return r < 0 ? r : put_marks(group_fd, fence);
}

int fence_attach(int group_fd, const struct fence *fence)
{
    if (fence->sockets > 0) {
        return put_own_sockets(group_fd, fence);
    }
    int r = put_no_ports(group_fd, BPF_CGROUP_INET4_BIND);
    return r < 0 ? r : put_no_ports(group_fd, BPF_CGROUP_INET6_BIND);
}

int fence_probe(void)
{
    const struct fence any = {.mark = 1, .passive_first = 1, .passive_last = 2, .sockets = 1};
    return fence_attach(-1, &any);
}
