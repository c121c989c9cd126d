#!/usr/bin/env bash
# Installs the tree into an empty folder, builds a separate project against it with the given compiler, and runs it.
#   install_test.sh BUILD_DIR COMPILER
set -euo pipefail
build=$(cd "$1" && pwd)
compiler=$2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! command -v "$compiler" >/dev/null; then
  echo "skipped: $compiler is not installed"
  exit 77
fi
cmake --install "$build" --prefix "$work/berth" >/dev/null
cp -r "$here/project" "$work/project"
# Decoys for every header folder of ours a careless include could pick up from the user's tree.
for folder in runtime/base runtime/value runtime/net runtime/client gpu; do
  mkdir -p "$work/project/$folder"
  for header in result.hpp error.hpp link.hpp value.hpp; do
    echo '#error "the user'"'"'s own folder was taken for berth'"'"'s"' >"$work/project/$folder/$header"
  done
done
cmake -S "$work/project" -B "$work/build" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$work/berth" \
  -DCMAKE_CXX_FLAGS="-Wall -Wextra -Werror" >/dev/null
cmake --build "$work/build"
export BERTH_RUNTIME_DIR="$work/run" BERTH_STATE_DIR="$work/state" BERTH_CACHE_DIR="$work/cache"
unset BERTH_HEAD BERTH_BIN
said=$("$work/build/caller")
[ "$said" = "berthberth" ] || { echo "the caller said '$said'"; exit 1; }
"$work/berth/bin/berth" up
trap '"$work/berth/bin/berth" down >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
"$work/berth/bin/berth" ship "$work/build/greeting.so" --as demo/greet --tag prod
said=$("$work/berth/bin/berth" call demo/greet@prod '"Ada"')
[ "$said" = '"Hello, Ada!"' ] || { echo "the service said '$said'"; exit 1; }
[ -f "$work/berth/share/man/man1/berth-ship.1" ] || { echo "no man page for ship"; exit 1; }
# The shared library hides what it is made of.
if nm -D --defined-only "$work/berth/lib/"*/libberth.so.0 2>/dev/null | c++filt | grep -E ' (boost|capnp|kj|fmt|toml)::' | head -3 | grep .; then
  echo "libberth.so.0 exports symbols of its dependencies"
  exit 1
fi
"$work/berth/bin/berth" down
trap 'rm -rf "$work"' EXIT
echo "built and ran with $compiler"
