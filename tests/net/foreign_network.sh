#!/usr/bin/env bash
# Other hands in the host's network: firewalls that drop by default (the doctor's very words are what
# lets clients in), tables that translate addresses before ours or behind it, daemons that come and go
# on public ports, and a network that is renumbered while shares live.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images=${setting[repository.images]}
image_random a.bin 3000000
start
expect_ok "alice shares" cdss share create alice --image a.bin --client "$(client4 1)" \
    --client "$(client6 1)" --client 10.99.1.10 --client fd99::1:10 --protocol http,ftp,tftp --for 10m

gets() { # HOW HOST: 0 when alice's client has the image
    local limit=8 # s
    rm -f "$out/a"
    case $1 in
    http) get_http 1 "http://$2:8080/a.bin" "$out/a" --connect-timeout 2 ;;
    pasv | port) get_ftp 1 "$1" "ftp://$2/a.bin" "$out/a" --connect-timeout 2 ;;
    tftp) get_tftp 1 curl "$2" a.bin "$out/a" ;;
    esac && cmp -s "$out/a" "$images/a.bin"
}
expect_gets() { # WHEN HOST HOW...
    local how
    for how in "${@:3}"; do
        gets "$how" "$2"
        verdict $? "$1: $how from $2"
    done
}
doctor_says() { # CHECK: result and sentence
    cdss --json doctor | python3 -c 'import json, sys
for check in json.load(sys.stdin)["checks"]:
    if check["name"] == sys.argv[1]: print(check["result"], check["message"])' "$1"
}
expect_doctor() { # NAME CHECK EXTENDED-REGEX
    local said
    said=$(doctor_says "$2")
    grep -qE -e "$3" <<<"$said" && { ok "$1"; return; }
    note "$said"
    not_ok "$1"
}

# -- firewalls that drop by default ----------------------------------------------------------------

# Does what the doctor prints between quotes, as a person would.
do_as_told() {
    local command
    doctor_says foreign-firewall | grep -oE "'(nft|iptables|ip6tables) [^']*'" | tr -d "'" |
        while read -r command; do
            note "$command"
            # shellcheck disable=SC2086 # words
            server $command
        done
}
closed() { # NAME
    ! gets http "$server4" && ! gets tftp "$server4"
    verdict $? "$1: as it is, clients are dropped"
    expect_doctor "$1: the doctor says what to do" foreign-firewall "^warn .*0x$(printf %02x "$mark_prefix")000000"
    do_as_told
    expect_doctor "$1: and then is content" foreign-firewall "^ok .*accepts what is of shares"
    expect_gets "$1: with the doctor's rule" "$server4" http pasv port tftp
    expect_gets "$1: with the doctor's rule" "$server6_host" http
    expect_probe "$1: others are dropped as before" silent client1 "tcp,$server4,5432"
}
server6_host="[$server6]"
server_exec python3 -m http.server 5432 --bind 0.0.0.0 >/dev/null 2>&1 &
background+=("$!")

server nft -f - <<'RULES'
table inet site {
    chain input { type filter hook input priority filter; policy drop;
        meta l4proto { icmp, icmpv6 } accept
    }
    chain output { type filter hook output priority filter; policy drop;
        meta l4proto { icmp, icmpv6 } accept
    }
}
RULES
closed "a policy of drop, both ways"
server nft delete table inet site

# As firewalld and many scripts do: accept by policy, and a last rule that rejects.
server nft -f - <<'RULES'
table inet zones {
    chain filter_INPUT { type filter hook input priority filter + 10; policy accept;
        iifname "lo" accept
        jump zone
        ct state invalid drop
        counter drop
    }
    chain zone { meta l4proto { icmp, icmpv6 } accept
    }
}
RULES
closed "zones and a last rule"
server nft delete table inet zones

if command -v iptables-nft >/dev/null && server iptables-nft -t filter -L >/dev/null 2>&1; then
    for one in iptables-nft ip6tables-nft; do
        server $one -P INPUT DROP
        server $one -A INPUT -p "$([ $one = iptables-nft ] && echo icmp || echo icmpv6)" -j ACCEPT
    done
    closed "iptables-nft with a policy of DROP"
    server nft delete table ip filter
    server nft delete table ip6 filter
else
    skip "iptables-nft" "it does not work in this kernel"
fi
expect_doctor "none of them is left" foreign-firewall "^ok no other"

# -- tables that translate addresses ---------------------------------------------------------------

