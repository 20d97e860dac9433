#!/usr/bin/env bash
# Makes a man page for each command from the command-line parser, in .build/man.
#
# Uses the tool of swift-argument-parser's plugin GenerateManual: the plugin itself would build kbuild again, with other
# options than `make build`.
set -euo pipefail
cd "$(dirname "$0")/.."
# The date of the last change, so that equal sources give equal pages.
date=$(git log -1 --format=%cs 2>/dev/null || date --utc +%F)
parser=(--package-path .build/checkouts/swift-argument-parser --scratch-path .build/manual)
swift build "${parser[@]}" --product generate-manual
tool=$(swift build "${parser[@]}" --show-bin-path)/generate-manual
rm -rf .build/man .build/manual-pages
mkdir -p .build/man .build/manual-pages
"$tool" .build/release/kbuild --multi-page --date "$date" --output-directory .build/manual-pages
for page in .build/manual-pages/*.1; do
    # kbuild-run, as `man kbuild run` looks for it, and not kbuild.run; and a paragraph in place of an empty line.
    name=$(basename "$page" .1)
    sed -E -e '/^\.(Dt|Nm|Xr) /s/([A-Za-z])\.([A-Za-z])/\1-\2/g' -e 's/^$/.Pp/' "$page" >".build/man/${name//./-}.1"
done
