#!/usr/bin/env bash
# Installs the Debian packages that building, the demo and the tests need; only those that are
# missing, and such that no daemon of theirs starts or stays enabled on this machine.
#
#   tests/packages.sh [--list] [build|servers|clients|images|lint|fuzz|package|vm|bench]...
#                     (default: all of them but vm, and bench, what the benchmarks compare with)
#
# How: while apt runs, /usr/sbin/policy-rc.d forbids every start; what the packages enabled for the
# next boot is disabled again afterwards. Packages that were there before keep their state. Packages
# with nothing but ISO images are unpacked below build/packages/ and not installed: memtest86+ and
# ipxe would put themselves into the boot menu. So is what is only compared with, above all
# tftpd-hpa, which cannot be installed beside atftpd.
#
# Ctrl-C ends a download at once, and an installation when apt has finished what it began.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=yes
cd "$(dirname "$0")/.."

declare -A packages=(
    [build]="gcc libc6-dev cmake ninja-build pkg-config git libmnl-dev libnftnl-dev libmount-dev
             libseccomp-dev libsqlite3-dev libcap-dev libcrypt-dev nettle-dev zlib1g-dev"
    [servers]="lighttpd vsftpd atftpd rsync fuseiso util-linux mount libmount1 libseccomp2
               libsqlite3-0 libnftnl11 libmnl0 libnettle8"
    [clients]="iproute2 nftables iptables conntrack procps curl lftp tftp-hpa atftp rsync python3 sqlite3
               util-linux"
    [images]="xorriso squashfs-tools erofs-utils genisoimage udftools e2fsprogs dosfstools"
    [lint]="clang-format clang-tidy shellcheck cppcheck mandoc"
    [fuzz]="clang llvm libclang-rt-dev"
    [package]="dpkg-dev debootstrap lintian util-linux"
    [vm]="qemu-system-x86 e2fsprogs"
    [bench]="libwrap0 libseccomp2 libxtables12 libip4tc2 libip6tc2"
)
purposes=(build servers clients images lint fuzz package)
declare -A unpacked=(
    [images]="grub-rescue-pc ipxe memtest86+"
    [bench]="tftpd-hpa runc iptables"
)

policy=/usr/sbin/policy-rc.d
saved=/usr/sbin/policy-rc.d.before-cdss
none=/usr/sbin/policy-rc.d.none-before-cdss
root=$PWD
scratch= # a directory
apt_pid= # an installation that must not be cut
shower=  # who shows its progress

say() { printf '  %-10s %s\n' "$1" "${*:2}"; }
say_list() { # WHAT NAME...
    local what=$1 line
    printf '%s\n' "${*:2}" | fold -s -w 86 | while read -r line; do
        say "$what" "$line"
        what=
    done
}
die() { printf 'packages.sh: %s\n' "$*" >&2; exit 1; }

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# -- no daemon starts, none stays enabled ----------------------------------------------------------

# A run that was killed outright left its policy behind: the next one puts things right.
restore_policy() {
    if [ -e "$saved" ] || [ -L "$saved" ]; then
        mv -f "$saved" "$policy"
    elif [ -e "$none" ]; then
        rm -f "$policy" "$none"
    fi
}

forbid_starts() {
    restore_policy
    if [ -e "$policy" ] || [ -L "$policy" ]; then
        mv "$policy" "$saved"
    else
        : >"$none"
    fi
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

# What starts at boot: the links of systemd units and of init scripts. That of procps is no daemon:
# it applies sysctl.conf.
enabled_links() {
    find /etc/systemd/system -type l -path '*.wants/*' 2>/dev/null || true
    find /etc/rc[2345S].d -type l -name 'S*' ! -name 'S*procps' 2>/dev/null || true
}

disable_new_links() { # compared with $scratch/links
    local link name names='' left=''
    while read -r link; do
        [ -L "$link" ] || continue # an earlier line of this list took it along
        name=$(basename "$link")
        case $link in
        /etc/rc*)
            name=${name#S[0-9][0-9]}
            update-rc.d "$name" disable >/dev/null 2>&1 || true
            ;;
        *) disable_unit "$name" || true ;;
        esac
        if [ -L "$link" ]; then left+=" $link"; else names+=" $name"; fi
    done < <(enabled_links | sort | comm -13 "$scratch/links" -)
    [ -z "$names" ] || say disabled "${names# }: at boot starts what started before"
    [ -z "$left" ] || say "" "could not be disabled:$left"
}

disable_unit() {
    if command -v systemctl >/dev/null; then
        systemctl disable --quiet "$1" >/dev/null 2>&1
    else # which is there for the scripts of packages only
        DPKG_MAINTSCRIPT_PACKAGE=cdss deb-systemd-helper disable "$1" >/dev/null 2>&1
    fi
}

# -- apt -------------------------------------------------------------------------------------------

