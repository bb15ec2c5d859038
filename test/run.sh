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
report=$cache/vitest.json
mkdir -p "$cache"
rm -f "$report" "$cache/verdict"

./install.sh --dev || exit 1
# Node.js 24 is among the packages where this machine's own is older.
PATH=$root/node_modules/.bin:$PATH
export PATH

# Nobody needs the native engine for unit tests, and building it takes minutes.
unit_only() {
  [ $# -gt 0 ] || return 1
  for word in "$@"; do
    case $word in -* | *test/unit* | unit) ;; *) return 1 ;; esac
  done
}

if [ -z "${ASSISTANT_TEST_LLAMA_SERVER:-}" ] && ! unit_only "$@"; then
  # In a data directory of the tests' own: nobody's installation is looked at or changed.
  if ASSISTANT_DATA_DIR=$cache/data nice -n 5 node bin/assistant.js engine build; then
    ASSISTANT_TEST_LLAMA_SERVER=$cache/data/engines/llama-server/llama-server
    export ASSISTANT_TEST_LLAMA_SERVER
  else
    echo "There is no native engine to test: its tests will fail."
  fi
fi

failures=0
if [ $# -eq 0 ]; then
  echo "Lint"
  npm run --silent lint || failures=$((failures + 1))
  echo "Types"
  npm run --silent typecheck || failures=$((failures + 1))
fi

runner=0
vitest run --reporter=default --reporter=json --outputFile.json="$report" "$@" || runner=$?
# The last word: a skipped test, a failed lint and a runner that crashed all count as failures.
node test/verdict.ts "$report" "$runner" "$failures" "$cache/verdict"
