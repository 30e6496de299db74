# Run as root by cdss-test.service in the system of systemd.sh, when it has booted.
# shellcheck shell=bash
set -u
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
trap 'echo done; systemctl poweroff --force --force' EXIT

ok() { echo "ok $*"; }
verdict() { # STATUS NAME
    if [ "$1" = 0 ]; then ok "$2"; else echo "not ok $2"; fi
}
expect() { # NAME COMMAND...
    local name=$1
    shift
    if "$@" >/tmp/out 2>&1; then
        ok "$name"
    else
        tail -n 15 /tmp/out | cut -c1-200 | sed 's/^/#   /'
        journalctl -q --no-pager -u cdssd -n 5 | cut -c1-200 | sed 's/^/#   /'
        echo "not ok $name"
    fi
}
wait_for() { # SECONDS COMMAND...
    local until=$((SECONDS + $1))
    shift
    while ! "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.2
    done
}
show() { systemctl show -p "$2" --value "$1"; }

# -- a client --------------------------------------------------------------------------------------

ip netns add client
ip link add veth0 type veth peer name eth0 netns client
ip address add 10.77.0.1/16 dev veth0
ip link set veth0 up
ip -n client address add 10.77.1.10/16 dev eth0
ip -n client link set eth0 up
fetch() { # PATH-OR-URL [CURL-OPTION...]
    case $1 in *:*) set -- "$@" ;; *) set -- "http://10.77.0.1:8080/$1" "${@:2}" ;; esac
    nsenter --net=/run/netns/client curl -sSf -m 60 --connect-timeout 10 "$@"
}
same() { # NAME PATH-OR-URL FILE
    fetch "$2" -o /tmp/got 2>/tmp/err
    cmp -s /tmp/got "/srv/cdss/images/$3"
    verdict $? "$1"
    rm -f /tmp/got
}
share() {
    cdss share create "$1" --image blob.bin --image small.bin --image grub.iso --client "${2:-10.77.1.10}" \
        --protocol http,ftp,tftp --for 30m
}
is_active() { cdss share list | grep -q "^$1 .*active"; }

# The share in the group of shares, with its bounds where the kernel has any to give.
in_group() {
    local group
    for group in /sys/fs/cgroup/system.slice/cdss-shares.service/cdss/*/; do
        [ -n "$(cat "$group/cgroup.procs")" ] || return 1
        grep -qw memory /sys/fs/cgroup/cgroup.controllers || continue
        [ "$(cat "$group/memory.max")" = 536870912 ] && [ "$(cat "$group/pids.max")" = 256 ] || return 1
    done
}

# -- started at boot -------------------------------------------------------------------------------

expect "cdssd was started at boot" wait_for 60 systemctl is-active cdssd
expect "no unit has failed" test -z "$(systemctl --failed --plain --no-legend)"
expect "the timer waits" systemctl is-active cdss-reap.timer
expect "doctor finds nothing missing" cdss doctor
grep -E '^(warn|FAIL)' /tmp/out | cut -c1-200 | sed 's/^/#   /'
echo "# $(systemd-analyze security --no-pager cdssd.service | tail -n 1)"
echo "# $(systemd-analyze security --no-pager cdss-reap.service | tail -n 1)"
expect "a share is made" share alice
same "HTTP" blob.bin blob.bin
same "FTP" ftp://10.77.0.1/grub.iso grub.iso
same "TFTP" tftp://10.77.0.1/small.bin small.bin
expect "the contents of an image are served" fetch grub/ -o /dev/null
[ "$(show cdssd StatusText)" = "1 shares" ]
verdict $? "systemctl status tells of it: $(show cdssd StatusText)"
expect "it is in a control group of the shares" in_group
grep -qw memory /sys/fs/cgroup/cgroup.controllers ||
    echo "skip that the group bounds it - control groups have no controllers here"
if systemctl -q is-active systemd-udevd; then
    udevadm settle
    loop=$(losetup -n -O NAME,BACK-FILE | awk '/srv.cdss/ { print $1; exit }')
    [ -n "$loop" ] && ! udevadm info "$loop" | grep -q ID_FS_TYPE
    verdict $? "udev has not looked into the image on $loop"
else
    echo "skip that udev does not look into images - there is no udev here"
fi
systemctl start cdss-reap.service
[ "$(show cdss-reap Result)" = success ]
verdict $? "cdss reap runs without rights, and its nothing to do is no failure"

# -- restarts --------------------------------------------------------------------------------------

fetch blob.bin --limit-rate 600k -o /tmp/slow 2>/tmp/err &
download=$!
wait_for 20 test -s /tmp/slow
pid=$(show cdssd MainPID)
expect "cdssd is restarted" systemctl restart cdssd
[ "$(show cdssd MainPID)" != "$pid" ] && is_active alice
verdict $? "it knows its share"
expect "the share is in its group, and bounded, as before" in_group
kill -KILL "$(show cdssd MainPID)"
same "it is killed: the share is served" blob.bin blob.bin
expect "systemd starts it again" wait_for 60 is_active alice
expect "the share is in its group, and bounded, as before" in_group
expect "cdssd is stopped" systemctl stop cdssd
same "the share is served without it" blob.bin blob.bin
expect "the share is in its group, and bounded, without it" in_group
expect "cdssd is started" systemctl start cdssd
expect "another share is made" share bob 10.77.1.11
expect "the package is installed again" dpkg -i /root/cdss_*.deb
expect "cdssd runs, and knows both" wait_for 60 eval 'is_active alice && is_active bob'
wait "$download"
verdict $? "a download that began before all that has come to its end"
cmp -s /tmp/slow /srv/cdss/images/blob.bin
verdict $? "it is the image"

# -- ends ------------------------------------------------------------------------------------------

expect "the group of shares is stopped" systemctl stop cdss-shares
! fetch blob.bin -o /dev/null 2>/tmp/err && ! systemctl is-active -q cdssd
verdict $? "with it end the shares, and the broker"
expect "cdssd is started" systemctl start cdssd
[ "$(cdss --json share list | tr -d ' \n')" = '{"shares":[]}' ]
verdict $? "no share is left"
expect "a new share is made" share carol
same "it is served" blob.bin blob.bin
expect "the package is removed" dpkg --remove cdss
! fetch blob.bin -o /dev/null 2>/tmp/err
verdict $? "its share has ended"
left() {
    nft list tables
    losetup -n -O BACK-FILE | grep srv.cdss
    find /sys/fs/cgroup -name '*cdss*' ! -name 'cdss-test.service'
    ls -A /srv/cdss/shares
}
nothing_left() { [ -z "$(left)" ]; }
wait_for 10 nothing_left
verdict $? "no rule, loop device, group or directory is left"
left | sed 's/^/#   /'
rm -f /srv/cdss/images/*
expect "the package is purged" dpkg --purge cdss
find / -xdev \( -path /root -o -path /proc -o -path /var/log \) -prune -o -name '*cdss*' -print |
    grep -v '/cdss-test\.service$' >/tmp/left
[ ! -s /tmp/left ]
verdict $? "no file is left"
sed 's/^/#   /' /tmp/left
expect "no unit has failed" test -z "$(systemctl --failed --plain --no-legend)"
