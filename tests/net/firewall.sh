#!/usr/bin/env bash
# The firewall alone, called through firewall_tool: the table is the one that was designed, and what
# it says holds for real sockets. Servers are tools/instance.py, clients tools/talk.py.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
uid_alice=$uid_first uid_bob=$((uid_first + 4))
mark_alice=0x5b000101 mark_bob=0x5b000102
alice_services=tcp/8080/21001,tcp/21/21002/ftp,udp/69/21003/tftp
bob_services=tcp/8080/21011,tcp/21/21012/ftp,udp/69/21013/tftp
tool_pid='' tool_in='' tool_out=''

# -- the tool --------------------------------------------------------------------------------------

tool_start() {
    local to=$environment_dir/tool.in from=$environment_dir/tool.out
    [ -x "$build_dir/tests/net/firewall_tool" ] || { not_ok "firewall_tool is built"; exit 1; }
    rm -f "$to" "$from"
    mkfifo "$to" "$from"
    server_exec "$build_dir/tests/net/firewall_tool" 0x5b "$uid_first" "$uid_last" 5 100 <"$to" >"$from" \
        2>>"$environment_dir/tool.log" &
    tool_pid=$!
    background+=("$tool_pid")
    exec {tool_in}>"$to" {tool_out}<"$from"
    say share 1f $mark_alice "$uid_alice" 1 10.77.1.10,fd77::1:10 $alice_services 3600000
    say share 2f $mark_bob "$uid_bob" 1 10.77.2.10,fd77::2:10 $bob_services 3600000
}

tool_stop() { # [SIGNAL]; without one it ends by itself, so that a sanitizer has its say
    [ -z "${1:-}" ] || kill "-$1" "$tool_pid"
    exec {tool_in}>&- {tool_out}<&-
    wait "$tool_pid" 2>/dev/null
}

answer='' # of the tool
say() { # COMMAND...
    printf '%s\n' "$*" >&"$tool_in"
    read -r -t 20 -u "$tool_out" answer || answer="no answer"
}
expect() { # NAME ANSWER COMMAND...
    say "${@:3}"
    [ "$answer" = "$2" ] && { ok "$1"; return; }
    note "${*:3}: $answer, not $2"
    not_ok "$1"
}

# -- servers, clients, rules -----------------------------------------------------------------------

instance() { # UID NAME SERVICE...
    local ready
    exec {ready}< <(server_exec python3 "$net_dir/tools/instance.py" "$@")
    background+=("$!")
    instance_pid=$!
    read -r -t 10 -u "$ready" _ || not_ok "$2's server starts"
    exec {ready}<&-
}

talk() { in_ns "$1" timeout 20 python3 "$net_dir/tools/talk.py" "${@:2}" 2>&1 | tail -n 1; }
expect_talk() { # NAME EXTENDED-REGEX NAMESPACE ARGUMENT...
    local said
    said=$(talk "${@:3}")
    grep -qxE -e "$2" <<<"$said" && { ok "$1"; return; }
    note "${*:3}: $said, not $2"
    not_ok "$1"
}

# What nft 1.0.6 prints for the flags of the table depends on how new the kernel is.
listing() { # NAMESPACE
    in_ns "$1" nft -s list table inet cdss | grep -vE '^[[:space:]]*(flags.*|)$|^[[:space:]]flags $' |
        sed -E 's/^table inet cdss \{.*/table inet cdss {/'
    in_ns "$1" nft -s list table inet cdss | grep -E 'flags (timeout|interval)'
}
chains() { server nft -s list chains inet 2>/dev/null | grep -o 's_[0-9a-f]*' | sort | tr '\n' ' '; }
expect_chains() { # NAME CHAIN...
    local now
    now=$(chains)
    [ "$now" = "${*:2}${2:+ }" ] && { ok "$1"; return; }
    note "chains: $now, not ${*:2}"
    not_ok "$1"
}

# -- the table -------------------------------------------------------------------------------------

