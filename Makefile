# What a developer runs. `make` alone lists the targets.

include versions.env
export GOTOOLCHAIN := $(GO_TOOLCHAIN)
# Without the paths of the sources: what one clone has compiled serves the next.
export GOFLAGS := $(filter-out -trimpath,$(GOFLAGS)) -trimpath

CACHE := $(or $(LANYARD_CACHE),$(HOME)/.cache/lanyard)
LINT := $(CACHE)/bin/golangci-lint-$(GOLANGCI_LINT_VERSION)-$(GO_TOOLCHAIN)
VULNCHECK := $(CACHE)/bin/govulncheck-$(GOVULNCHECK_VERSION)-$(GO_TOOLCHAIN)
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X github.com/lanyardhq/lanyard/cmd.version=$(VERSION) -X github.com/lanyardhq/lanyard/cmd.commit=$(COMMIT)
MODULES := . integration integration/conformance integration/page
LINTED := $(MODULES) integration/cluster integration/mlog
# Two files each, and the dependencies of the driver and of Vault: minutes of facts.
LINTED_FAST := integration/driver integration/vault

.PHONY: help check hostile prepare golden screenshots freeze run build image manifests chart test unit integration e2e e2e-scenarios e2e-kms e2e-sync e2e-impersonation e2e-restart e2e-synced e2e-injected e2e-defects cluster cluster-down bench bench-provider lint vuln fuzz tidy clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## the binaries lanyard, lanyard-sync and lanyard-exec, in bin
	CGO_ENABLED=0 go build -ldflags '$(LDFLAGS)' -o bin/ . ./cmd/lanyard-sync ./cmd/lanyard-exec

image: ## the image for amd64 and arm64, without a container engine: an OCI layout at bin/image, also as bin/image.tar
	@mkdir -p bin
	cd integration && go run ./image/layout -version '$(VERSION)' -tag '$(VERSION)' -commit '$(COMMIT)' \
		-created "$$(git log -1 --format=%ct)" -out ../bin/image -archive ../bin/image.tar

manifests: ## deployment/manifests, rendered from the chart
	cd integration && go run ./deployment/manifests ../deployment/manifests

chart: ## the chart as an archive in bin, with the driver's chart in it
	@mkdir -p bin && cd integration && go run ./deployment/pack ../bin

run: build ## the product on one screen: no cluster, no services
	@docs/demo.sh bin/lanyard

# What differs from BASE is linted by check.
BASE ?= $(shell git merge-base HEAD origin/main 2>/dev/null || echo HEAD)

check: ## in two minutes: lint of what differs from BASE (default: origin/main), and the unit tests; needs Go alone
	@.ci/prepare check
	@$(MAKE) --no-print-directory $(LINT)
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	@.ci/changed $(BASE) | awk '{ of[$$1] = of[$$1] " " $$2 } END { for (m in of) print m of[m] }' | while read -r module packages; do \
		(cd $$module && $(LINT_ENV) $(LINT) run --allow-parallel-runners --config $(CURDIR)/.golangci.yml $$packages) || exit 1; done
	@CGO_ENABLED=0 go vet ./... && CGO_ENABLED=0 go test ./...

hostile: ## the attacks of a hostile tenant on a provider with the chart's defaults, and of a hostile client on the KMS plugin, as a table; wants an idle machine
	@.ci/prepare test
	@cd integration && go test -count 1 -v -timeout 20m ./hostile -timed -each 5s -together 75s

prepare: ## looks for all that test and e2e need, and installs it as root on Debian
	@.ci/prepare test && .ci/prepare e2e

# The table of outages of real API servers is made by LANYARD_UPDATE_GOLDEN=1 make e2e RUN=Outages.
golden: manifests ## writes every golden file anew, and what the pages have from the code; `git diff` shows the change
	@for package in $$(grep -rl --include='*_test.go' --exclude-dir=cluster LANYARD_UPDATE_GOLDEN . | xargs -n1 dirname | sort -u); do \
		(cd $$package && tests=$$(grep -li golden *_test.go | xargs sed -nE 's/^func (Test[A-Za-z0-9_]+).*/\1/p' | paste -sd '|') && \
			LANYARD_UPDATE_GOLDEN=1 go test -count 1 -run "^($$tests)$$" .) || exit 1; done

screenshots: ## the pictures of docs/status-page.md, by the tests of integration/page
	@cd integration/page && LANYARD_SCREENSHOTS=1 go test -count 1 -run 'TestEachState|TestWithoutAScript' .

freeze: ## the unit tests of PKG (default: all), each process stopped for 5 s at random moments; SEED repeats a run
	@cd integration && go build -o ../bin/freeze ./freeze
	@go test -count 1 -p 8 -timeout 20m -exec '$(CURDIR)/bin/freeze$(if $(SEED), -seed $(SEED))' $(or $(PKG),./...)

test: unit integration ## every test, with the race detector, the real Vault and the real driver

unit: ## the part of test in the root module
	@.ci/prepare test
	@go test -race -p 4 -timeout 20m ./...

