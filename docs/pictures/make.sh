#!/usr/bin/env bash
# Makes the pictures of the README from real runs: make.sh KBUILD
#
# A project of `kbuild init` is run in a terminal of tmux: first unchanged and without a cache, so that the kernel is
# compiled, and then with a bug in its call. The pictures show the terminal's contents. The runs see their project in
# /home/me, so that no folder of this machine is in a picture.
set -euo pipefail
kbuild=$(realpath "$1")
cd "$(dirname "$0")"
columns=100
scratch=$(mktemp -d)
terminal=(tmux -L "kbuild-pictures-$$" -f /dev/null)
trap '"${terminal[@]}" kill-server 2>/dev/null || true; rm -rf "$scratch"' EXIT
mkdir -p "$scratch/home" "$scratch/bin"
cp "$kbuild" "$scratch/bin/kbuild"

# ccache avoids repeated compilations.
ccache=$(ccache --get-config cache_dir 2>/dev/null || true)
cat >"$scratch/rc" <<'RC'
PS1='$ '
RC
"${terminal[@]}" new-session -d -x "$columns" -y 60 -- \
    bwrap --dev-bind / / --tmpfs /home --bind "$scratch/home" /home/me --chdir /home/me --unsetenv KBUILD_CACHE \
    --unsetenv XDG_CACHE_HOME --unsetenv NO_COLOR --setenv HOME /home/me --setenv PATH "$scratch/bin:$PATH" \
    --setenv CCACHE_DIR "${ccache:-/home/me/.cache/ccache}" bash --noprofile --rcfile "$scratch/rc" -i

# Types a line.
type_line() { "${terminal[@]}" send-keys -l "$1" && "${terminal[@]}" send-keys Enter; }
# Waits until the terminal's contents match a pattern, and saves them.
keep_when() {
    until "${terminal[@]}" capture-pane -p >"$scratch/text" && grep -Eq "$2" "$scratch/text"; do sleep 0.2; done
    "${terminal[@]}" capture-pane -e -p >"$scratch/$1"
}
# Runs a line whose output is not shown.
run() {
    type_line "$1 >/dev/null 2>&1; clear; echo done"
    keep_when nothing '^done$'
    type_line clear
    keep_when nothing '^\$ $|^\$$'
}

run 'kbuild init my-kernel; cd my-kernel'
type_line 'kbuild run --accel tcg'
keep_when compiling 'compile.* [[]#{5,}-'
keep_when passed '^(PASSED|[A-Z ]+): [0-9]+ passed'
grep -q '^PASSED' "$scratch/text" || { cat "$scratch/text" >&2; exit 1; }
type_line clear
keep_when nothing '^\$ ?$'
type_line "sed -i 's/number < 0/number < -1/' kernel/hello_there/hello_there.c; kbuild run --accel tcg"
keep_when failed '^(FAILED|[A-Z ]+): [0-9]+ passed'
sleep 1
keep_when failed '^FAILED'
./render.py run.svg "$columns" 'while the kernel compiles'="$scratch/compiling" 'and when it has run'="$scratch/passed"
./render.py failure.svg "$columns" 'with a mistake in the call'="$scratch/failed"
