# SPDX-License-Identifier: BSD-2-Clause
# Every entry point of perhop. `make help` lists them. Quiet unless V=1. Output goes to $(B).

B       ?= build
CC      ?= gcc
CLANG   ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PYTHON  := /usr/bin/python3
PROFILE ?= quick
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-8s%s\n' '$(1)' '$(2)')

OPT     ?= -O2 -g
CFLAGS  += -std=gnu11 $(OPT) -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
           -Wmissing-prototypes -Wvla -fno-strict-aliasing -fstack-protector-strong
CPPFLAGS += -D_GNU_SOURCE -I. -I$(B)
LDLIBS  += -lbpf -lelf -lz -ljansson -lprotobuf-c -lcrypto -lm -ldl
DEPFLAGS = -MMD -MP

# ---- What there is ------------------------------------------------------------------------------
SRC     := $(wildcard chain/*.c dataplanes/*.c dataplanes/*/*.c workloads/*.c workloads/*/*.c audit/*.c)
SRC     := $(filter-out %.bpf.c,$(SRC))
CLI     := $(wildcard cli/*.c)
PROTO   := $(wildcard workloads/*/*.proto)
BPF     := $(wildcard dataplanes/*/*.bpf.c audit/*.bpf.c)
UNIT    := $(wildcard tests/unit/test_*.c)

PBC     := $(PROTO:%.proto=$(B)/%.pb-c.c)
SKEL    := $(BPF:%.bpf.c=$(B)/%.skel.h)
LIB     := $(B)/libperhop.a
PERHOP  := $(B)/perhop
OBJ     := $(SRC:%.c=$(B)/%.o) $(PBC:.c=.o)
UNITBIN := $(UNIT:%.c=$(B)/%)

.PHONY: all
all: $(PERHOP)

$(PERHOP): $(CLI:%.c=$(B)/%.o) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--whole-archive $(LIB) -Wl,--no-whole-archive $(LDLIBS)

$(LIB): $(OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# Generated headers must be there before anything is compiled.
$(B)/%.o: %.c | $(SKEL) $(PBC)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) $(DEPFLAGS) -c -o $@ $<

$(B)/%.pb-c.o: $(B)/%.pb-c.c
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(DEPFLAGS) -c -o $@ $<

$(B)/%.pb-c.c: %.proto
	$(call say,PROTOC,$<)
	$(Q)mkdir -p $(B) && protoc-c --c_out=$(B) $<

# ---- eBPF ---------------------------------------------------------------------------------------
$(B)/vmlinux.h:
	$(call say,BTF,$@)
	$(Q)mkdir -p $(B) && $(BPFTOOL) btf dump file /sys/kernel/btf/vmlinux format c > $@.tmp && mv $@.tmp $@

$(B)/%.bpf.o: %.bpf.c $(B)/vmlinux.h $(wildcard dataplanes/*/*.h audit/*.h)
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D) && $(CLANG) -O2 -g -Wall -Werror -target bpf -D__TARGET_ARCH_x86 -I. -I$(B) -c -o $@ $<

$(B)/%.skel.h: $(B)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst -,_,$(notdir $*))_bpf > $@.tmp && mv $@.tmp $@

# ---- Tests --------------------------------------------------------------------------------------
$(B)/tests/unit/%: tests/unit/%.c $(LIB) | $(SKEL) $(PBC)
	$(call say,TEST,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(CPPFLAGS) $(CFLAGS) $(DEPFLAGS) -o $@ $< $(LDFLAGS) -Wl,--whole-archive $(LIB) -Wl,--no-whole-archive -lcmocka $(LDLIBS)

.PHONY: unit
unit: $(UNITBIN)
	$(Q)for t in $(UNITBIN); do $$t || exit 1; done

.PHONY: clean
clean:
	$(Q)rm -rf $(B)

.SECONDARY:
-include $(wildcard $(B)/*/*.d $(B)/*/*/*.d)
