/* The door of an artifact: `run` calls the best of its codes that this CPU can run, and the name of
   a code calls that one. Codes are plain C functions that believe their arguments, so these are
   checked here: nothing that Python can pass reaches a code and crashes there.

   `codes.h` (written by link.py) lists the codes from the least to the most demanding as
   CODE(function, extents of one image's logits, floats of the arena, masks of cpuid bits), and has
   the extents of an IMAGE and, in CANNOT_RUN, what a CPU lacks that can run none. Needs no libc and
   no instruction beyond SSE2, so that it can refuse on any x86-64. */
#include <cpuid.h>
#include <tvm/ffi/c_api.h>

#include "codes.h"

#define AVX_STATE 0x6u      /* XCR0: the operating system saves ymm registers */
#define AVX512_STATE 0xe6u  /* and opmasks and zmm registers */
#define OSXSAVE (1u << 27)  /* leaf 1, ecx: there is an XCR0 */
#define AVX512F (1u << 16)  /* leaf 7, ebx */
#define MUST_BE " must be a contiguous tensor on the CPU: "

enum { WORDS = 6 };

static const unsigned codes[][WORDS] = {
#define CODE(function, rows, columns, classes, floats, ...) {__VA_ARGS__},
    CODES
#undef CODE
};

enum {
#define CODE(function, ...) NUMBER_##function,
  CODES
#undef CODE
  COUNT
};

static void read_features(unsigned words[WORDS]) {
  unsigned eax, ebx, ecx, edx;
  for (int word = 0; word < WORDS; ++word) words[word] = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) words[0] = ecx;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
    words[1] = ebx, words[2] = ecx, words[3] = edx;
    if (eax >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx)) words[4] = eax;
  }
  if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx)) words[5] = ecx;
}

static unsigned saved_state(unsigned leaf_1_ecx) {
  unsigned low = 0, high;
  if (leaf_1_ecx & OSXSAVE) __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

/* The number of the most demanding code that this CPU can run, -1 for none. */
static int best_code(void) {
  unsigned words[WORDS];
  read_features(words);
  unsigned state = saved_state(words[0]);
  for (int number = COUNT - 1; number >= 0; --number) {
    const unsigned* masks = codes[number];
    unsigned needed = masks[1] & AVX512F ? AVX512_STATE : AVX_STATE;
    int runs = (state & needed) == needed;
    for (int word = 0; word < WORDS; ++word) runs &= (words[word] & masks[word]) == masks[word];
    if (runs) return number;
  }
  return -1;
}

/* `cpuid` is slow in virtual machines: asked once. Threads that ask together write the same. */
static int chosen(void) {
  static int number = -2;
  if (number == -2) number = best_code();
  return number;
}

static int refuse(const char* kind, const char* sentence) {
  TVMFFIErrorSetRaisedFromCStr(kind, sentence);
  return -1;
}

/* Where the elements of a tensor of this type and these extents lie, one after another on the CPU;
   NULL for any other argument. `extents` are those of one image, `count` of which the first axis
   has; a `count` of -1 becomes what it has. */
static void* elements(const TVMFFIAny* argument, uint8_t code, uint8_t bits, int axes,
                      const int64_t* extents, int64_t* count) {
  const DLTensor* tensor = argument->v_ptr;
  if (argument->type_index == kTVMFFITensor) tensor = (void*)((TVMFFIObject*)tensor + 1);
  else if (argument->type_index != kTVMFFIDLTensorPtr) return 0;
  DLDataType type = tensor->dtype;
  if (type.code != code || type.bits != bits || type.lanes != 1) return 0;
  if (tensor->device.device_type != kDLCPU || tensor->ndim != axes + 1) return 0;
  if (*count < 0) *count = tensor->shape[0];
  int64_t step = 1;
  for (int axis = axes; axis >= 0; --axis) {
    int64_t extent = axis ? extents[axis - 1] : *count;
    if (tensor->shape[axis] != extent) return 0;
    if (tensor->strides && extent > 1 && tensor->strides[axis] != step) return 0;
    step *= extent;
  }
  uintptr_t data = (uintptr_t)tensor->data + tensor->byte_offset;
  return data % (bits / 8u) ? 0 : (void*)data;
}

typedef void Code(const uint8_t* images, int64_t count, float* logits, float* arena);

/* code(images (n, H, W, 3), logits (n, rows, columns, classes), arena (floats,)) */
static int call(Code* code, const int64_t logits_extents[3], int64_t floats, const TVMFFIAny* args,
                int32_t arguments) {
  static const int64_t image_extents[] = IMAGE;
  int64_t images = -1;
  if (arguments != 3) return refuse("TypeError", "An artifact takes images, logits and an arena.");
  uint8_t* pixels = elements(&args[0], kDLUInt, 8, 3, image_extents, &images);
  if (!pixels) return refuse("ValueError", "The images" MUST_BE "uint8 (n, height, width, 3).");
  float* logits = elements(&args[1], kDLFloat, 32, 3, logits_extents, &images);
  if (!logits) return refuse("ValueError", "The logits" MUST_BE "float32, (n,) and logits_shape.");
  float* arena = elements(&args[2], kDLFloat, 32, 0, 0, &floats);
  if (!arena) return refuse("ValueError", "The arena" MUST_BE "float32, of arena_bytes.");
  code(pixels, images, logits, arena);
  return 0;
}

#define CODE(function, rows, columns, classes, floats, ...)                                     \
  Code function;                                                                                \
  int __tvm_ffi_##function(void* self, const TVMFFIAny* args, int32_t count, TVMFFIAny* result) \
  {                                                                                             \
    static const int64_t extents[] = {rows, columns, classes};                                  \
    (void)self, (void)result;                                                                   \
    return call(function, extents, floats, args, count);                                        \
  }
CODES
#undef CODE

/* code() -> the number of the code that `run` calls. */
int __tvm_ffi_code(void* self, const TVMFFIAny* args, int32_t count, TVMFFIAny* result) {
  (void)self, (void)args, (void)count;
  int number = chosen();
  if (number < 0) return refuse("RuntimeError", CANNOT_RUN);
  result->type_index = kTVMFFIInt;
  result->zero_padding = 0;
  result->v_int64 = number;
  return 0;
}

int __tvm_ffi_run(void* self, const TVMFFIAny* args, int32_t count, TVMFFIAny* result) {
  switch (chosen()) {
#define CODE(function, ...) \
  case NUMBER_##function:   \
    return __tvm_ffi_##function(self, args, count, result);
    CODES
#undef CODE
  }
  return refuse("RuntimeError", CANNOT_RUN);
}