# As docker does: a published port goes to a container (here: client 2), and masquerading.
client_exec 2 python3 -m http.server 80 --bind 0.0.0.0 --directory "$images" >/dev/null 2>&1 &
background+=("$!")
docker() { # PRIORITY
    server nft -f - <<RULES
table ip nat {
    chain PREROUTING { type nat hook prerouting priority $1; policy accept;
        fib daddr type local tcp dport 8080 dnat to $(client4 2):80
    }
    chain POSTROUTING { type nat hook postrouting priority srcnat; policy accept;
        ip saddr 10.77.0.0/16 masquerade
    }
}
RULES
}
server sysctl -qw net.ipv4.ip_forward=1
docker dstnat
expect_gets "a published port of a container" "$server4" http pasv port tftp
published() { client 3 curl -sS -m 2 -o "$out/b" "http://$server4:8080/a.bin" 2>"$environment_dir/client.err"; }
wait_for 10 published
expect_same "everybody else goes on reaching the container" "$out/b" "$images/a.bin"
expect_doctor "the doctor sees nothing wrong" foreign-nat "^ok"
server nft delete table ip nat
docker -150
expect_doctor "one that comes before ours is named" foreign-nat '^warn .*"ip nat PREROUTING"'
server nft delete table ip nat
expect_gets "when that is gone" "$server4" http

# Marks of others with our prefix reach nothing.
server nft -f - <<RULES
table ip marks {
    chain pre { type filter hook prerouting priority mangle; policy accept;
        ip saddr $(client4 3) ct mark set 0x$(printf %02x "$mark_prefix")ffffff
    }
}
RULES
expect_probe "another's marks with our prefix: that client reaches nothing" "refused|silent" client3 \
    "tcp,$server4,8080" "tcp,$server4,5432" "udp,$server4,69"
expect_gets "another's marks: ours do" "$server4" http
server nft delete table ip marks
server conntrack -D --mark "0x$(printf %02x "$mark_prefix")ffffff" >/dev/null 2>&1

# -- daemons of the host on public ports -----------------------------------------------------------

listed() { server nft list set inet cdss public_udp | grep -q 'elements.* 69'; }
listed
verdict $? "strangers' datagrams to TFTP's port are refused"
server_exec python3 -c 'import socket
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.bind(("::", 69))
while True:
    data, peer = udp.recvfrom(1000)
    udp.sendto(b"daemon", peer)' &
daemon=$!
background+=("$daemon")
unlisted() { ! listed; }
wait_for 15 unlisted
verdict $? "a daemon of the host that starts there is noticed"
expect_probe "and strangers reach it" answered client3 "udp,$server4,69"
expect_gets "alice's client goes on reaching her share" "$server4" tftp
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null
wait_for 15 listed
verdict $? "so is its end"

# -- renumbering -----------------------------------------------------------------------------------

share_names() { cdss share show alice | grep -qF "//$1:8080/"; }
share_names "$server4"
verdict $? "share show names the server's address"
server ip address add 10.99.0.1/16 dev eth0
client 1 ip address add 10.99.1.10/16 dev eth0
expect_gets "a new address of the server" 10.99.0.1 http pasv port tftp
server ip address add fd99::1/64 dev eth0 nodad
client 1 ip address add fd99::1:10/64 dev eth0 nodad
expect_gets "a new IPv6 address" "[fd99::1]" http
# A download over an address that goes away ends, and is nobody else's.
image_long=$images/long.img
truncate -s 200M "$image_long"
expect_ok "a longer image" cdss share add alice --image long.img
download_start "$out/long" long_http 1 "http://$server4:8080/long.img" "$out/long"
server ip link set eth0 down
server ip link set eth0 up
for address in 10.99.0.1/16 10.77.0.1/16; do
    server ip address replace $address dev eth0
done
if wait_for 30 is_gone "$download" && wait "$download"; then
    [ "$(stat -c %s "$out/long")" = 209715200 ]
    verdict $? "a download lives through a link that goes down and up"
else
    not_ok "a download lives through a link that goes down and up"
fi
rm -f "$out/long"
server ip address del 10.77.0.1/16 dev eth0
server ip address del 10.77.0.2/16 dev eth0 2>/dev/null
! gets http "$server4"
verdict $? "an address that is gone serves nobody"
expect_gets "the others do" 10.99.0.1 http
server ip address add 10.77.0.5/16 dev eth0
expect_gets "another in its place" 10.77.0.5 http
share_names 10.77.0.5
verdict $? "and share show names that"

# The server takes a client's address.
client 1 ip address del "$(client4 1)/16" dev eth0
server ip address add "$(client4 1)/16" dev eth0
said() { grep -qE "share\.client alice.*$1" "$broker_log"; }
wait_for 5 said "$(client4 1) is an address of this host now"
verdict $? "a client's address that becomes the server's is said"
expect_probe "who has it then is no client" "refused|silent" server --source "$(client4 1)" \
    "tcp,$(client4 1),8080" "tcp,127.0.0.1,8080"
expect_gets "her other clients are" 10.99.0.1 http
expect_refused "a new share for an address of the server is refused" "10\.77\.0\.5 is an address of this" \
    cdss share create bob --image a.bin --client 10.77.0.5 --protocol http --for 10m
server ip address del "$(client4 1)/16" dev eth0
client 1 ip address add "$(client4 1)/16" dev eth0
wait_for 5 said "not|none of its clients"
verdict $? "and when it is no more"
expect_gets "then it is a client again" 10.77.0.5 http
share_field alice 'share["state"]' | grep -qx active
verdict $? "the share has lived through it all"
finish
