#!/usr/bin/env bash
# cdssd is killed at moments that nobody chose, while several callers make, change and end shares and
# another share is being used: after each start what is there is whole, and in the end nothing is left.
#
#   tests/net/crash_random.sh [SEED]      the same seed waits for the same times
#
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=bystander.sh
. "$net_dir/bystander.sh"
seed=${1:-$RANDOM}
note "seed $seed"
begin
images=${setting[repository.images]}
image_random a.bin 100000
image_random b.bin 100000
mkdir "$environment_dir/tree" && echo hello >"$environment_dir/tree/hello"
mksquashfs "$environment_dir/tree" "$images/disc.squashfs" -quiet -no-progress >/dev/null
start
bystander_begin
broker_kill
broker_start
bystander_note
rounds=12
[ "$sanitized" = no ] || rounds=4

for i in {1..3}; do client 1 ip address add "10.77.1.$((100 + i))/16" dev eth0; done
# One caller: does something to its share, again and again, until it is told to stop.
caller() { # NUMBER
    RANDOM=$((seed + $1))
    while [ ! -e "$environment_dir/enough" ]; do
        case $((RANDOM % 5)) in
        0 | 1)
            cdss share create "user$1" --image a.bin --image disc.squashfs --protocol http,ftp,tftp \
                --client "10.77.1.$((100 + $1))" --for 10m
            ;;
        2) cdss share extend "user$1" --for 20m ;;
        3) cdss share add "user$1" --image b.bin ;;
        4) cdss share remove "user$1" ;;
        esac
        [ -S "$environment_dir/run/broker.sock" ] || sleep 0.05
    done >/dev/null 2>&1
}
# Prints what is wrong with the share of a user, if he has one.
faults() { # NUMBER
    local file path
    cdss --json share show "user$1" >"$out/show" 2>/dev/null || return 0
    share_compare "$out/show" 600 1200
    for path in ${share_paths//|/ }; do
        file=$images/$path
        client 1 curl -sSf -m 10 --interface "10.77.1.$((100 + $1))" -o "$out/got" \
            "http://$server4:8080/$path" 2>/dev/null && cmp -s "$out/got" "$file" ||
            echo "user$1: $path is not served"
    done
    [[ $share_paths == *b.bin* ]] || ! client 1 curl -sSf -m 10 --interface "10.77.1.$((100 + $1))" \
        -o "$out/got" "http://$server4:8080/b.bin" 2>/dev/null || echo "user$1: b.bin is shared, and not in its row"
    cdss share extend "user$1" --for 20m >/dev/null 2>&1 || echo "user$1: it cannot be extended"
}

RANDOM=$seed
wrong=0 whole=0
for ((round = 0; round < rounds; round++)); do
    rm -f "$environment_dir/enough"
    callers=()
    for i in 1 2 3; do
        caller $i &
        callers+=($!)
    done
    sleep "0.$(printf %03d $((200 + RANDOM % 600)))"
    if [ $((RANDOM % 4)) = 0 ]; then broker_stop; else broker_kill; fi
    : >"$environment_dir/enough"
    wait "${callers[@]}"
    if ! broker_start; then
        tail -n 5 "$broker_log" | sed 's/^/# /'
        not_ok "round $round: cdssd starts again"
        exit 1
    fi
    for i in 1 2 3; do
        faults $i >"$out/faults"
        ! cdss share show "user$i" >/dev/null 2>&1 || whole=$((whole + 1))
        [ ! -s "$out/faults" ] || { sed 's/^/# /' "$out/faults"; wrong=$((wrong + 1)); }
    done
done
[ $wrong = 0 ]
verdict $? "seed $seed: after each of $rounds crashes what was there was whole ($whole shares)"
for i in 1 2 3; do cdss share remove "user$i" >/dev/null 2>&1; done
wait_for 3 bystander_alone
verdict $? "nothing else is left: $(head -n 3 "$environment_dir/residue")"
bystander_end
finish
