/* Tile instructions on a CPU without AMX: each one is an illegal instruction there, whose signal is
   answered by computing what it would have done (`tests/schedules/amx/tile_model.c`). So machine
   code for AMX runs as it is, on a CPU with AVX-512. Encodings: Intel 64 Software Developer's
   Manual, volume 2; all have a VEX prefix of three bytes in map 0F38. Of AVX512-FP16 LLVM takes
   VMOVW, between general and vector registers, for bfloat16 too. An instruction that is none of
   these ends the process as it would have without. */
#define _GNU_SOURCE /* names of registers */
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

void model_ldtilecfg(const uint8_t* memory);
void model_tilerelease(void);
void model_tileloadd64(int tile, const uint8_t* memory, int64_t stride);
void model_tilestored64(int tile, uint8_t* memory, int64_t stride);
void model_tdpbusd(int sums, int a, int b);
void model_tdpbf16ps(int sums, int a, int b);

enum { NONE, P66, PF3, PF2 };

/* General registers in the order of their numbers. */
static const int registers[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
static int64_t answered;

int64_t trap_answered(void) { return answered; }

/* The operand in memory: its address, the register of a SIB byte's index as it is, and the length of
   ModRM, SIB and displacement; 0 for a form that no code of ours has. */
static int operand(const uint8_t* modrm, int x, int b, const greg_t* gregs, uint64_t* address, int64_t* index) {
  int mod = modrm[0] >> 6, base = modrm[0] & 7, length = 1;
  *index = 0;
  uint64_t scaled = 0;
  if (base == 4) {
    int sib = modrm[length++];
    int number = (sib >> 3 & 7) | x << 3;
    if (number != 4) *index = gregs[registers[number]], scaled = (uint64_t)*index << (sib >> 6);
    base = sib & 7;
  }
  if (mod == 3 || (mod == 0 && base == 5)) return 0;
  *address = (uint64_t)gregs[registers[base | b << 3]] + scaled;
  if (mod == 1) *address += (uint64_t)(int64_t)(int8_t)modrm[length], length += 1;
  if (mod == 2) {
    int32_t displacement;
    memcpy(&displacement, modrm + length, 4);
    *address += (uint64_t)(int64_t)displacement, length += 4;
  }
  return length;
}

/* The length of the tile instruction at `code` after computing it; 0 if it is none. */
static int compute(const uint8_t* code, const greg_t* gregs) {
  if (code[0] != 0xc4 || (code[1] & 0x1f) != 2 || (code[2] & 0x84)) return 0;
  int x = !(code[1] & 0x40), b = !(code[1] & 0x20), prefix = code[2] & 3, other = ~code[2] >> 3 & 15;
  const uint8_t* modrm = code + 4;
  int tile = modrm[0] >> 3 & 7, rm = modrm[0] & 7, in_memory = modrm[0] < 0xc0, length = 1;
  uint64_t address = 0;
  int64_t index = 0;
  if (in_memory && !(length = operand(modrm, x, b, gregs, &address, &index))) return 0;
  /* Rows of a tile begin at base + displacement; the index register times its scale is the stride. */
  int64_t stride = index << (modrm[1] >> 6);
  uint8_t* rows = (uint8_t*)(address - (uint64_t)stride);
  if (code[3] == 0x49 && prefix == NONE && in_memory && tile == 0)
    model_ldtilecfg((const uint8_t*)address);
  else if (code[3] == 0x49 && prefix == NONE && modrm[0] == 0xc0)
    model_tilerelease();
  else if (code[3] == 0x4b && prefix == PF2 && in_memory && rm == 4)
    model_tileloadd64(tile, rows, stride);
  else if (code[3] == 0x4b && prefix == PF3 && in_memory && rm == 4)
    model_tilestored64(tile, rows, stride);
  else if (code[3] == 0x5e && prefix == P66 && !in_memory)
    model_tdpbusd(tile, rm, other);
  else if (code[3] == 0x5c && prefix == PF3 && !in_memory)
    model_tdpbf16ps(tile, rm, other);
  else
    return 0;
  return 4 + length;
}

/* Where the processor saves the upper parts of vector registers 0 to 15: bits 128 to 255, and 256 to
   511 (XSAVE's components 2 and 6). */
static unsigned upper_of_ymm, upper_of_zmm;

/* The length of the VMOVW at `code` after moving; 0 if it is none, or of vector registers from 16 on. */
static int move(const uint8_t* code, greg_t* gregs, uint8_t* saved) {
  if (code[0] != 0x62 || (code[1] & 0x17) != 0x15 || (code[2] & 3) != P66) return 0;
  if (code[4] != 0x6e && code[4] != 0x7e) return 0;
  const uint8_t* modrm = code + 5;
  int x = !(code[1] & 0x40), b = !(code[1] & 0x20), length = 1;
  int vector = (modrm[0] >> 3 & 7) | !(code[1] & 0x80) << 3;
  greg_t* general = &gregs[registers[(modrm[0] & 7) | b << 3]];
  uint16_t word, *other = (uint16_t*)general;
  if (modrm[0] < 0xc0) {
    uint64_t address;
    int64_t index;
    if (!(length = operand(modrm, x, b, gregs, &address, &index))) return 0;
    if (modrm[0] >> 6 == 1) address += (uint64_t)(int64_t)(int8_t)modrm[length - 1]; /* in words */
    other = (uint16_t*)address;
  }
  uint8_t* lowest = saved + 160 + 16 * vector; /* as FXSAVE has them */
  if (code[4] == 0x6e) {
    memcpy(&word, other, 2);
    memset(lowest, 0, 16), memset(saved + upper_of_ymm + 16 * vector, 0, 16);
    memset(saved + upper_of_zmm + 32 * vector, 0, 32);
    memcpy(lowest, &word, 2);
    saved[512] |= 2; /* XSTATE_BV: the lowest 128 bits are not all zero */
  } else {
    memcpy(&word, lowest, 2);
    if (modrm[0] >= 0xc0) *general = 0;
    memcpy(other, &word, 2);
  }
  return 5 + length;
}

static void answer(int signal_number, siginfo_t* info, void* context) {
  (void)info;
  mcontext_t* state = &((ucontext_t*)context)->uc_mcontext;
  greg_t* gregs = state->gregs;
  const uint8_t* code = (const uint8_t*)gregs[REG_RIP];
  int length = compute(code, gregs);
  if (!length) length = move(code, gregs, (uint8_t*)state->fpregs);
  if (length) {
    gregs[REG_RIP] += length, ++answered;
  } else {
    signal(signal_number, SIG_DFL); /* the same instruction again, and the process ends */
  }
}

/* Answer illegal instructions from now on. Returns 0, or -1 where the system refuses. */
int trap_start(void) {
  unsigned size, ecx, edx;
  __cpuid_count(0xd, 2, size, upper_of_ymm, ecx, edx);
  __cpuid_count(0xd, 6, size, upper_of_zmm, ecx, edx);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = answer, action.sa_flags = SA_SIGINFO;
  return sigaction(SIGILL, &action, 0);
}
