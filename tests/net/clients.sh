# Real images, and the real clients that fetch them, each with a limit in time; sourced, for tests
# and the demo. Needs network.sh.
# shellcheck shell=bash disable=SC2154

data_dir=$source_dir/build/test-data # what is inside the real images

# Images that nobody of this project made, from Debian packages (tests/packages.sh images), installed
# or unpacked below build/packages.
declare -A real_images=(
    [grub]="grub-rescue-pc /usr/lib/grub-rescue/grub-rescue-cdrom.iso"
    [ipxe]="ipxe /usr/lib/ipxe/ipxe.iso"
    [memtest]="memtest86+ /usr/lib/memtest86+/memtest86+x64.iso"
)

real_image() { # grub|ipxe|memtest: its path
    local package path
    read -r package path <<<"${real_images[$1]}"
    if [ -f "$path" ]; then echo "$path"; else echo "$source_dir/build/packages/$package$path"; fi
}

# Extracts with xorriso, once for all tests, to $data_dir/NAME.
real_contents() { # grub|ipxe|memtest
    mkdir -p "$data_dir"
    (
        flock 9
        [ -d "$data_dir/$1" ] && exit 0
        rm -rf "$data_dir/$1.new"
        xorriso -osirrox on -indev "$(real_image "$1")" -extract / "$data_dir/$1.new" \
            >/dev/null 2>&1 && mv "$data_dir/$1.new" "$data_dir/$1"
    ) 9>"$data_dir/lock"
}

limit=25 # s

get_http() { # CLIENT URL FILE [CURL-OPTION...]
    client "$1" curl -sSf -g -m $limit --connect-timeout 5 "${@:4}" -o "$3" "$2" \
        2>"$environment_dir/client.err"
}

get_ftp() { # CLIENT epsv|pasv|eprt|port URL FILE [CURL-OPTION...]
    local mode=()
    case $2 in
    epsv) ;;
    pasv) mode=(--disable-epsv) ;;
    eprt) mode=(--ftp-port -) ;;
    port) mode=(--ftp-port - --disable-eprt) ;;
    esac
    client "$1" curl -sSf -g -m $limit --connect-timeout 5 "${mode[@]}" "${@:5}" -o "$4" "$3" \
        2>"$environment_dir/client.err"
}

get_lftp() { # CLIENT HOST PATH FILE
    client "$1" timeout $limit lftp -c "set net:max-retries 1; set net:timeout 5; set net:reconnect-interval-base 1
        open 'ftp://$2'; get '$3' -o '$4'" >/dev/null 2>"$environment_dir/client.err"
}

get_tftp() { # CLIENT curl|tftp-hpa|atftp|atftp:WINDOW HOST PATH FILE
    local host=$3
    case $2 in
    curl)
        [[ $host != *:* ]] || host="[$host]"
        client "$1" curl -sSf -g -m $limit --connect-timeout 5 -o "$5" "tftp://$host/$(url_path "$4")"
        ;;
    tftp-hpa) client "$1" timeout $limit tftp -m binary "$host" -c get "$4" "$5" ;;
    atftp) client "$1" timeout $limit atftp -g -r "$4" -l "$5" "$host" 69 ;;
    atftp:*)
        client "$1" timeout $limit atftp --option "blksize 1428" --option "windowsize ${2#*:}" \
            -g -r "$4" -l "$5" "$host" 69
        ;;
    esac >"$environment_dir/client.err" 2>&1
}

url_host() { if [[ $1 == *:* ]]; then echo "[$1]"; else echo "$1"; fi; }

url_path() { # PATH: any bytes
    local LC_ALL=C i c
    for ((i = 0; i < ${#1}; i++)); do
        c=${1:i:1}
        case $c in
        [A-Za-z0-9/._~-]) printf %s "$c" ;;
        *) printf '%%%02X' $(($(printf %d "'$c") & 255)) ;;
        esac
    done
}
