#!/usr/bin/env bash
# Shows that a package of make-deb.sh is complete and that its contents work where they are unpacked: test-deb.sh
# PACKAGE
set -euo pipefail
package=$(realpath "$1")
build=$(realpath "$(dirname "$0")/../.build")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
root=$scratch/root home=$scratch/home
mkdir -p "$home"
fail() { echo "FAIL: $*" >&2; exit 1; }
field() { dpkg-deb --field "$package" "$1"; }

dpkg-deb --extract "$package" "$root"
dpkg-deb --control "$package" "$scratch/control"
(cd "$root" && md5sum --quiet --check "$scratch/control/md5sums") || fail "md5sums"
[ "$(cd "$root" && find . -type f | wc -l)" = "$(wc -l <"$scratch/control/md5sums")" ] || fail "md5sums lacks files"
[ ! -e "$scratch/control/conffiles" ] || fail "there are conffiles"
[ -z "$(find "$root" ! -type l -perm /022)" ] || fail "files that others may write to"
[ "$(field Depends | grep -c qemu-system-x86)" = 1 ] || fail "Depends: $(field Depends)"
field Depends | grep -q 'libguestfs0' || fail "Depends lacks the libraries: $(field Depends)"
field Depends | grep -q -- '-dev' || fail "Depends lacks the libraries' headers"
# The executable is stripped, and the debug information is kept beside the build.
identity() { readelf --notes "$1" 2>/dev/null | sed -n 's/.*Build ID: //p'; }
! readelf --sections --wide "$root/usr/bin/kbuild" | grep -q ' \.debug_info ' || fail "the executable is not stripped"
[ -n "$(identity "$root/usr/bin/kbuild")" ] || fail "the executable has no build ID"
[ "$(identity "$root/usr/bin/kbuild")" = "$(identity "$build/symbols/kbuild.debug")" ] || fail "no debug information is kept"
# apt's check of the fields' form, and whether this system could install the package.
dpkg --no-act --install "$package" >/dev/null 2>"$scratch/dpkg" || [ "$(id -u)" != 0 ] || fail "$(cat "$scratch/dpkg")"

# Runs a command in an empty environment in which the folder of kbuild's build is hidden.
swift=$(dirname "$(command -v swiftc)")
bare() {
    env -i HOME="$home" PATH="$1:/usr/sbin:/usr/bin:/sbin:/bin" TERM=dumb "${hide[@]}" "${@:2}"
}
hide=(bwrap --dev-bind / / --tmpfs "$build" --chdir "$home")
bwrap --dev-bind / / --tmpfs "$build" true 2>/dev/null || { hide=(env --chdir="$home"); echo "note: $build is not hidden"; }

version=$(bare "$root/usr/bin" kbuild --version)
[ "$version" = "$(field Version)" ] || fail "kbuild --version says $version"
bare "$root/usr/bin" kbuild help run | grep -q -- '--dry-run' || fail "kbuild help run"
code=0
bare "$root/usr/bin:$swift" kbuild doctor >"$scratch/doctor" || code=$?
case $code in
0) grep -q '^READY' "$scratch/doctor" || fail "doctor: $(cat "$scratch/doctor")" ;;
7) grep -q '^NOT READY' "$scratch/doctor" || fail "doctor: $(cat "$scratch/doctor")" ;;
*) fail "doctor ends with $code: $(cat "$scratch/doctor")" ;;
esac
bare "$root/usr/bin" kbuild init demo >/dev/null || fail "kbuild init"
[ -e "$home/demo/kbuild.yaml" ] || fail "kbuild init wrote no project"
bare "$root/usr/bin" kbuild config --show --project demo | grep -q hello_there || fail "kbuild config --show"

# A project whose tests are in C needs no Swift toolchain: it is configured, built, booted and tested without one. Its
# kernel is that of the repository's project, which the caller's cache may contain.
project=$home/project source=$(realpath "$(dirname "$0")/..")
mkdir -p "$project/Tests"
cp -r "$source/kernel" "$source/configs" "$source/rootfs" "$project"
cp -r "$source/Tests/programs" "$project/Tests"
sed '/^profiles:/,$d; /- swift:/d; /^    skip:/d' "$source/kbuild.yaml" >"$project/kbuild.yaml"
grep -q msgbox_ktap "$project/kbuild.yaml" || fail "the project has no tests"
cache=${KBUILD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kbuild} ccache=${CCACHE_DIR:-$HOME/.cache/ccache}
swiftless() {
    env -i HOME="$home" KBUILD_CACHE="$cache" CCACHE_DIR="$ccache" PATH="$root/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
        TERM=dumb "${hide[@]}" sh -c '! command -v swiftc >/dev/null || exit 99; exec "$@"' sh "$@"
}
if [ "${hide[0]}" = bwrap ]; then
    toolchain=$(dirname "$(dirname "$(realpath "$(command -v swiftc)")")")
    case $toolchain in /usr) ;; *) hide+=(--tmpfs "$toolchain") ;; esac
fi
if [ "${toolchain:-/usr}" = /usr ] && [ -e /usr/bin/swiftc ]; then
    echo "note: the Swift toolchain is in /usr and cannot be hidden"
else
    code=0
    swiftless kbuild doctor --project "$project" >"$scratch/doctor" || code=$?
    ! grep -q 'missing.*swift' "$scratch/doctor" || fail "doctor wants Swift: $(cat "$scratch/doctor")"
    code=0
    swiftless kbuild run --project "$project" --format json >"$scratch/report" 2>"$scratch/log" || code=$?
    [ "$code" = 0 ] || fail "a run without Swift ends with $code: $(tail -20 "$scratch/log")"
    passed=$(grep -c '"status" *: *"passed"' "$scratch/report")
    [ "$passed" -ge 10 ] || fail "a run without Swift passed $passed tests"
    echo "ok: without a Swift toolchain $passed tests passed in a guest"
fi

# The shells and man can read their files.
for page in "$root"/usr/share/man/man1/kbuild*.1.gz; do
    gzip --test "$page"
    if command -v groff >/dev/null; then
        warnings=$(gzip --decompress --stdout "$page" | groff -mandoc -Tutf8 -ww 2>&1 >/dev/null)
        [ -z "$warnings" ] || fail "$page: $warnings"
    fi
done
bare "$root/usr/bin" bash -c "
    source '$root/usr/share/bash-completion/completions/kbuild'
    complete -p kbuild" >/dev/null || fail "bash's completion"
grep -q '^#compdef kbuild' "$root/usr/share/zsh/vendor-completions/_kbuild" || fail "zsh's completion"
if command -v zsh >/dev/null; then zsh -n "$root/usr/share/zsh/vendor-completions/_kbuild" || fail "zsh's completion"; fi
fish=$root/usr/share/fish/vendor_completions.d/kbuild.fish
grep -q 'complete -c .*kbuild' "$fish" || fail "fish's completion"
if command -v fish >/dev/null; then fish --no-execute "$fish" || fail "fish's completion"; fi
echo "ok: $(basename "$package"): $(wc -l <"$scratch/control/md5sums") files, kbuild $version; doctor ended with $code"
