#!/usr/bin/env bash
# What an idle share costs in memory, the kernel's included: MemAvailable before and after 300 shares
# with a squashfs image, and apart from that what fuseiso takes where the kernel reads no ISO 9660.
# Whatever else runs on the machine meanwhile is in the numbers too.
# shellcheck source=lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"
shares=300 readers=30

begin
images_real
bench_images
start
load() { server python3 "$net_dir/tools/load.py" "${setting[broker.socket]}" "$@" >/dev/null; }
available() { awk '/^MemAvailable/ { print $2 }' /proc/meminfo; }
settled() { # the median of some readings, for others allocate and free meanwhile
    local i
    for ((i = 0; i < 7; i++)); do available; sleep 0.3; done | median
}
pss() { # kB of the processes of all shares
    local pid
    for pid in $(share_processes); do awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup"; done 2>/dev/null |
        awk '{ n += $1 } END { print n + 0 }'
}
# What this run's control groups are charged with, the kernel's memory included and page cache not:
# nobody else is in that. kB; nothing where no such group can be had.
charged() {
    local group
    for group in "${environment_cgroups[@]}"; do
        if [ -e "$group/memory.usage_in_bytes" ]; then
            awk -v all="$(cat "$group/memory.usage_in_bytes")" '/^total_cache/ { cache = $2 }
                /^total_shmem/ { cache -= $2 } END { print (all - cache) / 1024 }' "$group/memory.stat"
        elif [ -e "$group/memory.current" ]; then
            awk -v all="$(cat "$group/memory.current")" '/^file / { cache = $2 }
                /^shmem / { cache -= $2 } END { print (all - cache) / 1024 }' "$group/memory.stat"
        fi
    done
}
per_share() { # WHAT BEFORE AFTER COUNT
    awk -v what="$1" -v a="$2" -v b="$3" -v n="$4" 'BEGIN {
        printf "| %-58s | %9.3g kB   | |\n", what, (a - b) / n }'
}

# The first ones bring in what all have in common.
load create first 8 8 10.77.200.0 http tools-1.squashfs || { not_ok "shares"; finish; }
table "Memory of an idle share, over $shares shares ($readers where fuseiso reads)"
load create brief 1 1 10.77.210.0 http memtest.iso || { not_ok "a share"; finish; }
before=$(settled) charged_before=$(charged)
load create iso $readers 8 10.77.100.0 http memtest.iso || { not_ok "shares"; finish; }
after=$(settled)
if [ "$(cdss --json status | python3 -c 'import json, sys; print(json.load(sys.stdin)["images_mounted"])')" = 1 ]; then
    reader=fuseiso
else
    reader="the kernel"
fi
per_share "an ISO image instead, read by $reader: MemAvailable" "$before" "$after" $readers
[ -z "$charged_before" ] ||
    per_share "what its control groups are charged with" "$(charged)" "$charged_before" $readers
load remove iso $readers 8
load remove brief 1 1
before=$(settled) pss_before=$(pss) charged_before=$(charged) broker_before=$(awk '/^VmRSS/ { print $2 }' "/proc/$broker_pid/status")
load create many $shares 8 10.77.100.0 http tools-1.squashfs || { not_ok "shares"; finish; }
after=$(settled)
per_share "an idle share (HTTP, a squashfs image): MemAvailable" "$before" "$after" $shares
[ -z "$charged_before" ] ||
    per_share "what its control groups are charged with" "$(charged)" "$charged_before" $shares
per_share "of that, its processes (PSS)" "$(pss)" "$pss_before" $shares
per_share "of that, the broker (RSS)" \
    "$(awk '/^VmRSS/ { print $2 }' "/proc/$broker_pid/status")" "$broker_before" $shares
goal_is "in parts of 0.7 MB" $(((before - after) / shares)) 717 most 1
load remove many $shares 8

load remove first 8 8
finish
