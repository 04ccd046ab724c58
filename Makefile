# SPDX-License-Identifier: BSD-2-Clause
# Every entry point of perhop. `make help` lists them. Quiet unless V=1. Output goes to $(B).

# `make compare A=… B=…` is about two dataplanes; everywhere else B is the folder to build in.
ifneq ($(filter compare,$(MAKECMDGOALS)),)
SECOND  := $(B)
override B := build
endif
B       ?= build
# Make's own default is cc, which ?= would keep.
ifeq ($(origin CC),default)
CC      := gcc
endif
CLANG   ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PYTHON  := /usr/bin/python3
# Nothing is written outside $(B) and results/runs, nor Python's caches.
export PYTHONDONTWRITEBYTECODE := 1
PROFILE ?= quick
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-8s%s\n' '$(1)' '$(2)')

# What is missing comes before all else: what follows asks gcc and pkg-config while make reads it.
# On a complete machine that costs 20 ms. Not with make -n.
ifneq ($(filter check check-mpk reproduce,$(MAKECMDGOALS)),)
ifeq ($(findstring n,$(filter-out --%,$(firstword -$(MAKEFLAGS)))),)
ifneq ($(shell scripts/prerequisites.sh >&2 </dev/null; echo $$?),0)
$(error What perhop needs is not all there: see above)
endif
endif
endif

OPT     ?= -O2 -g
CFLAGS  += -std=gnu11 $(OPT) -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
           -Wmissing-prototypes -Wvla -fno-strict-aliasing -fstack-protector-strong \
           -ffunction-sections -fdata-sections
CPPFLAGS += -D_GNU_SOURCE -I. -I$(B)
LDFLAGS += -Wl,-z,relro,-z,now,-z,noexecstack
LDLIBS  += -lmnl -lbpf -lelf -lz -ljansson -lprotobuf-c -lcrypto -lturbojpeg -lsqlite3 -lnghttp2 -lm -ldl
DEPFLAGS = -MMD -MP

