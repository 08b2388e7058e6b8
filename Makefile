# make test runs all tests, on a fresh Debian machine with Go too; make check adds the linters. CI runs both.

GO       ?= go
FUZZTIME ?= 10s

# Linters and packagers, at the versions of their own go.mod.
TOOL = $(GO) tool -modfile=.ci/tools.mod

# Programs that the tests drive, or that the race detector needs, with the Debian packages they come in.
TOOLS = gcc:build-essential tcpdump:tcpdump conntrack:conntrack tshark:tshark curl:curl dig:dnsutils dnsmasq:dnsmasq-base iperf3:iperf3 \
        ip:iproute2 nc:netcat-openbsd nft:nftables nmap:nmap logrotate:logrotate ping:iputils-ping ps:procps hping3:hping3 mtr:mtr-tiny prlimit:util-linux ss:iproute2 strace:strace tracepath:iputils-tracepath traceroute:traceroute iptables:iptables man:man-db mandoc:mandoc tmux:tmux sudo:sudo

# nft, ip and dnsmasq are not on the path of ordinary users, Go may not be on that of "sudo make install".
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin:/usr/local/go/bin

.PHONY: build install deb release test soak mutate check lint fuzz bench quicload bench-compare microbench tools format vet

build:
	CGO_ENABLED=0 $(GO) build -trimpath $(BUILDFLAGS) -o bin/syntap ./cmd/syntap

# What belongs on a host, where Debian's man, shells and systemd look for it. Documents stand to each other as here, so
# that their links lead to files. A config that is there is left alone.
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
SHARE       = $(DESTDIR)$(PREFIX)/share
CONFIG      = $(DESTDIR)$(SYSCONFDIR)/syntap/config.yaml
ZSH         = zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
install: build
	install -D -m 755 bin/syntap $(DESTDIR)$(PREFIX)/bin/syntap
	install -d $(SHARE)/man/man1 $(SHARE)/man/man5 $(SHARE)/bash-completion/completions $(SHARE)/$(ZSH) $(SHARE)/fish/vendor_completions.d
	bin/syntap man $(SHARE)/man/man1
	mv $(SHARE)/man/man1/*.5 $(SHARE)/man/man5
	bin/syntap completion bash >$(SHARE)/bash-completion/completions/syntap
	bin/syntap completion zsh >$(SHARE)/$(ZSH)/_syntap
	bin/syntap completion fish >$(SHARE)/fish/vendor_completions.d/syntap.fish
	install -D -m 644 -t $(SHARE)/doc/syntap README.md BENCH.md CHANGELOG.md
	install -D -m 644 -t $(SHARE)/doc/syntap/configs configs/*.md configs/*.yaml configs/attribute.conf configs/syntap.service
	install -D -m 644 -t $(SHARE)/doc/syntap/configs/package configs/package/config.yaml
	for dir in container fleet grafana lnav policies prometheus vector; do install -D -m 644 -t $(SHARE)/doc/syntap/configs/$$dir configs/$$dir/* || exit; done
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/bin/syntap|$(PREFIX)/bin/syntap|; s|/etc/syntap|$(SYSCONFDIR)/syntap|' configs/syntap.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/syntap.service
	install -D -m 644 configs/package/sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/syntap.conf
	install -D -m 644 configs/package/tmpfiles.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/syntap.conf
	test -e $(CONFIG) || install -D -m 644 configs/package/config.yaml $(CONFIG)

# bin/syntap_VERSION_ARCH.deb, and with PACKAGERS="deb rpm apk" those of other distributions.
export VERSION           ?= $(shell cat cmd/internal/version/VERSION)
export ARCH              ?= $(shell $(GO) env GOARCH)
export MAINTAINER        ?= $(shell git log -1 --format='%an <%ae>')
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)
PACKAGERS = deb
deb: DOC = bin/deb/usr/share/doc/syntap
deb:
	rm -rf bin/deb
	umask 022 && $(MAKE) install DESTDIR=bin/deb PREFIX=/usr
	CGO_ENABLED=0 GOARCH=$(ARCH) $(GO) build -trimpath -ldflags='-s -w' -o bin/deb/usr/bin/syntap ./cmd/syntap
	printf 'syntap (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- %s  %s\n' \
		"$(VERSION)" "$(MAINTAINER)" "$$(date -uR -d @$(SOURCE_DATE_EPOCH))" >$(DOC)/changelog
	install -m 644 configs/package/copyright $(DOC)
	install -D -m 644 configs/package/lintian-overrides bin/deb/usr/share/lintian/overrides/syntap
	gzip -9n $(DOC)/changelog bin/deb/usr/share/man/man*/*
	for packager in $(PACKAGERS); do \
		$(TOOL) nfpm package --config configs/package/nfpm.yaml --packager $$packager --target bin/ || exit; \
	done

# What a release consists of, in bin/release: static binaries and packages for both architectures, their
# bill of materials, and the sums of all. Two checkouts of one revision give the same binaries.
RELEASE = bin/release
release:
	rm -rf $(RELEASE) && mkdir -p $(RELEASE)
	for arch in amd64 arm64; do \
		$(MAKE) deb ARCH=$$arch PACKAGERS="deb rpm apk" || exit; \
		mv bin/syntap_$(VERSION)_*.deb bin/syntap-$(VERSION)-*.rpm bin/syntap_$(VERSION)_*.apk $(RELEASE) || exit; \
		cp bin/deb/usr/bin/syntap $(RELEASE)/syntap_$(VERSION)_linux_$$arch || exit; \
	done
	$(TOOL) cyclonedx-gomod bin -json -licenses -version v$(VERSION) -output $(RELEASE)/syntap_$(VERSION).cdx.json $(RELEASE)/syntap_$(VERSION)_linux_amd64
	cd $(RELEASE) && sha256sum * >SHA256SUMS
	@ls -l $(RELEASE)

