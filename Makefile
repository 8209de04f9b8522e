# Herold. `make help` lists the targets.

MODE ?= release
BUILD := build/$(MODE)
# The programs of the release build stand in build/ itself.
BIN := $(if $(filter release,$(MODE)),build,$(BUILD))

CC ?= cc
PKG_CONFIG ?= pkg-config
PACKAGES_COMMON := libevent_core libevent_extra libcrypto libbsd
PACKAGES_SERVER := libssl jansson zlib
# The part of hiredis that speaks TLS, where there is one.
PACKAGES_BROKER := hiredis $(if $(shell $(PKG_CONFIG) --exists hiredis_ssl && echo yes),hiredis_ssl libssl)
PACKAGES_TEST := check

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wwrite-strings -Wformat=2 -Wpointer-arith -Wcast-qual -Wvla -Wimplicit-fallthrough -Wundef
# Narrowing is refused where bytes of peers are taken apart.
CONVERSION_DIRS := common/base common/ipc server/http server/ws
HARDENING := -fno-common -fstack-protector-strong -fno-omit-frame-pointer -fPIE
ifeq ($(MODE),release)
OPTIMISE := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
else ifeq ($(MODE),debug)
OPTIMISE := -Og -g
else ifeq ($(MODE),asan)
OPTIMISE := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined
else ifeq ($(MODE),fuzz)
CC := clang-14
OPTIMISE := -O2 -g -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined
else ifeq ($(MODE),coverage)
CC := clang-14
OPTIMISE := -O0 -g -fprofile-instr-generate -fcoverage-mapping
else
$(error MODE is release, debug or asan; fuzz or coverage for the fuzz targets)
endif
# What not every compiler and processor has. tests/lint/binary sees that the programs have come out so.
has_flag = $(if $(shell $(CC) $(1) -Werror -x c -c /dev/null -o /dev/null 2>&1),,$(1))
HARDENING += $(call has_flag,-fstack-clash-protection) $(call has_flag,-fcf-protection=full)
HARDENING_LINK := -pie -Wl,-z,relro,-z,now,-z,noexecstack
ifdef CI
WERROR := -Werror
endif

VERSION := $(shell cat VERSION)
CPPFLAGS += -I. -D_GNU_SOURCE -DHEROLD_VERSION='"$(VERSION)"'
# Events of common/svc/trace.tbl are USDT probes, too, where the header for that is.
USDT := $(shell $(CC) -include sys/sdt.h -fsyntax-only -x c /dev/null 2>/dev/null && echo -DHEROLD_USDT)
CPPFLAGS += $(USDT)
CFLAGS += -std=c11 $(OPTIMISE) $(HARDENING) $(WARNINGS) $(WERROR)
LDFLAGS += $(HARDENING_LINK) $(filter -fsanitize% -fprofile-instr%,$(OPTIMISE)) -Wl,--as-needed