# ---- What there is ------------------------------------------------------------------------------
SRC     := $(wildcard chain/*.c dataplanes/*/*.c dataplanes/*/*/*.c workloads/*/*.c audit/*.c)
SRC     := $(filter-out %.bpf.c,$(SRC))
# DPDK is optional: without it `perhop list` shows the dataplane and says what is missing.
ifeq ($(shell pkg-config --exists libdpdk 2>/dev/null && echo yes),yes)
SRC     := $(filter-out dataplanes/dpdk/absent.c,$(SRC))
DPDK_CFLAGS := $(patsubst -I%,-isystem %,$(filter-out -I/usr/include/dbus% -I/usr/lib/%,$(shell pkg-config --cflags libdpdk)))
LDLIBS  += -lrte_eal -lrte_ring
$(B)/dataplanes/dpdk/%.o: CPPFLAGS += $(DPDK_CFLAGS)
else
SRC     := $(filter-out dataplanes/dpdk/dpdk.c dataplanes/dpdk/eal.c,$(SRC))
endif
# So are lwIP and libxdp: without them sure has no stack=zstack between nodes.
LWIP    := $(shell echo '\#include <lwip/init.h>' | $(CC) -E -isystem /usr/include/lwip -x c - >/dev/null 2>&1 && \
	pkg-config --exists libxdp 2>/dev/null && echo yes)
ifeq ($(LWIP),yes)
SRC     := $(filter-out dataplanes/sure/zstack/absent.c,$(SRC))
LDLIBS  += -llwip -lxdp
$(B)/dataplanes/sure/zstack/%.o: CPPFLAGS += -isystem /usr/include/lwip
else
SRC     := $(filter-out dataplanes/sure/zstack/zstack.c dataplanes/sure/zstack/umem.c,$(SRC))
endif
CLI     := $(wildcard cli/*.c)
PROTO   := $(wildcard workloads/*/*.proto)
BPF     := $(wildcard chain/*.bpf.c dataplanes/*/*.bpf.c dataplanes/*/*/*.bpf.c audit/*.bpf.c)
UNIT    := $(wildcard tests/unit/test_*.c)

PBC     := $(PROTO:%.proto=$(B)/%.pb-c.c)
TEXT    := $(wildcard dataplanes/*/*.conf dataplanes/*/*.lua)
SKEL    := $(BPF:%.bpf.c=$(B)/%.skel.h)
LIB     := $(B)/libperhop.a
PERHOP  := $(B)/perhop
TEXTH   := $(TEXT:%=$(B)/%.h)
OBJ     := $(SRC:%.c=$(B)/%.o) $(PBC:.c=.o) $(B)/registry.o \
	   $(addprefix $(B)/dataplanes/sure/unikernel/,image.o reset.o)
UNITBIN := $(UNIT:%.c=$(B)/%)

# Protocol adapters: shared objects that the gateway loads, one per chain/adapters/X.c; X_*.c are its parts.
ADAPTERS := mqtt coap
ADAPTER_PARTS := $(foreach a,$(ADAPTERS),$(patsubst %.c,$(B)/%.o,$(wildcard chain/adapters/$(a)_*.c)))
ADAPTERSO := $(ADAPTERS:%=$(B)/adapters/%.so)

.PHONY: all
all: $(PERHOP) $(ADAPTERSO)

$(B)/chain/adapters/%.o: CFLAGS += -fPIC

$(B)/adapters/%.so: $(B)/chain/adapters/%.o $(ADAPTER_PARTS)
	$(call say,SO,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) $(LDFLAGS) -shared -o $@ $(filter $(B)/chain/adapters/$*.o $(B)/chain/adapters/$*_%,$^)

$(PERHOP): $(CLI:%.c=$(B)/%.o) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--whole-archive $(LIB) -Wl,--no-whole-archive $(LDLIBS)

# Functions are what gate=mpk does not trust: none may contain an instruction that writes PKRU.
$(B)/pkru.scanned: $(filter $(B)/workloads/%,$(OBJ)) scripts/scan_pkru.py
	$(call say,SCAN,workloads)
	$(Q)$(PYTHON) scripts/scan_pkru.py $(filter %.o,$^) && touch $@

$(LIB): $(OBJ) $(B)/pkru.scanned
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

# Generated headers must be there before anything is compiled.
$(B)/%.o: %.c | $(SKEL) $(PBC) $(TEXTH)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) $(DEPFLAGS) -c -o $@ $<

$(B)/%.pb-c.o: $(B)/%.pb-c.c
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(DEPFLAGS) -c -o $@ $<

$(B)/%.pb-c.c: %.proto
	$(call say,PROTOC,$<)
	$(Q)mkdir -p $(B) && protoc-c --c_out=$(B) $<

# Which dataplanes and workloads there are: which folders there are.
$(B)/registry.c: FORCE
	$(Q)mkdir -p $(B) && scripts/registry.sh >$@.new && if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(B)/registry.o: $(B)/registry.c
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(DEPFLAGS) -c -o $@ $<

# A configuration file as a C string, to be included between `= ` and `;`.
$(TEXTH): $(B)/%.h: %
	$(call say,TEXT,$<)
	$(Q)mkdir -p $(@D) && sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/' $< > $@

# ---- The unikernel of sure:unikernel -------------------------------------------------------------
# Our library OS, linked with the objects of the functions, the sidecar and chain/ that perhop itself is
# linked from. Sanitizers do not run on bare metal: a sanitized perhop carries the image of a plain build.
UNIKERNEL := $(B)/unikernel.elf
UNIKERNEL_WORKLOADS := boutique echo motion
GUESTDIR := dataplanes/sure/unikernel/guest
GUESTOBJ := $(patsubst %,$(B)/%.o,$(basename $(wildcard $(GUESTDIR)/*.[cS])))
GUESTLIB := $(foreach w,$(UNIKERNEL_WORKLOADS),$(filter $(B)/workloads/$(w)/%,$(SRC:%.c=$(B)/%.o) $(PBC:.c=.o))) \
	$(patsubst %,$(B)/chain/%.o,clock codec function http_chunks http_form http_parse http_payload http_write \
		mesh message pool ring route runtime spec trial waiting workload) \
	$(addprefix $(B)/dataplanes/sure/,port.o gate_entry.o sidecar/sidecar.o unikernel/window.o)
# Sections of their own for all that is dropped: not from a build before these flags.
$(GUESTLIB): Makefile

# Functions are compiled for user space: what they expect of it (SSE, a red zone, fs:0x28) the guest sees to.
# Its own: nothing that only an operating system could give, and no loops turned back into calls of memcpy.
GUESTCFLAGS = $(filter-out -fsanitize=% -fno-sanitize% -fstack-protector%,$(CFLAGS)) -fno-stack-protector \
	-fno-builtin -fno-tree-loop-distribute-patterns -fno-pic -fno-pie -fcf-protection=none

GUESTLINK = $(CC) -static -no-pie -nostdlib -s -Wl,-T,$(GUESTDIR)/link.ld -Wl,--gc-sections \
	-Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,max-page-size=4096 -Wl,--no-warn-rwx-segments
GUESTLIBS = -lprotobuf-c -ljansson -lgcc
# gcc says only the name of what it does not find.
GUESTMISSING := $(strip $(foreach l,libprotobuf-c.a libjansson.a,$(if $(filter $(l),$(shell $(CC) -print-file-name=$(l))),$(l))))

$(B)/$(GUESTDIR)/%.o: $(GUESTDIR)/%.c
	$(call say,GUEST,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) -U_FORTIFY_SOURCE $(GUESTCFLAGS) $(DEPFLAGS) -c -o $@ $<

# A trap must not touch what the function had in vector registers.
$(B)/$(GUESTDIR)/cpu.o: GUESTCFLAGS += -mgeneral-regs-only

$(B)/$(GUESTDIR)/%.o: $(GUESTDIR)/%.S
	$(call say,GUEST,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) -c -o $@ $<

ifeq ($(findstring -fsanitize,$(CFLAGS)),)
$(UNIKERNEL): $(GUESTOBJ) $(GUESTLIB) $(GUESTDIR)/link.ld
	$(call say,LD,$@)
ifneq ($(GUESTMISSING),)
	@echo 'no static $(GUESTMISSING): sure:unikernel is left out'; : >$@
else
	$(Q)$(GUESTLINK) -o $@ $(GUESTOBJ) -Wl,--start-group $(GUESTLIB) $(GUESTLIBS) -Wl,--end-group
endif

# For test_unikernel: functions that misbehave.
$(B)/tests/unikernel/hostile.elf: $(B)/tests/unikernel/hostile.o $(GUESTOBJ) $(GUESTLIB) $(GUESTDIR)/link.ld
	$(call say,LD,$@)
ifneq ($(GUESTMISSING),)
	@: >$@
else
	$(Q)$(GUESTLINK) -o $@ $< $(filter-out %/workloads.o,$(GUESTOBJ)) -Wl,--start-group \
		$(filter-out $(B)/workloads/%,$(GUESTLIB)) $(GUESTLIBS) -Wl,--end-group
endif
else
# One after the other: they share a folder.
$(B)/tests/unikernel/hostile.elf: FORCE | $(UNIKERNEL) $(B)/function
	$(Q)$(MAKE) --no-print-directory B=$(B)/plain OPT='-O2 -g' $(B)/plain/tests/unikernel/hostile.elf && \
		mkdir -p $(@D) && cp $(B)/plain/tests/unikernel/hostile.elf $@

$(UNIKERNEL): FORCE
	$(Q)$(MAKE) --no-print-directory B=$(B)/plain OPT='-O2 -g' $(B)/plain/unikernel.elf && \
		mkdir -p $(@D) && { cmp -s $(B)/plain/unikernel.elf $@ || cp $(B)/plain/unikernel.elf $@; }
endif

# What `perhop startup` compares it with: the same objects as a static program.
FUNCTION := $(B)/function
FUNCTIONSRC := dataplanes/sure/unikernel/linux/function.c
ifeq ($(findstring -fsanitize,$(CFLAGS)),)
FUNCTIONOBJ := $(B)/$(FUNCTIONSRC:.c=.o) $(B)/$(GUESTDIR)/workloads.o $(GUESTLIB) \
	$(addprefix $(B)/dataplanes/sure/,gate.o gate_filter.o)
$(FUNCTION): $(FUNCTIONOBJ)
	$(call say,LD,$@)
	$(Q)$(CC) -static -s -Wl,--gc-sections -o $@ $(FUNCTIONOBJ) -lprotobuf-c -ljansson -lcrypto -lm 2>$@.log || \
		{ echo 'no static libc, libjansson, libprotobuf-c: most of perhop startup is left out'; : >$@; }
else
$(FUNCTION): FORCE | $(UNIKERNEL)
	$(Q)$(MAKE) --no-print-directory B=$(B)/plain OPT='-O2 -g' $(B)/plain/function && \
		{ cmp -s $(B)/plain/function $@ || cp $(B)/plain/function $@; }
endif

# What makes a QEMU a warm one, in QEMU's process: no sanitizers.
WARM := $(B)/warm.so
$(WARM): dataplanes/sure/unikernel/preload/warm.c dataplanes/sure/unikernel/warm.h
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 -O2 -fPIC -shared -s -Wall -Wextra -Werror -D_GNU_SOURCE -I. -o $@ $<

$(B)/dataplanes/sure/unikernel/reset.o: dataplanes/sure/unikernel/reset.S dataplanes/sure/unikernel/rom.h
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) -c -o $@ $<

$(B)/dataplanes/sure/unikernel/image.o: dataplanes/sure/unikernel/image.S $(UNIKERNEL) $(FUNCTION) $(WARM)
	$(call say,IMAGE,$<)
	$(Q)mkdir -p $(@D) && $(CC) -DUNIKERNEL_IMAGE='"$(UNIKERNEL)"' -DFUNCTION_IMAGE='"$(FUNCTION)"' -DWARM_IMAGE='"$(WARM)"' -c -o $@ $<

$(B)/tests/unit/test_unikernel: CPPFLAGS += -DHOSTILE_IMAGE='"$(B)/tests/unikernel/hostile.elf"'
$(B)/tests/unit/test_unikernel: tests/unit/unikernel_cases.h $(B)/tests/unikernel/hostile.elf

$(B)/dataplanes/sure/unikernel/unikernel.o: CPPFLAGS += -DUNIKERNEL_WORKLOADS='" $(UNIKERNEL_WORKLOADS) "'

# ---- eBPF ---------------------------------------------------------------------------------------
# <bpf/usdt.bpf.h> includes <asm/errno.h>, which Debian keeps under its multiarch folder.
BPFINC := -idirafter /usr/include/$(shell $(CC) -print-multiarch 2>/dev/null)

# The running kernel's types. Another kernel's do as well: eBPF programs are fitted when loaded.
VMLINUX ?= /sys/kernel/btf/vmlinux

$(B)/vmlinux.h:
	$(call say,BTF,$@)
	@test -r $(VMLINUX) || { echo "No $(VMLINUX): a kernel without CONFIG_DEBUG_INFO_BTF, or no /sys here." \
		"make VMLINUX=FILE takes the types from another kernel's BTF (vmlinux)." >&2; exit 1; }
	$(Q)mkdir -p $(B) && $(BPFTOOL) btf dump file $(VMLINUX) format c > $@.tmp && mv $@.tmp $@

# Paths in BTF are relative: one revision gives one program, wherever it is built (see `perhop gate`).
$(B)/%.bpf.o: %.bpf.c $(B)/vmlinux.h $(wildcard dataplanes/*/*.h audit/*.h)
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D) && $(CLANG) -O2 -g -fdebug-compilation-dir=. -Wall -Werror -target bpf -D__TARGET_ARCH_x86 -I. -I$(B) $(BPFINC) -c -o $@ $<

# Linking the object with itself drops its DWARF: a tenth of the size in the skeleton.
$(B)/%.skel.h: $(B)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen object $(@:.h=.o) $< && \
	    $(BPFTOOL) gen skeleton $(@:.h=.o) name $(subst -,_,$(notdir $*))_bpf > $@.tmp && mv $@.tmp $@

# ---- Tests --------------------------------------------------------------------------------------
$(B)/tests/unit/%: tests/unit/%.c $(LIB) | $(SKEL) $(PBC)
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) $(DEPFLAGS) -o $@ $< $(LDFLAGS) -Wl,--whole-archive $(LIB) -Wl,--no-whole-archive -lcmocka $(LDLIBS)

# Regressions made to order (tests/mutation.c), for the tests of `perhop gate`: the linker puts a mutant in
# the place of one function of the product. `make MUTATION=copy` makes build/perhop-copy.
MUTATIONS := copy serialize wakeup keepalive cpu leak
wrap_copy := user_call_run
wrap_wakeup := user_call_run
wrap_cpu := user_call_run
wrap_serialize := codec_encode
wrap_keepalive := wire_encode
wrap_leak := pool_free
upper = $(shell printf %s '$(1)' | tr a-z A-Z)

$(B)/perhop-%: tests/mutation.c $(PERHOP)
	$(call say,MUTATION,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -DPERHOP_MUTATION_$(call upper,$*) $(LDFLAGS) -Wl,--wrap=$(wrap_$*) -o $@ $< \
		$(CLI:%.c=$(B)/%.o) -Wl,--whole-archive $(LIB) -Wl,--no-whole-archive $(LDLIBS)

ifdef MUTATION
all: $(B)/perhop-$(MUTATION)
endif

MUTANTS := $(MUTATIONS:%=$(B)/perhop-%)

.PHONY: unit
unit: $(UNITBIN)
	$(Q)for t in $(UNITBIN); do $$t || exit 1; done

.PHONY: clean
clean:
	$(Q)rm -rf $(B)

.SECONDARY:
-include $(wildcard $(B)/*/*.d $(B)/*/*/*.d $(B)/*/*/*/*.d $(B)/*/*/*/*/*.d)

