#!/usr/bin/env bash
# Many at once: shares by the hundred, two thousand that come and go, a thousand callers who say
# nothing, images by the thousand. What is asserted is that all are served, each its own, and that
# nothing grows and nothing is left; how long it took is only told. With the sanitizers the numbers
# are smaller: there it is about memory, and the same paths.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

shares=300 cycles=2000 callers=8 quiet=1000 wide=100 deep=64 repository=10000
[ "$sanitized" = no ] || { shares=40 cycles=100 quiet=300 wide=8 deep=16 repository=1000; }

begin
images=${setting[repository.images]}
socket=${setting[broker.socket]}
setting[policy.max_mounts]=$deep
setting[policy.max_preparing]=6 # two of the callers wait for their turn
environment_configure

load() { server timeout 170 python3 "$net_dir/tools/load.py" "$socket" "$@"; }
tell() { note "${1//$'\n'/$'\n'# }"; }
expect_load() { # NAME ARGUMENT...
    local name=$1 said
    shift
    said=$(load "$@" 2>&1)
    verdict $? "$name"
    tell "$said"
}

# -- images and addresses --------------------------------------------------------------------------

for ((i = 1; i <= shares; i++)); do
    printf 'the image of share %d %s\n' "$i" "$RANDOM$RANDOM" >"$images/$i.bin"
done
mkdir "$environment_dir/contents"
head -c 20000 /dev/urandom >"$environment_dir/contents/file"
mksquashfs "$environment_dir/contents" "$environment_dir/one.squashfs" -quiet -no-progress \
    >/dev/null 2>&1
cp "$environment_dir/one.squashfs" "$images/common.squashfs"
mkdir "$images/many" "$images/store"
many=()
for ((i = 1; i <= deep; i++)); do
    cp "$environment_dir/one.squashfs" "$images/many/$i.squashfs"
    many+=("many/$i.squashfs")
done
for ((i = 0; i < repository; i++)); do
    echo "$i" >"$images/store/image-$i.bin" # one directory: nothing is spread out to help
done
for ((i = 1; i <= (shares > wide ? shares : wide); i++)); do
    echo "address add 10.77.$((100 + i / 256)).$((i % 256))/16 dev eth0"
done | in_ns client1 ip -batch -
start

# -- hundreds of shares ----------------------------------------------------------------------------

status_count() { cdss --json status | python3 -c "import json, sys; print(json.load(sys.stdin)['$1'])"; }

expect_load "$shares shares are made by $callers callers at once" \
    create many "$shares" "$callers" 10.77.100.0 http "{}.bin" common.squashfs
