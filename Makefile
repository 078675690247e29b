# The commands of the project; `make` alone lists them. ARGS="…" is handed on.

.DEFAULT_GOAL := help
.PHONY: help run demo stack package test lint bench soak screenshots audit

# Where rustup puts cargo, for shells without it on PATH.
export PATH := $(PATH):$(HOME)/.cargo/bin

# Where cargo puts what it builds.
built = $(or $(CARGO_TARGET_DIR),$(CARGO_BUILD_TARGET_DIR),target)

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Install what is missing, build in release mode, start the server
	@.ci/install run
	cargo build --release
	@exec $(built)/release/tetcore-analytics $(ARGS)

demo: ## Send telemetry of made-up nodes to the server of `make run`, until Ctrl-C
	@.ci/install build
	@cargo build --quiet --release
	@exec $(built)/release/tetcore-analytics demo $(ARGS)

# What each part is called within the network of the stack.
check = docker compose --file deploy/compose.yml exec -T server /usr/local/bin/tetcore-analytics stack check \
	--server http://127.0.0.1:8080 --prometheus http://prometheus:9090 --alertmanager http://alertmanager:9093 \
	--loki http://loki:3100 --grafana http://grafana:3000

stack: ## Start server, PostgreSQL, Prometheus, Alertmanager, Loki and Grafana in containers, and check them
	@if ! docker compose version >/dev/null 2>&1; then \
		echo "make stack needs Docker with its compose plugin: https://docs.docker.com/engine/install" >&2; exit 1; \
	fi
	@if ! [ -e deploy/.env ]; then \
		echo "make stack needs passwords: cp deploy/.env.example deploy/.env, and set them in it" >&2; exit 1; \
	fi
	docker compose --file deploy/compose.yml up --detach --build --wait
	docker compose --file deploy/compose.yml exec -T server /usr/local/bin/tetcore-analytics database grant-read grafana
	$(check) --wait 120

package: ## Make a Debian package in target/debian
	@.ci/install build
	@if ! cargo deb --version >/dev/null 2>&1; then \
		if [ -n "$(INSTALL)" ]; then cargo install --locked cargo-deb; \
		else echo "cargo-deb is not installed; 'make package INSTALL=1' installs it" >&2; exit 1; fi; \
	fi
	cargo deb $(ARGS)

# Six places for each processor, of which most tests take two (.config/nextest.toml): they wait a third of their time.
test: ## Run all tests on a real PostgreSQL of their own
	@.ci/install test
	@if command -v node >/dev/null; then \
		node --test tests/js/*.test.js; \
	else \
		echo "SKIPPED: the tests of pure JavaScript, for there is no node"; \
	fi
	cargo build --quiet --example with_postgres
	@if cargo nextest --version >/dev/null 2>&1; then \
		.ci/find-browser >/dev/null || export NEXTEST_PROFILE=without-browser; \
		export NEXTEST_TEST_THREADS=$${NEXTEST_TEST_THREADS:-$$((6 * $$(nproc)))}; \
		exec $(built)/debug/examples/with_postgres cargo nextest run --no-fail-fast $(ARGS); \
	else \
		.ci/find-browser >/dev/null || left_out='-- --skip pages::'; \
		exec $(built)/debug/examples/with_postgres cargo test --no-fail-fast $(ARGS) $$left_out; \
	fi

lint: ## Check formatting, clippy, documentation and shell scripts
	@.ci/install build
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps
	@if command -v shellcheck >/dev/null; then \
		shellcheck .ci/install .ci/find-browser .ci/run deploy/postgres/roles.sh deploy/debian/postinst deploy/debian/postrm; \
	else \
		echo "SKIPPED: shell scripts, for shellcheck is not installed"; \
	fi

bench: ## Measure: a table at the end, also written to docs/PERFORMANCE.md
	@.ci/install test
	cargo bench --bench load -- $(ARGS)

soak: ## Run the long tests (those that `make test` leaves out)
	@.ci/install test
	cargo build --quiet --example with_postgres
	cargo test --quiet --release --test integration -- --ignored --list --skip pages::screenshots $(ARGS)
	$(built)/debug/examples/with_postgres cargo test --release --test integration -- --ignored --skip pages::screenshots --nocapture --test-threads 1 $(ARGS)

screenshots: ## Make the pictures of all pages in docs/screenshots
	@.ci/install screenshots
	cargo build --quiet --example with_postgres
	$(built)/debug/examples/with_postgres cargo test --quiet --test integration -- --ignored --exact pages::screenshots::make --nocapture

audit: ## Check licences, sources, duplicates and advisories of the dependencies
	@if ! cargo deny --version >/dev/null 2>&1; then \
		if [ -n "$(INSTALL)" ]; then cargo install --locked cargo-deny; \
		else echo "cargo-deny is not installed; 'make audit INSTALL=1' installs it" >&2; exit 1; fi; \
	fi
	cargo deny check --hide-inclusion-graph licenses sources bans
	@if cargo deny fetch db >/dev/null 2>&1; then \
		cargo deny --offline check advisories; \
	else \
		echo "SKIPPED: advisories, for their database cannot be reached"; \
	fi