tool_start
expect "no table: check says so" "error ENOENT" check
expect "no table: removing it is no failure" "ok" uninstall
expect "an empty table" "ok" install
expect "check finds it" "ok" check
say share 1f $mark_alice "$uid_alice" 1 10.77.1.10,fd77::1:10,10.99.0.0/16,fd99::/16 \
    $alice_services 3600000 local
expect "a share is added" "ok" add 1f
expect "public UDP ports are set" "ok" udp 69,111
ns_make reference
sed "s/UID_FIRST/$uid_first/g; s/UID_LAST/$uid_last/g" "$net_dir/firewall.nft" |
    in_ns reference nft -f -
listing reference >"$environment_dir/want"
listing server >"$environment_dir/got"
diff "$environment_dir/want" "$environment_dir/got" | sed 's/^/#   /'
[ -s "$environment_dir/want" ] && cmp -s "$environment_dir/want" "$environment_dir/got"
verdict $? "the table reads like the text"
expect "the same share again" "error EEXIST" add 1f
expect "table and share are replaced at once" "ok" install 1f
expect "and again" "ok" install 1f
listing server | grep -v '^.*elements = { 69, 111 }' >"$environment_dir/got"
grep -v '^.*elements = { 69, 111 }' "$environment_dir/want" | cmp -s - "$environment_dir/got"
verdict $? "it reads the same after that"
say share 3f 0x5b000103 "$((uid_first + 8))" 1 10.77.3.10 tcp/8080/21021 3600000 local
expect "a second share for this host" "error EEXIST" add 3f
say share 3f 0x5b000103 "$((uid_first + 8))" 1 10.77.1.10 tcp/8080/21021 3600000
expect "another's client" "error EEXIST" add 3f
say share 3f 0x5b000103 "$((uid_first + 8))" 1 10.77.3.10 tcp/8080/21001 3600000
expect "another's port" "error EEXIST" add 3f
say share 3f 0x5b000103 "$((uid_first + 8))" 1 10.99.7.0/24 tcp/8080/21021 3600000
expect "a network inside another's" "error EEXIST" add 3f
say share 3f 0x5c000103 "$((uid_first + 8))" 1 10.77.3.10 tcp/8080/21021 3600000
expect "a mark that is not ours" "error EINVAL" add 3f
say share 3f 0x5b000103 "$((uid_last))" 2 10.77.3.10 tcp/8080/21021 3600000
expect "uids that are not ours" "error EINVAL" add 3f
say share 3f 0x5b000103 "$((uid_first + 8))" 1 10.77.3.10 tcp/8080/21021 0
expect "a share without end" "error EINVAL" add 3f
expect_chains "what was refused left nothing" s_1f
expect "the end" "ok" end 1f
expect "the end, twice" "ok" end 1f
expect "forgotten" "ok" forget 1f
expect "forgotten, twice" "ok" forget 1f
expect_chains "no chain is left"
[ "$(server nft list table inet cdss | grep -c elements)" = 0 ]
verdict $? "no element is left"

# -- who gets what ---------------------------------------------------------------------------------

tool_stop KILL
tool_start
expect "a new owner takes the table over" "ok" install 1f 2f
instance "$uid_alice" alice tcp,21001 ftp,21002,5432 udp,21003
instance "$uid_bob" bob tcp,21011 ftp,21012,30005 udp,21013 udp,21043 \
    tcp,30005
bob_pid=$instance_pid
server_exec python3 -m http.server 5432 --bind 0.0.0.0 >/dev/null 2>&1 &
background+=("$!")
for address in $server4 $server4b $server6 $server6b; do
    expect_talk "alice's client at $address" alice client1 "tcp,$address,8080"
    expect_talk "bob's client at $address" bob client2 "tcp,$address,8080"
    expect_talk "bob's client at $address, UDP" bob client2 "udp,$address,69"
    expect_talk "a stranger at $address" refused client3 "tcp,$address,8080"
    expect_talk "a process of the host at $address" refused server "tcp,$address,8080"
    for who in client1 client2 client3 server; do
        expect_talk "alice's instance port at $address, from $who" refused $who "tcp,$address,21001"
        expect_talk "alice's instance port at $address, UDP, from $who" "silent|refused" $who \
            "udp,$address,21003"
    done
