#!/usr/bin/env bash
# Images that are made to lead elsewhere, and a reader that will not die: what they try must not reach
# the host, the network, another share, or the time after the share's end.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images=${setting[repository.images]}

# -- images with links to anywhere, devices and a setuid program -----------------------------------

trap_dir=$environment_dir/trap
mkdir -p "$trap_dir/dir"
echo inside >"$trap_dir/dir/file"
ln -s /etc/passwd "$trap_dir/absolute"
ln -s ../../../../../../etc/passwd "$trap_dir/relative"
ln -s / "$trap_dir/root"
ln -s /proc/self/root "$trap_dir/process"
ln -s /var/cfg "$trap_dir/config"
ln -s dir/file "$trap_dir/harmless"
mknod "$trap_dir/memory" c 1 1
mknod "$trap_dir/loop" b 7 0
mkfifo "$trap_dir/fifo"
cp /bin/true "$trap_dir/setuid" && chmod 6755 "$trap_dir/setuid"
mksquashfs "$trap_dir" "$images/trap.squashfs" -quiet -no-progress >/dev/null
xorriso -as mkisofs -R -o "$images/trap.iso" "$trap_dir" >/dev/null 2>&1
mkdir "$environment_dir/many"
(cd "$environment_dir/many" && seq -f 'name%.0f' 20000 | xargs touch)
mksquashfs "$environment_dir/many" "$images/many.squashfs" -quiet -no-progress >/dev/null
image_random mine/mine.bin 1000
# Owned as a repository's owner would have it: he is the share's user inside.
chown -R 1234:1234 "$images"
chmod -R a+rX "$images"

start
expect_ok "alice shares" cdss share create alice --image mine/mine.bin --image trap.squashfs \
    --image trap.iso --image many.squashfs --client "$(client4 1)" --protocol http,ftp,tftp --for 10m

# -- clients and links -------------------------------------------------------------------------------

no_file() { # URL: nothing of a file of the sandbox or the host
    client 1 curl -s --path-as-is -g -m 5 --connect-timeout 3 -o "$out/x" "$1"
    [ ! -s "$out/x" ] || ! grep -qE 'nologin|root:|listen=|lighttpd' "$out/x"
}
for host in "http://$server4:8080" "ftp://$server4" "tftp://$server4"; do
    bad=
    for image in trap trap.contents; do
        for path in absolute relative root/etc/passwd process/etc/passwd config/vsftpd.conf \
            config/../../etc/passwd memory loop ../../etc/passwd %2e%2e/%2e%2e/etc/passwd; do
            no_file "$host/$image/$path" || bad+=" $image/$path"
            rm -f "$out/x"
        done
    done
    [ -z "$bad" ]
    verdict $? "links and devices inside of images lead nowhere: ${host%%:*}$bad"
done
get_http 1 "http://$server4:8080/trap/harmless" "$out/x"
expect_same "a link inside of an image that stays inside" "$out/x" "$trap_dir/dir/file"

expect_status 0 "TFTP: a FIFO inside of an image holds nothing up" client 1 timeout 20 \
    python3 "$net_dir/tools/tftp_fifo.py" "$server4" trap/fifo mine/mine.bin
get_http 1 "http://$server4:8080/many/" "$out/x" &&
    [ "$(grep -o '>name[0-9]*<' "$out/x" | sort -u | wc -l)" = 20000 ]
verdict $? "a directory of 20000 names is listed whole"
rm -f "$out/x"

bounce=$(client 1 timeout 20 python3 "$net_dir/tools/ftp_bounce.py" "$server4" \
    "PORT 10,77,3,10,27,88" "PORT 10,77,0,1,21,56" "PORT 127,0,0,1,21,56" "PORT 10,77,1,10,0,22" \
    "EPRT |1|10.77.3.10|7000|" "EPRT |1|127.0.0.1|5432|" "STOR x" "DELE mine/mine.bin" \
    "SITE CHMOD 777 mine/mine.bin" "MKD x" "CWD /etc" "SIZE /etc/passwd" 2>&1)
[ -n "$bounce" ] && ! grep -qv '^5' <<<"$bounce"
verdict $? "FTP: no third host, no privileged port, no writing, nothing above the root"
grep -v '^5' <<<"$bounce" | sed 's/^/#   /'

expect_ok "alice's share is removed" cdss share remove alice

# -- a reader that waits on itself ---------------------------------------------------------------------

root=$environment_dir/root
mkdir -p "$root/usr" "$root/etc" "$environment_dir/layer"
mount -t tmpfs layer "$environment_dir/layer" && mkdir -p "$environment_dir/layer/"{upper/bin,work} &&
    install -m 755 "$net_dir/tools/hostile_reader.py" "$environment_dir/layer/upper/bin/fuseiso"
if [ ! -c /dev/fuse ] || ! mount -t overlay overlay "$root/usr" -o \
    "lowerdir=/usr,upperdir=$environment_dir/layer/upper,workdir=$environment_dir/layer/work" 2>/dev/null
then
    skip "a reader that waits on itself" "no /dev/fuse or no overlay file system here"
    umount "$environment_dir/layer"
    finish
fi
for name in bin sbin lib lib32 lib64 libx32; do
    [ ! -e "/$name" ] || ln -s "usr/$name" "$root/$name"
done
cp /etc/ld.so.cache "$root/etc"
broker_stop
setting[sandbox.root]=$root
setting[mount.readers]=fuseiso
environment_configure
start
stuck() { # a thread of the reader waits for an answer
    local pid
    for pid in $(share_processes); do
        cat "/proc/$pid/task/"*/wchan 2>/dev/null | grep -q request_wait_answer && return 0
    done
    return 1
}
fuse_share() { # FOR [IMAGE]
    cdss share create carol --image "${2:-trap.iso}" --client "$(client4 1)" --protocol http --for "$1"
}
expect_ok "a share whose reader has been taken over" fuse_share 10m
wait_for 3 stuck
verdict $? "it waits on itself"
expect_ok "its share is removed nevertheless" cdss share remove carol
expect_ok "once more, for a short time" fuse_share 3s
wait_for 3 stuck
wait_for 5 share_is_gone carol
verdict $? "it ends at the end of its time, too"
residue_check "nothing is left of the reader"
cp -p "$images/trap.iso" "$images/silent.iso"
expect_ok "an image whose reader does not answer is shared as it is" fuse_share 10m silent.iso
[ "$(share_field carol 'image["silent.iso"]["note"]')" = "its reader did not answer" ]
verdict $? "and the answer says why"
expect_ok "its share is removed, too" cdss share remove carol
expect_ok "and while cdssd is dead" fuse_share 2s
wait_for 2 stuck
broker_kill
sleep 2.5
start
share_is_gone carol
verdict $? "the next cdssd clears it away"
finish
