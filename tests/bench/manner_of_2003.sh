#!/usr/bin/env bash
# One share over HTTP in the manner of 2003, as the paper tells it: hard links beside the repository,
# every image mounted once more with mount -o loop, a stock configuration filled in, a server
# started, a chain of its own and one iptables process for each rule.
#
#   manner_of_2003.sh add USER PORT DIRECTORY IMAGE[,IMAGE...] CLIENT[,CLIENT...]
#   manner_of_2003.sh remove USER PORT DIRECTORY
#
# DIRECTORY holds images/ and, for each user, what is made here. Runs where its caller has put it: in
# namespaces. IPTABLES names the program.
set -eu

user=$2 port=$3 share=$4/$2 images=$4/images
IFS=, read -ra names <<<"${5:-}"
IFS=, read -ra clients <<<"${6:-}"

rule() { ${IPTABLES:-iptables} -w "$@"; }

add() {
    mkdir -p "$share/tree"
    for name in "${names[@]}"; do
        ln "$images/$name" "$share/tree/$name"
        mkdir "$share/tree/${name%.*}"
        mount -o loop,ro,nosuid,nodev "$share/tree/$name" "$share/tree/${name%.*}"
    done
    sed -e "s|@PORT@|$port|; s|@TREE@|$share/tree|; s|@PID@|$share/pid|" "$images/../stock.conf" \
        >"$share/lighttpd.conf"
    /usr/sbin/lighttpd -f "$share/lighttpd.conf"
    rule -N "cdss-$user"
    rule -t nat -N "cdss-$user"
    for client in "${clients[@]}"; do
        rule -t nat -A "cdss-$user" -s "$client" -p tcp --dport 8080 -j REDIRECT --to-ports "$port"
        rule -A "cdss-$user" -s "$client" -p tcp --dport "$port" -j ACCEPT
    done
    rule -A "cdss-$user" -p tcp --dport "$port" -j REJECT
    rule -A INPUT -j "cdss-$user"
    rule -t nat -A PREROUTING -j "cdss-$user"
}

remove() {
    rule -t nat -D PREROUTING -j "cdss-$user"
    rule -D INPUT -j "cdss-$user"
    for table in nat filter; do
        rule -t $table -F "cdss-$user"
        rule -t $table -X "cdss-$user"
    done
    kill "$(cat "$share/pid")"
    umount "$share"/tree/*/
    rm -rf "$share"
}

"$1"
