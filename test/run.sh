#!/bin/sh
# Lint, types and tests. Works as the first command in a fresh clone: what is missing is installed and built first.
# Arguments go to vitest (`npm test -- test/unit/scheduler`); lint and types are then left out.
#
#   ASSISTANT_TEST_SEED=DIR            folder with model files (*.gguf) that are copied instead of pulled
#   ASSISTANT_TEST_LLAMA_SERVER=FILE   native engine to test with, instead of the one that is built here and kept
set -u
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd "$root" || exit 1
cache=$root/.cache
engine=$cache/data/engines/llama-server/llama-server
building=
mkdir -p "$cache"
rm -f "$cache"/vitest*.json "$cache/verdict"

./install.sh --dev || exit 1
# Node.js 24 is among the packages where this machine's own is older.
PATH=$root/node_modules/.bin:$PATH
export PATH

# Only these drive a real engine; everything else runs against fakes.
needs_engine() {
  [ $# -gt 0 ] || return 0
  for word in "$@"; do
    case $word in -* | *test/unit* | unit | *test/integration* | integration) ;; *) return 0 ;; esac
  done
  return 1
}

# Building takes minutes, so tests that do without the engine run meanwhile; the build takes mostly the time they leave.
# Its data directory is the tests': nobody's installation is looked at or changed.
begin_engine() {
  [ -z "${ASSISTANT_TEST_LLAMA_SERVER:-}" ] || return 0
  echo "Building the native engine in the background (.cache/engine-build.log)"
  ASSISTANT_DATA_DIR=$cache/data nice -n 10 node bin/assistant.js engine build >"$cache/engine-build.log" 2>&1 &
  building=$!
  trap 'kill "$building" 2>/dev/null' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
}

await_engine() {
  [ -n "$building" ] || return 0
  echo "Waiting for the native engine"
  if wait "$building"; then
    ASSISTANT_TEST_LLAMA_SERVER=$engine
    export ASSISTANT_TEST_LLAMA_SERVER
  else
    cat "$cache/engine-build.log"
    echo "There is no native engine to test: its tests will fail."
  fi
  building=
  trap - EXIT INT TERM HUP
}

# run_tests NAME ARGUMENT...: runs vitest and adds its report to what the verdict counts.
reports=
run_tests() {
  report=.cache/vitest-$1.json
  shift
  runner=0
  vitest run --reporter=default --reporter=json --outputFile.json="$report" "$@" || runner=$?
  reports="$reports $report $runner"
}

failures=0
if [ $# -eq 0 ]; then
  begin_engine
  echo "Lint"
  npm run --silent lint || failures=$((failures + 1))
  echo "Types"
  # The other core compiles the engine; several checkers would do much of the work several times.
  npm run --silent typecheck -- --checkers 1 || failures=$((failures + 1))
  run_tests fakes --project unit --project integration
  await_engine
  run_tests engine --project conformance --project e2e
else
  if needs_engine "$@"; then
    begin_engine
    await_engine
  fi
  run_tests chosen "$@"
fi

# The last word: a skipped test, a failed lint and a runner that crashed all count as failures.
# Unquoted on purpose: a list of reports and exit codes.
# shellcheck disable=SC2086
node test/verdict.ts "$cache/verdict" "$failures" $reports
