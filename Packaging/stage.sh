#!/usr/bin/env bash
# Installs, lists or removes kbuild's files below a folder: stage.sh install|list|remove DESTDIR PREFIX DOCS ZSH
#
#   DESTDIR  a folder that stands for the root of the file system; "" for the root itself
#   PREFIX   such as /usr/local
#   DOCS     the folder for documentation, such as /usr/local/share/doc/kbuild
#   ZSH      the folder for zsh's completion functions
set -euo pipefail
cd "$(dirname "$0")/.."
action=$1 destdir=$2 prefix=$3 docs=$4 zsh=$5
kbuild=.build/release/kbuild
pages=.build/man
init=.build/init
symbols=.build/symbols/kbuild.debug

# Each file once: its mode, its target, and its source ("kbuild SHELL" for a completion script).
files() {
    printf '%s\t%s\t%s\n' 755 "$prefix/bin/kbuild" "$kbuild"
    # The guest's init, compiled, so that projects without suites in Swift need no Swift toolchain.
    printf '%s\t%s\t%s\n' 755 "$prefix/lib/kbuild/init" "$init/init"
    printf '%s\t%s\t%s\n' 644 "$prefix/lib/kbuild/init.sources" "$init/init.sources"
    printf '%s\t%s\t%s\n' 644 "$prefix/share/bash-completion/completions/kbuild" 'kbuild bash'
    printf '%s\t%s\t%s\n' 644 "$zsh/_kbuild" 'kbuild zsh'
    printf '%s\t%s\t%s\n' 644 "$prefix/share/fish/vendor_completions.d/kbuild.fish" 'kbuild fish'
    # Another version may have installed the files that are removed.
    if [ "$action" = remove ]; then
        for page in "$destdir$prefix"/share/man/man1/kbuild{,-*}.1.gz; do
            printf '%s\t%s\t%s\n' 644 "${page#"$destdir"}" "$page"
        done
    else
        for page in "$pages"/*.1; do
            printf '%s\t%s\t%s\n' 644 "$prefix/share/man/man1/${page##*/}.gz" "$page"
        done
    fi
    for document in README.md CHANGELOG.md docs/*.md docs/guide/* docs/decisions/* docs/reference/* docs/ci/* docs/tutorial/* docs/pictures/*.svg; do
        printf '%s\t%s\t%s\n' 644 "$docs/${document#docs/}" "$document"
    done
    # Debian keeps licences in the file copyright; there is one when there is a licence.
    if [ -e LICENSE ]; then printf '%s\t%s\t%s\n' 644 "$docs/copyright" LICENSE; fi
}

if [ "$action" = install ]; then "$kbuild" __compile-init rootfs/init "$init"; fi

files | while IFS=$'\t' read -r mode target source; do
    path=$destdir$target
    case $action in
    list) echo "$path" ;;
    remove)
        rm -f "$path"
        # Folders that only kbuild uses.
        case $target in "$docs"/*) rmdir -p --ignore-fail-on-non-empty "$(dirname "$path")" 2>/dev/null || true ;; esac
        ;;
    install)
        mkdir -p "$(dirname "$path")"
        case $source in
        'kbuild '*) "$kbuild" --generate-completion-script "${source#kbuild }" >"$path.new" ;;
        *.1) gzip --best --no-name --stdout "$source" >"$path.new" ;;
        # The other documents are beside it there, not in a folder below.
        README.md | CHANGELOG.md) sed 's|](docs/|](|g' "$source" >"$path.new" ;;
        # A running kbuild keeps the executable that it was started from.
        "$kbuild")
            # Debug information stays beside the build, for `gdb -s` and for eu-addr2line, under the name that the
            # stripped file has for it.
            mkdir -p "${symbols%/*}"
            objcopy --only-keep-debug "$source" "$symbols"
            objcopy --strip-unneeded --add-gnu-debuglink="$symbols" "$source" "$path.new"
            ;;
        *) cp "$source" "$path.new" ;;
        esac
        chmod "$mode" "$path.new"
        mv "$path.new" "$path"
        ;;
    esac
done
