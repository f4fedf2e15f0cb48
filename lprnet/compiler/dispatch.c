/* CPU dispatch of an artifact: `run` calls the most demanding target version that this CPU can run;
   the name of a version calls that one. Versions are plain C functions that do not check their
   arguments. They are checked here, so that no argument from Python can crash a version.

   `versions.h` (written by link.py) lists the versions from the least to the most demanding as
   VERSION(function, extents of one image's logits, floats of the arena, masks of cpuid bits). It
   also defines the extents of an IMAGE, the CONTRACT with the manifest (manifest.py), CANNOT_RUN, the
   message for a CPU that can run none, and TILES if a version uses tile registers (AMX). For an
   artifact that is built to be profiled it lists the same versions with stamps as STAMPED_VERSIONS,
   and STEPS, the most steps that one of them has.
   This file needs no libc and no instruction beyond SSE2, so that it can refuse on any x86-64. */
#include <cpuid.h>
#include <tvm/ffi/c_api.h>

#include "versions.h"

#define AVX_STATE 0x6u      /* XCR0: the operating system saves ymm registers */
#define AVX512_STATE 0xe6u  /* and opmasks and zmm registers */
#define OSXSAVE (1u << 27)  /* leaf 1, ecx: there is an XCR0 */
#define AMX_STATE 0x60000u  /* and tile registers, which a process also has to ask for */
#define AVX512F (1u << 16)  /* leaf 7, ebx */
#define AMX_TILE (1u << 24) /* leaf 7, edx */
#define MUST_BE " must be a contiguous tensor on the CPU: "

enum { REGISTERS = 6 }; /* of cpuid, in the order of cpuid.py */

static const unsigned required[][REGISTERS] = {
#define VERSION(function, rows, columns, classes, floats, ...) {__VA_ARGS__},
    VERSIONS
#undef VERSION
};

enum {
#define VERSION(function, ...) NUMBER_##function,
  VERSIONS
#undef VERSION
  COUNT
};

static void read_features(unsigned registers[REGISTERS]) {
  unsigned eax, ebx, ecx, edx;
  for (int i = 0; i < REGISTERS; ++i) registers[i] = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) registers[0] = ecx;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
    registers[1] = ebx, registers[2] = ecx, registers[3] = edx;
    if (eax >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx)) registers[4] = eax;
  }
  if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx)) registers[5] = ecx;
}