COMMON_SRC := $(wildcard common/base/*.c common/svc/*.c common/ipc/*.c)
SERVER_DIRS := net http ws auth limits conn hub inspect moderation proto page admin worker master
SERVER_SRC := $(wildcard $(SERVER_DIRS:%=server/%/*.c))
BROKER_SRC := $(filter-out broker/main.c,$(wildcard broker/*.c broker/redis/*.c))
CTL_SRC := $(wildcard ctl/*.c)
UNIT_SRC := $(wildcard tests/unit/*.c)
PAGE_FILES := $(foreach d,server/page server/admin/page,$(wildcard $(d)/*.html $(d)/*.css $(d)/*.js $(d)/*.svg))

objects = $(1:%.c=$(BUILD)/%.o)
COMMON_OBJ := $(call objects,$(COMMON_SRC))
SERVER_OBJ := $(call objects,$(SERVER_SRC))
BROKER_OBJ := $(call objects,$(BROKER_SRC))
CTL_OBJ := $(call objects,$(CTL_SRC))
UNIT_OBJ := $(call objects,$(UNIT_SRC))
# What loads and bench floors use.
BASE_OBJ := $(filter $(BUILD)/common/base/%,$(COMMON_OBJ))
LOAD_OBJ := $(call objects,$(wildcard tests/load/*.c))
# Of the load, what other tools measure with.
LOAD_MEASURE_OBJ := $(BUILD)/tests/load/histogram.o $(BUILD)/tests/load/procs.o
# And what its unit tests test.
LOAD_PURE_OBJ := $(patsubst %,$(BUILD)/tests/load/%.o,chat_json heard histogram target waiting)
FLOOR_OBJ := $(call objects,$(wildcard tests/bench/*.c))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_NAMES := $(FUZZ_SRC:tests/fuzz/fuzz_%.c=%)
FUZZ_HELP_OBJ := $(call objects,$(filter-out $(FUZZ_SRC) tests/fuzz/replay.c,$(wildcard tests/fuzz/*.c)) tests/unit/ws_reference.c tests/unit/jwt_maker.c tests/unit/json_compared.c)

# Libraries are asked for only when something is built, so that `make run` can install them first.
LIBS_COMMON = $(shell $(PKG_CONFIG) --libs $(PACKAGES_COMMON))
LIBS_SERVER = $(shell $(PKG_CONFIG) --libs $(PACKAGES_SERVER))
LIBS_BROKER = $(shell $(PKG_CONFIG) --libs $(PACKAGES_BROKER))
LIBS_TEST = $(shell $(PKG_CONFIG) --libs $(PACKAGES_TEST)) -lpthread

ifndef V
say = @printf '  %-5s %s\n' $(1) $(2);
endif

.PHONY: all run test test-compose check unit e2e stories asan-test lint load bench bench-scale fuzz fuzz-programs fuzz-replay fuzz-coverage deps deps-test deps-fuzz clean help
.DEFAULT_GOAL := all

all: $(BIN)/herold $(BIN)/herold-broker $(BIN)/herold-ctl ## build all programs into build/ (MODE=release, debug or asan)

$(BIN)/herold: $(BUILD)/server/main.o $(SERVER_OBJ) $(COMMON_OBJ)
	$(call say,LD,$@)$(CC) $(CFLAGS) -o $@ $^ $(LDFLAGS) $(LIBS_COMMON) $(LIBS_SERVER)

$(BIN)/herold-broker: $(BUILD)/broker/main.o $(BROKER_OBJ) $(COMMON_OBJ)
	$(call say,LD,$@)$(CC) $(CFLAGS) -o $@ $^ $(LDFLAGS) $(LIBS_COMMON) $(LIBS_BROKER)

# Of common what it needs, and so no library but one.
$(BIN)/herold-ctl: $(CTL_OBJ) $(patsubst %,$(BUILD)/common/base/%.o,base buf mem slice utf8 visible) $(BUILD)/common/svc/sock.o
	$(call say,LD,$@)$(CC) $(CFLAGS) -o $@ $^ $(LDFLAGS) $(shell $(PKG_CONFIG) --libs jansson)

# Programs that crash on order, for one test: the same objects, and some that stand in front of functions that clients reach.
CRASH := $(BIN)/crash/herold $(BIN)/crash/herold-broker
CRASH_OBJ := $(call objects,$(wildcard tests/crash/*.c))

$(BIN)/crash/herold: $(BUILD)/tests/crash/crash_server.o $(BUILD)/tests/crash/crash.o $(BUILD)/server/main.o $(SERVER_OBJ) $(COMMON_OBJ)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CFLAGS) -Wl,--wrap=conn_send_back,--wrap=admin_readyz -o $@ $^ $(LDFLAGS) $(LIBS_COMMON) $(LIBS_SERVER)

$(BIN)/crash/herold-broker: $(BUILD)/tests/crash/crash_broker.o $(BUILD)/tests/crash/crash.o $(BUILD)/broker/main.o $(BROKER_OBJ) $(COMMON_OBJ)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(CFLAGS) -Wl,--wrap=router_on_message -o $@ $^ $(LDFLAGS) $(LIBS_COMMON) $(LIBS_BROKER)

$(BUILD)/unit: $(UNIT_OBJ) $(LOAD_PURE_OBJ) $(SERVER_OBJ) $(BROKER_OBJ) $(COMMON_OBJ)
	$(call say,LD,$@)$(CC) $(CFLAGS) -o $@ $^ $(LDFLAGS) $(LIBS_COMMON) $(LIBS_SERVER) $(LIBS_BROKER) $(LIBS_TEST)

$(BIN)/herold-load: $(LOAD_OBJ) $(BASE_OBJ)
	$(call say,LD,$@)$(CC) $(CFLAGS) -o $@ $^ $(LDFLAGS) $(LIBS_COMMON) $(LIBS_SERVER)

# They unmask as Herold does, with what is fastest here.
$(BIN)/floor_%: $(BUILD)/tests/bench/floor_%.o $(BUILD)/tests/bench/floor.o $(BUILD)/server/ws/ws_frame.o $(BASE_OBJ)
	$(call say,LD,$@)$(CC) $(CFLAGS) -o $@ $^ $(LDFLAGS) $(LIBS_COMMON)

$(BIN)/floor_tls $(BIN)/load_tls: $(BIN)/%: $(BUILD)/tests/bench/%.o $(LOAD_MEASURE_OBJ) $(BASE_OBJ)
	$(call say,LD,$@)$(CC) $(CFLAGS) -o $@ $^ $(LDFLAGS) $(LIBS_COMMON) $(LIBS_SERVER)

$(BIN)/load_relay $(BIN)/load_rooms: $(BIN)/%: $(BUILD)/tests/bench/%.o $(BUILD)/tests/bench/chat_peer.o $(LOAD_MEASURE_OBJ) $(BASE_OBJ)
	$(call say,LD,$@)$(CC) $(CFLAGS) -o $@ $^ $(LDFLAGS) $(LIBS_COMMON)

$(BIN)/load_hold $(BIN)/load_flood $(BIN)/load_socketio: $(BIN)/%: $(BUILD)/tests/bench/%.o $(LOAD_MEASURE_OBJ) $(BASE_OBJ)
	$(call say,LD,$@)$(CC) $(CFLAGS) -o $@ $^ $(LDFLAGS) $(LIBS_COMMON)

$(BIN)/bench_bytes: $(BUILD)/tests/bench/bytes.o $(BUILD)/server/ws/ws_frame.o $(BASE_OBJ)
	$(call say,LD,$@)$(CC) $(CFLAGS) -o $@ $^ $(LDFLAGS) $(LIBS_COMMON)

# Put before the programs, to count what they call.
build/count_calls.so: tests/bench/count_calls.c
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) -std=c11 -D_GNU_SOURCE -O2 -fPIC -shared $(WARNINGS) $(WERROR) -o $@ $<

# A library, so that a target has no more in it than it calls, and may stand in for what is below it.
$(BUILD)/fuzzed.a: $(FUZZ_HELP_OBJ) $(SERVER_OBJ) $(BUILD)/broker/redis/redis_payload.o $(COMMON_OBJ)
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^

# libFuzzer has a main of its own.
FUZZ_MAIN := $(if $(filter fuzz,$(MODE)),,$(BUILD)/tests/fuzz/replay.o)
$(FUZZ_NAMES:%=$(BUILD)/fuzz_%): $(BUILD)/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(FUZZ_MAIN) $(BUILD)/fuzzed.a
	$(call say,LD,$@)$(CC) $(CFLAGS) $(if $(FUZZ_MAIN),,-fsanitize=fuzzer) -o $@ $^ $(LDFLAGS) $(LIBS_COMMON) $(LIBS_SERVER)

# private: else the file of flags, which they depend on, would be written with it too, whenever one of them comes first.
$(foreach d,$(CONVERSION_DIRS),$(BUILD)/$(d)/%.o): private CFLAGS += -Wconversion

# A changed flag rebuilds everything.
$(BUILD)/flags: FORCE
	@mkdir -p $(BUILD)
	@echo '$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)' | cmp -s - $@ || echo '$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)' >$@
FORCE:

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# The pages are part of the program.
$(BUILD)/server/page/assets.o: $(PAGE_FILES)
# And the scripts of the broker.
$(BUILD)/broker/redis/redis_scripts.o: $(wildcard broker/redis/lua/*.lua)

# Every tests/unit/test_NAME.c exports suite_NAME().
$(BUILD)/suites.tbl: $(UNIT_SRC)
	@mkdir -p $(BUILD)
	@for f in $(patsubst tests/unit/test_%.c,%,$(filter tests/unit/test_%,$(sort $(UNIT_SRC)))); do echo "SUITE($$f)"; done >$@
$(BUILD)/tests/unit/%.o: private CPPFLAGS += -I$(BUILD)
$(BUILD)/tests/unit/main.o: $(BUILD)/suites.tbl

-include $(patsubst %.o,%.d,$(COMMON_OBJ) $(SERVER_OBJ) $(BROKER_OBJ) $(UNIT_OBJ) $(CTL_OBJ) $(CRASH_OBJ) $(LOAD_OBJ) $(FLOOR_OBJ) $(FUZZ_HELP_OBJ) $(call objects,$(FUZZ_SRC) tests/fuzz/replay.c) $(BUILD)/server/main.d $(BUILD)/broker/main.d)

# Of a sub-make that builds.
PARALLEL := --no-print-directory -j$(shell nproc)

run: deps ## install what building needs, build, and serve the chat on http://localhost:8080/
	@$(MAKE) $(PARALLEL) all
	build/herold -o drain_seconds=1 $(ARGS)

test: deps-test ## install what testing needs, build, and run every test (what CI runs)
	@$(MAKE) $(PARALLEL) all
	@$(MAKE) --no-print-directory lint
	@$(MAKE) $(PARALLEL) MODE=asan all build/asan/unit fuzz-programs
	@$(MAKE) --no-print-directory MODE=asan unit fuzz-replay
	@$(MAKE) --no-print-directory e2e
	@$(MAKE) --no-print-directory MODE=asan e2e

unit: $(BUILD)/unit ## unit tests; SUITE=name runs one
	@tests/unit/run $(BUILD)/unit $(BUILD)/suites.tbl $(SUITE)

e2e: all $(CRASH) $(BIN)/herold-load build/count_calls.so tests/e2e/node_modules/.package-lock.json ## end-to-end tests with real clients; CASE=file runs one
	BIN=$(CURDIR)/$(BIN) tests/e2e/run $(CASE)

stories: all tests/e2e/node_modules/.package-lock.json ## the stories about Redis at full length, with at least 100,000 messages; not a part of test
	BIN=$(CURDIR)/$(BIN) tests/e2e/stories

test-compose: tests/e2e/node_modules/.package-lock.json ## docker-compose.yml with a real engine, scaled and restarted; skipped where there is none
	tests/compose/run

tests/e2e/node_modules/.package-lock.json: tests/e2e/package-lock.json
	cd tests/e2e && npm ci --no-audit --no-fund
	@touch $@

fuzz: deps-fuzz ## fuzz TARGET=name for TIME=seconds (60); what is new goes into its corpus
	@$(MAKE) --no-print-directory MODE=fuzz build/fuzz/fuzz_$(TARGET)
	tests/fuzz/run $(TARGET) $(or $(TIME),60)

fuzz-programs: $(FUZZ_NAMES:%=$(BUILD)/fuzz_%)

fuzz-replay: fuzz-programs ## every file of the fuzzers' corpora through its target (MODE=asan)
	@for name in $(FUZZ_NAMES); do $(BUILD)/fuzz_$$name tests/fuzz/corpus/$$name || exit 1; done

fuzz-coverage: deps-fuzz ## how much of the fuzzed files the corpora cover
	@$(MAKE) --no-print-directory MODE=coverage fuzz-programs
	tests/fuzz/coverage

bench: ## Herold beside bare epoll loops and other servers; BENCH=name,... for some parts (tests/bench/README.md); also in build/bench.txt and build/bench.svg
	@$(MAKE) --no-print-directory MODE=release all build/herold-load build/floor_echo build/floor_fan build/floor_tls build/load_tls build/load_hold build/load_relay build/load_rooms build/load_flood build/load_socketio build/bench_bytes build/count_calls.so
	@deploy/install-packages bench || true # what is missing is said in the tables
	@node tests/bench/run.mjs $(if $(BENCH),--only=$(BENCH)) $(ARGS)

load: $(BIN)/herold-load ## the load generator, build/herold-load (docs/load-testing.md)

bench-scale: ## N=500000 connections held for HOLD=600 seconds with heartbeats, and a room of 100,000; root (docs/scaling.md); also in build/bench-scale.txt
	@$(MAKE) --no-print-directory MODE=release all build/herold-load build/floor_ping
	@node tests/bench/scale.mjs $(if $(N),--connections=$(N)) $(if $(HOLD),--hold=$(HOLD)) $(ARGS)

lint: ## the layers, the libraries, the sizes and the words of the tree
	tests/lint/run

deps:
	@deploy/install-packages build
deps-test:
	@deploy/install-packages build test
deps-fuzz:
	@deploy/install-packages build fuzz

clean: ## remove everything that was built
	rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' Makefile
