# Short verbs. Each installs what is missing first, and says what and why (.ci/setup).
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test slow bench check fuzz setup clean

DEMO_SECONDS ?= 30
BENCH_ROUNDS ?= 10
CARGO := cargo

help:            ## this list
	@grep -E '^[a-z]+: .*##|^[a-z]+:  *##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:           ## install what is missing (PostgreSQL and small tools), nothing else
	@.ci/setup

demo: setup      ## build, then trade against two simulated venues for 30 s (DEMO_SECONDS=n)
	$(CARGO) build --release --locked -p spinlane -p dp-app -p spinlane-sim
	./target/release/spinlane demo --seconds $(DEMO_SECONDS)

test: setup      ## every test that fits 20 minutes on two cores
	@.ci/test

slow:            ## the tests that take minutes: faults, limits, soak, every case over sockets
	@.ci/slow

# Root: cables between namespaces, real-time priority, locked memory. What is not had is told in the reports.
bench: setup     ## everything the README's figures come from, half an hour and more (BENCH_ROUNDS=n); method: bench/METHOD.md
	$(CARGO) build --release --locked -p spinlane-bench
	$(CARGO) build --release --locked --manifest-path bench/peers/Cargo.toml --target-dir bench/peers/target
	$(CARGO) build --release --locked --manifest-path bench/peers/Cargo.toml --target-dir bench/peers/target -p spinlane-bench-books
	./target/release/spinlane-bench all
	./target/release/spinlane-bench in-process
	./target/release/spinlane-bench transport
	./target/release/spinlane-bench tick-to-trade --family loopback,veth --rounds $(BENCH_ROUNDS) --html bench.html
	./target/release/spinlane-bench throughput --seconds 60
	./target/release/spinlane-bench books

check:           ## before a push: format, house rules, lints, unit tests
	$(CARGO) xtask check

fuzz: setup      ## an hour of fuzzing each decoder and session machine (FUZZ_SECONDS=n)
	@.ci/fuzz

clean:           ## remove what was built
	$(CARGO) clean
