#!/usr/bin/env bash
# A big file through a share against the same server without CDSS, over HTTP and over FTP, in turns;
# and TFTP with a window of 32 against tftpd-hpa, which knows no windows.
# shellcheck source=lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"
rounds=${BENCH_ROUNDS:-9}

begin
images=${setting[repository.images]}
head -c 512M /dev/zero | tr '\0' 'x' >"$images/big.bin"
head -c 32M /dev/urandom >"$images/boot.bin"
chmod 755 "$images"
start
results=$environment_dir/results
mkdir "$results"
cdss share create alice --image big.bin --image boot.bin --client "$(client4 1)" \
    --protocol http,ftp,tftp --for 1h >/dev/null || { not_ok "a share"; finish; }

# -- the same servers, in the network of client 2 --------------------------------------------------

sed -e "s|{{instance_port}}|8080|; s|{{tree}}|$images|" -e '/^server\.\(username\|groupname\|chroot\|systemd\)/d' \
    -e "s|^server.document-root.*|server.document-root = \"$images\"|" \
    -e "s|^server.upload-dirs.*|server.upload-dirs = ( \"$environment_dir\" )|" \
    "$source_dir/templates/http/lighttpd.conf" >"$environment_dir/plain.conf"
mkdir "$environment_dir/empty"
cat >"$environment_dir/vsftpd.conf" <<END
listen=YES
anonymous_enable=YES
no_anon_password=YES
anon_root=$images
ftp_username=daemon
secure_chroot_dir=$environment_dir/empty
background=NO
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
END
plain() { # COMMAND...: in the background, until the end of this script
    (exec nsenter --net="/proc/${ns_pid[client2]}/ns/net" -- "$@") </dev/null \
        >>"$environment_dir/plain.log" 2>&1 &
    background+=("$!")
}
plain /usr/sbin/lighttpd -D -f "$environment_dir/plain.conf"
plain /usr/sbin/vsftpd "$environment_dir/vsftpd.conf"
if hpa=$(packaged tftpd-hpa /usr/sbin/in.tftpd); then
    plain "$hpa" -L -4 -a "$(client4 2):69" -s -u root "$images"
fi

rate() { # RESULT URL: MB/s
    client 1 curl -sSf -g -m 60 -o /dev/null -w '%{speed_download}\n' "$2" >>"$results/$1" \
        2>>"$environment_dir/plain.log"
}
boot() { # RESULT HOST: bytes a second, with a window of 32 where the server knows it
    local began=${EPOCHREALTIME/./}
    get_tftp 1 atftp:32 "$2" boot.bin "$out/boot" && cmp -s "$out/boot" "$images/boot.bin" || return 1
    echo $((33554432 * 1000000 / (${EPOCHREALTIME/./} - began))) >>"$results/$1"
}
is_up() { client 1 curl -sf -m 2 -o /dev/null -r 0-1 "$1"; }
wait_for 10 is_up "http://$(client4 2):8080/boot.bin" && wait_for 10 is_up "ftp://$(client4 2)/boot.bin" || {
    cat "$environment_dir/plain.log"
    not_ok "the servers without CDSS"
    finish
}

for ((i = 0; i <= rounds; i++)); do
    for protocol in http:8080 ftp:21; do
        name=${protocol%:*}
        rate "$name" "$name://$server4:${protocol#*:}/big.bin" || { not_ok "$name"; finish; }
        rate "$name.plain" "$name://$(client4 2):${protocol#*:}/big.bin" || { not_ok "$name"; finish; }
    done
    boot tftp "$server4" || { not_ok "tftp"; finish; }
    [ -z "${hpa:-}" ] || boot tftp.plain "$(client4 2)" || { not_ok "tftpd-hpa"; finish; }
    [ "$i" != 0 ] || rm -f "$results"/* # the first brings the file in
done

table "Transfers of 512 MiB (TFTP: 32 MiB), $rounds rounds in turns"
for name in http ftp; do
    row "$name through a share" MB/s "$results/$name" 1000000
    row "$name, the same server without CDSS" MB/s "$results/$name.plain" 1000000
    goal "$name through a share against without" "$results/$name" "$results/$name.plain" least 0.95
done
row "tftp through a share, windowsize 32" MB/s "$results/tftp" 1000000
if [ -n "${hpa:-}" ]; then
    row "tftp by tftpd-hpa" MB/s "$results/tftp.plain" 1000000
    goal "tftp through a share against tftpd-hpa" "$results/tftp" "$results/tftp.plain" least 3
else
    missing "tftp by tftpd-hpa" tftpd-hpa
fi
finish
