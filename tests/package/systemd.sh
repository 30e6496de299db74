#!/usr/bin/env bash
# The package under systemd: Debian 12 with systemd as init, in which inside/test.sh is run.
#
#   tests/package/systemd.sh          booted in namespaces, half a minute
#   tests/package/systemd.sh --vm     in a virtual machine with Debian's own kernel: a minute with
#                                     /dev/kvm, some without
#
# Only the latter has what depends on the kernel: control groups with controllers, whatever those of
# this machine are, and udev.
suite=bookworm
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
vm=no
[ "${1:-}" != --vm ] || vm=yes
if [ "$vm" = yes ] && ! command -v qemu-system-x86_64 >/dev/null; then
    skip "systemd" "qemu-system-x86_64 is not installed (tests/packages.sh vm)"
    exit 0
fi
begin
host_root=$environment_dir/host
version=$(sed -n '1s/.*(\(.*\)).*/\1/p' "$source_dir/debian/changelog")
step "roots of $suite" roots_make "$suite" vm
step "the package is built" package_build

# What a site's administrator would have done: apt install, and images.
install_all() {
    cp -a --reflink=auto "$cache/$suite-vm" "$host_root" &&
        cp "$packages"/cdss_*.deb "$source_dir/tests/package/inside/test.sh" "$host_root/root" || return 1
    in_root_apt "$host_root" --no-install-recommends install lighttpd vsftpd atftpd fuseiso \
        "./root/$(basename "$packages"/cdss_"$version"_*.deb)" || return 1
    head -c 8000000 /dev/urandom >"$host_root/srv/cdss/images/blob.bin"
    head -c 200000 /dev/urandom >"$host_root/srv/cdss/images/small.bin"
    cp "$(real_image grub)" "$host_root/srv/cdss/images/grub.iso"
    cp "$source_dir/tests/package/inside/cdss-test.service" "$host_root/etc/systemd/system"
    ln -s ../cdss-test.service "$host_root/etc/systemd/system/multi-user.target.wants"
}

# -- in namespaces ---------------------------------------------------------------------------------

boot() {
    (
        cgroups_enter
        exec timeout -k 5 150 unshare --mount --propagation private --pid --fork --kill-child --net \
            --uts --ipc --cgroup -- "$source_dir/tests/package/boot" "$host_root"
    ) </dev/null
    cp "$host_root/root/results" "$environment_dir/results"
}

# -- in a virtual machine --------------------------------------------------------------------------

make_disk() {
    ln -s /dev/null "$host_root/etc/systemd/system/serial-getty@ttyS0.service"
    sed -i 's|/root/results|/dev/ttyS1|' "$host_root/etc/systemd/system/cdss-test.service"
    echo "/dev/vda / ext4 rw 0 0" >"$host_root/etc/fstab"
    truncate -s 1500M "$environment_dir/disk"
    mke2fs -q -t ext4 -E lazy_itable_init=1 -d "$host_root" "$environment_dir/disk"
}
vm_boot() { # ACCELERATOR CPU
    : >"$environment_dir/results"
    # It ends by itself; the time is for the case that it cannot.
    timeout -k 5 900 qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
        -M "pc,accel=$1" -cpu "$2" -smp 2 -m 1024 \
        -kernel "$(echo "$host_root"/boot/vmlinuz-*)" -initrd "$(echo "$host_root"/boot/initrd.img-*)" \
        -append "root=/dev/vda rw console=ttyS0 quiet panic=-1 mitigations=off" \
        -drive "if=virtio,format=raw,file=$environment_dir/disk" \
        -serial "file:$environment_dir/console" -serial "file:$environment_dir/results"
}
# There are hosts whose /dev/kvm is of no use.
vm_run() {
    { [ -w /dev/kvm ] && vm_boot kvm host && [ -s "$environment_dir/results" ]; } || vm_boot tcg max
}
step "the package is installed in a system with systemd" install_all
if [ "$vm" = yes ]; then
    step "a disk is made of it" make_disk
    step "it boots, and ends" vm_run
else
    step "it boots, and ends" boot
fi
tr -d '\r' <"$environment_dir/results" | sed -E '/^done/d; s/^(ok|not ok|skip) /\1 systemd: /'
grep -q '^done' "$environment_dir/results"
verdict $? "the test in it came to its end"
! grep -q '^not ok' "$environment_dir/results" || failures=1
residue_none_left() { [ -z "$(share_processes)$(loop_devices)" ]; }
[ "$vm" = yes ] || wait_for 5 residue_none_left
verdict $? "nothing is left of it"
exit "$failures"