done
expect_talk "a process with a share's uid reaches nobody" "refused|silent" server \
    --uid "$uid_alice" "tcp,127.0.0.1,5432"
expect_talk "passive FTP data" bob client2 --passive "tcp,$server4,21"
server nft -f - <<'RULES'
table inet host {
    chain input { type filter hook input priority filter; policy drop;
        iif lo accept
        ct state established,related accept
        ct status dnat accept
        meta l4proto { icmp, icmpv6 } accept
    }
}
RULES
expect_talk "behind the host's own firewall: passive FTP data" bob client2 --passive "tcp,$server4,21"
expect_talk "behind the host's own firewall: a forged FTP answer" "refused" client1 --passive \
    "tcp,$server4,21"
server nft delete table inet host
expect_talk "the host's own service is there (or the last one would say nothing)" silent client1 \
    "tcp,$server4,5432"

# Networks, and what lies in them.
say share 3f 0x5b000103 "$((uid_first + 8))" 2 10.77.0.0/16,fd77::/64 tcp/8080/21021 3600000
instance "$((uid_first + 9))" carol tcp,21021
expect "a network around hosts of others" "ok" add 3f
for address in $server4 $server6; do
    expect_talk "the network's client at $address" carol client3 "tcp,$address,8080"
    expect_talk "the host wins over its network at $address" alice client1 "tcp,$address,8080"
    expect_talk "the host itself is no client at $address" refused server "tcp,$address,8080"
done
expect "the network ends" "ok" end 3f
expect_talk "then its client is a stranger" refused client3 "tcp,$server4,8080"
say forget 3f
say share 3f 0x5b000104 "$((uid_first + 8))" 2 10.77.0.0/16,fd77::/64 tcp/8080/21021 3600000 local
expect "the same for this host, too" "ok" add 3f
for address in $server4 $server4b $server6 $server6b 127.0.0.1 ::1; do
    expect_talk "the host itself at $address" carol server "tcp,$address,8080"
done
server ip address del $server4b/16 dev eth0
expect "it is extended" "ok" extend 3f 7200000
expect "it ends though the host has lost an address" "ok" end 3f
server ip address add $server4b/16 dev eth0
expect_talk "then the host itself is a stranger" refused server "tcp,127.0.0.1,8080"
say forget 3f
expect_chains "two shares are left" s_1f s_2f

# -- ending ----------------------------------------------------------------------------------------

# A download that goes on in the background, and is under way when this returns; its end is the last
# line of FILE.
hold() { # FILE NAMESPACE SECONDS ARGUMENT...
    : >"$1"
    (exec 2>&1 && in_ns "$2" timeout 20 python3 "$net_dir/tools/talk.py" --hold "$3" "${@:4}") >"$1" &
    held+=("$!")
    wait_for 10 grep -q . "$1"
}
held=()
held_end() { wait "${held[@]}"; held=(); }
# A download goes on while the command runs, and is cut within `soon`.
cut_by() { # NAME TARGET COMMAND...
    local said
    hold "$environment_dir/held" client1 4 "$2"
    say "${@:3}"
    held_end
    said=$(tail -n 1 "$environment_dir/held")
    [ "$answer" = ok ] && [ "${said% *}" = cut ] && [ "${said#* }" -lt $((1000 + soon)) ]
    verdict $? "$1 ($said)"
}
for address in $server4 $server6; do
    cut_by "the end cuts a download from $address" "tcp,$address,8080" end 1f
    expect "it can come back" "error EEXIST" add 1f
    say forget 1f
    expect "when it was forgotten" "ok" add 1f
    cut_by "the reset cuts a download from $address" "tcp,$address,8080" reset 1f
    expect_talk "and leaves the listener alone" alice client1 "tcp,$address,8080"
