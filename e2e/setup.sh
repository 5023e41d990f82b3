#!/bin/sh
# Installs what building, the demo and the tests need, on Debian, as root. Nothing that is installed is removed or
# replaced, and when nothing is missing this takes well under a second. `setup.sh image` installs only what builds the exporter's
# image: for the Dockerfile.
set -eu
cd "$(dirname "$0")/.."
export DEBIAN_FRONTEND=noninteractive

# Keep in step with e2e/src/kernels.rs (cache).
cache=${INOTRAIL_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/inotrail}
rust=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
components='rust-src clippy rustfmt'
# Guests of machines with the other architecture are cross-built, and linked statically. So is the image, with musl.
targets='aarch64-unknown-linux-gnu aarch64-unknown-linux-musl x86_64-unknown-linux-gnu x86_64-unknown-linux-musl'
case $(uname -m) in
aarch64) cross='gcc-x86-64-linux-gnu libc6-dev-amd64-cross' ;;
*) cross='gcc-aarch64-linux-gnu libc6-dev-arm64-cross' ;;
esac
linker=0.13.0
# The major version of LLVM inside of that rustc: bpf-linker reads rustc's bitcode.
llvm=22
go=1.26
# Grafana's packages, which check the dashboards.
node=20

# The linker: llvm, zstd, zlib. The containerd client: protoc.
building="ca-certificates gcc g++ libc6-dev make pkg-config git llvm-$llvm-dev libzstd-dev zlib1g-dev protobuf-compiler $cross"
# runc: libseccomp. The quick start: curl, jq. Hooks: podman. Kubernetes: etcd, and what nodes' networks need. Kernels in machines: qemu, cpio. Benchmarks: valgrind. Disks that fail: e2fsprogs, strace.
packages="$building libseccomp-dev
  curl jq podman conmon etcd-server containernetworking-plugins iproute2 nftables
  qemu-system-x86 qemu-system-arm cpio zstd xz-utils valgrind e2fsprogs strace"
purpose=${1:-all}
[ "$purpose" != image ] || packages=$building

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
  say "$*"
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }
installed() { [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

updated=
install() {
  [ "$(id -u)" = 0 ] || fail "as root, run: apt-get install $*"
  say "installing $*"
  [ -n "$updated" ] || apt-get update -qq
  updated=yes
  # --no-remove: fails rather than take away what is there.
  apt-get install -qq --yes --no-install-recommends --no-remove -o DPkg::Lock::Timeout=300 "$@" >&2 </dev/null ||
    fail "apt-get cannot install: $* (the messages above say why)"
}

# candidate PACKAGE VERSION: whether apt has at least that version.
candidate() {
  version=$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p')
  case $version in '' | '(none)') return 1 ;; esac
  dpkg --compare-versions "${version#*:}" ge "$2"
}

apt_packages() {
  has apt-get || fail "this is for Debian; elsewhere install what this script names: $packages"
  missing=
  # One question for all of them; packages apt does not know at all are not in the answer.
  # shellcheck disable=SC2086
  states=$(dpkg-query --show --showformat '${Package} ${db:Status-Status}\n' $packages 2>/dev/null || true)
  for package in $packages; do
    case "
$states
" in *"
$package installed
"*) ;; *) missing="$missing $package" ;; esac
  done
  # shellcheck disable=SC2086
  [ -z "$missing" ] || install $missing
}

# Containers are made of the static busybox. It cannot be installed beside the ordinary one, so there it is only unpacked.
static_busybox() {
  if installed busybox-static || [ -x "$cache/busybox-static/bin/busybox" ]; then return; fi
  if ! installed busybox; then
    install busybox-static
    return
  fi
  say "unpacking busybox-static into $cache"
  [ -n "$updated" ] || apt-get update -qq
  mkdir -p "$cache"
  scratch=$(mktemp -d "$cache/.busybox-XXXXXX")
  # apt fetches as a user that may not write here otherwise.
  (cd "$scratch" && apt-get download -qq -o APT::Sandbox::User=root busybox-static && dpkg-deb --extract ./*.deb root)
  rm -rf "$cache/busybox-static"
  mkdir "$cache/busybox-static"
  # Newer suites have it in usr/bin.
  mkdir "$cache/busybox-static/bin"
  find "$scratch/root" -path '*/bin/busybox' -type f -exec mv {} "$cache/busybox-static/bin/busybox" \;
  rm -rf "$scratch"
}

rust_toolchain() {
  if ! has rustup; then
    candidate rustup 1.27 || fail 'rustup is missing and apt has none: install it as https://rustup.rs says, then run this again'
    install rustup
  fi
  have=$(rustup component list --toolchain "$rust" --installed 2>/dev/null || true)
  there=$(rustup target list --toolchain "$rust" --installed 2>/dev/null || true)
  for target in $targets; do
    case $there in *"$target"*) ;; *) have= ;; esac
  done
  for component in $components; do
    case $have in *"$component"*) ;; *)
      say "installing Rust $rust with $components"
      # shellcheck disable=SC2046
      rustup toolchain install "$rust" --profile minimal $(printf -- '--target %s ' $targets) $(printf -- '--component %s ' $components) >&2
      return
      ;;
    esac
  done
}

bpf_linker() {
  case $(bpf-linker --version 2>/dev/null || true) in *" $linker") return ;; esac
  say "building bpf-linker $linker (about two minutes, once)"
  LLVM_PREFIX=/usr/lib/llvm-$llvm cargo "+$rust" install bpf-linker --version "$linker" --no-default-features \
    --features "llvm-$llvm" --locked --quiet >&2
}

# Since Go 1.21 an older one fetches the version that a module asks for, unless told not to.
go_toolchain() {
  if has go; then
    have=$(go env GOVERSION | sed 's/^go//')
    if dpkg --compare-versions "$have" ge "$go"; then return; fi
    if dpkg --compare-versions "$have" ge 1.21 && [ "$(go env GOTOOLCHAIN)" != local ]; then return; fi
    fail "Go $have is too old: install $go or newer as https://go.dev/doc/install says, then run this again"
  fi
  candidate golang-go "$go" || fail "Go is missing and apt has none from $go on: install it as https://go.dev/doc/install says, then run this again"
  install golang-go
}

node_and_npm() {
  if has node && has npm; then
    have=$(node --version)
    dpkg --compare-versions "${have#v}" ge "$node" || fail "Node $have is too old: install $node or newer as https://nodejs.org says, then run this again"
    return
  fi
  candidate nodejs "$node" || fail "Node is missing and apt has none from $node on: install it as https://nodejs.org says, then run this again"
  install nodejs npm
}

apt_packages
rust_toolchain
bpf_linker
[ "$purpose" = all ] || exit 0
static_busybox
go_toolchain
node_and_npm
