#!/bin/sh
# Licences, sources and duplicates of all crates; advisories only where their database can be fetched.
set -eu
cd "$(dirname "$0")/.."
version=0.20.2

case $(cargo deny --version 2>/dev/null || true) in cargo-deny*) ;; *)
  echo "deny: building cargo-deny $version (a few minutes, once)" >&2
  cargo install cargo-deny --version "$version" --locked --quiet
  ;;
esac
cargo deny --log-level error check licenses bans sources
if timeout 60 cargo deny --log-level error fetch db >/dev/null 2>&1; then
  cargo deny --log-level error check advisories
else
  echo 'deny: advisories NOT checked: their database is not reachable from here' >&2
fi
