#!/usr/bin/env bash
# The package on Debian 13, from source to purge.
suite=trixie
# shellcheck source=life.sh
. "$(dirname "$0")/life.sh"