[ "$(cdss --json share list | python3 -c 'import json, sys
print(len(json.load(sys.stdin)["shares"]))')" = "$shares" ]
verdict $? "all of them are listed"
[ "$(loop_devices | wc -l)" = 1 ]
verdict $? "one loop device for the image that they have in common"
said=$(in_ns client1 timeout 120 python3 "$net_dir/tools/load.py" - fetch "$shares" "$callers" \
    10.77.100.0 "$server4" "$images" 2>&1)
verdict $? "each client gets what is its own, and nothing else"
tell "$said"
expect_load "all are removed, by $callers callers at once" remove many "$shares" "$callers"
residue_check "nothing is left of them"

# -- thousands that come and go --------------------------------------------------------------------

memory() { awk '/^VmRSS/ { print $2 }' "/proc/$broker_pid/status"; }
descriptors() { find "/proc/$broker_pid/fd" -type l | wc -l; }
wal() { stat -c %s "${setting[broker.state]}/registry.sqlite-wal"; }
dying() { # control groups that are removed and still held, in the unified hierarchy
    cat "${environment_cgroups[@]/%//cgroup.stat}" 2>/dev/null |
        awk '/^nr_dying_descendants/ { n += $2 } END { print n + 0 }'
}
elements() { server nft list table inet cdss | grep -cE 'elements|timeout|chain'; }

cycle=(tftp common.squashfs 1.bin)
expect_load "before counting: $((cycles / 10)) shares come and go" \
    cycle warm $((cycles / 10)) "$callers" 10.77.100.0 "${cycle[@]}"
wait_for 5 residue_none
memory_before=$(memory) descriptors_before=$(descriptors) elements_before=$(elements)
dying_before=$(dying)
expect_load "$cycles shares come and go, $callers at a time" \
    cycle cycle "$cycles" "$callers" 10.77.100.0 "${cycle[@]}"
residue_check "no rule, flow, process, mount, loop device, directory, port, group or row is left"
note "memory $memory_before kB, then $(memory); descriptors $descriptors_before, then" \
    "$(descriptors); log of the registry $(wal) bytes; dying groups $dying_before, then $(dying)"
[ "$sanitized" = yes ] || [ "$(memory)" -le $((memory_before + 1024)) ]
verdict $? "the broker's memory does not grow"
[ "$(descriptors)" = "$descriptors_before" ]
verdict $? "nor do its descriptors"
[ "$(elements)" = "$elements_before" ]
verdict $? "nor the rule set"
[ "$(wal)" -le 8388608 ]
verdict $? "nor the log of the registry: it is at most 8 MiB"
wait_for 10 test "$(dying)" -le $((dying_before + 50))
verdict $? "nor control groups that cannot die"
[ "$(sqlite3 -readonly "${setting[broker.state]}/registry.sqlite" \
    'SELECT count(*) FROM shares WHERE ended IS NULL')" = 0 ]
verdict $? "no row says that it is being prepared"

# -- callers who say nothing -----------------------------------------------------------------------

server timeout 100 python3 "$net_dir/tools/load.py" "$socket" idle "$quiet" 8 \
    >"$environment_dir/idle.said" 2>&1 </dev/null &
silent=$!
background+=("$silent")
wait_for 30 grep -q open "$environment_dir/idle.said"
verdict $? "$quiet connections that say nothing are there"
[ "$(descriptors)" -ge $((descriptors_before + quiet)) ]
verdict $? "and the broker holds them"
expect_load "others are served beside them" cycle beside 20 2 10.77.100.0 "${cycle[@]}"
expect_ok "and cdss is" cdss status
wait "$silent"
verdict $? "each of the silent ones is answered when it asks"
background=()
closed() { [ "$(descriptors)" = "$descriptors_before" ]; }
wait_for 5 closed
verdict $? "nothing of them is left"

# -- many images, each mounted once ----------------------------------------------------------------

expect_load "$wide shares of $deep images each" \
    create wide "$wide" "$callers" 10.77.100.0 http "${many[@]}"
[ "$(loop_devices | wc -l)" = "$deep" ] && [ "$(status_count images_mounted)" = "$deep" ]
verdict $? "there are $deep loop devices for $((wide * deep)) mounts"
for share in 1 $wide; do
    address=10.77.$((100 + share / 256)).$((share % 256))
    for image in 1 $deep; do
        get_http 1 "http://$server4:8080/many/$image/file" "$out/a" --interface "$address"
        expect_same "share $share has the contents of image $image" "$out/a" \
            "$environment_dir/contents/file"
    done
done
expect_ok "one image more than max_mounts ..." cdss share create over --image common.squashfs \
    --client "$(client4 2)" --protocol http --for 10m
grep -q "max_mounts" "$environment_dir/out"
verdict $? "... is shared as a file, and the answer says why"
expect_load "all are removed" remove wide "$wide" "$callers"
cdss share remove over >/dev/null
residue_check "with every mount and loop device"

# -- a large repository ----------------------------------------------------------------------------

files=$(find "$images" -type f | wc -l)
began=$(milliseconds)
cdss image list >"$out/list"
verdict $? "a repository of $files images is listed"
note "in $(($(milliseconds) - began)) ms"
[ "$(grep -c 'bin\|squashfs' "$out/list")" = "$files" ]
verdict $? "every one of them"
[ "$(cdss image list "store/image-99*" | grep -c image-99)" = \
    "$(find "$images/store" -name 'image-99*' | wc -l)" ]
verdict $? "a pattern finds what it names"
expect_ok "one of them is shared" cdss share create alice --image "store/image-$((repository - 1)).bin" \
    --client "$(client4 1)" --protocol http --for 10m
get_http 1 "http://$server4:8080/store/image-$((repository - 1)).bin" "$out/a"
expect_same "and fetched" "$out/a" "$images/store/image-$((repository - 1)).bin"
closed_again() { [ "$(memory)" -le $((memory_before + 2048)) ] || [ "$sanitized" = yes ]; }
closed_again
verdict $? "none of that has stayed in the broker's memory ($(memory) kB)"
finish