static unsigned saved_state(unsigned leaf_1_ecx) {
  unsigned low = 0, high;
  if (leaf_1_ecx & OSXSAVE) __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

#ifdef TILES
/* Whether Linux gives this process tile registers: arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA).
   Without this system call the first tile instruction is SIGILL. It holds for all threads and for
   the children of a fork. It is refused by kernels before 5.16, by some containers, and where a
   thread's stack for signals could not hold the tiles. */
static int tiles_granted(void) {
  long answer = 158;
  __asm__ volatile("syscall" : "+a"(answer) : "D"(0x1023l), "S"(18l) : "rcx", "r11", "memory");
  return answer == 0;
}
#endif

/* The index of the most demanding version that this process can run, -1 for none. */
static int best_version(void) {
  unsigned registers[REGISTERS];
  read_features(registers);
  unsigned state = saved_state(registers[0]);
  for (int number = COUNT - 1; number >= 0; --number) {
    const unsigned* masks = required[number];
    unsigned needed = masks[1] & AVX512F ? AVX512_STATE : AVX_STATE;
#ifdef TILES
    if (masks[3] & AMX_TILE) needed |= AMX_STATE;
#endif
    int runs = (state & needed) == needed;
    for (int i = 0; i < REGISTERS; ++i) runs &= (registers[i] & masks[i]) == masks[i];
#ifdef TILES
    if (runs && masks[3] & AMX_TILE) runs = tiles_granted();
#endif
    if (runs) return number;
  }
  return -1;
}

/* `cpuid` is slow in virtual machines, so it runs once. Concurrent threads write equal values. */
static int chosen(void) {
  static int number = -2;
  if (number == -2) number = best_version();
  return number;
}

static int refuse(const char* kind, const char* sentence) {
  TVMFFIErrorSetRaisedFromCStr(kind, sentence);
  return -1;
}

#ifdef TILES
/* Refuses a version with these masks if it needs tile registers and this process has none. */
static int without_tiles(const unsigned masks[REGISTERS]) {
  if (!(masks[3] & AMX_TILE) || (chosen() >= 0 && required[chosen()][3] & AMX_TILE)) return 0;
  return refuse("RuntimeError", "This process is given no tile registers (AMX).");
}

#define CHECK_TILES(...)                          \
  static const unsigned masks[] = {__VA_ARGS__};  \
  if (without_tiles(masks)) return -1;
#else
#define CHECK_TILES(...)
#endif

/* The address of the elements of a contiguous CPU tensor of this type and of the shape (count,
   extents...); NULL for any other argument. A `count` of -1 is set to the tensor's first extent. */
static void* elements(const TVMFFIAny* argument, uint8_t code, uint8_t bits, int axes,
                      const int64_t* extents, int64_t* count) {
  const DLTensor* tensor = argument->v_ptr;
  if (argument->type_index == kTVMFFITensor) tensor = (void*)((TVMFFIObject*)tensor + 1);
  else if (argument->type_index != kTVMFFIDLTensorPtr) return 0;
  DLDataType type = tensor->dtype;
  if (type.code != code || type.bits != bits || type.lanes != 1) return 0;
  if (tensor->device.device_type != kDLCPU || tensor->ndim != axes + 1) return 0;
  if (*count < 0) *count = tensor->shape[0];
  if (*count < 0) return 0;
  int64_t step = 1;
  for (int axis = axes; axis >= 0; --axis) {
    int64_t extent = axis ? extents[axis - 1] : *count;
    if (tensor->shape[axis] != extent) return 0;
    if (tensor->strides && extent > 1 && tensor->strides[axis] != step) return 0;
    if (axis) step *= extent;
  }
  uintptr_t data = (uintptr_t)tensor->data + tensor->byte_offset;
  return data % (bits / 8u) ? 0 : (void*)data;
}

typedef void Version(const uint8_t* images, int64_t count, float* logits, float* arena);

/* version(images (n, H, W, 3), logits (n, rows, columns, classes), arena (floats,)) */
static int call(Version* version, const int64_t logits_extents[3], int64_t floats,
                const TVMFFIAny* args, int32_t arguments) {
  static const int64_t image_extents[] = IMAGE;
  int64_t images = -1;
  if (arguments != 3) return refuse("TypeError", "An artifact takes images, logits and an arena.");
  uint8_t* pixels = elements(&args[0], kDLUInt, 8, 3, image_extents, &images);
  if (!pixels) return refuse("ValueError", "The images" MUST_BE "uint8 (n, height, width, 3).");
  float* logits = elements(&args[1], kDLFloat, 32, 3, logits_extents, &images);
  if (!logits) return refuse("ValueError", "The logits" MUST_BE "float32, (n,) and logits_shape.");
  float* arena = elements(&args[2], kDLFloat, 32, 0, 0, &floats);
  if (!arena) return refuse("ValueError", "The arena" MUST_BE "float32, of arena_bytes.");
  version(pixels, images, logits, arena);
  return 0;
}

#define VERSION(function, rows, columns, classes, floats, ...)                                   \
  Version function;                                                                              \
  int __tvm_ffi_##function(void* self, const TVMFFIAny* args, int32_t count, TVMFFIAny* result)  \
  {                                                                                              \
    static const int64_t extents[] = {rows, columns, classes};                                   \
    (void)self, (void)result;                                                                    \
    CHECK_TILES(__VA_ARGS__)                                                                     \
    return call(function, extents, floats, args, count);                                         \
  }
VERSIONS
#undef VERSION

static int integer(int64_t value, TVMFFIAny* result) {
  result->type_index = kTVMFFIInt;
  result->zero_padding = 0;
  result->v_int64 = value;
  return 0;
}

#ifdef STAMPED_VERSIONS
/* The time-stamp counter in the last stamped call: at its start, at its end, and where the version
   wrote it down (stamps.py). One call at a time. */
static int64_t stamps[2 + STEPS + 1];

__attribute__((visibility("hidden"))) int64_t* lprnet_stamps(void) { return stamps + 2; }

#define VERSION(function, rows, columns, classes, floats, ...)                                   \
  Version function;                                                                              \
  int __tvm_ffi_##function(void* self, const TVMFFIAny* args, int32_t count, TVMFFIAny* result)  \
  {                                                                                              \
    static const int64_t extents[] = {rows, columns, classes};                                   \
    (void)self, (void)result;                                                                    \
    CHECK_TILES(__VA_ARGS__)                                                                     \
    stamps[0] = __builtin_ia32_rdtsc();                                                          \
    int failed = call(function, extents, floats, args, count);                                   \
    stamps[1] = __builtin_ia32_rdtsc();                                                          \
    return failed;                                                                               \
  }
STAMPED_VERSIONS
#undef VERSION

/* run_stamps() -> the address of the stamps. */
int __tvm_ffi_run_stamps(void* self, const TVMFFIAny* args, int32_t count, TVMFFIAny* result) {
  (void)self, (void)args, (void)count;
  return integer((int64_t)stamps, result);
}
#endif

/* code() -> the index of the version that `run` calls. */
int __tvm_ffi_code(void* self, const TVMFFIAny* args, int32_t count, TVMFFIAny* result) {
  (void)self, (void)args, (void)count;
  int number = chosen();
  return number < 0 ? refuse("RuntimeError", CANNOT_RUN) : integer(number, result);
}

/* contract() -> CONTRACT, on any CPU. */
int __tvm_ffi_contract(void* self, const TVMFFIAny* args, int32_t count, TVMFFIAny* result) {
  (void)self, (void)args, (void)count;
  return integer(CONTRACT, result);
}

int __tvm_ffi_run(void* self, const TVMFFIAny* args, int32_t count, TVMFFIAny* result) {
  switch (chosen()) {
#define VERSION(function, ...) \
  case NUMBER_##function:      \
    return __tvm_ffi_##function(self, args, count, result);
    VERSIONS
#undef VERSION
  }
  return refuse("RuntimeError", CANNOT_RUN);
}
