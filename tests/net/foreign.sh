#!/usr/bin/env bash
# Other hands in the host's firewall: everything is flushed, our table is changed piece by piece, with
# cdssd alive and dead, in a kernel that lets tables be owned and in one that does not. Whatever
# happens, nobody gets what is not his, and what was is there again.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images=${setting[repository.images]}
image_random a.bin 30000000
image_random b.bin 100000
setting[network.nflog]=78
environment_configure
cp "$build_dir/tests/net/no_owners.so" "$environment_dir" # no blank in that path
no_owners=(env "LD_PRELOAD=$environment_dir/no_owners.so" "ASAN_OPTIONS=verify_asan_link_order=0")

share_both() {
    expect_ok "alice shares" cdss share create alice --image a.bin --client "$(client4 1)" \
        --client "$(client6 1)" --protocol http,ftp,tftp --for 10m
    expect_ok "bob shares" cdss share create bob --image b.bin --client 10.77.2.0/24 \
        --client fd77::2:0/112 --protocol http,tftp --for 10m
}

# The table without what counts and what runs down, whoever owns it: a line for each chain and set,
# in any order.
table() {
    server nft -s list table inet cdss 2>&1 |
        sed -E 's/ (timeout|expires) [0-9a-z]+//g; s/^(table inet cdss \{).*/\1/' |
        grep -vE '^[[:space:]]*(flags owner|elements = \{ 0x[0-9a-f]+ ct count .*|0x[0-9a-f]+ ct count .*|)$' |
        awk '/^\t[^\t}]/ { block = "" } { block = block $0 " ;" } /^\t}/ { print block }' | sort
}
is_whole() { table | cmp -s - "$environment_dir/whole"; }
expect_whole() { # NAME
    if wait_for 4 is_whole; then ok "$1"; return; fi
    table | diff "$environment_dir/whole" - | head -n 10 | cut -c1-300 | sed 's/^/#   /'
    not_ok "$1"
}

