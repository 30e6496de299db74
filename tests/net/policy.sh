#!/usr/bin/env bash
# What policy refuses, to users of a web front end and to administrators: each with a sentence that
# names the value and the setting, and each without a trace. An address that the host gets while a
# share is alive for it; expiry and limits that count from a share's creation.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
image_random a.bin 1000
image_random b.bin 1000
images=${setting[repository.images]}
web_uid=$(id -u www-data)
setting[broker.web_users]=www-data
setting[policy.networks]="10.77.0.0/16 fd77::/64"
setting[policy.claim]="10.77.4.0/24 fd77::4:0/112"
setting[policy.web_max_prefix]=30/126
setting[policy.lifetime]=1h
setting[policy.max_lifetime]=2h
setting[policy.admin_max_lifetime]=1d
setting[policy.max_per_requester]=2
setting[policy.max_shares]=4
setting[policy.max_images]=2
setting[policy.max_clients]=3
setting[policy.protocols]="http tftp nfs"
setting[web.trusted_proxies]="10.77.4.7"
environment_configure
start
web_start

# All that a refused request could have changed.
state() {
    cdss --json share list | sed -E 's/"(ends|remaining)": *[0-9]+//g' # told anew each time
    server nft -s list table inet cdss | grep -vE 'counter|timeout|ct count'
    ls "${setting[broker.run]}/shares" "${setting[repository.shares]}"
    in_registry 'SELECT id, deadline, ended, reason FROM shares; SELECT * FROM sessions'
}
in_registry() { sqlite3 -readonly "${setting[broker.state]}/registry.sqlite" "$1"; }
state_mark() { state >"$environment_dir/state.before"; }
is_unchanged() {
    state >"$environment_dir/state.now"
    diff "$environment_dir/state.before" "$environment_dir/state.now" | head -n 5 | sed 's/^/#   /'
    cmp -s "$environment_dir/state.before" "$environment_dir/state.now"
}
expect_web_refused() { # NAME EXTENDED-REGEX REQUEST FIELD=VALUE...
    expect_web "$1" REFUSED "${@:3}"
    grep -qE -e "$2" "$answer"
    verdict $? "... and the sentence says why"
}
# USER REQUESTER CLIENT... [-- FIELD=VALUE...]
asks() {
    local user=$1 from=$2 fields=()
    shift 2
    while [ $# -gt 0 ] && [ "$1" != -- ]; do fields+=("clients=$1"); shift; done
    [ $# = 0 ] || shift
    [[ "$*" == *images=* ]] || fields+=(images=a.bin)
    [[ "$*" == *protocols=* ]] || fields+=(protocols=http)
    request=(SHARE_CREATE "user=$user" password=tiger "requester=$from" "${fields[@]}" "$@")
}
refuses() { # NAME EXTENDED-REGEX USER REQUESTER CLIENT... [-- FIELD=VALUE...]
    asks "${@:3}"
    expect_web_refused "$1" "$2" "${request[@]}"
}
create() { # USER CLIENT [OPTION...]
    cdss share create "$1" --image a.bin --client "$2" --protocol http "${@:3}"
}

# -- users -----------------------------------------------------------------------------------------

me=$(client4 1)
state_mark
refuses "another's address" "10.77.2.10 is not your own address, $me.*10.77.4.0/24 fd77::4:0/112 \(claim\)" \
    alice "$me" 10.77.2.10
refuses "another's beside one's own" "10.77.2.10 is not your own" alice "$me" "$me" 10.77.2.10
refuses "one's own in the other family" "fd77::1:10 is not your own" alice "$me" fd77::1:10
refuses "a network above web_max_prefix" "10.77.4.8/29 is larger than a /30.*\(web_max_prefix\)" \
    alice "$me" 10.77.4.8/29
refuses "the same for IPv6" "fd77::4:0/125 is larger than a /126" alice "$me" fd77::4:0/125
refuses "outside of the networks, though it is his own" "192.0.2.7 lies outside.*10.77.0.0/16 fd77::/64 \(networks\)" \
    alice 192.0.2.7 192.0.2.7
refuses "a proxy" "10.77.4.7 is or holds a proxy.*\(trusted_proxies\)" alice "$me" 10.77.4.7
refuses "a network with a proxy" "10.77.4.4/30 is or holds a proxy" alice "$me" 10.77.4.4/30
refuses "a proxy that asks" "10.77.4.7 is a proxy.*\(trusted_proxies\)" alice 10.77.4.7 10.77.4.7
refuses "the server's own address" "$server4 is an address of this host itself" alice "$server4" "$server4"
refuses "served all the same" "--allow-local" alice "$me" "$me" -- flags=1
refuses "no requester" "does not say from which address" alice "" "$me"
refuses "a network that asks" "is a network" alice 10.77.1.0/24 "$me"
refuses "a lifetime above max_lifetime" "2h 1s is longer than.*2h \(max_lifetime\)|longer than.*\(max_lifetime\)" \
    alice "$me" "$me" -- seconds=7201
refuses "three images" "3 images are more than the limit of 2 \(max_images\)" alice "$me" "$me" -- \
    images=a.bin images=b.bin images=c.bin
refuses "four clients" "4 clients are more than the limit of 3 \(max_clients\)" alice "$me" "$me" \
    10.77.4.1 10.77.4.2 10.77.4.3
refuses "a protocol that is not on offer" '\\"ftp\\" on offer here \(protocols\).*http, tftp' alice "$me" "$me" -- \
    protocols=ftp
for one in 127.0.0.1 0.0.0.0 169.254.1.1 224.0.0.1 fe80::1 "fd77::4:1%eth0" 10.77.4.1/24 ::/0 " "; do
    refuses "the client \"$one\"" "\"client\"" alice "$me" "$one"
done
expect_refused "as a user: another's address" "10.77.8.8 is not your own address, 10.77.9.9" \
    create dora 10.77.9.9 --client 10.77.8.8 --as-user --for 1h
expect_refused "as a user: max_lifetime" "\(max_lifetime\)" create dora 10.77.9.9 --as-user --for 3h
expect_refused "as a user from a network" "is a network" create dora 10.77.9.0/24 --as-user --for 1h
is_unchanged
verdict $? "nothing of all that has changed anything"
! grep -qE "share.active|preparing" "$broker_log"
verdict $? "nothing was begun"

asks alice "::ffff:$me" "$me" 10.77.4.1 fd77::4:4/126 -- seconds=3600
expect_web "his own address, mapped, and claimed ones" "SHARE SESSION DONE" "${request[@]}"
[ "$(share_field alice 'share["clients"]')" = "['$me', '10.77.4.1', 'fd77::4:4/126']" ]
verdict $? "are canonical"
client 1 curl -sSf -m 10 -o "$out/a" "http://$server4:8080/a.bin" 2>"$environment_dir/client.err"
expect_same "and served" "$out/a" "$images/a.bin"
state_mark
refuses "the same user again" "alice has a share already" alice "$(client4 2)" "$(client4 2)"
refuses "an address of hers" "10.77.4.1 overlaps with the addresses of another share" bob "$(client4 2)" \
    10.77.4.1
refuses "one in her network" "fd77::4:5 overlaps" bob "$(client4 2)" fd77::4:5
refuses "a network around it" "10.77.4.0/30 overlaps" bob "$(client4 2)" 10.77.4.0/30
refuses "one's own that she has" "Your address 10.77.4.1 is in a share already; release it" bob 10.77.4.1 \
    10.77.4.1
grep -qE 'share of alice' "$answer"
verdict $((! $?)) "nobody hears whose it is"
is_unchanged
verdict $? "nothing was changed"
asks bob "$me" 10.77.4.20 -- seconds=3600
expect_web "his second share" "SHARE SESSION DONE" "${request[@]}"
state_mark
refuses "a third from the same address" "$me has asked for 2 shares.*2 are the limit.*\(max_per_requester\)" carol \
    "$me" 10.77.4.21
asks carol "$(client4 2)" "$(client4 2)" -- seconds=3600
expect_web "another's first" "SHARE SESSION DONE" "${request[@]}"
state_mark
refuses "more than three of four shares for users" "3 shares, all that this site's limit of 4 leaves to them \(max_shares\)" \
    dora "$(client4 3)" "$(client4 3)"
is_unchanged
verdict $? "nothing was changed by that"

# -- administrators ----------------------------------------------------------------------------------

expect_refused "a lifetime above admin_max_lifetime" "1d 1h is longer than.*1d \(admin_max_lifetime\)" \
    create dora 10.77.9.9 --for 25h
expect_refused "outside of the networks, for administrators too" "10.78.0.1 lies outside.*\(networks\)" \
    create dora 10.78.0.1 --for 1h
expect_refused "a proxy" "\(trusted_proxies\)" create dora 10.77.4.7 --for 1h
is_unchanged
verdict $? "nothing was changed by administrators' mistakes"
expect_ok "an administrator gets in where users do not" create dora "$(client4 3)" --for 20h
expect_refused "up to the limit" "4 shares, the limit of this site \(max_shares\)" create eve 10.77.9.9
expect_refused "not beyond creation + admin_max_lifetime" "in all \(admin_max_lifetime\)|longer than.*admin_max_lifetime" \
    cdss share extend dora --for 25h
web SHARE_EXTEND user=alice password=tiger "requester=$me" seconds=7201
grep -q '(max_lifetime)' "$answer"
verdict $? "and users not beyond creation + max_lifetime"
expect_ok "an administrator may extend a user's share further" cdss share extend alice --for 10h
expect_ok "one goes" cdss share remove carol

# -- an address that becomes the host's own ----------------------------------------------------------

expect_ok "a share for an address and its network" cdss share create frida --image a.bin \
    --client 10.77.5.5 --client 10.77.6.0/24 --protocol http --for 1h
server ip addr add 10.77.5.5/32 dev lo
server ip addr add 10.77.6.6/32 dev lo
expect_probe "the host gets it later, and is not served" "refused|silent" server \
    --source 10.77.5.5 "tcp,$server4,8080"
expect_probe "nor from an address in the network" "refused|silent" server \
    --source 10.77.6.6 "tcp,$server4,8080"
expect_ok "that share ends" cdss share remove frida
expect_refused "now it is refused" "10.77.5.5 is an address of this host itself; --allow-local" \
    create frida 10.77.5.5
refuses "to users, too" "10.77.5.5 is an address of this host itself\." eve 10.77.5.5 10.77.5.5
server ip addr del 10.77.5.5/32 dev lo
server ip addr del 10.77.6.6/32 dev lo
expect_ok "until it is the host's no more" create frida 10.77.5.5
expect_ok "and with --allow-local it would be served" cdss share remove frida
finish
