#!/usr/bin/env bash
# cdssd is told to end, and is kept from starting again: a share that lives is served all the time,
# one that is being prepared leaves nothing.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images=${setting[repository.images]}
image_random a.bin 100000
setting[broker.templates]=$environment_dir/templates
cp -a "$source_dir/templates" "$environment_dir/templates"
mkdir "$environment_dir/templates/slow"
printf '%s\n' "[server]" "name=slow" "title=slow" "public=tcp/3001" "start=connection" \
    "program=/usr/bin/cat" "check=/usr/bin/sleep 8" "idle=60s" "max_processes=4" "[show]" \
    "url=slow://{{host}}/" >"$environment_dir/templates/slow/server.conf"
setting[policy.protocols]="http slow"
environment_configure
start

served() { # NAME
    get_http 1 "http://$server4:8080/a.bin" "$out/a"
    expect_same "$1: the share is served" "$out/a" "$images/a.bin"
}
again() { # NAME
    broker_start || tail -n 5 "$broker_log" | sed 's/^/#   /'
    served "$1"
    [ "$(shared_users)" = alice ]
    verdict $? "$1: and known"
}
# What keeps it from starting is found before the rules are, or by them.
not_again() { # NAME [WRAPPER...]
    broker_start "${@:2}"
    wait_for 5 is_gone "$broker_pid"
    verdict $? "$1: cdssd does not start"
    broker_stop
    served "$1"
}

expect_ok "a share" cdss share create alice --image a.bin --client "$(client4 1)" --protocol http \
    --for 10m
served "at first"
broker_stop
served "it was stopped"
again "it was started again"

# Told to end while a second share is being prepared.
cdss share create bob --image a.bin --client "$(client4 2)" --protocol http,slow \
    >"$out/bob" 2>&1 &
creator=$!
bob_is_prepared() { [ "$(share_field bob 'share["state"]' 2>/dev/null)" = preparing ]; }
wait_for 5 bob_is_prepared
verdict $? "another share is being prepared"
begun=$(milliseconds)
broker_stop
[ "$broker_status" = 0 ] && [ $(($(milliseconds) - begun)) -lt 4000 ]
verdict $? "it ends at once (exit $broker_status, $(($(milliseconds) - begun)) ms)"
wait $creator
grep -q 'the broker was stopped' "$out/bob"
verdict $? "who asked for that share is told: $(tail -n 1 "$out/bob")"
[ "$(find "$environment_dir/run/shares" "${setting[repository.shares]}" -mindepth 1 -maxdepth 1 | wc -l)" = 2 ]
verdict $? "there is nothing of it"
served "it was stopped meanwhile"

setting[broker.state]=/proc/nothing
environment_configure
not_again "no registry"
setting[broker.state]=$environment_dir/state
setting[broker.socket]=/proc/nothing
environment_configure
not_again "no socket"
setting[broker.socket]=$environment_dir/run/broker.sock
environment_configure
touch "$environment_dir/refuse"
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0
cp "$build_dir/tests/net/refuse_transactions.so" "$environment_dir" # no blank in that path
not_again "refused rules" env "LD_PRELOAD=$environment_dir/refuse_transactions.so" \
    "CDSS_REFUSE=$environment_dir/refuse"
again "it starts at last"
expect_ok "remove" cdss share remove alice
finish
