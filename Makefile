# `make` lists the commands; anything longer than a line lives in tools/.
.DEFAULT_GOAL := help
.PHONY: help demo test conformance bench bench-full fmt lint fuzz soak

help: ## List the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

demo: ## Build, load a year of flights through the Kafka door, answer questions in SQL
	cargo build --locked -p posthouse
	target/debug/posthouse demo $(ARGS)

test: ## Run everything that must pass; ARGS go to pytest
	tools/test $(ARGS)

conformance: ## Run the test suites of Redis, redis-py, librdkafka and pg_compat: what passed passes still
	tools/conformance

bench: ## Compare with Kafka, Redis and libzmq on this machine: the core rows, about forty minutes
	tools/bench $(ARGS)

bench-full: ## Compare with Kafka, Redis and libzmq on this machine: every row
	tools/bench --full $(ARGS)

fmt: ## Format the code
	cargo fmt --all

lint: ## Formatting, layers, clippy and rustdoc, with warnings as errors
	tools/lint

fuzz: ## Fuzz every decoder, MINUTES each (10); needs a nightly toolchain
	fuzz/run $(or $(MINUTES),10)

soak: ## Kill -9 the node under load again and again, ROUNDS times (500)
	tools/soak $(or $(ROUNDS),500)
