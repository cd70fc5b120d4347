# Two commands matter: make demo, make test. Everything else is for who builds here.
# Needs Go (go.mod says which), Node, git, make, and for the race detector gcc.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build
.PHONY: build demo test kills storm powercuts failovers damage histories pages crowds walks evil faults seeded journeys pictures buckets attachments month simulate check bench lists release reproduce clean

GO ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
# How long one package may take: the crash tests kill real processes many times.
TIMEOUT := 45m
# Of what is random in the long runs below: another each time, or SEED=7 to repeat one. make
# test takes the same each time, so that no change is refused for what others were spared.
SEED ?= $(shell date +%s)
# What follows "schakel demo", such as DEMO="--headless --json-lines".
DEMO ?=
# What follows "schakel bench".
BENCH ?=
# Where the demonstration keeps mailboxes: STORE=redis needs redis-server.
STORE ?= bolt

# Both programs, without cgo: one file each, for any Linux of this architecture.
build:
	@.ci/look || true
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/...

# The programs of a release in dist/, the same bytes wherever they are built from one commit by
# one version of Go: VERSION=v1.0.0. With RELEASE_KEY=FILE their list is signed, from a clean
# tree only; without it, whoever wants to compare has them.
VERSION ?=
RELEASE_KEY ?=
PLATFORMS ?= linux/amd64 linux/arm64
release:
	@test -n "$(VERSION)" || { echo "make release: VERSION is missing, such as VERSION=v1.0.0"; exit 2; }
	@test -z "$(RELEASE_KEY)" || test -z "$$(git status --porcelain)" || { echo "make release: what is not committed is not released"; exit 1; }
	.ci/look
	rm -rf dist
	.ci/release $(VERSION) dist $(PLATFORMS)
	cd dist && sha256sum */*
	test -z "$(RELEASE_KEY)" || $(GO) run ./cmd/schakel release sign dist --key $(RELEASE_KEY) --version $(VERSION) --commit $$(git rev-parse HEAD)

# Both programs of a release built twice, the second time from nothing: the same bytes. make
# test does so with the relay alone, and builds the other from two folders.
reproduce:
	$(GO) test -count=1 -timeout $(TIMEOUT) -v -run 'TestG05ReproducibleRelease|TestFolderShows' ./cmd/schakel -args -full

# A relay and eight desks on this machine, and one fictional case. Leaves nothing behind.
demo: build
	bin/schakel demo --store $(STORE) $(DEMO)

# All tests. Installs what they need where it may, and says so where it may not.
test:
	@.ci/test $(TIMEOUT)

# The promises in full, on bbolt, on Redis and with two relays on one Redis: a hundred
# killed relays, fifty killed daemons, ten thousand waiting messages on each. Takes
# minutes; SEED=7 repeats what was random in a run. Then a relay alone under frames of two
# devices, killed KILLS times on each store, or its Redis: KILLS=6000 takes hours.
KILLS ?= 500
kills:
	CGO_ENABLED=0 $(GO) test -count=1 -timeout $(TIMEOUT) -v ./cmd/schakel/system -full -seed $(SEED)
	CGO_ENABLED=0 $(GO) test -count=1 -timeout 0 -v -run 'KilledRelay' ./cmd/schakel-relay -args -kills $(KILLS) -seed $(SEED)

# A gigabyte over a relay that is killed ten times on the way, a thousand small files at
# once, what memory each program needs, and the stock age program beside it.
attachments:
	CGO_ENABLED=0 $(GO) test -count=1 -timeout $(TIMEOUT) -v -run 'TestAttachments$$|TestBesideAge$$' ./cmd/schakel/system -full

# Ten thousand devices connected to a relay that is killed, with jitter and without.
storm:
	$(GO) test -count=1 -timeout $(TIMEOUT) -v -run 'TestStorm|TestStalledPeers' ./cmd/schakel-relay -full

# Two hundred power cuts of each store, by copies of a disk's image, and the controls
# that must lose. Needs root and redis-server. CUTS=1000 for more.
CUTS ?= 200
powercuts:
	SCHAKEL_TEST_NEED_DISKS=1 SCHAKEL_TEST_NEED_REDIS=1 $(GO) test -count=1 -timeout 2h -v -run PowerCut \
		./relay/queue/boltqueue ./relay/queue/redisqueue -args -cuts $(CUTS) -seed $(SEED)

# Ten thousand random cases of five partners: same messages, same state; never two
# regiehouders in one term.
histories:
	$(GO) test -count=1 -timeout $(TIMEOUT) -v -run 'Histor' ./clients/protocol -histories=10000

# Ten thousand simulated deadlines of the ladder with killed nodes, silent stores, set clocks,
# failing pagers and desks without a plan, and the controls that must fail; as many of the
# pagers of desks with two and three devices, which takes longer: they have real stores; then
# real relays killed between rungs, on bbolt and on Redis. DEADLINES=100000 for more.
DEADLINES ?= 10000
pages:
	$(GO) test -count=1 -timeout $(TIMEOUT) -v -run Simulation ./relay/oncall -args -deadlines=$(DEADLINES) -seed $(SEED)
	$(GO) test -count=1 -timeout 3h -v -run TestDeskSimulation ./clients/schakel -args -deadlines=$(DEADLINES) -seed $(SEED)
	SCHAKEL_TEST_NEED_REDIS=1 $(GO) test -count=1 -timeout $(TIMEOUT) -v -run 'KilledBetweenRungs|KilledWithAPage|OwnerIsKilled|NothingLeaks' ./cmd/schakel-relay

# The suite of blob stores against a server that speaks S3 and is not ours, built from
# its published module: minutes, the first time.
buckets:
	cd relay/blob/s3/gateway && $(GO) vet ./... && $(GO) test -count=1 -timeout $(TIMEOUT) ./...
	SCHAKEL_TEST_NEED_REDIS=1 SCHAKEL_TEST_NEED_GATEWAY=1 $(GO) test -count=1 -timeout $(TIMEOUT) -run 'TestTwoRelaysOneBucket$$' ./cmd/schakel/system

# Two thousand slow clients of each kind at the web desk, while a case worker works.
crowds:
	$(GO) test -count=1 -timeout $(TIMEOUT) -v -run 'Slow|Stalled' ./clients/desk/web -args -slow-clients 2000

# The demonstration's case through the pages alone, with real processes: by mouse, by
# keyboard, without scripts, at 320 px and at 400 %, in Dutch and in English.
journeys: build
	cd cmd/schakel/browser && npm ci --silent --no-audit --no-fund
	SCHAKEL_TEST_NEED_BROWSER=1 $(GO) test -count=1 -timeout 2h -v -run 'TestJourney$$' ./cmd/schakel/browser -args -programs $(CURDIR)/bin -every

# The pictures of docs/desk.md anew, from the demonstration. Needs poppler-utils.
pictures: build
	cd cmd/schakel/browser && npm ci --silent --no-audit --no-fund
	SCHAKEL_TEST_NEED_BROWSER=1 $(GO) test -count=1 -timeout 30m -v -run 'TestPictures$$' ./cmd/schakel/browser -args -programs $(CURDIR)/bin -pictures $(CURDIR)/docs/pictures

# Two desks and whatever people do with their pages, at random, against a small model; and
# the models and desks with a fault that must be noticed. WALKS=500 for more; SEED=7 begins there.
WALKS ?= 50
walks:
	$(GO) test -count=1 -timeout $(TIMEOUT) -v -run 'RandomWalks|WalksNotice' ./clients/desk/web -args -walks=$(WALKS) -steps=60 -seed $(SEED)

# Fifty random dishonest relays over three honest partners, and every row of docs/attacks.md
# at the clients. EVIL=500 for more; SEED=7 begins there.
EVIL ?= 50
evil:
	$(GO) test -count=1 -timeout $(TIMEOUT) -v -run 'RandomRelays|OracleOfRelays|Evil' ./clients/schakel -args -evil=$(EVIL) -seed $(SEED)

# Six weeks of normal operation in a bubble, Easter and Ascension in it: nobody may be
# alarmed without cause, and three controls must be told. A quarter of an hour of one processor;
# SEED=7 repeats one.
MONTH ?= 46
month:
	$(GO) test -count=1 -timeout 2h -v -run 'TestMonth$$' ./clients/schakel -args -month=$(MONTH) -seed $(SEED)

# Ten thousand seeds of a whole relay with a network and a disk in memory, with everything that
# goes wrong, and the mistakes that must be noticed; then some hours of two real desks, a hundred
# times. SEEDS=100000 for more; SEED=7 begins there.
SEEDS ?= 10000
BUBBLES ?= 100
simulate:
	$(GO) test -count=1 -timeout 0 -v -run 'Simulation|SameSeed' ./relay/simulation -args -seeds=$(SEEDS) -seed $(SEED)
	$(GO) test -count=1 -timeout 0 -v -run 'HoursInABubble' ./clients/schakel -args -bubbles=$(BUBBLES) -seed $(SEED)

# Fifty primaries killed under load, with replicas confirmed, and the controls that
# must lose; a cluster resharded under load. FAILOVERS=500 for more.
FAILOVERS ?= 50
failovers:
	SCHAKEL_TEST_NEED_REDIS=1 $(GO) test -count=1 -timeout 2h -v -run 'Failover|Cluster|Frozen|TwoPrimaries|Sentinel' \
		./relay/queue/redisqueue -args -failovers $(FAILOVERS) -seed $(SEED)

# Flipped bits and lost pages in the mailboxes of both stores, for minutes.
damage:
	$(GO) test -count=1 -timeout $(TIMEOUT) -v -run TestStaleBranches ./relay/queue/boltqueue -args -damage 5m -seed $(SEED)
	SCHAKEL_TEST_NEED_REDIS=1 $(GO) test -count=1 -timeout $(TIMEOUT) -v -run 'TestDamage$$' ./relay/queue/redisqueue -args -damages 1000 -seed $(SEED)

# Every row of docs/reliability.md with many rounds: hours. ROW=16 for one of them, ROUNDS=1000
# for more power cuts, SEED=7 to repeat one. What applications wrote down stays in .faults.
ROW ?=
ROUNDS ?= 200
faults:
	@.ci/need strace:strace redis-server:redis-server ip:iproute2 nft:nftables || true
	SCHAKEL_TEST_NEED_REDIS=1 $(GO) test -count=1 -timeout 0 -v -run 'TestFaults$$' ./docs \
		-args -faults -row='$(ROW)' -rounds=$(ROUNDS) -seed='$(SEED)' -kept=$(CURDIR)/.faults

# The programs with one realistic mistake after the other: a test must notice each.
# MISTAKE=token for those whose name matches.
MISTAKE ?=
seeded:
	SCHAKEL_TEST_NEED_REDIS=1 $(GO) test -count=1 -timeout 0 -v -run 'TestSeededMistakes' ./docs -args -seeded -mistake='$(MISTAKE)'

# What a reviewer would say before reading: layout, vet, staticcheck, the model of the
# promises, known holes.
check:
	@test -z "$$(git ls-files '*.go' | xargs gofmt -l)" || { echo "gofmt would change:"; git ls-files '*.go' | xargs gofmt -l; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	.ci/need spin:spin gcc:gcc:libc6-dev && SCHAKEL_TEST_NEED_SPIN=1 $(GO) test -count=1 -run TestModel ./docs
	GOBIN=$(CURDIR)/bin/tools $(GO) install $(GOVULNCHECK)
	@code=0; bin/tools/govulncheck ./... || code=$$?; case $$code in (0) ;; (3) exit 3 ;; \
		(*) echo "make check: NOT CHECKED for known vulnerabilities: the database cannot be reached from here" ;; esac

# The whole relay beside its bare store, on bbolt and on Redis, and sealing beside bare
# age, in one run.
bench: build
	$(GO) test -run '^$$' -bench . -benchmem ./...
	bin/schakel bench --store bolt $(BENCH)
	bin/schakel bench --store redis $(BENCH)

# The inbox and a search, at the web desk and at the API, among ten thousand messages: as
# medians beside the bare query of the same rows, all in one run.
lists:
	$(GO) test -run '^$$' -bench 'Inbox|Search' -benchtime 100x ./clients/desk/web

clean:
	rm -rf bin dist .demo
	$(GO) clean -testcache
