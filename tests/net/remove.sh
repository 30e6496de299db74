#!/usr/bin/env bash
# remove cuts a running download at once, in every protocol, and a new share for the same address
# works immediately, even for a client that uses one UDP port for everything, as boot ROMs do.
#   remove.sh [inside]: behind a bridge of the server's own (remove_bridge.sh)
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
where=${1:-outside}
if [ "$where" = inside ]; then
    script="remove_bridge"
    [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] ||
        { skip "behind a bridge" "br_netfilter is not loaded"; exit 0; }
fi
begin "$where"
images=${setting[repository.images]}
# Nothing but zeros, and no space on the disk. 1.9 GB: more is beyond what TFTP clients can count.
truncate -s 1900M "$images/huge.img"
image_random boot.bin 500000
cp "$images/boot.bin" "$environment_dir/first.bin"
head -c 500000 /dev/urandom >"$environment_dir/second.bin"
start

share() { # USER
    cdss share create "$1" --image huge.img --image boot.bin --client "$(client4 1)" \
        --client "$(client6 1)" --protocol http,ftp,tftp --for 10m
}

rom() { # FILE [OPTION...]: a boot ROM, always from port 2070
    client_exec 1 python3 "$net_dir/tools/tftp.py" "$server4" "$1" "$out/rom" \
        --source-port 2070 "${@:2}"
}

# The inverse race: a ROM asks before there is any share, and does not stop asking.
rom boot.bin --limit 12 >"$environment_dir/rom.requests" 2>"$environment_dir/client.err" &
rom_pid=$!
background+=("$rom_pid")
sleep 0.7
since=$(milliseconds)
share alice >/dev/null 2>&1
wait_for 6 is_gone "$rom_pid"
expect_same "a ROM that asked too early is served ($(($(milliseconds) - since)) ms, request $(cat "$environment_dir/rom.requests"))" \
    "$out/rom" "$environment_dir/first.bin"
cdss share remove alice >/dev/null 2>&1

for address in "$server4" "$server6"; do
    host=$(url_host "$address")
    if [[ $address == *:* ]]; then active=(--ftp-port -); else active=(--ftp-port - --disable-eprt); fi
    for kind in HTTP "FTP passive" "FTP active" TFTP; do
        expect_ok "share create" share alice
        file=$out/long
        case $kind in
        HTTP) download_start "$file" long_http 1 "http://$host:8080/huge.img" "$file" ;;
        "FTP passive") download_start "$file" long_ftp 1 "ftp://$host/huge.img" "$file" ;;
        "FTP active") download_start "$file" long_ftp 1 "ftp://$host/huge.img" "$file" "${active[@]}" ;;
        TFTP) download_start "$file" long_tftp 1 "tftp://$host/huge.img" "$file" ;;
        esac
        verdict $? "a download over $kind from $address is under way"
        since=$(milliseconds)
        cdss share remove alice >/dev/null 2>&1
        verdict $? "share remove"
        if [ "$kind" = TFTP ]; then
            expect_silence "$kind from $address is cut" "$file" "$since"
        else
            expect_cut "$kind from $address is cut" "$since"
        fi
        rm -f "$file"
    done
done

# Everything at once, and a new share the moment remove returns.
share alice >/dev/null 2>&1
pids=()
for kind in http ftp; do
    download_start "$out/$kind" "long_$kind" 1 \
        "$kind://$server4$([ $kind = http ] && echo :8080)/huge.img" "$out/$kind"
    pids+=("$download")
done
cdss share remove alice >/dev/null 2>&1
expect_ok "a new share for the same address at once" share bob
get_http 1 "http://$server4:8080/boot.bin" "$out/a"
expect_same "which works over HTTP" "$out/a" "$images/boot.bin"
get_ftp 1 epsv "ftp://$server4/boot.bin" "$out/a"
expect_same "over FTP" "$out/a" "$images/boot.bin"
get_tftp 1 curl "$server4" boot.bin "$out/a"
expect_same "over TFTP" "$out/a" "$images/boot.bin"
for pid in "${pids[@]}"; do wait_for 2 is_gone "$pid" || not_ok "a download of the old share goes on"; done
cdss share remove bob >/dev/null 2>&1

# The stale race: the conntrack entry of a transfer that the old share began.
share alice >/dev/null 2>&1
(rom boot.bin --blocks 5 >/dev/null)
verdict $? "a boot ROM has begun to read"
cdss share remove alice >/dev/null 2>&1
cp "$environment_dir/second.bin" "$images/new" && mv "$images/new" "$images/boot.bin"
share bob >/dev/null 2>&1
requests=$( (rom boot.bin --limit 8) 2>"$environment_dir/client.err")
expect_same "the same port reads from the new share (request $requests)" "$out/rom" \
    "$environment_dir/second.bin"
cdss share remove bob >/dev/null 2>&1

finish
