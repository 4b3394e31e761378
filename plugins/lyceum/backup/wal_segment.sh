#!/bin/sh
# Keep and fetch one file of the write-ahead log, for the server. The shell and gzip alone: under root the server is an account
# that often cannot enter the folder of the interpreter that Lyceum runs with.
#
#     wal_segment.sh keep ARCHIVE SOURCE NAME
#     wal_segment.sh fetch TARGET NAME ARCHIVE [FOLDER...]
#     wal_segment.sh probe ARCHIVE
#
# `keep` is the server's archive_command: 0 once the file is compressed in the archive, was read back, and is on the disk. It never
# replaces a file of that name that says something else. `fetch` is its restore_command: 1 when nobody has the file, which ends a
# recovery, and 200 when the archive's copy cannot be read, which stops the server rather than ending the recovery too early.
# FOLDERs hold files that were never archived. `probe` says whether this account can keep files in the archive.
set -u
umask 077

say() {
    echo "lyceum: $*" >&2
}

same() {
    gzip -dc "$1" 2>/dev/null | cmp -s - "$2"
}

keep() {
    kept=$1/$3.gz
    unfinished=$1/.$3.$$.part
    if [ ! -e "$kept" ]; then
        trap 'rm -f "$unfinished"' EXIT
        # gzip notes when the segment was last written: nothing in it is later, also when the archive is copied.
        if ! gzip -1 -c "$2" > "$unfinished" || ! same "$unfinished" "$2" || ! sync "$unfinished"; then
            say "$2 could not be written to $1"
            return 2
        fi
        # A link, unlike a rename, never replaces what another archiver has just kept.
        ln "$unfinished" "$kept" 2>/dev/null
    fi
    # Also after a crash between the copy and the server's note of it.
    if ! same "$kept" "$2"; then
        say "$kept is not $2. Two servers write into one archive, or the file was damaged: it stays as it is, and the server" \
            "keeps its log until the archive takes it."
        return 2
    fi
    sync "$1"
}

fetch() {
    target=$1
    name=$2
    kept=$3/$2.gz
    shift 3
    if [ -e "$kept" ]; then
        if gzip -dc "$kept" > "$target"; then
            return 0
        fi
        rm -f "$target"
        say "$kept is damaged"
        return 200
    fi
    for folder in "$@"; do
        if [ -f "$folder/$name" ]; then
            cp "$folder/$name" "$target" || return 200
            return 0
        fi
    done
    return 1
}

probe() {
    rm -f "$1/.probe" "$1/probe.gz"
    echo "$$" > "$1/.probe" && keep "$1" "$1/.probe" probe
    outcome=$?
    rm -f "$1/.probe" "$1/probe.gz"
    return "$outcome"
}

verb=$1
shift
case $verb in
    keep) keep "$@" ;;
    fetch) fetch "$@" ;;
    probe) probe "$@" ;;
    *) say "unknown: $verb"; exit 2 ;;
esac
