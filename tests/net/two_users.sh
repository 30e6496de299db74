#!/usr/bin/env bash
# The heart of it: two users at once on the same standard ports, each client gets its own user's
# images and the files inside them and nothing else, over every protocol, IPv4 and IPv6, as an
# address and as a member of a network; and a third gets nothing.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images_real
images=${setting[repository.images]}
# The same names in two places, and more than 65535 blocks of 512 bytes for TFTP.
mkdir -p "$images/a" "$images/b"
mkfs_tree=$environment_dir/tree
for user in a b; do
    mkdir -p "$mkfs_tree/$user/dir"
    echo "I am $user" >"$mkfs_tree/$user/dir/who"
    head -c 200000 /dev/urandom >"$mkfs_tree/$user/dir/data"
    mksquashfs "$mkfs_tree/$user" "$images/$user/disc.squashfs" -quiet -no-progress >/dev/null
    image_random "$user/long.bin" 34000000
    image_random "$user/mine-$user.bin" 1000
done
chmod -R a+rX "$images"
start

declare -A dir=([1]=a [2]=b) user=([1]=alice [2]=bob) iso=([1]=linux/grub.iso [2]=memtest.iso)
declare -A inside=([1]=grub/boot/grub/grub.cfg [2]=memtest/boot/floppy.img)
declare -A inside_path=([1]=linux/grub/boot/grub/grub.cfg [2]=memtest/boot/floppy.img)

share_both() { # "address" or "network"
    local n clients
    for n in 1 2; do
        if [ "$1" = address ]; then
            clients=(--client "$(client4 "$n")" --client "$(client6 "$n")")
        else
            clients=(--client "10.77.$n.0/24" --client "fd77::$n:0/112")
        fi
        expect_ok "${user[$n]} shares with $1s" cdss share create "${user[$n]}" \
            --image "${dir[$n]}/disc.squashfs" --image "${dir[$n]}/long.bin" \
            --image "${dir[$n]}/mine-${dir[$n]}.bin" --image "${iso[$n]}" \
            "${clients[@]}" --protocol http,ftp,tftp --for 1h
    done
}

# Everything of one kind for one client: from its own user, right; the other's, not there.
client_gets() { # CLIENT KIND OTHER get... with the host and path filled in by the caller
    local n=$1 kind=$2 other=$((3 - $1)) d=${dir[$1]}
    "$3" "$n" "$d/disc/dir/who" "$out/$n.who"
    expect_same "client $n, $kind: a file inside a squashfs" "$out/$n.who" "$mkfs_tree/$d/dir/who"
    "$3" "$n" "${inside_path[$n]}" "$out/$n.iso"
    expect_same "client $n, $kind: a file inside an ISO" "$out/$n.iso" "$data_dir/${inside[$n]}"
    "$3" "$n" "$d/mine-$d.bin" "$out/$n.mine"
    expect_same "client $n, $kind: an image" "$out/$n.mine" "$images/$d/mine-$d.bin"
    rm -f "$out/$n.other"
    if "$3" "$n" "${dir[$other]}/mine-${dir[$other]}.bin" "$out/$n.other" || [ -s "$out/$n.other" ]
    then
        not_ok "client $n, $kind: the other user's image is not there"
    else
        ok "client $n, $kind: the other user's image is not there"
    fi
    rm -f "$out/$n.other"
}

http4() { get_http "$1" "http://$server4:8080/$2" "$3"; }
http6() { get_http "$1" "http://[$server6]:8080/$2" "$3"; }
ftp4_epsv() { get_ftp "$1" epsv "ftp://$server4/$2" "$3"; }
ftp4_pasv() { get_ftp "$1" pasv "ftp://$server4/$2" "$3"; }
ftp4_eprt() { get_ftp "$1" eprt "ftp://$server4/$2" "$3"; }
ftp4_port() { get_ftp "$1" port "ftp://$server4/$2" "$3"; }
ftp6_epsv() { get_ftp "$1" epsv "ftp://[$server6]/$2" "$3"; }
ftp6_eprt() { get_ftp "$1" eprt "ftp://[$server6]/$2" "$3"; }
tftp4() { get_tftp "$1" atftp "$server4" "$2" "$3"; }
tftp6() { get_tftp "$1" curl "$server6" "$2" "$3"; }

share_both address
for kind in http4 http6 ftp4_epsv ftp4_pasv ftp4_eprt ftp4_port ftp6_epsv ftp6_eprt tftp4 tftp6; do
    client_gets 1 "$kind" "$kind"
    client_gets 2 "$kind" "$kind"
done

# Both at the same time, the long ones.
both_long() { # NAME FETCH
    local n pids=()
    for n in 1 2; do
        "$2" "$n" "${dir[$n]}/long.bin" "$out/$n.long" &
        pids+=($!)
    done
    wait "${pids[@]}"
    for n in 1 2; do
        expect_same "client $n, $1, both at once" "$out/$n.long" "$images/${dir[$n]}/long.bin"
    done
}
window() { get_tftp "$1" "atftp:$w" "$server4" "$2" "$3"; }
hpa() { get_tftp "$1" tftp-hpa "$server4" "$2" "$3"; }
both_long "HTTP, 34 MB" http4
both_long "FTP, 34 MB" ftp4_epsv
both_long "TFTP past the rollover of block numbers (tftp-hpa)" hpa
for w in 1 4 32; do both_long "TFTP with windowsize $w" window; done

get_lftp 1 "$server4" "a/mine-a.bin" "$out/lftp"
expect_same "client 1, lftp" "$out/lftp" "$images/a/mine-a.bin"

expect_probe "the third client is refused on the TCP ports" refused client3 \
    "tcp,$server4,8080" "tcp,$server6,8080" "tcp,$server4,21" "tcp,$server6,21"
expect_probe "the third client is refused on the UDP port" refused client3 \
    "udp,$server4,69" "udp,$server6,69"

cdss share remove alice >/dev/null 2>&1 && cdss share remove bob >/dev/null 2>&1
residue_check "nothing is left before the second round"
share_both network
for kind in http4 http6 ftp4_pasv ftp6_epsv tftp4 tftp6; do
    client_gets 1 "$kind, by network" "$kind"
    client_gets 2 "$kind, by network" "$kind"
done
expect_probe "the third client is in neither network" refused client3 \
    "tcp,$server4,8080" "tcp,$server6,8080" "tcp,$server4,21" "tcp,$server6,21" \
    "udp,$server4,69" "udp,$server6,69"
finish
