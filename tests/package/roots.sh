# Small Debian systems in directories, for trying packages in; sourced, not run.
#
# They are made with debootstrap from the archive, and with the keys, that this machine's own apt
# uses, and kept below build/cache: a bare one for each release, one more with what building needs,
# and the packages that were downloaded. Delete that directory for newer ones.
#
# The caller sets source_dir (absolute).
# shellcheck shell=bash disable=SC2154

cache=$source_dir/build/cache/debian

# Where this machine's apt has Debian from.
apt_mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
        'Label: Debian' 'Component: main' | head -n 1
}

# The keys that it trusts: those that its sources name, or those of every source; armoured ones (RFC
# 9580, 6.2) as what they stand for, since gpgv takes no others.
apt_keys() {
    local file
    {
        grep -rhioE '\bsigned-by[:=] *[^] ]+' /etc/apt/sources.list /etc/apt/sources.list.d |
            sed 's/^[^:=]*[:=] *//'
        find /etc/apt/trusted.gpg.d -name '*.gpg' -o -name '*.asc'
    } 2>/dev/null | grep -E '\.(gpg|asc)$' | sort -u | while read -r file; do
        case $file in
        *.asc) sed '1,/^[[:space:]]*$/d; /^[=-]/,$d' "$file" | base64 -d ;;
        *) cat "$file" ;;
        esac
    done
}

# Commands in a root have its files, devices and the network of the caller, and processes and mounts
# of their own, which end with them.
in_root() { # ROOT COMMAND...
    ARCHIVES=$cache/archives-$suite unshare --mount --propagation private --uts --ipc --pid --fork \
        --kill-child -- "$source_dir/tests/package/enter" "$@"
}

# One at a time for each release, since they share what was downloaded. Nothing that apt starts
# keeps the lock.
in_root_apt() { # ROOT ARGUMENT...
    (
        flock 8
        in_root "$1" apt-get -q -y -o APT::Sandbox::User=root -o Acquire::Languages=none \
            -o APT::Keep-Downloaded-Packages=true \
            -o Binary::apt-get::APT::Keep-Downloaded-Packages=true "${@:2}" </dev/null 8>&-
    ) 8>"$cache/apt-$suite.lock"
}

# A bare system of $suite in $cache/$suite.
root_make_bare() {
    local mirror
    mirror=$(apt_mirror)
    [ -n "$mirror" ] || { echo "apt knows no archive of Debian (apt-get update?)"; return 1; }
    apt_keys >"$cache/keys.gpg"
    debootstrap --variant=minbase --keyring="$cache/keys.gpg" --cache-dir="$cache/archives-$suite" \
        "$suite" "$cache/$suite.new" "$mirror" || return 1
    echo "deb $mirror $suite main" >"$cache/$suite.new/etc/apt/sources.list"
    cp "$cache/keys.gpg" "$cache/$suite.new/etc/apt/trusted.gpg.d/archive.gpg"
    in_root_apt "$cache/$suite.new" update || return 1
    mv "$cache/$suite.new" "$cache/$suite"
}

# The same with what debian/control wants for building, in $cache/$suite-build. An older one that
# lacks something is thrown away.
root_make_build() {
    cp -a --reflink=auto "$cache/$suite" "$cache/$suite-build.new"
    mkdir "$cache/$suite-build.new/build"
    cp -r "$source_dir/debian" "$cache/$suite-build.new/build"
    in_root_apt "$cache/$suite-build.new" --no-install-recommends install dpkg-dev || return 1
    in_root_apt "$cache/$suite-build.new" --no-install-recommends build-dep /build || return 1
    rm -rf "$cache/$suite-build.new/build"
    mv "$cache/$suite-build.new" "$cache/$suite-build"
}

# The same with a kernel and systemd as init, in $cache/$suite-vm, for tests/package/systemd.sh.
vm_packages="systemd-sysv udev kmod dbus linux-image-cloud-amd64 initramfs-tools
    iproute2 curl nftables procps"
root_make_vm() {
    local root=$cache/$suite-vm.new
    cp -a --reflink=auto "$cache/$suite" "$root"
    mkdir -p "$root/etc/initramfs-tools/conf.d"
    echo MODULES=list >"$root/etc/initramfs-tools/conf.d/modules"
    # shellcheck disable=SC2086 # a list of words
    in_root_apt "$root" --no-install-recommends install $vm_packages || return 1
    printf '%s\n' virtio_pci virtio_blk ext4 >>"$root/etc/initramfs-tools/modules"
    in_root "$root" update-initramfs -u || return 1
    mv "$root" "$cache/$suite-vm"
}

# Makes what is missing, whoever is first; the log says what was done.
roots_make() { # SUITE [vm]
    suite=$1
    mkdir -p "$cache/archives-$suite/partial"
    (
        exec 9>"$cache/lock-$suite"
        flock 9
        rm -rf "$cache/$suite".new "$cache/$suite"-*.new
        [ -d "$cache/$suite" ] || root_make_bare || exit 1
        key=$(sed -n '/^Build-Depends/,/^[^ ]/p' "$source_dir/debian/control" | cksum)
        [ "$key" = "$(cat "$cache/$suite-build.key" 2>/dev/null)" ] || rm -rf "$cache/$suite-build"
        [ -d "$cache/$suite-build" ] || root_make_build || exit 1
        echo "$key" >"$cache/$suite-build.key"
        [ "${2:-}" != vm ] || [ -d "$cache/$suite-vm" ] || root_make_vm || exit 1
    ) >"$cache/$suite.log" 2>&1
}
