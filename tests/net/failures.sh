#!/usr/bin/env bash
# Each step of preparing a share fails on purpose: one clear sentence, and everything undone.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images_real
images=${setting[repository.images]}
image_random a.bin 1000
mkdir "$environment_dir/tree" && head -c 100000 /dev/urandom >"$environment_dir/tree/data"
mksquashfs "$environment_dir/tree" "$images/disc.squashfs" -quiet -no-progress >/dev/null
head -c 2500000 "$images/linux/grub.iso" >"$images/cut.iso"
head -c 60000 "$images/disc.squashfs" >"$images/cut.squashfs"
{ head -c 32768 /dev/zero; printf '\001CD001\001'; head -c 400000 /dev/urandom; } >"$images/bad.iso"

# Protocols that fail, each in its own way.
setting[broker.templates]=$environment_dir/templates
cp -a "$source_dir/templates" "$environment_dir/templates"
definition() { # NAME PORT PROGRAM [LINE...]
    mkdir -p "$environment_dir/templates/$1"
    printf '%s\n' "[server]" "name=$1" "title=$1" "public=tcp/$2" "start=connection" "program=$3" \
        "idle=60s" "max_processes=4" "${@:4}" "[show]" "url=$1://{{host}}/" \
        >"$environment_dir/templates/$1/server.conf"
}
definition missing 3001 /usr/sbin/cdss-no-such-server
definition unfit 3002 /etc/passwd
definition unsure 3003 /usr/bin/cat check=/usr/bin/false
definition crash 3004 /usr/bin/false
definition hang 3005 /usr/bin/cat "check=/usr/bin/sleep 1000"
setting[policy.protocols]="http ftp tftp missing unfit unsure crash hang"
environment_configure

create() { # PROTOCOLS IMAGE...
    local arguments=() one
    for one in "${@:2}"; do arguments+=(--image "$one"); done
    cdss share create alice "${arguments[@]}" --client "$(client4 1)" --protocol "$1" --for 10m
}
works() { # NAME
    if expect_ok "$1: afterwards a share is made" create http,ftp,tftp a.bin; then
        get_http 1 "http://$server4:8080/a.bin" "$out/a"
        expect_same "$1: and serves" "$out/a" "$images/a.bin"
        cdss share remove alice >/dev/null 2>&1
    fi
}
undone() { residue_check "$1: all of it is undone"; }

start
expect_refused "a server that is not installed" "cdss-no-such-server|missing" create http,missing a.bin
undone "a server that is not installed"
expect_refused "a server that is no program" "passwd|unfit" create http,unfit a.bin
undone "a server that is no program"
expect_refused "a configuration that the server refuses" "unsure" create http,unsure a.bin
undone "a configuration that the server refuses"
expect_refused "a configuration check that never ends" "hang" create http,hang a.bin
undone "a configuration check that never ends"
expect_refused "an image that is gone" "gone.iso.*not in the repository" create http a.bin gone.iso
undone "an image that is gone"
expect_refused "a protocol that does not exist" "gopher" create gopher a.bin
undone "a protocol that does not exist"

# A server that dies when it is used: seen in show, not started without end.
expect_ok "a server that dies at once" create http,crash a.bin
for i in 1 2 3 4 5 6 7 8; do
    client 1 timeout 2 curl -s -m 1 -o /dev/null "http://$server4:3004/" 2>/dev/null
done
[ "$(share_field alice '[p["state"] for p in share["protocols"] if p["name"] == "crash"][0]')" != ready ]
verdict $? "show tells: $(share_field alice '[p["state"] for p in share["protocols"] if p["name"] == "crash"][0]')"
get_http 1 "http://$server4:8080/a.bin" "$out/a"
expect_same "the share's other server works" "$out/a" "$images/a.bin"
started=$(share_field alice '[p["connections"] for p in share["protocols"] if p["name"] == "crash"][0]')
[ "${started:-999}" -le 8 ]
verdict $? "it is not started without end ($started times)"
cdss share remove alice >/dev/null 2>&1
undone "a server that dies at once"

# Images that are not what they seem: shared as they are, with the reason.
for one in cut.iso cut.squashfs bad.iso; do
    if create http "$one" >"$environment_dir/out" 2>"$environment_dir/err"; then
        [ -n "$(share_field alice "image['$one']['note'] or image['$one']['contents']")" ] &&
            { [ $one = bad.iso ] || [ -z "$(share_field alice "image['$one']['contents']")" ]; }
        verdict $? "$one is shared raw: $(share_field alice "image['$one']['note']")"
        get_http 1 "http://$server4:8080/$one" "$out/a"
        expect_same "$one itself is right" "$out/a" "$images/$one"
        cdss share remove alice >/dev/null 2>&1
    else
        [ "$(grep -c . "$environment_dir/err")" = 1 ]
        verdict $? "$one is refused: $(cat "$environment_dir/err")"
    fi
    undone "$one"
