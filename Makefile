# On Debian, as root. `make` alone prints the targets.

# Where rustup and Go's own installer put programs; a shell that was open before does not know.
export PATH := $(PATH):$(if $(CARGO_HOME),$(CARGO_HOME),$(HOME)/.cargo)/bin:/usr/local/go/bin
.DEFAULT_GOAL := help
.PHONY: help setup build image image-check version lint deny tools test dashboards matrix fuzz churn bench demo demo-stack cluster

help: ## print the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: setup ## watch a real container touch files, without a Collector
	cargo build --workspace
	cargo run -q -p e2e -- demo

demo-stack: setup ## the same with a real Collector and Loki, and what LogQL finds
	cargo build --workspace
	cargo run -q -p e2e -- demo --stack

cluster: setup ## run a Kubernetes cluster of two nodes until Ctrl-C
	cargo build --workspace
	cargo run -q -p e2e -- cluster --nodes 2

test: setup lint deny ## set up, and run every test
	cargo test --workspace --no-run
	$(or $(CARGO_TARGET_DIR),target)/debug/e2e tools
	cargo test --workspace --no-fail-fast

dashboards: setup ## draw the Grafana dashboards into grafana/pictures, to look at; takes Debian's chromium
	@command -v chromium >/dev/null || { echo 'make dashboards takes chromium: apt-get install chromium' >&2; exit 1; }
	cargo build --workspace
	PICTURES=$(CURDIR)/grafana/pictures cargo test -p e2e --test dashboards

fuzz: setup ## feed 10 million damaged inputs to each parser of foreign bytes
	cargo build -p e2e --profile fuzz --bin e2e
	$(or $(CARGO_TARGET_DIR),target)/fuzz/e2e fuzz btf
	$(or $(CARGO_TARGET_DIR),target)/fuzz/e2e fuzz record

matrix: setup ## prove the sensor on every kernel, in machines, and write the README's table; goes on where it was
	cargo build --workspace
	cargo run -q -p e2e -- matrix

churn: tools ## start a thousand containers of 50 ms, told of by NRI, by the hook, and by kprobe on a node in a machine
	cargo run -q -p e2e -- churn
	cargo run -q -p e2e -- churn --by hook
	cargo run -q -p e2e -- churn --by vm

bench: tools ## measure all of the README's figures and write them there, ours and the peers'; `e2e bench goals` prints those that have a goal
	cargo build --release --workspace
	for what in 'event --readme' lookup memory 'miss --readme' 'miss --kernel 7.3 --readme' 'hook --readme' 'compile --readme' \
		'delivery --readme' 'filelog --readme' 'throughput --readme' start policies outage 'latency --readme' 'rss --readme' \
		'repeats --readme' 'scale --readme'; do $(or $(CARGO_TARGET_DIR),target)/release/e2e bench $$what || exit 1; done

build: setup ## build inotrail: target/release/inotrail
	cargo build --release

image: setup ## build the exporter's image for both architectures, without an engine: target/image; takes a while
	cargo run -q -p inotrail-image -- archive

image-check: image ## build it once more, of a copy of the source in another place, and compare digests; run its program in machines
	cargo run -q -p inotrail-image -- check
	cargo run -q -p e2e -- vm --test image --kernel 7.3 --preempt lazy --backend kprobe

version: setup ## set the version in every file that names it, for a release: make version VERSION=1.2.3
	@[ -n '$(VERSION)' ] || { echo 'which one? make version VERSION=1.2.3' >&2; exit 1; }
	cargo run -q -p inotrail-image -- version '$(VERSION)'
	cargo update --quiet --workspace --offline
	cargo run -q -p e2e -- chart

lint: setup ## check formatting and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

deny: setup ## check licences and sources of all crates, and advisories where their database is reachable
	e2e/deny.sh

tools: setup ## build the servers that tests and the demo run, once
	cargo build --workspace
	cargo run -q -p e2e -- tools

setup: ## install what is missing
	@e2e/setup.sh
