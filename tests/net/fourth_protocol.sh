#!/usr/bin/env bash
# A fourth protocol is a folder: rsync's daemon, whose definition is under tests/, is put beside the
# others, and its real client fetches files.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images_real
images=${setting[repository.images]}
cp -a "$source_dir/templates" "$environment_dir/templates"
cp -a "$net_dir/definitions/rsync" "$environment_dir/templates/"
setting[broker.templates]=$environment_dir/templates
setting[policy.protocols]="http ftp tftp rsync"
environment_configure
start

expect_ok "a share over rsync" cdss share create alice --image linux/grub.iso --image memtest.iso \
    --client "$(client4 1)" --client "$(client6 1)" --protocol rsync,http --for 10m
grep -F rsync "$environment_dir/out" | grep -qF "$server4"
verdict $? "it says what to type"
expect_ok "a share for another" cdss share create bob --image "boot roms/ipxe.iso" \
    --client "$(client4 2)" --protocol rsync --for 10m
# The client is told by the share itself what to ask for.
module=$(share_field alice '[l["text"] for l in share["lines"] if l["protocol"] == "rsync"][0]' |
    grep -oE 'rsync://[^ ]+' | head -n 1 | sed -E 's,^rsync://(\[[^]]*\]|[^/]*)/,,; s,/.*,,')
for host in "$server4" "[$server6]"; do
    client 1 timeout 20 rsync -a "rsync://$host/$module/linux/grub.iso" "$out/a" \
        2>"$environment_dir/client.err"
    expect_same "an image from $host" "$out/a" "$images/linux/grub.iso"
done
client 1 timeout 20 rsync -r "rsync://$server4/$module/linux/grub/" "$out/grub/" \
    2>"$environment_dir/client.err"
diff -r "$out/grub" "$data_dir/grub" >/dev/null
verdict $? "a whole installation tree from inside an ISO"
# Word for word as the share tells it: rsync does not decode its URLs.
line=$(share_field bob '[l["text"] for l in share["lines"] if l["label"] == "image"][0]')
client 2 timeout 20 rsync -a "$line" "$out/b" 2>"$environment_dir/client.err"
expect_same "the other client gets his own from $line" "$out/b" "$images/boot roms/ipxe.iso"
client 1 timeout 20 rsync "$images/memtest.iso" "rsync://$server4/$module/new.iso" >/dev/null 2>&1
[ $? != 0 ]
verdict $? "nothing can be uploaded"
expect_probe "the third client is refused" refused client3 "tcp,$server4,873" "tcp,$server6,873"
finish