done
server ss -Htn "sport = 21001" >"$environment_dir/sockets"
[ ! -s "$environment_dir/sockets" ]
verdict $? "a reset leaves no connection"
hold "$environment_dir/held" client2 2 "tcp,$server4,8080"
say reset 1f
held_end
grep -q '^alive' "$environment_dir/held"
verdict $? "one share's reset is not another's"
hold "$environment_dir/held" client2 4 --passive "tcp,$server4,21"
say reset 2f
held_end
grep -q '^cut' "$environment_dir/held"
verdict $? "the reset cuts FTP data ($(tail -n 1 "$environment_dir/held"))"

# -- one client leaves -----------------------------------------------------------------------------

say end 1f
say forget 1f
say share 1f $mark_alice "$uid_alice" 1 "$(client4 1),$(client6 1),$(client4 3),10.99.0.0/16" \
    $alice_services 3600000
say add 1f
flows_of() { # ADDRESS; of alice's share
    server conntrack -L --mark $mark_alice 2>/dev/null | grep -c "src=$1 "
}
hold "$environment_dir/held3" client3 6 "tcp,$server4,8080"
hold "$environment_dir/held6" client1 6 "tcp,$server6,8080"
hold "$environment_dir/held" client1 4 "tcp,$server4,8080"
since=$(milliseconds)
say release 1f "$(client4 1)"
wait "${held[2]}"
took=$(($(milliseconds) - since))
[ "$answer" = ok ] && grep -q '^cut' "$environment_dir/held" && [ "$took" -lt "$soon" ]
verdict $? "releasing a client cuts its download ($took ms)"
[ "$(flows_of "$(client4 1)")" = 0 ] && [ "$(flows_of "$(client4 3)")" != 0 ]
verdict $? "its flows are forgotten, those of others are not"
expect_talk "it gets in no more" "refused|silent" client1 "tcp,$server4,8080"
expect_talk "its other address does" alice client1 "tcp,$server6,8080"
held_end
grep -q '^alive' "$environment_dir/held3" && grep -q '^alive' "$environment_dir/held6"
verdict $? "downloads of others go on ($(tail -n 1 "$environment_dir/held3"))"
expect "releasing it again is no failure" "ok" release 1f "$(client4 1)"
expect "a network can be released" "ok" release 1f 10.99.0.0/16
! server nft list map inet cdss n4 | grep -q 10.99
verdict $? "and is gone then"
expect "the share ends after that" "ok" end 1f
expect "releasing from what has ended is no failure" "ok" release 1f "$(client4 3)"

# -- expiry in the kernel --------------------------------------------------------------------------

say end 1f
say forget 1f
instance "$uid_alice" alice tcp,21031 udp,21033
clients=10.77.1.10,fd77::1:10,10.100.0.0/24,10.100.1.0/24,fd00:100::/64,fd00:100:0:1::/64
expiring() { # MARK-LOW MILLISECONDS
    say forget 4f
    say share 4f "0x5b0002$1" "$uid_alice" 1 $clients tcp/8080/21031,udp/69/21033 "$2"
    say add 4f
}
expiring 01 1500
talk client1 --hold 4 "tcp,$server4,8080" >"$environment_dir/held"
said=$(cat "$environment_dir/held")
[ "${said% *}" = cut ] && [ "${said#* }" -ge 800 ] && [ "${said#* }" -lt $((1500 + soon)) ]
verdict $? "at its time the kernel cuts a download ($said)"
expect_talk "and refuses the next" refused client1 "tcp,$server4,8080"
expect "what has ended cannot be extended" "error ENOENT" extend 4f 60000
expect "it can still be ended" "ok" end 4f
expect "twice" "ok" end 4f
expect_chains "and leaves no chain" s_2f
low=2
for milliseconds in 0 20 300 1100 2500 6000; do
    expiring "0$low" 400
    low=$((low + 1))
    sleep "$(((milliseconds + 400) / 1000)).$(printf %03d $(((milliseconds + 400) % 1000)))"
    expect "the end, $milliseconds ms after expiry" "ok" end 4f
    expect "the end, $milliseconds ms after expiry, twice" "ok" end 4f