# ---- The command line program's build info ------------------------------------------------------
# What records say about this build. Looked at on every make, rewritten only when it has changed:
# never stale, and no needless rebuild.
$(B)/build-info.h: FORCE
	@mkdir -p $(@D)
	@sha=$$(git rev-parse HEAD 2>/dev/null) && sha="\"$$sha\"" || sha=NULL; \
	 version=$$(git describe --always --dirty 2>/dev/null || echo unknown); \
	 if [ "$$sha" = NULL ]; then dirty=-1; \
	 elif [ -n "$$(git status --porcelain 2>/dev/null | head -1)" ]; then dirty=1; else dirty=0; fi; \
	 { echo '/* Generated by the Makefile. */'; \
	   echo "#define BUILD_GIT_SHA $$sha"; \
	   echo "#define BUILD_GIT_DIRTY $$dirty"; \
	   echo "#define BUILD_VERSION \"$$version\""; \
	   echo '#define BUILD_CFLAGS "$(subst ",\",$(CFLAGS))"'; } > $@.tmp; \
	 if cmp -s $@.tmp $@; then rm -f $@.tmp; else mv $@.tmp $@; fi

$(CLI:%.c=$(B)/%.o): | $(B)/build-info.h

.PHONY: FORCE
FORCE:

# ---- Entry points -------------------------------------------------------------------------------
# `make help` prints what follows the two hashes.
SEED    ?= 1
ONLY    ?=

