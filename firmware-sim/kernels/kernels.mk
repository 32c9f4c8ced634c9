# SPDX-License-Identifier: MIT
# Objects of the compute kernels. The generic ones run on any processor; only those of a vector
# instruction set see its flags, so that the library may be built on one machine and run on another.
# -fno-trapping-math lets selects replace branches; it changes no result.

# A build for tests alone may want it faster than its kernels.
KERNELS_OPT ?= -O3
KERNELS_CFLAGS := $(KERNELS_OPT) -ffp-contract=off -fno-math-errno -fno-trapping-math -fno-strict-aliasing
# clang says so where a sanitizer keeps it from vectorizing what a pragma asks for.
ifneq ($(findstring clang,$(CC)),)
KERNELS_CFLAGS += -Wno-pass-failed
endif
KERNELS_DIR := $(BUILD)/firmware-sim/kernels
KERNELS_OBJS := $(addprefix $(KERNELS_DIR)/,scalar.o codec.o vec.o sample.o depthwise.o \
	scan.o dispatch.o)
$(KERNELS_OBJS): CFLAGS_EXTRA += $(KERNELS_CFLAGS)

ifneq ($(filter x86_64%,$(shell $(CC) -dumpmachine)),)

KERNELS_AVX2 := -DNIB_ISA=avx2 -mavx2 -mfma -mf16c
KERNELS_AVX512 := -DNIB_ISA=avx512 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vbmi \
	-mavx512vnni -mavx512bf16 -mprefer-vector-width=512
KERNELS_EACH := codec vec sample depthwise scan attention vector

KERNELS_AVX2_OBJS := $(addprefix $(KERNELS_DIR)/,$(KERNELS_EACH:=.avx2.o) gemm_avx2.o \
	gemm_fp4_avx2.o)
KERNELS_AVX512_OBJS := $(addprefix $(KERNELS_DIR)/,$(KERNELS_EACH:=.avx512.o) gemm_avx512.o \
	gemm_fp4_avx512.o)
$(KERNELS_AVX2_OBJS): CFLAGS_EXTRA += $(KERNELS_CFLAGS) $(KERNELS_AVX2)
$(KERNELS_AVX512_OBJS): CFLAGS_EXTRA += $(KERNELS_CFLAGS) $(KERNELS_AVX512)
$(KERNELS_DIR)/dispatch.o: CFLAGS_EXTRA += -DNIB_KERNELS_X86
KERNELS_OBJS += $(KERNELS_AVX2_OBJS) $(KERNELS_AVX512_OBJS)

define KERNELS_RULE
$(KERNELS_DIR)/%.$(1).o: firmware-sim/kernels/%.c
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$$(Q)$$(CC) $$(BASE_CFLAGS) $$(CFLAGS) $$(CFLAGS_EXTRA) -MMD -MP -c -o $$@ $$<
endef
$(eval $(call KERNELS_RULE,avx2))
$(eval $(call KERNELS_RULE,avx512))

endif