done
expect_chains "none of them left a chain" s_2f
server nft list table inet cdss >"$environment_dir/got"
! grep -qE '10\.100\.|fd00:100' "$environment_dir/got"
verdict $? "nor an element"
expiring 10 700
for _ in 1 2 3 4 5; do
    sleep 0.3
    say extend 4f 700
done
expect_talk "extended again and again, it lives" alice client1 "tcp,$server4,8080"
expect "extended, it ends" "ok" end 4f
expect_chains "and leaves no chain either" s_2f

expiring 11 300
sleep 0.5
say share 5f 0x5b000301 "$((uid_first + 8))" 2 10.77.1.10,10.100.0.0/16 tcp/8080/21021 3600000
expect "an expired share's client is free only when that was ended" "error EEXIST" add 5f
say end 4f
say forget 4f
# Its ports, too, when the first was ended already.
expiring 12 60000
say end 4f
say share 5f 0x5b000302 "$uid_alice" 1 10.77.1.10 tcp/8080/21031 3600000
say add 5f
say end 4f
expect_talk "ending twice leaves a port to its next owner" alice client1 "tcp,$server4,8080"
say end 5f
say forget 5f
say forget 4f

# -- datagrams from a fixed port -------------------------------------------------------------------

say share 6f 0x5b000401 "$uid_alice" 1 10.77.1.10 udp/69/21033 3600000
say share 7f 0x5b000402 "$uid_bob" 1 10.77.1.10 udp/69/21043 3600000
say udp 69
expect_talk "a stranger's datagram is refused" refused client1 --source 5000 "udp,$server4,69"
say add 6f
expect_talk "and does not spoil the first share" alice client1 --source 5000 "udp,$server4,69"
say end 6f
say add 7f
expect_talk "the old flow does not reach the old server" "silent|refused" client1 --source 5000 \
    "udp,$server4,69"
say forget 6f
expect_talk "when it is forgotten it reaches the new one" bob client1 --source 5000 "udp,$server4,69"
say end 7f
say forget 7f
say share 6f 0x5b000403 "$uid_alice" 1 10.77.1.10 udp/69/21033 3600000
say share 7f 0x5b000403 "$uid_bob" 1 10.77.1.10 udp/69/21043 3600000
say add 6f
expect_talk "a flow of one share" alice client1 --source 5000 "udp,$server4,69"
say end 6f
expect "another with the same mark" "ok" add 7f
expect_talk "is not met by the old flow" bob client1 --source 5000 "udp,$server4,69"
expect "all flows are flushed" "ok" flush
! server conntrack -L --mark 0x5b000000/0xff000000 2>/dev/null | grep -q .
verdict $? "none is left"
say end 7f
say forget 6f
say forget 7f

server_exec python3 -c 'import socket, time
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); udp.bind(("::1", 111))
tcp = socket.socket(); tcp.bind(("127.0.0.1", 445)); tcp.listen(); time.sleep(60)' &
background+=("$!")
served() { say served "$1" && [ "$answer" = "ok yes" ]; }
wait_for 5 served tcp/445
verdict $? "a served TCP port is seen"
expect "a served UDP port is seen" "ok yes" served udp/111
expect "an unserved port is not" "ok no" served tcp/111
expect "a share's port is not the host's" "ok no" served udp/21013
expect "UDP ports are set" "ok" udp 69,111,2049
server nft list set inet cdss public_udp | grep -q 'elements = { 69, 2049 }'
verdict $? "without those that the host serves"
expect "UDP ports are taken away" "ok" udp
! server nft list set inet cdss public_udp | grep -q elements
verdict $? "all of them"

# -- the locks -------------------------------------------------------------------------------------

route_sources() { # NAMESPACE: the kernel itself would drop them otherwise
    local file
    for file in all eth0; do
        in_ns "$1" sysctl -qw "net.ipv4.conf.$file.accept_source_route=1"
    done
}
route_sources server
route_sources client2
expect_talk "a source route to the server is dropped" silent client2 --via $server4b \
    "tcp,$server4,8080"
