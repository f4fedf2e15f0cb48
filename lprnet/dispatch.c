/* The door of an artifact: `run` calls the best of its codes that this CPU can run.

   `codes.h` (written by link.py) lists the codes from the least to the most demanding as
   CODE(name, function, masks of cpuid bits), and says in CANNOT_RUN what a CPU lacks that can run
   none. Needs no libc and no instruction beyond SSE2, so that it can refuse on any x86-64. */
#include <cpuid.h>
#include <tvm/ffi/c_api.h>

#include "codes.h"

#define AVX_STATE 0x6u      /* XCR0: the operating system saves ymm registers */
#define AVX512_STATE 0xe6u  /* and opmasks and zmm registers */
#define OSXSAVE (1u << 27)  /* leaf 1, ecx: there is an XCR0 */
#define AVX512F (1u << 16)  /* leaf 7, ebx */

enum { WORDS = 6 };

#define CODE(name, function, ...) \
  int function(void* self, const TVMFFIAny* args, int32_t count, TVMFFIAny* result);
CODES
#undef CODE

static const struct {
  TVMFFISafeCallType function;
  unsigned masks[WORDS];
} codes[] = {
#define CODE(name, function, ...) {(TVMFFISafeCallType)function, {__VA_ARGS__}},
    CODES
#undef CODE
};

enum { COUNT = sizeof(codes) / sizeof(codes[0]) };

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
    const unsigned* masks = codes[number].masks;
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

/* 0, or -1 with an error set where this CPU can run no code. */
static int choose(int* number) {
  *number = chosen();
  if (*number >= 0) return 0;
  TVMFFIErrorSetRaisedFromCStr("RuntimeError", CANNOT_RUN);
  return -1;
}

/* code() -> the number of the code that `run` calls. */
int __tvm_ffi_code(void* self, const TVMFFIAny* args, int32_t count, TVMFFIAny* result) {
  (void)self, (void)args, (void)count;
  int number;
  if (choose(&number)) return -1;
  result->type_index = kTVMFFIInt;
  result->zero_padding = 0;
  result->v_int64 = number;
  return 0;
}

int __tvm_ffi_run(void* self, const TVMFFIAny* args, int32_t count, TVMFFIAny* result) {
  int number;
  if (choose(&number)) return -1;
  return codes[number].function(self, args, count, result);
}
