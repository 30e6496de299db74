#!/usr/bin/env bash
# Who may be a client: networks and single addresses in both families, the most specific first, and
# what is refused as an address.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
image_random a.bin 1000
image_random b.bin 1000
images=${setting[repository.images]}
setting[policy.networks]="10.0.0.0/8 fd00::/8 192.0.2.0/24"
environment_configure
start

create() { # USER IMAGE CLIENT...
    local user=$1 image=$2 clients=() one
    shift 2
    for one; do clients+=(--client "$one"); done
    cdss share create "$user" --image "$image" "${clients[@]}" --protocol http,tftp --for 10m
}
gets() { # CLIENT FILE
    local address
    for address in "$server4" "$server6"; do
        get_http "$1" "http://$(url_host "$address"):8080/$2" "$out/a"
        expect_same "client $1 gets $2 from $address" "$out/a" "$images/$2"
        get_tftp "$1" curl "$address" "$2" "$out/a"
        expect_same "client $1 gets $2 from $address by TFTP" "$out/a" "$images/$2"
    done
}

# A network that has the server in it, too: its clients are served, the server's processes are not.
expect_ok "a network around the server" create alice a.bin 10.77.0.0/16 fd77::/64
expect_ok "one address in it for somebody else" create bob b.bin "$(client4 2)" "$(client6 2)"
gets 1 a.bin
gets 2 b.bin
gets 3 a.bin
expect_probe "the server itself is no client" "refused|silent" server "tcp,$server4,8080" \
    "tcp,$server6,8080" "tcp,127.0.0.1,8080" "tcp,::1,8080" "udp,$server4,69"
expect_probe "nor with an address of that network" "refused|silent" server \
    --source 10.77.9.9 "tcp,$server4,8080"
expect_refused "a network inside that one" "overlap|already|in use" create carol a.bin 10.77.3.0/24
expect_refused "the same address again" "overlap|already|in use" create carol a.bin "$(client4 2)"
expect_refused "the same user again" "already" create alice a.bin 10.78.0.1
expect_ok "remove" cdss share remove bob
gets 2 a.bin
expect_ok "remove" cdss share remove alice
residue_check "nothing is left"

for one in 0.0.0.0 127.0.0.1 169.254.1.1 224.0.0.1 255.255.255.255 240.0.0.1 :: ::1 fe80::1 ff02::1 \
    "fe80::1%eth0" 10.77.1.1/16 fd77::1:1/64 0.0.0.0/0 ::/0 10.77.1 10.77.1.256 10.77.1.10/33 \
    fd77::1/129 010.77.1.10 " 10.77.1.10" client.example "10.77.1.10;" "$(printf '1%.0s' {1..300})"; do
    expect_refused "client \"${one:0:40}\"" . create alice a.bin "$one"
done
expect_refused "what lies outside of [policy] networks" 198.51.100.77 create alice a.bin 198.51.100.77
if expect_ok "what lies in them" create alice a.bin 192.0.2.77; then
    ! grep -qE '//(0\.0\.0\.0|\[::\])' "$environment_dir/out"
    verdict $? "what to type names an address of the server, though there is no way to that client"
    cdss share remove alice >/dev/null 2>&1
fi
expect_refused "the server's own address" . create alice a.bin "$server4"
expect_refused "the server's own IPv6 address" . create alice a.bin "$server6b"
expect_refused "one good and one bad" . create alice a.bin 10.77.1.10 224.0.0.1
cdss share create alice --image a.bin --client ::ffff:10.77.1.10 --protocol http --for 1m \
    >/dev/null 2>"$environment_dir/err"
status=$?
if [ $status = 0 ]; then
    [ "$(share_field alice 'share["clients"]')" = "['10.77.1.10']" ]
    verdict $? "a mapped address is taken as the IPv4 address that it is"
    cdss share remove alice >/dev/null 2>&1
else
    [ $status = 1 ] || [ $status = 2 ]
    verdict $? "a mapped address is refused"
fi

expect_ok "the server's own address, with --allow-local" cdss share create alice --image a.bin \
    --client "$server4" --client "$server6" --protocol http,tftp --for 10m --allow-local
server curl -sSf -m 10 -o "$out/a" "http://$server4:8080/a.bin" 2>"$environment_dir/client.err"
expect_same "then the server is served" "$out/a" "$images/a.bin"
server curl -sSf -g -m 10 -o "$out/a" "http://[$server6]:8080/a.bin" 2>"$environment_dir/client.err"
expect_same "over IPv6, too" "$out/a" "$images/a.bin"
expect_probe "and the others are not" refused client1 "tcp,$server4,8080" "udp,$server6,69"
finish
