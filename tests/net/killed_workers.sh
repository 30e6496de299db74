#!/usr/bin/env bash
# The process that prepares a share, or adds to it, is killed at any moment: the share is undone, or
# is what it was before, and the same request works afterwards.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images=${setting[repository.images]}
image_random a.bin 100000
images_real
mkdir "$environment_dir/tree" && echo hello >"$environment_dir/tree/hello"
mksquashfs "$environment_dir/tree" "$images/disc.squashfs" -quiet -no-progress >/dev/null
start

# What nobody writes to: waiting for it is a pause without a process, which would take longer.
mkfifo "$environment_dir/never"
exec {never}<>"$environment_dir/never"

worker() { # sets $pid to the first child of cdssd that runs cdssd itself
    for pid in $(<"/proc/$broker_pid/task/$broker_pid/children"); do
        [ "/proc/$pid/exe" -ef "/proc/$broker_pid/exe" ] && return
    done
    return 1
}
kill_worker() { # SECONDS: so long after it began; true when it was still there
    local pid tries=0
    until worker; do
        tries=$((tries + 1))
        [ $tries -lt 20000 ] || return 1
    done
    [ "$1" = 0 ] || read -r -t "$1" -u "$never"
    kill -KILL "$pid" 2>/dev/null
}
create() { cdss share create alice --image a.bin --client "$(client4 1)" --protocol http --for 10m; }
add() { cdss share add alice --image disc.squashfs --image linux/grub.iso --image "boot roms/ipxe.iso"; }
added() {
    add >"$out/add" 2>&1
    ! grep -q 'try again in a moment' "$out/add"
}
pauses=(0 0.002 0.004 0.006 0.008 0.01 0.013 0.016 0.02 0.03)

killed=0
for pause in "${pauses[@]}"; do
    create >"$out/create" 2>&1 &
    creator=$!
    kill_worker "$pause" && killed=$((killed + 1))
    wait $creator || grep -q 'ended unexpectedly' "$out/create" || {
        sed 's/^/# /' "$out/create"
        not_ok "the creator is told why"
    }
    cdss share remove alice >/dev/null 2>&1
done
[ "$killed" -ge 2 ]
verdict $? "$killed of ${#pauses[@]} were killed while they prepared a share"
residue_check "nothing is left of those shares"
expect_ok "a share" create

killed=0 taken_back=0
for pause in "${pauses[@]}"; do
    add >"$out/add" 2>&1 &
    adder=$!
    kill_worker "$pause" && killed=$((killed + 1))
    if ! wait $adder; then
        wait_for 10 added
        grep -q '^cdss:' "$out/add" || taken_back=$((taken_back + 1))
        sed -n 's/^cdss:/# &/p' "$out/add"
        [ "$(share_field alice 'len(share["images"])')" = 4 ] || not_ok "all are there in the end"
    fi
    get_http 1 "http://$server4:8080/disc/hello" "$out/a"
    expect_same "after $pause s: the images are shared" "$out/a" "$environment_dir/tree/hello"
    cdss share remove alice >/dev/null 2>&1
    create >/dev/null 2>&1
done
note "$killed were killed while they added, $taken_back times the same could be added then"
[ "$taken_back" -ge 1 ]
verdict $? "what was added is taken back"
expect_ok "remove" cdss share remove alice
finish
