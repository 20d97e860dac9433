#!/usr/bin/env bash
# Makes a man page of each command, from what the command line's parser knows, in .build/man.
set -euo pipefail
cd "$(dirname "$0")/.."
# The date of the last change, so that equal sources give equal pages.
date=$(git log -1 --format=%cs 2>/dev/null || date --utc +%F)
made=.build/plugins/GenerateManual/outputs/kbuild
rm -rf "$made" .build/man
swift package --static-swift-stdlib plugin --allow-writing-to-package-directory generate-manual \
    --multi-page --date "$date"
mkdir -p .build/man
for page in "$made"/*.1; do
    # kbuild-run, as `man kbuild run` looks for it, and not kbuild.run.
    name=$(basename "$page" .1)
    sed -E '/^\.(Dt|Nm|Xr) /s/(kbuild|KBUILD|[A-Za-z-]+)\.([A-Za-z])/\1-\2/g' "$page" >".build/man/${name//./-}.1"
done
