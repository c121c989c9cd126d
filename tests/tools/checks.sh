# Sourced by the tests of the command line: a cluster of their own in a temporary folder, and `check`.
#   . checks.sh BUILD_DIR
berth=$(cd "$1" && pwd)/bin/berth
work=$(mktemp -d)
unset BERTH_HEAD BERTH_OUTPUT
export BERTH_RUNTIME_DIR="$work/run" BERTH_STATE_DIR="$work/state" BERTH_CACHE_DIR="$work/cache" BERTH_CONFIG_DIR="$work/config"
failures=0
passed=0
cleanup() { "$berth" down >/dev/null 2>&1; rm -rf "$work"; }
trap cleanup EXIT
cd "$work" || exit 1

# verdict WHAT CODE EXPECTED_CODE PATTERN OUTPUT: one extended regular expression has to be found in the output.
verdict() {
  if [ "$2" = "$3" ] && grep -qE -- "$4" <<<"$5"; then
    passed=$((passed + 1))
    return
  fi
  printf 'FAILED: %s\n  exit code %s, expected %s; expected /%s/ in:\n%s\n' "$1" "$2" "$3" "$4" "$5"
  failures=$((failures + 1))
}

# check WHAT CODE PATTERN COMMAND…: exit code and pattern over stdout and stderr together.
check() {
  local what=$1 code=$2 pattern=$3 said got
  shift 3
  said=$("$@" 2>&1)
  got=$?
  verdict "$what ($*)" "$got" "$code" "$pattern" "$said"
}

# await SECONDS COMMAND…: until the command succeeds.
await() {
  local tenths=$(($1 * 10))
  shift
  while ! "$@" >/dev/null 2>&1; do
    [ $((tenths--)) -gt 0 ] || return 1
    read -rt 0.1 <> <(:) || true
  done
}

# runs WORD…: some process of this test has all of these in its command line.
runs() {
  local found
  found=$(cluster_processes)
  for word; do
    found=$(for pid in $found; do grep -qzas -- "$word" "/proc/$pid/cmdline" && echo "$pid"; done)
  done
  [ -n "$found" ]
}

# Processes of this test's cluster, one pid a line; the tools that look for them do not count.
cluster_processes() (
  unset BERTH_RUNTIME_DIR
  grep -lzs "BERTH_RUNTIME_DIR=$work/run" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3
)

# interrupt WHAT MARK PATTERN COMMAND…: Ctrl-C once MARK (a command) succeeds; the program ends with 130 within 5 s.
interrupt() {
  local what=$1 mark=$2 pattern=$3 pid got=0
  shift 3
  "$@" >out.txt 2>&1 </dev/null &
  pid=$!
  if ! await 30 eval "$mark"; then
    verdict "a sign of $what" 1 0 '' "$(cat out.txt)"
  fi
  kill -INT "$pid"
  await 5 eval "! kill -0 $pid" || { kill -9 "$pid"; echo "  (it did not end within 5 s)" >>out.txt; }
  wait "$pid" || got=$?
  verdict "$what ends by Ctrl-C ($*)" "$got" 130 "$pattern" "$(cat out.txt)"
}

finish() {
  printf '%d checks passed, %d failed\n' "$passed" "$failures"
  [ "$failures" = 0 ]
}