# Packages that compress or render for long in one goroutine, which the race detector
# makes five times as long and has nothing to say of.
SEQUENTIAL := ./deployment ./image

integration: ## the part of test in the other modules
	@.ci/prepare test
	@cd integration && all=$$(go list ./...) && go test -race -p 4 -timeout 20m ./kms $$(echo "$$all" | grep -vxF $(SEQUENTIAL:./%=-e github.com/lanyardhq/lanyard/integration/%)) # kms, which waits for most of its time, first
	@cd integration && CGO_ENABLED=0 go test $(SEQUENTIAL)
	@for module in $(filter-out . integration,$(MODULES)); do (cd $$module && go test -race -p 4 -timeout 20m ./...) || exit 1; done
	@cd integration/cluster && CGO_ENABLED=0 go test ./defects

e2e: ## every scenario in a real cluster, the KMS plugin, lanyard-sync, the policy against impersonation and restart on change and the webhook on real API servers, or RUN=NAME, with a soak of SOAK (default 2m), on the versions of KUBERNETES=newest; needs root and the packages of .ci/prepare
	@.ci/prepare e2e
	@$(MAKE) --no-print-directory -j2 e2e-scenarios e2e-kms e2e-sync e2e-impersonation e2e-restart e2e-injected
	@$(MAKE) --no-print-directory e2e-synced # keeps two processors busy by itself

# Several calls of go test, because one of several packages shows nothing before a package has ended.
e2e-scenarios e2e-kms e2e-sync e2e-impersonation e2e-restart e2e-synced e2e-injected: e2e-%:
	@cd integration/cluster && CGO_ENABLED=0 go test -v -count 1 -timeout 40m -parallel $(if $(filter synced,$*),32,8) $(if $(RUN),-run '$(RUN)') ./$*

e2e-defects: ## plants each defect of docs/testing.md and sees the scenarios go red, or NAMES of them; needs what e2e needs
	@cd integration/cluster && go run ./defects/cmd $(NAMES)

# Everything that runs a cluster takes its versions from the environment.
ifdef KUBERNETES
export LANYARD_KUBERNETES := $(KUBERNETES)
endif

cluster: ## the same cluster, left there for trying things out and for `make e2e`
	@cd integration/cluster && go run ./cmd up

cluster-down: ## removes every trace of it
	@cd integration/cluster && go run ./cmd down

fuzz: ## every fuzz test for FUZZTIME each (default 30s)
	@for file in $$(grep -rlE --include='*_test.go' '^func Fuzz' .); do \
		for name in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9]+).*/\1/p' $$file); do \
			echo "$$file $$name"; \
			(cd $$(dirname $$file) && go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(or $(FUZZTIME),30s) -fuzzminimizetime 1x .) || exit 1; \
		done; \
	done

bench: build ## the figures: all of them in docs/bench, with the JSON file and the plot, and six in the README; ONLY=REGEXP replaces groups of a run of the same machine and day
	cd integration && go run ./bench -binary ../bin/lanyard -out ../docs/bench -readme ../README.md $(if $(ONLY),-only '$(ONLY)')

bench-provider: ## mounts of any provider that is running: SOCKET=FILE [CLASS=FILE] [ARGS='-help']
	@cd integration && go build -o ../bin/bench ./bench
	@bin/bench provider -socket '$(SOCKET)' $(if $(CLASS),-class '$(CLASS)') $(ARGS)

# The linter compiles what it looks at: with the settings of build, the two share the
# compiled dependencies.
LINT_ENV := CGO_ENABLED=0

lint: $(LINT) ## gofmt, vet and golangci-lint over every module
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	@for module in $(LINTED); do (cd $$module && $(LINT_ENV) $(LINT) run --allow-parallel-runners --config $(CURDIR)/.golangci.yml ./...) || exit 1; done
	@for module in $(LINTED_FAST); do (cd $$module && $(LINT_ENV) $(LINT) run --allow-parallel-runners --config $(CURDIR)/.golangci.yml --fast-only ./...) || exit 1; done

vuln: $(VULNCHECK) ## known vulnerabilities that the program's code reaches, without a network but the module proxy
	@db="$$(go mod download -json golang.org/x/vulndb@$(VULNDB_VERSION) | sed -n 's/^\t"Dir": "\(.*\)",*$$/\1/p')" && \
		for module in $(MODULES); do (cd $$module && CGO_ENABLED=0 $(VULNCHECK) -db "file://$$db/data/osv" ./...) || exit 1; done

tidy: ## whether each go.mod requires just what its module uses
	@for module in $(LINTED) $(LINTED_FAST) integration/kubernetes integration/kubernetes-newest integration/containerd; do (cd $$module && go mod tidy -diff) || exit 1; done

$(LINT):
	@mkdir -p $(@D)
	CGO_ENABLED=0 GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(@D)/golangci-lint $@

$(VULNCHECK):
	@mkdir -p $(@D)
	CGO_ENABLED=0 GOBIN=$(@D) go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
	mv $(@D)/govulncheck $@

clean: ## what the targets above left in this folder
	rm -rf bin