test: tools build format vet
	$(GO) test -race -shuffle=on -timeout=15m ./...

# The tests of the binary and of what connections leave at their full size; their figures go to
# SOAK_REPORT. Then fuzzing, a minute for each target, and the mutations: hours together. A browser is
# too large for every run: make test drives one where it finds it.
SOAK_REPORT ?= $(CURDIR)/bin/soak.txt
soak: TOOLS += chromium:chromium mkfs.ext4:e2fsprogs
soak: tools build
	rm -f $(SOAK_REPORT)
	SYNTAP_REQUIRE_NETNS=1 SYNTAP_SOAK=1 SYNTAP_SOAK_REPORT=$(SOAK_REPORT) $(GO) test -count=1 -timeout=120m -parallel=1 ./cmd/internal/e2e
	@sort $(SOAK_REPORT)
	SYNTAP_SOAK=1 $(GO) test -count=1 -run='^TestNothingIsLeft$$' ./stack
	SYNTAP_SOAK=1 $(GO) test -count=1 -timeout=240m -parallel=1 -v ./cmd/internal/fleet/victorialogs ./cmd/internal/fleet/jetstream ./cmd/internal/fleet/search
	$(MAKE) fuzz FUZZTIME=1m
	$(MAKE) mutate

# Breaks the product in small ways and says which of them no test notices. ONLY is a regular
# expression for what is broken, or where.
mutate:
	$(GO) run ./tools/mutate -only '$(ONLY)'

check: test lint

format:
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "gofmt these files:"; echo "$$files"; exit 1; fi

# Linux is the target; elsewhere the commands that need no TUN work.
vet:
	for os in linux darwin freebsd windows; do GOOS=$$os CGO_ENABLED=0 $(GO) vet ./... || exit; done

# govulncheck exits with 3 when it has found something, with 1 where its database is out of reach.
lint:
	$(TOOL) golangci-lint run
	$(TOOL) govulncheck ./...; status=$$?; if [ $$status -eq 3 ]; then exit 1; fi; \
		if [ $$status -ne 0 ]; then echo "govulncheck has not run: it needs https://vuln.go.dev"; fi

# Every fuzz target of every package, one after the other. Go before 1.27 may report the end of its time as a failure
# (go.dev/issue/75804); a real one names the input.
fuzz: SHELL := /bin/bash
fuzz:
	@set -eo pipefail; log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's|/[^/]*:func | |' | sort | while read -r dir target; do \
		echo "fuzz $$dir $$target"; \
		$(GO) test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=1s "$$dir" 2>&1 | tee "$$log" || \
			{ grep -q '^ *context deadline exceeded$$' "$$log" && ! grep -q 'Failing input' "$$log"; } || exit 1; \
	done

# syntap beside the peers that are installed and beside its own variants, as root, for half an hour: the figures in BENCH.md
# and README.md. SYNTAP, SING_BOX, TUN2SOCKS and PASTA name programs that are not on the path, ROUTERS those that are measured.
bench: ROUNDS = 3
bench: WINDOW = 3
bench: build quicload
	$(GO) run ./cmd/internal/bench -n $(ROUNDS) -seconds $(WINDOW) -o BENCH.md -summary README.md $(ROUTERS)

# The load of QUIC: a module of its own.
quicload:
	cd tools/quicload && CGO_ENABLED=0 $(GO) build -trimpath -o ../../bin/quicload .

# syntap beside that of another revision, by turns: ratios with their standard errors, on standard output.
bench-compare: ROUNDS = 5
bench-compare: WINDOW = 3
bench-compare: PAIRS = syntap $(addprefix syntap-,nolog chain rules nonames nofindings fleet)
bench-compare: build quicload
	@[ -n "$(BASE)" ] || { echo 'usage: make bench-compare BASE=REVISION [ROUNDS=5] [WINDOW=3] [ONLY=REGEXP]' >&2; exit 2; }
	@set -e; dir=$$(mktemp -d); trap 'git worktree remove --force "$$dir/src"; rm -rf "$$dir"' EXIT; \
	git worktree add --quiet --detach "$$dir/src" "$(BASE)"; \
	(cd "$$dir/src" && $(GO) build -o "$$dir/syntap" ./cmd/syntap); \
	SYNTAP_BASE="$$dir/syntap" $(GO) run ./cmd/internal/bench -n $(ROUNDS) -seconds $(WINDOW) -only '$(ONLY)' $(PAIRS) $(PAIRS:syntap%=base%)

microbench:
	$(GO) test -run='^$$' -bench=. -benchmem ./...

# Installs the missing tools as root; tells about them otherwise, and the tests that need one are skipped.
tools:
	@missing=; \
	for tool in $(TOOLS); do command -v "$${tool%:*}" >/dev/null || missing="$$missing $${tool#*:}"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then \
		echo "installing$$missing"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	else \
		echo "not root: the tests that need them are skipped without these packages:$$missing"; \
		echo "hint: apt-get install$$missing"; \
	fi
