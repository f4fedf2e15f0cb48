/* The tile instructions of AMX in plain C (Intel 64 Software Developer's Manual, volume 2: LDTILECFG,
   TILELOADD, TILESTORED, TDPBUSD, TDPBF16PS, TILERELEASE). What a CPU would answer with an exception is counted
   in `model_faults`, and so is a tile multiplied before it is loaded. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { TILES = 8, ROWS = 16, BYTES = 64 };

static struct {
  int configured, rows[TILES], bytes[TILES], loaded[TILES];
  uint8_t data[TILES][ROWS][BYTES];
} model;
static int64_t faults;

int64_t model_faults(void) { return faults; }
int64_t model_configured(void) { return model.configured; }

static void require(int condition) { faults += !condition; }

void model_ldtilecfg(const uint8_t* memory) {
  memset(&model, 0, sizeof model);
  model.configured = 1;
  require(memory[0] == 1 && memory[1] == 0);
  for (int i = 2; i < 16; ++i) require(memory[i] == 0);
  for (int i = 32; i < 48; ++i) require(memory[i] == 0);
  for (int i = 56; i < 64; ++i) require(memory[i] == 0);
  for (int t = 0; t < TILES; ++t) {
    model.rows[t] = memory[48 + t], model.bytes[t] = memory[16 + 2 * t] | memory[17 + 2 * t] << 8;
    require(model.rows[t] >= 1 && model.rows[t] <= ROWS);
    require(model.bytes[t] >= 1 && model.bytes[t] <= BYTES);
  }
}

void model_tilerelease(void) { memset(&model, 0, sizeof model); }

void model_tileloadd64(int tile, const uint8_t* memory, int64_t stride) {
  require(model.configured);
  memset(model.data[tile], 0, sizeof model.data[tile]);
  for (int r = 0; r < model.rows[tile]; ++r)
    memcpy(model.data[tile][r], memory + r * stride, (size_t)model.bytes[tile]);
  model.loaded[tile] = 1;
}

void model_tilestored64(int tile, uint8_t* memory, int64_t stride) {
  require(model.configured);
  for (int r = 0; r < model.rows[tile]; ++r)
    memcpy(memory + r * stride, model.data[tile][r], (size_t)model.bytes[tile]);
}

static void require_product(int sums, int a, int b) {
  require(model.configured && model.loaded[sums] && model.loaded[a] && model.loaded[b]);
  require(sums != a && sums != b && a != b);
  require(model.bytes[a] % 4 == 0 && model.bytes[b] % 4 == 0 && model.bytes[sums] % 4 == 0);
  require(model.rows[sums] == model.rows[a] && model.bytes[sums] == model.bytes[b]);
  require(model.bytes[a] / 4 == model.rows[b]);
}

void model_tdpbusd(int sums, int a, int b) {
  require_product(sums, a, b);
  for (int m = 0; m < model.rows[sums]; ++m)
    for (int n = 0; n < model.bytes[sums] / 4; ++n) {
      uint32_t sum;
      memcpy(&sum, &model.data[sums][m][4 * n], 4);
      for (int k = 0; k < model.bytes[a]; ++k)
        sum += (uint32_t)((int32_t)model.data[a][m][k] * (int8_t)model.data[b][k / 4][4 * n + k % 4]);
      memcpy(&model.data[sums][m][4 * n], &sum, 4);
    }
}

/* Subnormal values are zero, before and after each operation. */
static float flushed(float x) { return fabsf(x) < FLT_MIN ? copysignf(0, x) : x; }

static float from_bf16(const uint8_t* memory) {
  uint16_t upper;
  memcpy(&upper, memory, 2);
  uint32_t bits = (uint32_t)upper << 16;
  float x;
  memcpy(&x, &bits, 4);
  return flushed(x);
}

void model_tdpbf16ps(int sums, int a, int b) {
  require_product(sums, a, b);
  for (int m = 0; m < model.rows[sums]; ++m)
    for (int n = 0; n < model.bytes[sums] / 4; ++n) {
      float halves[2] = {0, 0}, sum;
      for (int k = 0; k < model.bytes[a] / 2; ++k)
        halves[k % 2] = flushed(fmaf(from_bf16(&model.data[a][m][2 * k]),
                                     from_bf16(&model.data[b][k / 2][4 * n + 2 * (k % 2)]),
                                     halves[k % 2]));
      memcpy(&sum, &model.data[sums][m][4 * n], 4);
      sum = flushed(flushed(sum) + flushed(halves[0] + halves[1]));
      memcpy(&model.data[sums][m][4 * n], &sum, 4);
    }
}
