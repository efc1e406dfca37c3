# Every command a developer or CI needs; `make help` lists them.
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-print-directory

VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BINARY      ?= millstream
PKGS        ?= ./...
# The packages whose code runs in several goroutines, as far as they exist.
RACE_PKGS   ?= $(patsubst %,./%/...,$(wildcard engine connectors flow internal))
RACE_FLAGS  ?=
SEEDS       ?= 10000
SIM         ?= ^TestSimulation
FUZZTIME    ?= 10s
BENCH       ?=
BENCH_PKGS  ?= $(PKGS)
GOLANGCI    ?= go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
SCRIPTS     := scripts/brokers scripts/broker/*.bash scripts/fuzz .ci/run
# A broker of this list that is missing fails a test instead of skipping it.
REQUIRE     ?= rabbitmq,kafka

.PHONY: help build test unit race sim fuzz lint lint-format lint-vet lint-go lint-shell bench microbench brokers-start brokers-stop

help:                ## list these commands
	@sed -n 's/^\([a-z-]*\):[a-z -]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

build:               ## the static binary ./millstream
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BINARY) ./cmd/millstream

test: brokers-start  ## every test, against real brokers, which it starts if they are down
	@eval "$$(scripts/brokers env)"; \
	MILLSTREAM_REQUIRE_BROKERS=$(REQUIRE) go test -tags integration -count=1 -timeout 30m $(PKGS)

unit:                ## the tests that need nothing but Go
	go test $(PKGS)

race:                ## the concurrent packages under the race detector
	CGO_ENABLED=1 go test -race -count=1 -timeout 30m $(RACE_FLAGS) $(RACE_PKGS)

sim:                 ## the simulation: SEEDS random pipelines with random failures
	@dirs=$$(grep -rlE --include='*_test.go' 'func TestSimulation' . | xargs -r dirname | sort -u || true); \
	[[ -n $$dirs ]] || { echo 'make sim: no test is named TestSimulation…' >&2; exit 1; }; \
	MILLSTREAM_SIM_SEEDS=$(SEEDS) go test -count=1 -timeout 30m -run '$(SIM)' $$dirs

fuzz:                ## each fuzz target for FUZZTIME
	scripts/fuzz $(FUZZTIME)

lint: lint-format lint-vet lint-go lint-shell  ## gofmt, go vet, golangci-lint, shellcheck

lint-format:
	@out=$$(gofmt -l .); [[ -z $$out ]] || { echo "gofmt would change:"; echo "$$out"; exit 1; }

lint-vet:
	go vet $(PKGS)
	go vet -tags integration $(PKGS)

lint-go:
	$(GOLANGCI) run $(PKGS)

lint-shell:
	@if type -P shellcheck >/dev/null; then shellcheck -x $(SCRIPTS); else echo 'no shellcheck here: the scripts were not checked'; fi

bench:               ## the product beside hand-written loops, as ratios; BENCH="-cases a,c -pairs 9" chooses
	@! scripts/brokers status >/dev/null 2>&1 || eval "$$(scripts/brokers env)"; go run ./bench $(BENCH)

microbench:          ## the packages' own benchmarks
	go test -run '^$$' -bench . -benchmem $(BENCH_PKGS)

brokers-start:       ## start RabbitMQ and Kafka and wait until they are ready
	@scripts/brokers start

brokers-stop:        ## stop them
	@scripts/brokers stop
