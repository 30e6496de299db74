# The Debian package, from its source to its purge, in a root of one release; sourced by
# tests/package/RELEASE.sh, which names the release in suite=.
#
# The source package is made here, built where there is nothing but its build dependencies, and
# installed where there is nothing at all. Then a share is made with the packaged paths, and real
# clients in network namespaces of their own fetch it.
# shellcheck shell=bash disable=SC2154

CDSS_BUILD=$(cd "$(dirname "$0")/../.." && pwd) # nothing of a build directory is used here
# shellcheck source=../net/lib.sh
. "$(dirname "$0")/../net/lib.sh"
# shellcheck source=roots.sh
. "$source_dir/tests/package/roots.sh"

for tool in debootstrap dpkg-source; do
    command -v "$tool" >/dev/null || {
        skip "the package" "$tool is not installed (tests/packages.sh package)"
        exit 0
    }
done

# Two hosts have the same uids here: a process of this one is told by its control group.
share_processes() { cgroups_processes; }

# Every file that git knows or would take, in a directory named as the source package wants it.
source_files() {
    git -C "$source_dir" -c safe.directory='*' ls-files -z --cached --others --exclude-standard \
        2>/dev/null || (cd "$source_dir" && find . -path ./build -prune -o ! -type d -print0)
}

package_source() { # DIRECTORY
    mkdir -p "$1/cdss-$version" &&
        (cd "$source_dir" && source_files | tar -c --null -T - --ignore-failed-read 2>/dev/null) |
        tar -x --no-same-owner -C "$1/cdss-$version" &&
        (cd "$1" && dpkg-source -b "cdss-$version")
}

# Leaves the packages in $packages; what was built of the same source is not built again.
package_build() {
    local root=$environment_dir/build-root key
    package_source "$environment_dir/source" || return 1
    key=$(cd "$environment_dir/source/cdss-$version" && find . -type f -print0 | sort -z |
        xargs -0 sha256sum | sha256sum | cut -c1-16)
    packages=$cache/packages-$suite/$key
    (
        flock 7
        [ ! -d "$packages" ] || exit 0
        rm -rf "$cache/packages-$suite"
        cp -a --reflink=auto "$cache/$suite-build" "$root" && mkdir "$root/build" &&
            cp "$environment_dir"/source/cdss_* "$root/build" || exit 1
        in_root "$root" sh -c "cd /build && dpkg-source -x cdss_*.dsc source && cd source &&
            DEB_BUILD_OPTIONS=parallel=2 dpkg-buildpackage -b -us -uc" 7>&- || exit 1
        mkdir -p "$packages.new"
        mv "$root"/build/*.deb "$root"/build/*.changes "$root"/build/*.buildinfo "$packages.new"
        mv "$packages.new" "$packages"
    ) 7>"$cache/packages-$suite.lock" || return 1
    rm -rf --one-file-system "$root"
}

# Runs a step that talks much; its log is shown when it fails, and then nothing more is tried.
step() { # NAME COMMAND...
    local name=$1 started=$SECONDS
    shift
    if "$@" >"$environment_dir/step.log" 2>&1; then
        ok "$name ($((SECONDS - started)) s)"
    else
        tail -n 30 "$environment_dir/step.log" | cut -c1-300 | sed 's/^/#   /'
        not_ok "$name"
        exit 1
    fi
}

# -- the installed system --------------------------------------------------------------------------

# A host in a directory: its files, and the network of the namespace "server". It has no init, so
# daemons that packages would start stay away by themselves, and cdssd is started by hand.
host() { # COMMAND...
    in_ns server unshare --mount --propagation private -- "$source_dir/tests/package/enter" \
        "$host_root" "$@"
}

host_files() {
    (cd "$host_root" && find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./tmp \
        -o -path ./var/cache -o -path ./var/log -o -path ./var/lib/apt \) -prune -o -print | sort)
}

host_broker_start() {
    broker_log=$environment_dir/broker.log
    : >"$broker_log"
    (
        cgroups_enter
        exec setsid nsenter --net="/proc/${ns_pid[server]}/ns/net" -- unshare --mount \
            --propagation private -- "$source_dir/tests/package/enter" "$host_root" cdssd
    ) </dev/null >>"$broker_log" 2>&1 &
    broker_pid=$!
    wait_for 15 broker_is_up && ! is_gone "$broker_pid"
}
