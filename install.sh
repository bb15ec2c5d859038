#!/bin/sh
# Installs Assistant from this folder: packages, compiled program, launcher. `./install.sh --help` says the rest.
set -eu

usage() {
  cat <<'HELP'
Installs Assistant from this folder for the current user, without root. Running it again repairs or updates what is
there, and takes less than a second when nothing has changed.

Usage: ./install.sh [OPTIONS] [ARGUMENTS FOR ASSISTANT...]

  ./install.sh                                  install
  ./install.sh run smollm2 "Name three rivers." install, then ask a model
  ./install.sh --native                         install, then build the fast native engine
  ./install.sh --uninstall                      remove what was installed, keep models and settings

Options:
  --prefix DIR   put the launcher at DIR/bin/assistant (default: ~/.local)
  --native       build llama-server now and wait for it (minutes; needs git, cmake and a C++ compiler)
  --no-native    do not build it in the background, at low priority, where these tools are installed
  --no-cuda      leave GPUs out: build llama-server for the CPU
  --dev          only the packages, with those for tests and lint, and the compiled program; no launcher
  --uninstall    remove the launcher, the packages and the compiled program
  --purge        with --uninstall: also remove settings, pulled models, built engines and logs
  --help         show this

What it does: gets the packages that package-lock.json names, at exactly those versions, into node_modules; Node.js 24
is one of them where this machine's Node.js is older; compiles the TypeScript into dist; writes the launcher.
HELP
}

root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
prefix=
native=later
dev=no
cuda=auto
uninstall=no
purge=no

say() { printf '%s\n' "$*" >&2; }
fail() {
  printf 'Error: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '%s\n' "$line" >&2; done
  exit 1
}
wrong_usage() {
  printf 'Error: %s\n' "$1" >&2
  say "Run ./install.sh --help to see what it takes."
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in
    --prefix)
      [ $# -ge 2 ] || wrong_usage "--prefix needs a directory."
      prefix=$2
      shift
      ;;
    --prefix=*) prefix=${1#--prefix=} ;;
    --native) native=yes ;;
    --no-native) native=no ;;
    --no-cuda) cuda=no ;;
    --dev) dev=yes ;;
    --uninstall) uninstall=yes ;;
    --purge) purge=yes ;;
    -h | --help)
      usage
      exit 0
      ;;
    --)
      shift
      break
      ;;
    -*) wrong_usage "unknown option $1" ;;
    *) break ;;
  esac
  shift
done
[ "$purge" = no ] || [ "$uninstall" = yes ] || wrong_usage "--purge belongs to --uninstall."
[ "$uninstall" = no ] || [ $# -eq 0 ] || wrong_usage "--uninstall takes no further arguments, and got: $*"

[ -n "${HOME:-}" ] || [ -n "$prefix" ] || fail "HOME is not set, so there is no default place for the launcher." "Set HOME, or give --prefix DIR."
prefix=${prefix:-$HOME/.local}
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
launcher=$prefix/bin/assistant
mark="# Launcher made by Assistant's install.sh"
stamp=$root/node_modules/.assistant-stamp
cache=$root/.cache
log=$cache/install.log
version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "$root/package.json")

# --- What this machine has

# Major version of the given Node, or 0.
node_major() {
  major=$("$1" -p 'process.versions.node.split(".")[0]' 2>/dev/null) || major=0
  printf '%s' "$major"
}

# npm puts the packages' own programs first on the PATH of its scripts; a Node from there is not this machine's, and
# goes away with the packages.
outside_path() {
  printf '%s' "$PATH" | tr ':' '\n' | grep -v '/node_modules/\.bin$' | tr '\n' ':'
}
system_node=$(PATH=$(outside_path) command -v node 2>/dev/null || true)
system_major=$([ -z "$system_node" ] && echo 0 || node_major "$system_node")

