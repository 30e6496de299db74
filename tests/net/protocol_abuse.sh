#!/usr/bin/env bash
# The broker's socket in hostile hands: bad packets cost their sender its connection, and nobody
# else anything; a share that is alive goes on being served.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
image_random a.bin 100000
start

expect_ok "a share" cdss share create alice --image a.bin --client "$(client4 1)" --protocol http \
    --for 10m
before=$broker_pid
python3 "$net_dir/tools/abuse.py" "${setting[broker.socket]}" "$script" 2>&1
[ $? -le 1 ]
verdict $? "the abuse could be carried out to its end"
[ "$before" = "$broker_pid" ] && ! is_gone "$broker_pid"
verdict $? "cdssd is alive"
get_http 1 "http://$server4:8080/a.bin" "$out/a"
expect_same "the share is served" "$out/a" "${setting[repository.images]}/a.bin"
[ "$(shared_users)" = alice ]
verdict $? "there is no other share"
finish
