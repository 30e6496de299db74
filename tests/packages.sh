#!/usr/bin/env bash
# Installs the Debian packages that building, the demo and the tests need; only those that are
# missing, and such that no daemon of theirs starts or stays enabled on this machine.
#
#   tests/packages.sh [--list] [build|servers|clients|images|lint|fuzz]...   (default: all of them)
#
# How: while apt runs, /usr/sbin/policy-rc.d forbids every start; what the packages enabled for the
# next boot is disabled again afterwards. Packages that were there before keep their state. Packages
# with nothing but ISO images are unpacked below build/packages/ and not installed: memtest86+ and
# ipxe would put themselves into the boot menu.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
cd "$(dirname "$0")/.."

declare -A packages=(
    [build]="gcc libc6-dev cmake ninja-build pkg-config git libmnl-dev libnftnl-dev libmount-dev
             libseccomp-dev libsqlite3-dev libcap-dev libcrypt-dev zlib1g-dev"
    [servers]="lighttpd vsftpd atftpd rsync fuseiso util-linux mount libmount1 libseccomp2
               libsqlite3-0 libnftnl11 libmnl0"
    [clients]="iproute2 nftables conntrack procps curl lftp tftp-hpa atftp rsync python3 sqlite3
               util-linux"
    [images]="xorriso squashfs-tools erofs-utils genisoimage udftools e2fsprogs dosfstools"
    [lint]="clang-format clang-tidy shellcheck cppcheck"
    [fuzz]="clang llvm"
)
purposes=(build servers clients images lint fuzz)
unpacked="grub-rescue-pc ipxe memtest86+"

policy=/usr/sbin/policy-rc.d
saved=/usr/sbin/policy-rc.d.before-cdss
none=/usr/sbin/policy-rc.d.none-before-cdss
scratch=

say() { printf '%s\n' "$*"; }
die() { printf 'packages.sh: %s\n' "$*" >&2; exit 1; }

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

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

# What starts at boot: the links of systemd units and of init scripts.
enabled_links() {
    find /etc/systemd/system -type l -path '*.wants/*' 2>/dev/null || true
    find /etc/rc[2345S].d -type l -name 'S*' 2>/dev/null || true
}

disable_new_links() { # compared with $scratch/links
    local link name
    enabled_links | sort | comm -13 "$scratch/links" - | while read -r link; do
        [ -L "$link" ] || continue # an earlier line of this list took it along
        name=$(basename "$link")
        case $link in
        /etc/rc*)
            name=${name#S[0-9][0-9]}
            update-rc.d "$name" disable >/dev/null 2>&1 || true
            ;;
        *) disable_unit "$name" || true ;;
        esac
        if [ -L "$link" ]; then
            say "  could not disable $name: $link is still there"
        else
            say "  disabled $name"
        fi
    done
}

disable_unit() {
    if command -v systemctl >/dev/null; then
        systemctl disable --quiet "$1" >/dev/null 2>&1
    else
        deb-systemd-helper disable "$1" >/dev/null 2>&1
    fi
}

install_packages() { # PACKAGE...
    [ "$(id -u)" = 0 ] || die "only root can install these packages: $*"
    say "Installing: $*"
    enabled_links | sort >"$scratch/links"
    forbid_starts
    apt-get -qq update >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; die "apt-get update failed"; }
    apt-get -qq -y --no-install-recommends install "$@" </dev/null >"$scratch/log" 2>&1 ||
        { tail -n 40 "$scratch/log" >&2; die "apt-get install failed"; }
}

download() { # PACKAGE
    (cd "$scratch" && rm -f ./*.deb && apt-get -qq -o APT::Sandbox::User=root download "$1") \
        >"$scratch/log" 2>&1
}

# The packages with the images: unpacked, unless they are installed anyway.
unpack() { # PACKAGE...
    local name
    for name; do
        say "Unpacking: $name (its images, below build/packages/)"
        download "$name" || { apt-get -qq update && download "$name"; } >/dev/null 2>&1 ||
            { cat "$scratch/log" >&2; die "$name cannot be downloaded"; }
        mkdir -p build/packages
        dpkg-deb -x "$scratch"/*.deb "$scratch/$name"
        rm -rf "build/packages/$name"
        mv "$scratch/$name" "build/packages/$name"
    done
}

cleanup() {
    local status=$?
    trap '' INT TERM HUP
    if [ -e "$scratch/links" ]; then
        disable_new_links
        restore_policy
    fi
    [ -z "$scratch" ] || rm -rf "$scratch"
    exit "$status"
}

main() {
    local list=no wanted=() purpose name missing=() images=()
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
        [ "$purpose" = images ] || continue
        for name in $unpacked; do
            [ "$list" = no ] || { printf '%-8s %s (unpacked)\n' "$purpose" "$name"; continue; }
            installed "$name" || [ -d "build/packages/$name" ] || images+=("$name")
        done
    done
    [ ${#missing[@]} -gt 0 ] || [ ${#images[@]} -gt 0 ] || return 0

    exec {lock}>/run/lock/cdss-packages.lock
    flock -w 900 "$lock" || die "another run of this script does not end"
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/cdss-packages.XXXXXX")
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
    [ ${#images[@]} -eq 0 ] || unpack "${images[@]}"
}

main "$@"
