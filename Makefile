# Every gate and programme of the project. Plain make lists them.

GO       ?= go
FUZZTIME ?= 30s
FUZZWORKERS ?= 1
KILLS    ?= 20
ROWS     ?= 200000
SIZE     ?= 1
SEEDS    ?= 10000
FIRST    ?= 0
# Tests make much garbage beside a small heap: with the collector's default they would spend half of their time in it.
test race invariants crash faults corrupt mutants simulate slips rules: export GOGC ?= 400
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the pagetide binary into this folder
	$(GO) build -trimpath ./cmd/pagetide

.PHONY: test
test: ## run all tests
	$(GO) test ./...

# Simulations have one task go on at a time, so there is nothing to race for; and the race detector of Go 1.26 crashes now and
# then where a timer is due in one. The others are one goroutine's work for minutes, which the other gates do.
NO_RACE = ^(TestSimulatedJobs|TestSimulationsRepeat|TestRunCommitsEachRowOnce|TestRunShowsWhatASinkWithoutTransactionsGets|TestRunIsItsSeed|TestAlertsAfterKills|TestCrashOfAWholeJob|TestFrozenInPython|TestImportsGoOneWay|TestMisuseDoesNotCompile|TestChainBounds)$$

.PHONY: race
race: ## run the tests under the race detector, with state on the Go heap where it can see it
	$(GO) test -race -short -tags heaparena -skip '$(NO_RACE)' ./meta ./mmapstate ./snapshotter/... ./engine/...

# What crash, faults and corrupt run in full, and with invariants.
PROVED = ^(TestCrashAnywhere|TestKillThenPowerCut|TestCrashDuringRecovery|TestFaultAtEveryCall|TestCorrupt|TestCrashOfAWholeJob|TestFaultInAWholeJob)$$

.PHONY: invariants
invariants: ## run the tests of state with every clean page checked at every freeze, and the order of calls
	$(GO) test -short -tags invariants -skip '$(PROVED)' ./mmapstate ./snapshotter ./engine

.PHONY: lint
lint: ## gofmt, vet and staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

.PHONY: cross
cross: ## build and vet for every platform that is supported, and see the others refused
	GOOS=linux   GOARCH=arm64 $(GO) build ./... && GOOS=linux   GOARCH=arm64 $(GO) vet ./...
	GOOS=darwin  GOARCH=arm64 $(GO) build ./... && GOOS=darwin  GOARCH=arm64 $(GO) vet ./...
	GOOS=windows GOARCH=amd64 $(GO) build ./... && GOOS=windows GOARCH=amd64 $(GO) vet ./...
	@for arch in 386 arm s390x ppc64; do \
		GOOS=linux GOARCH=$$arch $(GO) build ./mmapstate 2>&1 | grep -q needs_a_64_bit_little_endian_machine || \
			{ echo "a build for $$arch is not refused"; exit 1; }; done

.PHONY: torture
torture: ## kill the real binary, and a job of all operators, KILLS times over ROWS rows, and compare the output
	PAGETIDE_KILLS=$(KILLS) PAGETIDE_ROWS=$(ROWS) $(GO) test -count=1 -run KilledAndResumed -v -timeout 60m ./cmd/pagetide

.PHONY: crash
crash: ## cut the power after every file-system call of every workload; SIZE=n builds n times the random states
	$(GO) run ./snapshotter/testdata/prove.go -size $(SIZE) crash

.PHONY: faults
faults: ## fail every file-system call of every workload, once and from then on
	$(GO) run ./snapshotter/testdata/prove.go faults

.PHONY: corrupt
corrupt: ## damage every byte and every file of small checkpoints
	$(GO) run ./snapshotter/testdata/prove.go corrupt

.PHONY: fulldisk
fulldisk: ## fill the disk under a running job and make room again; needs Linux and root, and says so
	$(GO) run ./cmd/pagetide/testdata/fulldisk.go

.PHONY: mutants
mutants: ## delete each sync and hash check and swap the steps in turn; each must make a test fail
	$(GO) run ./snapshotter/testdata/mutate.go

.PHONY: simulate
simulate: ## run SEEDS simulated jobs from seed FIRST on; go test ./engine runs the first 1000
	$(GO) test -count=1 -run 'TestSimulatedJobs$$' -timeout 8h -v ./engine -seed $(FIRST) -seeds $(SEEDS)

.PHONY: slips
slips: ## break what holds a job together in turn; a simulated job must notice each; takes some minutes
	$(GO) run ./engine/testdata/mutate.go

.PHONY: rules
rules: ## break each rule of the page guard in turn; every one must make a test fail; takes some minutes
	$(GO) run ./mmapstate/testdata/mutate.go

.PHONY: golden
golden: ## write the examples of a new version of the formats; those of released ones stay as they are
	$(GO) test ./meta ./snapshotter ./engine -run 'Golden|TestFrozen$$' -update
	$(GO) test ./fuzz -run Corpus -update

.PHONY: reader
reader: ## read the frozen checkpoints in Python and compare with export; fails without python3
	@command -v python3 >/dev/null || { echo "make reader: python3 is not there"; exit 1; }
	$(GO) test -count=1 -run TestFrozenInPython ./engine

.PHONY: bench
bench: ## run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./benchmarks/...

# RocksDB takes part when librocksdb-dev is there; else the program says that it was left out.
ROCKSDB = $(shell printf '\043include <rocksdb/c.h>\n' | $(CC) $(CGO_CFLAGS) -E - >/dev/null 2>&1 && echo -tags rocksdb)
KEYS    ?= 100k,1M,10M

.PHONY: bench-state
bench-state: ## keyed state beside Go's map, Pebble, Badger, bbolt and RocksDB; KEYS=100k,1M,10M
	cd benchmarks/peers && $(GO) run $(ROCKSDB) ./state -keys $(KEYS) -out ../out/state.json

.PHONY: bench-checkpoint
bench-checkpoint: ## checkpoints and restores beside the disk, Pebble, RocksDB and a dumped map; 20 minutes, 14 GiB, 20 GB of disk
	cd benchmarks/peers && $(GO) run $(ROCKSDB) ./checkpoint -out ../out/checkpoint.json $(if $(DISK),-dir $(DISK))


.PHONY: bench-engine
bench-engine: ## pipelines beside hand-written loops, go-streams, goka and Benthos; 8 minutes
	cd benchmarks/peers && $(GO) run ./engine -out ../out/engine.json $(if $(DISK),-dir $(DISK))

.PHONY: bench-compress
bench-compress: ## would compressed blocks pay? S2 and zstd on real pages, beside the disk
	cd benchmarks/peers && $(GO) run ./compress $(if $(DISK),-dir $(DISK))

.PHONY: plot
plot: ## draw the pictures in benchmarks/ from what bench-state and bench-checkpoint have measured
	cd benchmarks/peers && for f in state checkpoint; do test ! -f ../out/$$f.json || $(GO) run ./plot ../out/$$f.json .. || exit 1; done

.PHONY: vet-peers
vet-peers: ## vet the benchmarks beside peers; minutes when their packages are not built yet
	cd benchmarks/peers && $(GO) vet ./...

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME with FUZZWORKERS processes
	@targets=$$($(GO) test -list '^Fuzz' ./fuzz) || { echo "$$targets"; exit 1; }; \
	for t in $$(echo "$$targets" | grep ^Fuzz); do \
		echo "== $$t"; $(GO) test -run '^$$' -fuzz "^$$t$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x \
			-parallel $(FUZZWORKERS) ./fuzz || exit 1; done

.PHONY: ci
ci: ## everything that a change must pass
	bash .ci/run
