#!/usr/bin/env bash
# What a restart finds when more than cdssd is gone: processes of a share, the registry, the run
# directory, the machine's last boot, the settings of before. A share is served or it is gone, with
# one sentence, and nothing is left of what is gone.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
images=${setting[repository.images]}
state=${setting[broker.state]}
registry=$state/registry.sqlite
image_random a.bin 100000
image_random long.bin 20000000
images_real
setting[broker.templates]=$environment_dir/templates
cp -a "$source_dir/templates" "$environment_dir/templates"
environment_configure
start

share() {
    cdss share create alice --image a.bin --image long.bin --image linux/grub.iso --client "$(client4 1)" \
        --protocol http,ftp,tftp --for 10m >/dev/null || not_ok "a share is made"
}
is_served() { get_http 1 "http://$server4:8080/a.bin" "$out/a" && cmp -s "$out/a" "$images/a.bin"; }
served() { # NAME
    is_served
    verdict $? "$1: the share is served"
}
history_of() { sqlite3 -readonly "$registry" "SELECT reason FROM shares WHERE user = 'alice' ORDER BY created DESC, rowid DESC LIMIT 1" 2>/dev/null; }
said() { grep -hE "$1" "$broker_log" | head -n 1 | sed -E 's/^cdssd\[[0-9]+\] //' | cut -c1-220; }

# Starts the next cdssd, which must take the share up again, or must find nothing that it may serve.
resumed() { # NAME
    broker_start || { tail -n 5 "$broker_log" | sed 's/^/# /'; not_ok "$1: cdssd starts"; }
    [ "$(share_field alice 'share["state"]')" = active ] && is_served
    verdict $? "$1: the share is taken up again"
}
ended() { # NAME SENTENCE
    broker_start || { tail -n 5 "$broker_log" | sed 's/^/# /'; not_ok "$1: cdssd starts"; }
    share_is_gone alice && [ -n "$(said "$2")" ]
    verdict $? "$1: the share is gone: $(said "$2")"
    ! get_http 1 "http://$server4:8080/a.bin" "$out/a"
    verdict $? "$1: nothing is served"
    residue_mark_broker
    residue_check "$1: nothing is left"
}
# What a start has to hold in memory may differ, what is left on the host may not.
residue_mark_broker() { residue_broker >"$environment_dir/idle.broker"; }
refused() { # NAME SENTENCE
    local before
    before=$(sha256sum "$registry" 2>/dev/null)
    broker_start
    wait_for 10 is_gone "$broker_pid"
    [ -n "$(said "$2")" ]
    verdict $? "$1: cdssd does not start: $(said "$2")"
    broker_stop
    [ "$(sha256sum "$registry" 2>/dev/null)" = "$before" ]
    verdict $? "$1: nothing of it is changed"
    served "$1"
}

# -- processes of a share ------------------------------------------------------------------------------

share_process() { # PATTERN: the pids of processes of shares whose command lines match
    local pid found=1
    for pid in $(share_processes); do
        if tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qE -e "$1"; then
            echo "$pid"
            found=0
        fi
    done
    return $found
}
kill_process() { share_process "$1" | xargs -r kill -KILL; }
for which in none host; do
    share
    kill_process "supervisor $which"
    wait_for 5 share_is_gone alice
    verdict $? "its supervisor ($which) is killed: the share ends"
    residue_check "its supervisor ($which) is killed: nothing is left"
done
share
get_http 1 "http://$server4:8080/a.bin" "$out/a"
kill_process lighttpd
wait_for 5 is_served
verdict $? "lighttpd is killed: it comes back"
download_start "$out/long" long_ftp 1 "ftp://$server4/long.bin" "$out/long" --limit-rate 500k
kill_process vsftpd
wait "$download"
[ $? != 0 ]
verdict $? "vsftpd is killed: its client hears of it"
get_ftp 1 epsv "ftp://$server4/a.bin" "$out/a"
expect_same "vsftpd is killed: the next session works" "$out/a" "$images/a.bin"
get_tftp 1 curl "$server4" a.bin "$out/a"
kill_process atftpd
get_tftp 1 curl "$server4" a.bin "$out/a"
expect_same "atftpd is killed: the next request is answered" "$out/a" "$images/a.bin"
kill_process fuseiso
reader_is_gone() { ! share_process fuseiso >/dev/null; }
wait_for 5 reader_is_gone
! get_http 1 "http://$server4:8080/linux/grub/boot/grub/grub.cfg" "$out/a"
verdict $? "a reader is killed: its contents are gone"
get_http 1 "http://$server4:8080/linux/grub.iso" "$out/a"
expect_same "a reader is killed: the image itself is served" "$out/a" "$images/linux/grub.iso"
broker_kill
resumed "a reader is killed, and then cdssd"
counted() { [ "$(share_field alice '[p["connections"] for p in share["protocols"] if p["name"] == "ftp"][0]')" -ge 2 ]; }
wait_for 5 counted
verdict $? "a reader is killed, and then cdssd: connections are still counted"
expect_ok "remove" cdss share remove alice
residue_mark_broker
residue_check "nothing is left of it"