all: ## build build/perhop (default)

FUZZBIN := $(patsubst %.c,$(B)/%,$(wildcard tests/fuzz/fuzz_*.c))

# Fuzz targets see everything through the sanitizers, whatever the rest is built with.
FUZZSAN := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZOBJ := $(patsubst %.c,$(B)/fuzz/%.o,$(wildcard chain/http*.c) chain/gateway_front.c \
	chain/gateway_in.c chain/gateway_out.c chain/message.c chain/peer_wire.c chain/pool.c tests/fuzz/standalone.c \
	workloads/parking/recognise.c workloads/parking/font.c workloads/parking/sighting.c \
	workloads/motion/event.c dataplanes/kernel/grpc_wire.c chain/topic.c $(addprefix chain/gateway_,ports.c session.c event.c datagram.c load.c) \
	$(wildcard chain/adapters/*_*.c))
FUZZOBJ += $(B)/workloads/parking/parking.pb-c.o $(B)/workloads/motion/motion.pb-c.o

$(B)/fuzz/%.o: %.c | $(PBC)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) $(FUZZSAN) $(DEPFLAGS) -c -o $@ $<

$(B)/tests/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(FUZZOBJ)
	$(call say,FUZZ,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) $(FUZZSAN) $(DEPFLAGS) -o $@ $< $(FUZZOBJ) $(LDFLAGS) \
		-lturbojpeg -lprotobuf-c -ljansson -ldl

# The hostile functions as the only program of a virtual machine with protection keys. Not on a machine
# without a static libc: the test is then skipped.
GUEST   := $(B)/tests/mpk/guest
GUESTSRC := tests/mpk/guest.c $(wildcard dataplanes/sure/gate*.c) chain/pool.c chain/message.c

$(GUEST): $(GUESTSRC) tests/unit/sure_cases.h $(wildcard dataplanes/sure/*.h chain/*.h)
	$(call say,GUEST,$@)
	$(Q)mkdir -p $(@D) && { $(CC) $(CPPFLAGS) $(filter-out -fsanitize=% -fno-sanitize%,$(CFLAGS)) -static -o $@ $(GUESTSRC) || \
		echo 'no static libc: tests of gate=mpk are left out'; }

.PHONY: check-mpk
check-mpk: all $(GUEST) ## gate=mpk on an emulated CPU with protection keys (QEMU); part of check
	@tests/run -b $(B) e2e/sure_mpk

.PHONY: check
check: all $(UNITBIN) $(FUZZBIN) $(GUEST) $(MUTANTS) ## every test: lint, unit, fuzz replays, Python, end to end
	@tests/run -b $(B) $(TESTS)

.PHONY: reproduce
reproduce: all ## run the experiments, draw figures, judge: PROFILE=smoke|quick|paper ONLY=fig08,... RESUME=DIR|no
	@$(PYTHON) scripts/reproduce.py --profile $(PROFILE) --seed $(SEED) --program $(PERHOP) \
		$(if $(ONLY),--only $(ONLY)) $(if $(RESUME),--resume $(RESUME))

COMPARED := results/runs/compare.jsonl

.PHONY: compare
compare: all ## run two dataplanes interleaved and compare: A=skmsg B=kernel:http W=boutique [C=1,32] [REPS=5] [T=2]
	@test -n "$(A)" -a -n "$(SECOND)" -a -n "$(W)$(RECORDS)" || \
		{ echo 'usage: make compare A=skmsg B=kernel:http W=boutique [C=1,8,32] [REPS=5] [T=SECONDS]'; \
		  echo '       make compare A=skmsg B=kernel:http RECORDS=results/runs/.../records.jsonl'; exit 2; }
ifeq ($(RECORDS),)
	@mkdir -p $(dir $(COMPARED)) && $(PERHOP) compare '$(A)' '$(SECOND)' -w '$(W)' $(if $(C),-c $(C)) \
		$(if $(REPS),--reps $(REPS)) $(if $(T),-t $(T)) --seed $(SEED) --json >$(COMPARED)
	@echo
endif
	@$(PYTHON) scripts/compare.py $(or $(RECORDS),$(COMPARED)) --a '$(A)' --b '$(SECOND)'
	$(if $(RECORDS),,@echo 'records: $(COMPARED)')

.PHONY: headline
headline: ## README's head from a run: RUN=results/runs/DIR
	@test -n "$(RUN)" || { echo 'usage: make headline RUN=results/runs/DIR'; exit 2; }
	@$(PYTHON) scripts/headline.py '$(RUN)'

# BASE=revision, or none: the committed baseline. D=dataplane, W=workload, BUDGET=minutes.
.PHONY: gate
gate: all ## fail when this build costs more than the baseline, or than BASE=revision
	@$(PERHOP) gate $(if $(BASE),--base '$(BASE)') $(if $(D),-d '$(D)') $(if $(W),-w '$(W)') $(if $(BUDGET),--budget $(BUDGET))

.PHONY: gate-baseline
gate-baseline: all ## measure this kernel class's baseline anew, show what changes, write it
	@$(PERHOP) gate --update-baseline

.PHONY: bench
bench: all ## our load generator beside wrk, on this machine
	@tests/bench/wrk.sh $(PERHOP)

.PHONY: bench-hop
bench-hop: all ## CPU per request of a kernel:http function beside nginx with a constant: at most 1.3 times
	@tests/bench/hop.sh $(PERHOP)

.PHONY: bench-grpc
bench-grpc: all ## CPU per call of a kernel:grpc function beside HTTP/2 servers with a constant: at most 1.3 times
	@tests/bench/grpc.sh $(PERHOP)

.PHONY: bench-mqtt
bench-mqtt: all ## 10,000 events a second over MQTT at QoS 1: any lost? how many at most, and beside HTTP
	@tests/bench/mqtt.sh $(PERHOP)

# TRIALS=10 BUDGET=1: a quarter of an hour for the mutants, less for the equal programs.
.PHONY: bench-gate
bench-gate: all $(B)/perhop-cpu ## 5 % more CPU in a function: how often the gate sees it, and how often it sees what is not
	@tests/bench/gate.sh $(PERHOP) both $(or $(TRIALS),10) $(or $(BUDGET),1)

.PHONY: bench-sure
bench-sure: $(B)/tests/bench/sure ## ns of a call gate's crossing, a buffer's opening, the library sidecar
	@$<

$(B)/tests/bench/sure: tests/bench/sure.c $(LIB)
	$(call say,BENCH,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(LDFLAGS) $(LIB) $(LDLIBS)

.PHONY: doctor
doctor: all ## what this machine offers, what is missing, how to get it
	@$(PERHOP) doctor

.PHONY: install-deps
install-deps: ## install what is missing (Debian, root), or say how
	@rm -f build/optional-tried && scripts/prerequisites.sh

.PHONY: check-kernels
check-kernels: all ## the audit on Debian's own kernel, booted under QEMU (minutes; needs apt-get)
	tests/kernels/check.sh $(PERHOP)

AUDIT_OUT ?= results/runs/audit
.PHONY: audit-tables
audit-tables: all ## Tables 1 and 2, measured on every dataplane, into AUDIT_OUT
	$(PYTHON) paper-figs/table1-2-audit/tables.py measure -o $(AUDIT_OUT) --perhop $(PERHOP) --profile $(PROFILE)
	$(PYTHON) paper-figs/table1-2-audit/tables.py draw $(AUDIT_OUT)

# Left to gcc's warnings and to the sanitizers, which do not take an array filled in a loop, or through a call, for unset.
CPPCHECK_OFF := missingIncludeSystem uninitvar ctuuninitvar ctunullpointer '*:$(B)/*'

.PHONY: lint
lint: ## shellcheck and pyflakes, and cppcheck where it is installed
	@tests/run -b $(B) lint
	@if command -v cppcheck >/dev/null; then cppcheck -q --std=c11 --error-exitcode=1 --inline-suppr \
		-D'__has_include(x)=0' $(CPPCHECK_OFF:%=--suppress=%) -I. -I$(B) $(filter-out %.bpf.c,$(SRC)) $(CLI); \
	else echo 'cppcheck: not installed, left out'; fi

.PHONY: format
format: ## clang-format all of our C
	@clang-format -i $(SRC) $(CLI) $(BPF) $(UNIT) $(wildcard chain/*.h dataplanes/*/*.h workloads/*/*.h cli/*.h)

.PHONY: sanitize
sanitize: ## every test with address and undefined-behaviour sanitizers, in build-asan/
	@$(MAKE) --no-print-directory check B=build-asan \
		OPT='-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all'

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The command's own tests link its objects, without main.
$(B)/tests/unit/test_cli_%: tests/unit/test_cli_%.c $(filter-out $(B)/cli/main.o,$(CLI:%.c=$(B)/%.o)) $(LIB)
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) $(DEPFLAGS) -o $@ $(filter %.c %.o,$^) $(LDFLAGS) \
		-Wl,--whole-archive $(LIB) -Wl,--no-whole-archive -lcmocka $(LDLIBS)

# Adapters' parsers and the gateway's ports are tested without loading anything.
$(B)/tests/unit/test_ports_%: tests/unit/test_ports_%.c $(ADAPTER_PARTS) $(LIB)
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) $(DEPFLAGS) -o $@ $(filter %.c %.o,$^) $(LDFLAGS) \
		-Wl,--whole-archive $(LIB) -Wl,--no-whole-archive -lcmocka $(LDLIBS)
