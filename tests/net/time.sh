#!/usr/bin/env bash
# A share lives for the time that was granted, whatever the clock on the wall says, and whether the
# machine slept; and who extends it at the last moment is told the truth. The clocks of this machine
# are left alone: cdssd sees others (other_clocks.c).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images=${setting[repository.images]}
image_random a.bin 100000
clocks=$environment_dir/clocks
echo 0 0 >"$clocks"
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0
cp "$build_dir/tests/net/other_clocks.so" "$environment_dir" # no blank in that path
clocked=(env "LD_PRELOAD=$environment_dir/other_clocks.so" "CDSS_CLOCKS=$clocks")
start "${clocked[@]}"

served() { # NAME
    get_http 1 "http://$server4:8080/a.bin" "$out/a"
    expect_same "$1: the share is served" "$out/a" "$images/a.bin"
}
between() { # NAME VALUE FIRST LAST
    [ -n "$2" ] && [ "$2" -ge "$3" ] && [ "$2" -le "$4" ]
    verdict $? "$1: $2"
}
# The seconds for which the kernel will let a share live, by its live mark.
kernel_left() {
    server nft -j list set inet cdss live | python3 -c 'import json, sys
for one in json.load(sys.stdin)["nftables"]:
    for element in one.get("set", {}).get("elem", []):
        print(element["elem"]["expires"])' | head -n 1
}
day=86400

# -- the clock on the wall -----------------------------------------------------------------------------

create() { cdss share create "$1" --image a.bin --client "$2" --protocol http --for "$3"; }
expect_ok "a share" create alice "$(client4 1)" 10m
for offset in $day -$day; do
    echo $offset 0 >"$clocks"
    name="the clock is set by $offset s"
    between "$name: time left" "$(share_field alice 'share["remaining"]')" 500 600
    between "$name: it ends by that clock, in" \
        "$(($(share_field alice 'int(share["ends"])') - $(date +%s) - offset))" 500 600
    between "$name: the kernel's time left" "$(kernel_left)" 500 600
    served "$name"
    expect_ok "$name: extend" cdss share extend alice --for 10m
    between "$name: and after it" "$(share_field alice 'share["remaining"]')" 570 600
    broker_kill
    broker_start "${clocked[@]}"
    between "$name, and cdssd started again: time left" "$(share_field alice 'share["remaining"]')" 400 600
    expect_ok "$name: a share for two seconds" create carol "$(client4 2)" 2s
    wait_for 6 share_is_gone carol
    verdict $? "$name: which ends"
done
expect_ok "remove" cdss share remove alice
ended_in_order() {
    [ "$(sqlite3 -readonly "${setting[broker.state]}/registry.sqlite" \
        'SELECT count(*) FROM shares WHERE ended < created')" = 0 ]
}
ended_in_order
verdict $? "nothing ended before it began, in the history"
echo 0 0 >"$clocks"

# -- sleep ---------------------------------------------------------------------------------------------

expect_ok "a share" create alice "$(client4 1)" 10m
echo 0 300 >"$clocks"
noticed() { grep -q 'firewall.resumed.*asleep for \(299\|300\|301\) s' "$broker_log"; }
wait_for 15 noticed
verdict $? "five minutes of sleep are noticed: $(grep -o 'the machine was asleep.*' "$broker_log")"
between "the kernel's time left, five minutes less" "$(kernel_left)" 200 300
between "time left" "$(share_field alice 'share["remaining"]')" 200 300
served "after the sleep"
echo 0 700 >"$clocks"
wait_for 15 share_is_gone alice
verdict $? "it slept longer than its time: it is gone"
residue_check "nothing is left of it"
echo 0 0 >"$clocks"
broker_stop

# -- the last moment -----------------------------------------------------------------------------------

start
users=(u1 u2 u3 u4 u5 u6)
for i in "${!users[@]}"; do
    client 1 ip address add "10.77.1.$((100 + i))/16" dev eth0
done
alive() { # INDEX: it is known, and serves
    client 1 curl -sSf -m 5 --interface "10.77.1.$((100 + $1))" -o "$out/u$1" "http://$server4:8080/a.bin" \
        2>/dev/null && cmp -s "$out/u$1" "$images/a.bin" && cdss share show "${users[$1]}" >/dev/null 2>&1
}
race() { # INDEX CALLER MICROSECONDS: extends it at that time since the epoch
    while [ "${EPOCHREALTIME/./}" -lt "$3" ]; do :; done
    cdss share extend "${users[$1]}" --for 60s >"$out/race-$1-$2" 2>&1
    echo $? >"$out/race-$1-$2.status"
}
# From well before the end to just behind it, so that both must happen, however fast a machine is.
extended=0 refused=0 wrong=0 rounds=5
[ "$sanitized" = no ] || rounds=2
for ((round = 0; round < rounds; round++)); do
    racers=()
    for i in "${!users[@]}"; do
        create "${users[i]}" "10.77.1.$((100 + i))" 3s >/dev/null 2>&1
        ends=$(sqlite3 -readonly "${setting[broker.state]}/registry.sqlite" \
            "SELECT deadline FROM shares WHERE user = '${users[i]}' AND ended IS NULL")
        ahead=$(python3 -c 'import time; print(time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000 - time.time_ns() // 1000)')
        for caller in 1 2; do
            race "$i" $caller $((ends / 1000 - ahead - 250000 + (i * 2 + caller) * 28000)) &
            racers+=($!)
        done
    done
    wait "${racers[@]}"
    sleep 1 # what is just dying is dead then
    for i in "${!users[@]}"; do
        if grep -qx 0 "$out/race-$i-1.status" "$out/race-$i-2.status"; then
            extended=$((extended + 1))
            alive "$i" || { wrong=$((wrong + 1)); note "${users[i]} was extended, and is not alive"; cat "$out/race-$i-"*; }
        else
            refused=$((refused + 1))
            grep -hq 'ended\|no share' "$out/race-$i-1" || { wrong=$((wrong + 1)); cat "$out/race-$i-1"; }
            ! alive "$i" || { wrong=$((wrong + 1)); note "${users[i]} has ended, and is alive"; }
        fi
        cdss share remove "${users[i]}" >/dev/null 2>&1
    done
done
[ $wrong = 0 ] && [ $((extended + refused)) = $((rounds * ${#users[@]})) ]
verdict $? "extended at the last moment by two: $extended live on, $refused have ended, and nothing between"
[ "$extended" -ge 1 ] && [ "$refused" -ge 1 ]
verdict $? "both happened"
finish