# -- the registry, while cdssd is dead -----------------------------------------------------------------

overwrite() { # OFFSET BYTES
    head -c "$2" /dev/urandom | dd of="$registry" bs=1 seek="$1" conv=notrunc status=none
}
into_file() { sqlite3 "$registry" 'PRAGMA wal_checkpoint(TRUNCATE)' >/dev/null; }
damage_header() { into_file; overwrite 0 64; }
damage_page() { into_file; overwrite 4096 40960; }
damage_length() { into_file; truncate -s 10000 "$registry"; }
damage_rows() { sqlite3 "$registry" "UPDATE shares SET user = '../etc' WHERE ended IS NULL"; }
for damage in header page length rows; do
    share
    broker_kill
    served "its $damage is damaged"
    "damage_$damage"
    ended "its $damage is damaged" "registry.*damaged.*kept as"
    [ -n "$(find "$state" -name 'registry.sqlite.damaged-*' ! -name '*-wal' -size +0)" ]
    verdict $? "its $damage is damaged: it is kept aside"
    rm -f "$state"/*.damaged-*
done
# What the log beside it held is not known any more.
share
broker_kill
head -c 4096 /dev/urandom >"$registry-wal"
broker_start
residue_mark_broker
if ! share_is_gone alice; then # it was in the file already
    is_served
    verdict $? "its log is damaged: the share is whole"
    cdss share remove alice >/dev/null
fi
residue_check "its log is damaged: nothing is left"

share
broker_kill
cp "$registry" "$environment_dir/good.sqlite" && cp "$registry-wal" "$environment_dir/good.sqlite-wal"
restore() {
    rm -rf "$state"/registry.sqlite*
    cp "$environment_dir/good.sqlite" "$registry" && cp "$environment_dir/good.sqlite-wal" "$registry-wal"
}
rm -f "$registry"*
sqlite3 "$registry" 'CREATE TABLE aunts (name)'
refused "the database of another program" "another program"
restore
sqlite3 "$registry" 'PRAGMA user_version = 1000' >/dev/null
refused "a newer version" "newer version"
rm -f "$registry"*
mkdir "$registry"
refused "something that is no file" "registry"
rmdir "$registry"
restore
sqlite3 "$registry" >/dev/null "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; SELECT writefile('$environment_dir/locked', 'x'); SELECT sum(a.value * b.value * c.value) FROM generate_series(1, 3000) a, generate_series(1, 3000) b, generate_series(1, 3000) c" &
locker=$!
background+=("$locker")
wait_for 5 test -e "$environment_dir/locked"
refused "locked by another program" "locked"
kill -KILL $locker
wait $locker 2>/dev/null
resumed "what was in the way is gone"
broker_kill
rm -rf "$state"
mkdir -m 700 "$state"
ended "the state directory was lost" "broker.ready"

# -- the registry, while cdssd lives -------------------------------------------------------------------

share
into_file
overwrite 0 65536
cdss share extend alice --for 20m >/dev/null 2>&1
cdss share extend alice --for 20m >/dev/null 2>&1
recorded() { sqlite3 -readonly "$registry" "SELECT active FROM shares WHERE user = 'alice' AND ended IS NULL" 2>/dev/null | grep -qx 1; }
wait_for 5 recorded
verdict $? "damaged while cdssd runs: what lives is recorded again: $(said 'registry.*damaged')"
broker_kill
resumed "damaged while cdssd runs"
rm -rf "$state"
cdss share extend alice --for 20m >/dev/null 2>&1
wait_for 5 recorded
verdict $? "the state directory is removed while cdssd runs: $(said 'registry.*(moved|removed)')"
broker_kill
resumed "the state directory is removed while cdssd runs"
cdss share remove alice >/dev/null
residue_mark_broker
residue_check "nothing is left of the registries"

# -- another boot --------------------------------------------------------------------------------------

boot_id=/proc/sys/kernel/random/boot_id
mount_boot() { cat /proc/sys/kernel/random/uuid >"$environment_dir/boot" && mount --bind "$environment_dir/boot" $boot_id; }
share
broker_kill
mount_boot
residue_mounts >"$environment_dir/idle.mounts"
ended "another boot id" "broker.ready"
[ "$(history_of)" = "the machine was restarted" ]
verdict $? "another boot id: the row is closed: $(history_of)"
broker_stop
umount $boot_id
residue_mounts >"$environment_dir/idle.mounts"
start
share
broker_kill
for pid in $(share_processes); do kill -KILL "$pid" 2>/dev/null; done
no_processes() { [ -z "$(share_processes)" ]; }
wait_for 5 no_processes
for directory in "${environment_cgroups[@]}"; do find "$directory" -mindepth 2 -depth -type d -exec rmdir {} +; done
rm -rf "$environment_dir/run"
server nft delete table inet cdss
server conntrack -F >/dev/null 2>&1
mkdir "$environment_dir/run"
mount_boot
residue_mounts >"$environment_dir/idle.mounts"
ended "a machine that was restarted" "broker.ready"
[ "$(history_of)" = "the machine was restarted" ]
verdict $? "a machine that was restarted: the row is closed: $(history_of)"
broker_stop
umount $boot_id
residue_mounts >"$environment_dir/idle.mounts"
start

# -- other settings ------------------------------------------------------------------------------------

changed() { # NAME SENTENCE: as set by the caller; the base rules may be others then
    environment_configure
    cp "$environment_dir/idle.rules" "$environment_dir/rules"
    broker_start && residue_rules >"$environment_dir/idle.rules"
    ! grep -q 's_[0-9a-f]' "$environment_dir/idle.rules"
    verdict $? "$1: no chain of a share is there"
    broker_kill
    ended "$1" "broker.ready"
    [[ $(history_of) == "$2"* ]]
    verdict $? "$1: the history says so: $(history_of)"
    broker_stop
    cp "$environment_dir/rules" "$environment_dir/idle.rules"
}
share
broker_kill
setting[uids.first]=$((uid_first + 8192))
changed "other uids" "lost in a restart: [uids] or [network] mark_prefix"
setting[uids.first]=$uid_first
environment_configure
start
share
broker_kill
mark_prefix=$((mark_prefix ^ 1))
setting[network.mark_prefix]=$mark_prefix
changed "another mark_prefix" "lost in a restart: [uids] or [network] mark_prefix"
start
share
broker_kill
mv "$environment_dir/templates/tftp" "$environment_dir/tftp"
changed "a protocol that is not defined any more" "lost in a restart: one of its protocols"
mv "$environment_dir/tftp" "$environment_dir/templates/tftp"
start
share
broker_kill
setting[network.ports]=22000-22999
setting[ports.http]=8088
environment_configure
broker_start
get_http 1 "http://$server4:8088/a.bin" "$out/a"
expect_same "other ports: the share is served on them" "$out/a" "$images/a.bin"
cdss share remove alice >/dev/null
unset 'setting[network.ports]' 'setting[ports.http]'
environment_configure
broker_stop
start

# -- the run directory ---------------------------------------------------------------------------------

share
rm -rf "$environment_dir/run"
expect_refused "the run directory is removed: cdss says that it does not reach cdssd" "broker" cdss share list
served "the run directory is removed"
broker_stop
[ "$broker_status" = 0 ]
verdict $? "the run directory is removed: cdssd ends all the same"
served "the run directory is removed, and cdssd stopped"
ended "the run directory is removed" "share.ended alice: lost in a restart: it was just being ended, or its run"

# -- a disk that takes nothing -------------------------------------------------------------------------

small=$environment_dir/small
broker_stop
mkdir "$small"
mount -t tmpfs -o size=3m,mode=700 none "$small"
setting[broker.state]=$small
registry=$small/registry.sqlite
environment_configure
residue_mounts >"$environment_dir/idle.mounts"
start
share
broker_kill
mount -o remount,ro "$small"
refused "a read-only state directory" "registry"
mount -o remount,rw "$small"
head -c 4M /dev/zero >"$small/full" 2>/dev/null
broker_start
served "a full state directory"
broker_kill
rm -f "$small/full"
resumed "there is room again"
head -c 4M /dev/zero >"$small/full" 2>/dev/null
for _ in {1..60}; do
    cdss share extend alice --for 20m >"$environment_dir/out" 2>"$environment_dir/err" || break
done
expect_refused "an extension that is not durable" "registry" cdss share extend alice --for 30m
served "an extension that is not durable"
cdss share remove alice >/dev/null
rm -f "$small/full"
residue_query="SELECT 'x' WHERE 0" residue_mark_broker
broker_kill
broker_start
residue_mark_broker
residue_check "a removal that was not durable: nothing comes back"
broker_stop
umount "$small"
residue_mounts >"$environment_dir/idle.mounts"
setting[broker.state]=$state
registry=$state/registry.sqlite
environment_configure
start

# -- two at once ---------------------------------------------------------------------------------------

share
broker_kill
broker_start
broker_again() { cdss_log=$environment_dir/second.log; server timeout 10 "$build_dir/broker/cdssd" -c "$config" >"$cdss_log" 2>&1; }
broker_again
[ $? = 1 ] && grep -q 'another cdssd is running' "$environment_dir/second.log"
verdict $? "a second cdssd does not start: $(tail -n 1 "$environment_dir/second.log")"
served "a second cdssd was started"
expect_ok "the first one is in charge" cdss share remove alice
residue_mark_broker
finish