expect_talk "the same without a route is not" bob client2 "tcp,$server4,8080"
kill -KILL "$bob_pid"
wait "$bob_pid" 2>/dev/null
expect_talk "no server, no answer" refused client2 "tcp,$server4,8080"
instance 65534 mallory tcp,21011 udp,21013
expect_talk "who takes a dead server's port is not heard" "refused|silent" client2 "tcp,$server4,8080"
expect_talk "who takes a dead server's port is not heard, UDP" "refused|silent" client2 \
    "udp,$server6,69"

# What expires after a share's grace, and what the kernel has not swept up yet, made by hand in a
# table that has no owner: an address that leads to another share, and one that still leads here.
orphaned() {
    tool_start
    expect "an orphaned table can be changed" "ok" add 1f
    server nft -f - <<'RULES'
delete element inet cdss h4 { 10.77.1.10 }
add element inet cdss h4 { 10.77.1.10 timeout 1h : goto s_2f }
add element inet cdss h4 { 10.77.9.9 timeout 1h : goto s_1f }
RULES
    expect "a share ends while something holds its chain" "ok" end 1f
    server nft list table inet cdss >"$environment_dir/got"
    ! grep -qE 'dnat to :2100|[ ]2100[123][ ,]|[{,] 0x5b000101 timeout' "$environment_dir/got"
    verdict $? "of which only the name is left"
    grep -qE '10\.77\.1\.10 .* goto s_2f' "$environment_dir/got"
    verdict $? "another's element is left alone"
    expect "the chain is still held" "error EBUSY" forget 1f
    server nft delete element inet cdss h4 '{ 10.77.9.9 }'
    expect "when it is not, it goes" "ok" forget 1f
    expect_chains "without a trace" s_2f
    tool_stop KILL
}

# -- owners ----------------------------------------------------------------------------------------

if server nft flush ruleset 2>/dev/null && ! server nft list table inet cdss >/dev/null 2>&1; then
    skip "an owned table" "this kernel has no persistent owners"
    expect "a flushed table is noticed" "error ENOENT" check
else
    server nft list table inet cdss >/dev/null
    verdict $? "nobody else can flush it"
    ! server nft add element inet cdss live '{ 0x5b777777 timeout 1h }' 2>/dev/null
    verdict $? "nor add to it"
    expect "check is content" "ok" check
    first_pid=$tool_pid first_in=$tool_in first_out=$tool_out
    tool_start
    expect "a second owner is refused" "error EPERM" install
    tool_stop
    tool_pid=$first_pid tool_in=$first_in tool_out=$first_out
    tool_stop KILL
    expect_chains "the death of the owner leaves the table" s_2f
    orphaned
    tool_start
    expect "a new owner takes it over" "ok" install 2f
    expect "check is content then" "ok" check
    ! server nft delete table inet cdss 2>/dev/null
    verdict $? "and again nobody else can flush it"
    tool_stop KILL
    server nft flush ruleset
    tool_start
    expect "flushed while nobody owned it: noticed" "error ENOENT" check
fi
expect "flushed: a share ends" "ok" end 2f
expect "flushed: a share is forgotten" "ok" forget 2f
expect "flushed: it cannot be extended" "error ENOENT" extend 2f 60000
expect "flushed: it comes back" "ok" install 2f
expect "flushed: and is whole" "ok" check
tool_stop KILL
server nft delete table inet cdss
sed "s/UID_FIRST/$uid_first/g; s/UID_LAST/$uid_last/g" "$net_dir/firewall.nft" | server nft -f -
tool_start
expect "a table that nobody ever owned is replaced" "ok" install 2f
expect_chains "with what was in it" s_2f
expect "the table is removed" "ok" uninstall
expect "and gone" "error ENOENT" check
tool_stop
sed 's/^/#   /' "$environment_dir/tool.log"
[ ! -s "$environment_dir/tool.log" ]
verdict $? "the tool has nothing to complain about"
[ "$failures" = 0 ]
