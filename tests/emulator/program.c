/* Reads every plate with FUNCTION of an artifact, on a bare machine. Out of the serial port come
   "code N" and the logits as they lie in memory, or "error" and the sentence of the artifact. Sizes
   are macros: COUNT images of HEIGHT x WIDTH, LOGITS = the logits' extents, ARENA bytes. */
#include <tvm/ffi/c_api.h>

enum { SERIAL = 0x3f8, SHUTDOWN = 0x8900 };

extern const uint8_t images[];
static const int64_t logits_extents[] = {1, LOGITS};
static float logits[LOGITS_SIZE] __attribute__((aligned(64)));
static float arena[ARENA / 4] __attribute__((aligned(64)));

int __tvm_ffi_code(void*, const TVMFFIAny*, int32_t, TVMFFIAny*);
int FUNCTION(void*, const TVMFFIAny*, int32_t, TVMFFIAny*);

static void out(uint16_t port, uint8_t value) {
  __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static void open_serial(void) {
  out(SERIAL + 3, 0x80); /* the divisor: 115200 baud */
  out(SERIAL, 1);
  out(SERIAL + 1, 0);
  out(SERIAL + 3, 3); /* 8 bits, no parity, one stop bit */
}

static void send(const void* bytes, size_t count) {
  for (size_t n = 0; n < count; ++n) {
    while (!(in(SERIAL + 5) & 0x20)) continue;
    out(SERIAL, ((const uint8_t*)bytes)[n]);
  }
  while (!(in(SERIAL + 5) & 0x40)) continue;
}

static void say(const char* text) {
  size_t count = 0;
  while (text[count]) ++count;
  send(text, count);
}

/* What libtvm_ffi and libc do for an artifact. */
void TVMFFIErrorSetRaisedFromCStr(const char* kind, const char* message) {
  (void)kind;
  say("error ");
  say(message);
}

void* memset(void* start, int value, size_t count) {
  for (size_t n = 0; n < count; ++n) ((volatile uint8_t*)start)[n] = (uint8_t)value;
  return start;
}

void* memcpy(void* to, const void* from, size_t count) {
  for (size_t n = 0; n < count; ++n) ((volatile uint8_t*)to)[n] = ((const uint8_t*)from)[n];
  return to;
}

static DLTensor tensor(void* data, DLDataType type, const int64_t* extents, int32_t axes) {
  DLTensor made = {data, {kDLCPU, 0}, axes, type, (int64_t*)extents, 0, 0};
  return made;
}

static int read_plates(void) {
  const DLDataType uint8 = {kDLUInt, 8, 1}, float32 = {kDLFloat, 32, 1};
  const int64_t image_extents[] = {1, HEIGHT, WIDTH, 3}, arena_extents[] = {ARENA / 4};
  TVMFFIAny result = {0};
  if (__tvm_ffi_code(0, 0, 0, &result)) return 1;
  char code[] = "code 0\n";
  code[5] += (char)result.v_int64;
  say(code);
  for (int number = 0; number < COUNT; ++number) {
    void* image = (void*)(images + (size_t)number * HEIGHT * WIDTH * 3);
    DLTensor operands[] = {
        tensor(image, uint8, image_extents, 4),
        tensor(logits, float32, logits_extents, sizeof(logits_extents) / sizeof(int64_t)),
        tensor(arena, float32, arena_extents, 1),
    };
    TVMFFIAny arguments[3] = {0};
    for (int n = 0; n < 3; ++n) {
      arguments[n].type_index = kTVMFFIDLTensorPtr;
      arguments[n].v_ptr = &operands[n];
    }
    if (FUNCTION(0, arguments, 3, &result)) return 1;
    send(logits, sizeof(logits));
  }
  return 0;
}

int main(void) {
  open_serial();
  read_plates();
  for (const char* c = "Shutdown"; *c; ++c) out(SHUTDOWN, (uint8_t)*c); /* ends the emulator */
  return 0;
}