done

# The client goes away while its share is being prepared.
for pause in 0 0.005 0.02 0.05; do
    (exec nsenter --net="/proc/${ns_pid[server]}/ns/net" -- "$build_dir/broker/cdss" -c "$config" \
        share create alice --image disc.squashfs --image linux/grub.iso --client "$(client4 1)" \
        --protocol http,ftp,tftp --for 10m) >/dev/null 2>&1 &
    sleep $pause
    kill -KILL $! 2>/dev/null
    wait $! 2>/dev/null
done
sleep 0.3
for user in $(shared_users); do cdss share remove "$user" >/dev/null 2>&1; done
undone "a client that hangs up"

# Two at once for the same name and address: one of them has it.
create http a.bin >"$out/1" 2>&1 &
first=$!
create http a.bin >"$out/2" 2>&1 &
wait $first
a=$?
wait $!
b=$?
[ "$((a + b))" = 1 ]
verdict $? "two requests for the same at once: one is done, one refused ($a, $b)"
cdss share remove alice >/dev/null 2>&1
undone "two at once"
works "all that"
broker_stop

# No free port.
setting[network.ports]=21000-21003
environment_configure
server_exec python3 -c '
import socket, time
kept = []
for port in range(21000, 21004):
    for family in socket.AF_INET, socket.AF_INET6:
        for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
            s = socket.socket(family, kind)
            if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.bind(("", port))
            if kind == socket.SOCK_STREAM: s.listen()
            kept.append(s)
time.sleep(600)' &
holder=$!
background+=("$holder")
holder_is_up() { [ "$(server ss -Hlnu 'sport = 21003' | wc -l)" = 2 ]; }
wait_for 5 holder_is_up
start
expect_refused "no free port" "port" create http a.bin
kill $holder 2>/dev/null
wait $holder 2>/dev/null
undone "no free port"
works "no free port"
broker_stop
unset 'setting[network.ports]'
environment_configure

# No loop device: hidden from this test and its cdssd only.
mount --bind /dev/null /dev/loop-control
residue_mounts >"$environment_dir/idle.mounts"
start
expect_refused "no loop device" 'disc\.squashfs" could not be mounted: .*loop' \
    create http disc.squashfs a.bin
expect_ok "no loop device: what needs none is shared" create http a.bin
expect_ok "no loop device: and removed" cdss share remove alice
undone "no loop device"
broker_stop
umount /dev/loop-control
residue_mounts >"$environment_dir/idle.mounts"

# A full disk under the registry, and under the repository.
mkdir "$environment_dir/small"
mount -t tmpfs -o size=6m,nr_inodes=200 none "$environment_dir/small"
mkdir "$environment_dir/small/state"
setting[broker.state]=$environment_dir/small/state
environment_configure
start
head -c 20M /dev/zero >"$environment_dir/small/full" 2>/dev/null
# Small writes fit into what is allocated; a few shares' rows do not.
for _ in {1..80}; do
    create http a.bin >"$environment_dir/out" 2>"$environment_dir/err" || break
    cdss share remove alice >/dev/null 2>&1
done
expect_refused "a full disk under the registry" "registry|disk|space|record" create http a.bin
rm "$environment_dir/small/full"
undone "a full disk under the registry"
works "a full disk under the registry"
sqlite3 "$environment_dir/small/state/registry.sqlite" >/dev/null 2>&1 \
    "BEGIN EXCLUSIVE; CREATE TABLE IF NOT EXISTS x (y); SELECT writefile('$environment_dir/locked', 'x'); SELECT sum(a.value * b.value * c.value) FROM generate_series(1, 3000) a, generate_series(1, 3000) b, generate_series(1, 300) c" &