tilde() {
  case $1 in
    "${HOME:-/nonexistent}"/*) printf '~%s' "${1#"$HOME"}" ;;
    *) printf '%s' "$1" ;;
  esac
}

is_ours() { [ -f "$1" ] && grep -qF "$mark" "$1" 2>/dev/null; }

# --- Long steps: run in the background with their output in the log, and show that time passes

child=
staging=$cache/install.$$
clean_up() {
  if [ -n "$child" ]; then
    kill "$child" 2>/dev/null || true
    # Only when it has ended does it stop writing into the folder that is removed now.
    wait "$child" 2>/dev/null || true
  fi
  rm -rf "$staging"
}
trap 'clean_up' EXIT
trap 'say ""; say "Interrupted. Nothing that was installed before has changed; run it again to go on."; exit 130' INT
trap 'exit 143' TERM HUP

# step TITLE COMMAND...: fails with the end of the log when the command fails.
step() {
  title=$1
  shift
  began=$(date +%s)
  printf '\n--- %s: %s\n' "$title" "$*" >>"$log"
  "$@" >>"$log" 2>&1 </dev/null &
  child=$!
  shown=0
  [ -t 2 ] || say "$title ..."
  while kill -0 "$child" 2>/dev/null; do
    elapsed=$(($(date +%s) - began))
    if [ -t 2 ]; then
      case $((shown % 4)) in 0) sign='|' ;; 1) sign=/ ;; 2) sign=- ;; *) sign='\' ;; esac
      printf '\r%s %s ... %s s ' "$sign" "$title" "$elapsed" >&2
      shown=$((shown + 1))
    elif [ $((elapsed / 5)) -gt "$shown" ]; then
      shown=$((elapsed / 5))
      say "$title ... $elapsed s"
    fi
    sleep 0.2 2>/dev/null || sleep 1
  done
  status=0
  wait "$child" || status=$?
  child=
  elapsed=$(($(date +%s) - began))
  [ ! -t 2 ] || printf '\r\033[K' >&2
  if [ "$status" -ne 0 ]; then
    say "$title failed after $elapsed s:"
    awk '/^--- /{text=""} {text=text $0 "\n"} END{printf "%s", text}' "$log" | sed 's/^/  /' >&2
    fail "$title failed." "The output above is in $log too. $step_hint"
  fi
  say "$title: done in $elapsed s"
}

# --- Removing

remove() {
  [ -e "$1" ] || [ -L "$1" ] || return 0
  rm -rf -- "$1"
  say "Removed $(tilde "$1")"
}

uninstall_all() {
  settings=${XDG_CONFIG_HOME:-$HOME/.config}/assistant
  data=${XDG_DATA_HOME:-$HOME/.local/share}/assistant
  state=${XDG_STATE_HOME:-$HOME/.local/state}/assistant
  if is_ours "$launcher"; then
    if "$launcher" stop >/dev/null 2>&1; then say "Stopped the daemon, if one ran"; fi
    "$launcher" engine build --cancel >/dev/null 2>&1 || true
    remove "$launcher"
  elif [ -e "$launcher" ]; then
    say "Left $(tilde "$launcher"): it is not a launcher of Assistant's"
  fi
  remove "$root/node_modules"
  remove "$root/dist"
  remove "$log"
  if [ "$purge" = yes ]; then
    for folder in "$settings" "$data" "$state"; do remove "$folder"; done
  else
    left=
    for folder in "$settings" "$data" "$state"; do [ ! -e "$folder" ] || left="$left $(tilde "$folder")"; done
    [ -z "$left" ] || say "Left in place (settings, models, engines, logs):$left" "- to remove them too: ./install.sh --uninstall --purge"
  fi
  [ -z "${ASSISTANT_DATA_DIR:-}" ] || say "Left in place: ASSISTANT_DATA_DIR, $ASSISTANT_DATA_DIR"
  say "Assistant is uninstalled. This folder, $(tilde "$root"), is yours to delete."
}

# --- Installing

require_npm() {
  if [ -z "$system_node" ] || ! command -v npm >/dev/null 2>&1; then
    case $(uname -s) in
      Darwin) how="brew install node" ;;
      *) how="apt install nodejs npm (Debian, Ubuntu), dnf install nodejs npm (Fedora), pacman -S nodejs npm (Arch)" ;;
    esac
    fail "Assistant needs Node.js 18 or newer with npm to be installed, and this machine lacks $([ -n "$system_node" ] && echo npm || echo node)." "Install it: $how"
  fi
  [ "$system_major" -ge 18 ] || fail "Assistant needs Node.js 18 or newer to be installed, and $system_node is $("$system_node" --version 2>/dev/null || echo broken)."
  if [ "$system_major" -lt 24 ]; then
    case $(uname -s)-$(uname -m) in
      Linux-x86_64 | Linux-aarch64) ;;
      Darwin-*) fail "Assistant needs Node.js 24, and $system_node is $("$system_node" --version)." "Install it: brew install node@24 && brew link --overwrite node@24" ;;
      *) fail "Assistant needs Node.js 24, $system_node is $("$system_node" --version), and there is no package that brings it for $(uname -s) on $(uname -m)." "Install Node.js 24 from https://nodejs.org, then run this again." ;;
    esac
  fi
}

# The Node that runs Assistant: this machine's where it is new enough, else the one among the packages.
choose_node() {
  node=
  if [ "$system_major" -ge 24 ]; then
    # As a file: version managers put a wrapper on the PATH that depends on the shell's state.
    node=$("$system_node" -p process.execPath)
  elif [ -x "$root/node_modules/.bin/node" ]; then
    node=$(CDPATH='' cd -- "$root/node_modules/.bin" && pwd -P)/node
  fi
  [ -n "$node" ]
}

packages_wanted() {
  sum=$(cat "$root/package-lock.json" "$root/.fit-lock.cjs" | cksum | tr ' ' -)
  fitting=
  [ "$dev" = no ] || fitting="$fitting --dev"
  [ "$system_major" -lt 24 ] || fitting="$fitting --own-node"
}

packages_current() {
  [ -f "$stamp" ] || return 1
  read -r stamp_sum stamp_kind _ <"$stamp" || return 1
  [ "$stamp_sum" = "$sum" ] || return 1
  [ "$dev" = no ] || [ "$stamp_kind" = dev ] || return 1
  choose_node
}

write_stamp() {
  kind=user
  [ "$dev" = no ] || kind=dev
  printf '%s %s\n' "$sum" "$kind" >"$stamp"
}

install_packages() {
  packages_wanted
  packages_current && return 0
  require_npm
  # Unquoted on purpose: $fitting is a list of options.
  # shellcheck disable=SC2086
  if "$system_node" "$root/.fit-lock.cjs" check "$root" $fitting && choose_node; then
    write_stamp
    return 0
  fi
  # Into a folder of its own first: a failure leaves what was installed as it was.
  # shellcheck disable=SC2086
  "$system_node" "$root/.fit-lock.cjs" write "$root" "$staging" $fitting
  omit=--omit=dev
  [ "$dev" = no ] || omit=--include=dev
  step_hint="If a server could not be reached, check the network and npm's proxy settings; then run this again."
  # Not --prefix: npm would look there for the machine's own settings (proxy, certificates, mirror) as well.
  step "Getting the packages" sh -c 'cd "$1" && shift && exec "$@"' sh "$staging" npm ci $omit --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
  rm -rf "$root/node_modules"
  mv "$staging/node_modules" "$root/node_modules"
  rm -rf "$staging"
  choose_node || fail "The packages hold no Node.js 24 that runs on this machine." "Install Node.js 24 from https://nodejs.org, then run this again."
  "$node" --version >/dev/null 2>>"$log" || fail "The Node.js 24 of the packages does not run on this machine." "Install Node.js 24 from https://nodejs.org, then run this again."
  write_stamp
}

sources_sum() {
  (
    cd "$root"
    find src commands rolldown.config.mjs package-lock.json -type f \( -name '*.ts' -o -name '*.tsx' -o -name '*.json' -o -name '*.mjs' \) -exec cksum {} + | LC_ALL=C sort | cksum | tr ' ' -
  )
}

compile() {
  sum=$(sources_sum)
  [ "$(cat "$root/dist/.sources" 2>/dev/null || true)" != "$sum" ] || return 0
  step_hint="The sources do not fit together: restore them from where you got them, then run this again."
  # Whole and beside the old one: commands whose source has gone must not stay.
  rm -rf "$staging"
  step "Compiling" "$node" "$root/node_modules/rolldown/bin/cli.mjs" --config "$root/rolldown.config.mjs" --dir "$staging/dist"
  mkdir -p "$staging/dist/chunks"
  ls "$staging/dist/chunks" >"$staging/dist/.chunks"
  # A daemon that runs still loads parts of the build that it was started from.
  if [ -f "$root/dist/.chunks" ]; then
    while read -r chunk; do cp -n "$root/dist/chunks/$chunk" "$staging/dist/chunks/"; done <"$root/dist/.chunks"
  fi
  rm -rf "$root/dist"
  mv "$staging/dist" "$root/dist"
  printf '%s\n' "$sum" >"$root/dist/.sources"
}

quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

launcher_text() {
  printf '#!/bin/sh\n%s\n' "$mark"
  printf 'node=%s\nroot=%s\n' "$(quoted "$node")" "$(quoted "$root")"
  cat <<'TEXT'
[ -x "$node" ] && [ -f "$root/bin/assistant.js" ] || {
  echo "Error: Assistant was installed from $root with $node, and one of them has gone. Run install.sh again." >&2
  exit 1
}
exec "$node" "$root/bin/assistant.js" "$@"
TEXT
}

write_launcher() {
  text=$(launcher_text)
  if [ -e "$launcher" ]; then
    is_ours "$launcher" || fail "$launcher is another program; it was left as it is." "Choose another place with --prefix DIR, or move it away."
    [ "$(cat "$launcher")" != "$text" ] || return 0
  fi
  mkdir -p "$prefix/bin" 2>/dev/null && [ -w "$prefix/bin" ] || fail "$prefix/bin cannot be written." "Choose another place with --prefix DIR."
  printf '%s\n' "$text" >"$launcher.$$"
  chmod 755 "$launcher.$$"
  mv "$launcher.$$" "$launcher"
  changed=yes
}

advise_path() {
  case ":$PATH:" in *":$prefix/bin:"*) return 0 ;; esac
  folder=$prefix/bin
  case $folder in "${HOME:-/nonexistent}"/*) folder="\$HOME${folder#"$HOME"}" ;; esac
  case ${SHELL:-} in
    */fish) say "$(tilde "$prefix/bin") is not on your PATH. Run once: fish_add_path \"$folder\"" ;;
    */zsh) say "$(tilde "$prefix/bin") is not on your PATH. Add this line to ~/.zshrc and open a new terminal:" "  export PATH=\"$folder:\$PATH\"" ;;
    *) say "$(tilde "$prefix/bin") is not on your PATH. Add this line to ~/.profile and log in again: export PATH=\"$folder:\$PATH\"" ;;
  esac
}

