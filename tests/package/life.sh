# What happens to the package in its life; sourced by tests/package/RELEASE.sh.
# shellcheck shell=bash disable=SC2154
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
begin
host_root=$environment_dir/host

step "roots of $suite" roots_make "$suite"
version=$(sed -n '1s/.*(\(.*\)).*/\1/p' "$source_dir/debian/changelog")
step "the source package is built where there is nothing else than it asks for" package_build
if [ "$suite" = bookworm ] && command -v lintian >/dev/null; then
    step "lintian has nothing to say" lintian --fail-on error,warning --allow-root \
        "$packages"/*.changes
fi

cp -a --reflink=auto "$cache/$suite" "$host_root"
mkdir "$host_root/root/packages"
cp "$packages"/cdss_*.deb "$host_root/root/packages"
deb=./root/packages/cdss_${version}_$(dpkg --print-architecture).deb
# What apt would bring along comes first, so that what is left of ours can be told from it.
mapfile -t others < <(in_root_apt "$host_root" -s install "$deb" | awk '/^Inst / && $2 != "cdss" { print $2 }')
step "apt brings ${#others[@]} packages along" in_root_apt "$host_root" install "${others[@]}"
host_files >"$environment_dir/files.before"
step "apt installs the package" in_root_apt "$host_root" install "$deb"

# -- a share with the packaged paths ---------------------------------------------------------------

cdss() { host timeout 30 cdss "$@"; }
mark_prefix=$((0x5b))
images=$host_root/srv/cdss/images
setting[repository.images]=$images
setting[repository.shares]=$host_root/srv/cdss/shares
setting[broker.state]=$host_root/var/lib/cdss

expect_ok "cdssd -n: the settings of the package are right" host cdssd -n
[ "$(stat -c '%a %U %G' "$host_root"/srv/cdss/shares "$host_root"/var/lib/cdss | sort -u)" = "700 root root" ]
verdict $? "directories are there, with their modes"
mkdir "$images/linux"
cp "$(real_image grub)" "$images/linux/grub.iso"
head -c 3000000 /dev/urandom >"$images/blob.bin"
host_broker_start || { sed 's/^/# /' "$broker_log"; not_ok "cdssd starts"; exit 1; }
expect_ok "doctor" cdss doctor
expect_ok "a share is made" cdss share create alice --image linux/grub.iso --image blob.bin \
    --client "$(client4 1)" --client "$(client6 1)" --protocol http,ftp,tftp --for 10m
grep -q 'linux/grub' "$environment_dir/out"
verdict $? "it says what to type"
get_http 1 "http://$server4:8080/blob.bin" "$out/a"
expect_same "HTTP" "$out/a" "$images/blob.bin"
get_ftp 1 epsv "ftp://[$server6]/linux/grub.iso" "$out/a"
expect_same "FTP" "$out/a" "$images/linux/grub.iso"
get_tftp 1 curl "$server4" blob.bin "$out/a"
expect_same "TFTP" "$out/a" "$images/blob.bin"
! get_http 2 "http://$server4:8080/blob.bin" "$out/a"
verdict $? "a stranger gets nothing"

# -- upgrade and removal ---------------------------------------------------------------------------

broker_stop
step "the package is upgraded while a share lives" in_root_apt "$host_root" --reinstall install \
    "$deb"
get_http 1 "http://$server4:8080/blob.bin" "$out/a"
expect_same "the share was served without cdssd" "$out/a" "$images/blob.bin"
host_broker_start || { sed 's/^/# /' "$broker_log"; not_ok "cdssd starts again"; }
[ "$(shared_users)" = alice ]
verdict $? "cdssd knows it again"
broker_stop
echo "#" >>"$host_root/etc/cdss/cdss.conf"
remove() { (cgroups_enter && host apt-get -q -y remove cdss); } # a broker, too, if one is needed
step "the package is removed while a share lives, and no broker" remove
! get_http 1 "http://$server4:8080/blob.bin" "$out/a"
verdict $? "the share has ended"
residue_check_stopped "nothing is left of it"
[ -f "$images/blob.bin" ] && [ -f "$host_root/etc/cdss/cdss.conf" ]
verdict $? "images and settings are still there"
rm -r "$images/linux" "$images/blob.bin"
step "the package is purged" host apt-get -q -y purge cdss
host_files | diff "$environment_dir/files.before" - >"$environment_dir/files.diff"
verdict $? "no file is left of it"
sed 's/^/#   /' "$environment_dir/files.diff"
exit "$failures"