# Everybody gets what is his, and nothing else.
expect_right() { # WHEN
    get_http 1 "http://$server4:8080/a.bin" "$out/a"
    expect_same "$1: alice's client has his image" "$out/a" "$images/a.bin"
    get_http 2 "http://[$server6]:8080/b.bin" "$out/b"
    expect_same "$1: bob's has his" "$out/b" "$images/b.bin"
    expect_shut "$1" 3
}
expect_shut() { # WHEN CLIENT...: these, and processes of the host, get nothing
    local when=$1 n
    local targets=("tcp,$server4,8080" "tcp,$server6,8080" "tcp,$server4,21" "udp,$server4,69")
    shift
    mapfile -t -O ${#targets[@]} targets < <(instance_ports "$server4")
    local pids=()
    for n in "${@/#/client}" server; do
        probe "$n" "${targets[@]}" >"$environment_dir/probe.$n" &
        pids+=("$!")
    done
    wait "${pids[@]}"
    for n in "${@/#/client}" server; do
        [ "$(tr ' ' '\n' <"$environment_dir/probe.$n" | grep -cxE 'refused|silent')" = ${#targets[@]} ]
        verdict $? "$when: $n meets no server ($(tr ' ' '\n' <"$environment_dir/probe.$n" | sort | uniq -c | tr -s ' \n' ' '))"
    done
}

# What has come of a download so far is the beginning of the image.
is_beginning() { # FILE IMAGE
    cmp -n "$(stat -c %s "$1")" "$1" "$2" >/dev/null
}

# -- with an owner ---------------------------------------------------------------------------------

start
share_both
table >"$environment_dir/whole"
owned=no
server nft list table inet cdss | grep -q 'flags owner' && owned=yes
if [ "$owned" = yes ]; then
    download_start "$out/long" long_http 1 "http://$server4:8080/a.bin" "$out/long"
    server nft flush ruleset
    is_whole
    verdict $? "an owned table is not flushed"
    wait "$download"
    expect_same "a download goes on as if nothing had happened" "$out/long" "$images/a.bin"
    ! server nft add element inet cdss live '{ 0x5b777777 timeout 1h }' 2>/dev/null
    verdict $? "nor changed"
    expect_right "after that"
else
    skip "an owned table" "this kernel has no persistent owners"
fi

# -- with nobody there -----------------------------------------------------------------------------

download_start "$out/long" long_http 1 "http://$server4:8080/a.bin" "$out/long"
broker_kill
server nft flush ruleset
! table | grep -q 'chain guard'
verdict $? "without cdssd the rules can be flushed"
sleep 0.5 # what was on its way is there
before=$(stat -c %s "$out/long")
expect_shut "without any rule" 1 2 3
is_gone "$download" || [ "$(stat -c %s "$out/long")" = "$before" ]
verdict $? "a running download does not go on"
kill -KILL "$download" 2>/dev/null
wait "$download" 2>/dev/null
is_beginning "$out/long" "$images/a.bin"
verdict $? "what it had was right"
start_again() { # [WRAPPER...]
    broker_start "$@"
    verdict $? "cdssd starts again"
}
start_again
expect_whole "and restores the rules"
expect_right "after the restart"
if [ "$owned" = yes ]; then
    server nft flush ruleset
    is_whole
    verdict $? "and owns them again"
fi

# -- without an owner ------------------------------------------------------------------------------

broker_kill
server nft flush ruleset # an owned table that is orphaned stays one
start_again "${no_owners[@]}"
! server nft list table inet cdss | grep -q 'flags owner'
verdict $? "a table without an owner, as before Linux 6.9"
expect_whole "it is whole"

for kind in "flush ruleset" "delete table inet cdss" "flush table inet cdss" "flush chain inet cdss guard" \
    "insert rule inet cdss pre accept" \
    "add chain inet cdss mine" \
    "add element inet cdss live { 0x77777777 timeout 1h }" \
    "delete element inet cdss h4 { $(client4 1) }" "flush set inet cdss ports" \
    "add element inet cdss h4 { $(client4 3) : goto s_$(share_field bob 'share["id"]') }" \
    "flush chain inet cdss s_$(share_field alice 'share["id"]')"; do
    # The guard rests for a second after each repair.
    server nft "$kind" 2>"$environment_dir/err" || { sed 's/^/#   /' "$environment_dir/err"; not_ok "nft $kind"; }
    expect_whole "nft ${kind//[0-9a-f]\{16\}/ID}: put right"
done
expect_right "after all that"
expect_ok "status tells of it" cdss status
grep -qE 'nft \(pid [0-9]+\) changed our rules [0-9]+ s ago; they were installed again, 11 times' \
    "$environment_dir/out"
verdict $? "who it was, and how often"
cdss doctor | grep -E ' broker ' | grep -q 'changed our rules'
verdict $? "so does the doctor"
[ "$(grep -c 'firewall\.repaired' "$broker_log")" = 1 ]
verdict $? "the log has one line about it"

# Downloads under way: each goes on to its end, or is cut. Never is anything else in it.
sleep 1.1
downloads=()
for url in "http://$server4:8080/a.bin" "http://[$server6]:8080/a.bin" "ftp://$server4/a.bin" \
    "ftp://[$server6]/a.bin"; do
    download_start "$out/long${#downloads[@]}" long_http 1 "$url" "$out/long${#downloads[@]}"
    downloads+=("$download")
done
server nft flush ruleset
whole=0 cut=0 wrong=0
for i in "${!downloads[@]}"; do
    if wait "${downloads[i]}" && cmp -s "$out/long$i" "$images/a.bin"; then
        whole=$((whole + 1))
    elif is_beginning "$out/long$i" "$images/a.bin"; then
        cut=$((cut + 1))
    else
        wrong=$((wrong + 1))
    fi
done
[ $wrong = 0 ]
verdict $? "of four downloads $whole went on and $cut were cut"
expect_whole "the rules are whole"
rm -f "$out"/long*

# Somebody who does it again and again.
repairs() { cdss status | sed -nE 's/.* installed again, ([0-9]+) times.*/\1/p'; }
first=$(repairs)
since=$(milliseconds)
for _ in $(seq 300); do server nft flush ruleset; done
took=$(($(milliseconds) - since))
done_meanwhile=$(($(repairs) - first))
[ "$done_meanwhile" -ge 1 ] && [ "$done_meanwhile" -le $((took / 1000 + 2)) ]
verdict $? "300 times in $took ms: $done_meanwhile repairs, one a second at most"
[ "$(grep -c 'firewall\.repaired' "$broker_log")" -le $((2 + took / 60000)) ]
verdict $? "and no more lines"
expect_whole "the last word is ours"
expect_right "after that"

# Somebody takes the table's name, and keeps it.
mkfifo "$environment_dir/nft"
server_exec nft -i <"$environment_dir/nft" >"$environment_dir/nft.out" 2>&1 &
background+=("$!")
thief=$!
exec {to_nft}>"$environment_dir/nft"
sleep 1.1
echo "delete table inet cdss; add table inet cdss { flags owner; }" >&"$to_nft"
is_lost() { grep -q 'firewall\.lost' "$broker_log"; }
if [ "$owned" = yes ] && wait_for 5 is_lost; then
    ok "a table that cannot be had is said to be lost"
    cdss status | grep -q 'nobody is served'
    verdict $? "by status, too"
    expect_shut "meanwhile" 1 2 3
else
    sed 's/^/#   /' "$environment_dir/nft.out"
    [ "$owned" = no ]
    verdict $? "a table that cannot be had"
fi
exec {to_nft}>&-
wait "$thief" 2>/dev/null
wait_for 20 is_whole
verdict $? "when it is given up, ours comes back"
expect_right "then"

# Back in a kernel that knows owners.
broker_kill
start_again
[ "$owned" = no ] || server nft list table inet cdss | grep -q "flags owner"
verdict $? "a table without an owner is owned from then on"
expect_whole "with all that was in it"
finish