if [ "$uninstall" = yes ]; then
  uninstall_all
  exit 0
fi

[ -w "$root" ] || fail "$root cannot be written, and the packages and the compiled program go there." "Copy the folder to a place of your own, and run install.sh there."
mkdir -p "$cache"
: >"$log"
before=$(cat "$stamp" "$root/dist/.sources" 2>/dev/null || true)
[ -n "$before" ] || say "Installing Assistant $version in $(tilde "$root")"
changed=no
install_packages
compile
[ "$dev" = no ] || exit 0
write_launcher
[ "$before" = "$(cat "$stamp" "$root/dist/.sources")" ] || changed=yes
if [ "$changed" = yes ]; then
  say "Installed: Assistant $version at $(tilde "$launcher"), on Node.js $("$node" -p process.versions.node)"
elif [ $# -eq 0 ]; then
  say "Nothing to do: Assistant $version is installed at $(tilde "$launcher")"
fi
if [ "$changed" = yes ] || [ $# -eq 0 ]; then advise_path; fi
trap - EXIT INT TERM HUP
gpu=--gpu
[ "$cuda" = auto ] || gpu=--no-gpu
case $native in
  yes) "$launcher" engine build $gpu ;;
  # Whoever waits for an answer gets it from the embedded engine meanwhile. Nobody comes back for it in a CI.
  later) [ -n "${CI:-}" ] || "$launcher" engine build --background $gpu >/dev/null 2>&1 </dev/null & ;;
esac
[ $# -gt 0 ] || exit 0
exec "$launcher" "$@"