# On a terminal, the last line of the log, until progress_end.
progress() {
    [ -t 1 ] || return 0
    while sleep 0.2 && kill -0 $$; do
        printf '\r  %-10s %s\e[K' packages "$(tail -n 1 "$scratch/log" | tr -d '\r' |
            sed 's|https\{0,1\}://[^ ]* ||' | cut -c1-86)"
    done 2>/dev/null &
    shower=$!
}

progress_end() {
    [ -n "$shower" ] || return 0
    kill "$shower" 2>/dev/null || true
    wait "$shower" 2>/dev/null || true
    shower=
    printf '\r\e[K'
}

# What apt says is in $scratch/log. Another apt, such as the one at boot, has five minutes to end.
apt() { # ARGUMENT...
    local status=0
    progress
    apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" </dev/null >"$scratch/log" 2>&1 || status=$?
    progress_end
    return "$status"
}

# The part that a Ctrl-C must not cut: dpkg would leave packages half installed.
apt_install() { # PACKAGE...
    local status=0
    progress
    setsid apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef \
        -o Dpkg::Options::=--force-confold --no-install-recommends install "$@" </dev/null \
        >"$scratch/log" 2>&1 &
    apt_pid=$!
    wait "$apt_pid" || status=$?
    apt_pid=
    progress_end
    return "$status"
}

apt_failed() { # PACKAGE...
    local unreachable='[Cc]ould not (resolve|connect)|Temporary failure|Unable to connect'
    unreachable+='|Connection (failed|timed)|unreachable'
    if cat "$scratch/update" "$scratch/log" 2>/dev/null | grep -qE "$unreachable"; then
        die "apt does not reach the package archive (is there a network?); missing: $*"
    fi
    tail -n 20 "$scratch/log" | sed 's/^/    | /' >&2
    die "apt-get failed; missing: $*"
}

# That somebody else's archive does not answer is no failure.
update() {
    apt update || true
    mv "$scratch/log" "$scratch/update"
}

install_packages() { # PACKAGE...
    local started=$SECONDS
    say_list packages "$@"
    update
    apt --no-install-recommends --download-only install "$@" || apt_failed "$@"
    enabled_links | sort >"$scratch/links"
    forbid_starts
    apt_install "$@" || apt_failed "$@"
    say "" "installed ($((SECONDS - started)) s)"
}

download() { # PACKAGE
    local status=0
    rm -f "$scratch"/*.deb
    cd "$scratch"
    apt -o APT::Sandbox::User=root download "$1" || status=$?
    cd "$root"
    return "$status"
}

# Unpacked, unless they are installed anyway.
unpack() { # PACKAGE...
    local name
    for name; do
        download "$name" || { update && download "$name"; } || apt_failed "$@"
        mkdir -p build/packages
        dpkg-deb -x "$scratch"/*.deb "$scratch/$name"
        rm -rf "build/packages/$name"
        mv "$scratch/$name" "build/packages/$name"
    done
    say unpacked "$* (in build/packages)"
}

cleanup() {
    local status=$?
    trap '' INT TERM HUP
    if [ -n "$apt_pid" ]; then
        progress_end
        say "" "interrupted; apt finishes what it has begun"
        wait "$apt_pid" || true
    fi
    progress_end
    if [ -e "$scratch/links" ]; then
        disable_new_links
        restore_policy
    fi
    [ -z "$scratch" ] || rm -rf "$scratch"
    exit "$status"
}

main() {
    local list=no wanted=() purpose name missing=() images=()
    command -v apt-get >/dev/null || [ "${1:-}" = --list ] ||
        die "this is not a Debian system: install by hand what --list shows"
    for name; do
        case $name in
        --list) list=yes ;;
        -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
        *) [ -n "${packages[$name]:-}" ] || die "no such list of packages: $name"; wanted+=("$name") ;;
        esac
    done
    [ ${#wanted[@]} -gt 0 ] || wanted=("${purposes[@]}")
    for purpose in "${wanted[@]}"; do
        # shellcheck disable=SC2086 # lists of words
        for name in ${packages[$purpose]}; do
            [ "$list" = no ] || { printf '%-8s %s\n' "$purpose" "$name"; continue; }
            installed "$name" || [[ " ${missing[*]-} " == *" $name "* ]] || missing+=("$name")
        done
        for name in ${unpacked[$purpose]:-}; do
            [ "$list" = no ] || { printf '%-8s %s (unpacked)\n' "$purpose" "$name"; continue; }
            installed "$name" || [ -d "build/packages/$name" ] || images+=("$name")
        done
    done
    [ ${#missing[@]} -gt 0 ] || [ ${#images[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || die "only root can install packages; missing: ${missing[*]-} ${images[*]-}"

    exec {lock}>/run/cdss-packages.lock
    flock -w 900 "$lock" || die "another run of this script does not end"
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/cdss-packages.XXXXXX")
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
    [ ${#images[@]} -eq 0 ] || unpack "${images[@]}"
}

main "$@"