locker=$!
background+=("$locker")
wait_for 5 test -e "$environment_dir/locked"
expect_refused "a registry that somebody else has locked" "registry|record|locked" create http a.bin
kill -KILL $locker 2>/dev/null
wait $locker 2>/dev/null
undone "a locked registry"
works "a locked registry"
broker_stop
setting[broker.state]=$environment_dir/state
mkdir "$environment_dir/small/images"
cp "$images/a.bin" "$images/disc.squashfs" "$environment_dir/small/images/"
setting[repository.images]=$environment_dir/small/images
setting[repository.shares]=$environment_dir/small/shares
environment_configure
residue_mounts >"$environment_dir/idle.mounts"
start
for i in {1..300}; do : >"$environment_dir/small/$i" || break; done 2>/dev/null
expect_refused "a full disk under the shares" "space|disk|full|tree" create http a.bin disc.squashfs
rm -f "$environment_dir/small/"[0-9]*
undone "a full disk under the shares"
works "a full disk under the shares"
broker_stop
setting[repository.images]=$images
setting[repository.shares]=$environment_dir/shares
environment_configure

# A transaction that the kernel refuses: that of the share, and that of the base rules.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0
cp "$build_dir/tests/net/refuse_transactions.so" "$environment_dir" # no blank in that path
refusing=(env "LD_PRELOAD=$environment_dir/refuse_transactions.so"
    "CDSS_REFUSE=$environment_dir/refuse")
start "${refusing[@]}"
touch "$environment_dir/refuse"
expect_refused "a refused transaction" "firewall" create http,ftp,tftp a.bin disc.squashfs
undone "a refused transaction"
rm "$environment_dir/refuse"
works "a refused transaction"
broker_stop

# What keeps cdssd itself from starting: said in one line, and nothing done.
expect_no_start() { # NAME PATTERN [WRAPPER...]
    broker_start "${@:3}"
    wait_for 5 is_gone "$broker_pid"
    if ! is_gone "$broker_pid" || grep -q ' broker\.ready\b' "$broker_log"; then
        not_ok "$1: cdssd does not start"
    elif ! grep -qE "$2" "$broker_log"; then
        sed 's/^/#   /' "$broker_log"
        not_ok "$1: it says why"
    else
        ok "$1: cdssd does not start: $(grep -E "$2" "$broker_log" | head -n 1 | cut -c1-200)"
    fi
    broker_stop
    [ "$broker_status" != 0 ]
    verdict $? "$1: it ends with a failure ($broker_status)"
    residue_check_stopped "$1: nothing is left"
}
setting[repository.shares]=$environment_dir/small/shares
environment_configure
expect_no_start "repository and shares on different filesystems" "filesystem"
setting[repository.shares]=$environment_dir/shares
setting[broker.state]=/proc/nothing
environment_configure
expect_no_start "a state directory that cannot be" "/proc/nothing"
setting[broker.state]=$environment_dir/state
environment_configure
printf "[broker]\ncolour=blue\n" >>"$config"
expect_no_start "a setting that does not exist" "colour"
environment_configure
printf '[server]\nnonsense=1\n' >>"$environment_dir/templates/crash/server.conf"
expect_no_start "a definition that is wrong" "crash/server.conf"
rm -r "$environment_dir/templates/crash"
touch "$environment_dir/refuse"
expect_no_start "base rules that the kernel refuses" "firewall" "${refusing[@]}"
rm "$environment_dir/refuse"
# Somebody else's table of our name, held by its owner.
mkfifo "$environment_dir/nft"
server_exec nft -i <"$environment_dir/nft" >/dev/null 2>&1 &
owner=$!
background+=("$owner")
exec {nft}>"$environment_dir/nft"
printf 'add table inet cdss { flags owner; }\n' >&"$nft"
table_is_there() { server nft list tables | grep -q 'inet cdss'; }
if wait_for 3 table_is_there; then
    residue_rules >"$environment_dir/start.rules"
    expect_no_start "a table of our name that belongs to somebody else" "cdss|firewall|table"
else
    skip "a table of our name that belongs to somebody else" "nft cannot make one here"
fi
exec {nft}>&-
wait_for 3 is_gone "$owner"
table_is_gone() { ! table_is_there; }
wait_for 3 table_is_gone
residue_rules >"$environment_dir/start.rules"
mkdir "$environment_dir/nothing"
(
    cgroups_enter
    CDSS_LIBEXEC=$environment_dir/nothing exec nsenter --net="/proc/${ns_pid[server]}/ns/net" -- \
        timeout 10 "$build_dir/broker/cdssd" -c "$config"
) >"$environment_dir/broker-nothing.log" 2>&1
status=$?
[ $status != 0 ] && [ $status != 124 ] && grep -q 'cdss-supervisor' "$environment_dir/broker-nothing.log"
verdict $? "no cdss-supervisor: cdssd does not start, and says so"

start
works "the end"
broker_stop
umount "$environment_dir/small"
residue_mounts >"$environment_dir/idle.mounts"
finish
