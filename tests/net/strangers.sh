#!/usr/bin/env bash
# Who must get nothing: a client without a share, everybody on the instances' own ports, processes
# on the server itself, and whoever follows a forged FTP answer.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images_real
setting[broker.templates]=$environment_dir/templates
cp -a "$source_dir/templates" "$environment_dir/templates"
cp -a "$net_dir/definitions/forged" "$environment_dir/templates/"
setting[policy.protocols]="http ftp tftp forged"
environment_configure
# A firewall of the host's own as careful sites have it, and a service behind it. It must be as it
# was at the end, too.
server nft -f - <<'RULES'
table inet host {
    chain input {
        type filter hook input priority filter; policy drop;
        iif lo accept
        ct state established,related accept
        ct status dnat accept
        meta l4proto { icmp, icmpv6 } accept
    }
}
RULES
residue_rules >"$environment_dir/start.rules"
server_exec python3 -m http.server 5432 --bind 0.0.0.0 >/dev/null 2>&1 &
background+=("$!")
start

expect_ok "alice shares" cdss share create alice --image linux/grub.iso --client "$(client4 1)" \
    --client "$(client6 1)" --protocol http,ftp,tftp,forged --for 10m
expect_ok "bob shares" cdss share create bob --image memtest.iso --client "$(client4 2)" \
    --client "$(client6 2)" --protocol http,ftp,tftp --for 10m

get_http 1 "http://$server4:8080/linux/grub.iso" "$out/a"
expect_same "behind the host's own firewall: HTTP" "$out/a" "${setting[repository.images]}/linux/grub.iso"
get_ftp 1 pasv "ftp://$server4/linux/grub.iso" "$out/a"
expect_same "behind the host's own firewall: passive FTP" "$out/a" \
    "${setting[repository.images]}/linux/grub.iso"
get_ftp 2 port "ftp://$server4/memtest.iso" "$out/a"
expect_same "behind the host's own firewall: active FTP" "$out/a" \
    "${setting[repository.images]}/memtest.iso"
get_tftp 2 curl "$server4" memtest.iso "$out/a"
expect_same "behind the host's own firewall: TFTP" "$out/a" "${setting[repository.images]}/memtest.iso"

# What CDSS does not know is the host's own firewall's business here, which is silent.
for address in "$server4" "$server4b" "$server6" "$server6b"; do
    expect_probe "a stranger on the standard TCP ports of $address" "refused|silent" client3 \
        "tcp,$address,8080" "tcp,$address,21" "tcp,$address,2121"
    expect_probe "a stranger on the standard UDP port of $address" refused client3 "udp,$address,69"
done
expect_probe "a client on a port of a protocol that he has not" "refused|silent" client2 \
    "tcp,$server4,2121"

for address in "$server4" "$server6"; do
    mapfile -t ports < <(instance_ports "$address")
    [ "${#ports[@]}" = 7 ]
    verdict $? "there are 7 instance ports (${#ports[@]})"
    mapfile -t tcp_ports < <(instance_ports "$address" | grep ^tcp)
    for who in client1 client2 client3 server; do
        expect_probe "instance ports of $address, from $who" "refused|silent" "$who" "${ports[@]}"
        expect_probe "TCP instance ports of $address, from $who: no silence" refused "$who" \
            "${tcp_ports[@]}"
    done
done
for address in 127.0.0.1 ::1; do
    mapfile -t ports < <(instance_ports "$address")
    expect_probe "instance ports of $address, on the server" "refused|silent" server "${ports[@]}"
done
for address in 127.0.0.1 ::1 "$server4" "$server6"; do
    expect_probe "standard ports of $address, on the server" "refused|silent" server \
        "tcp,$address,8080" "tcp,$address,21" "udp,$address,69"
done
expect_probe "on the server, with a client's IPv4 address as source" "refused|silent" server \
    --source "$(client4 1)" "tcp,$server4,8080" "tcp,$server4,21" "udp,$server4,69"
expect_probe "on the server, with a client's IPv6 address as source" "refused|silent" server \
    --source "$(client6 1)" "tcp,$server6,8080" "tcp,$server6,21" "udp,$server6,69"

# The forged answer. That the kernel follows it at all is shown by a port where it leads somewhere:
# one that the same share's real FTP server waits on.
for n in 1 2; do
    client_exec $n python3 "$net_dir/tools/passive_hold.py" "$server4" \
        >"$environment_dir/passive$n" &
    background+=("$!")
    wait_for 5 test -s "$environment_dir/passive$n"
    verdict $? "the FTP server of client $n's share waits on a passive port"
done
follow() { # PORT
    client 1 timeout 10 python3 "$net_dir/tools/forged_client.py" "$server4" 2121 "$1" 2>&1
}
answer=$(follow "$(cat "$environment_dir/passive1")")
[ "$answer" = answered ]
verdict $? "a forged 227 that names the share's own passive port leads there ($answer)"
forged() { # NAME PORT
    local answer
    answer=$(follow "$2")
    [ "$answer" = refused ] || [ "$answer" = silent ]
    verdict $? "a forged 227 that names $1 leads nowhere (${answer##*$'\n'})"
}
forged "a service of the host" 5432
forged "ssh's port" 22
for port in $(instance_ports "$server4" | sed -n 's/^tcp,.*,//p'); do forged "instance port $port" "$port"; done
forged "another share's passive port" "$(cat "$environment_dir/passive2")"
get_ftp 2 pasv "ftp://$server4/memtest.iso" "$out/a"
expect_same "bob's FTP goes on" "$out/a" "${setting[repository.images]}/memtest.iso"
finish
