/* Calls the functions of dispatch.c with arguments that are damaged, and says how many were let
   through: dispatch_driver FIRST LAST. Linked with dispatch.c and AddressSanitizer.

   A tensor has as much memory as it states, to the byte, and so have its shape and its strides. The
   version below uses all that dispatch.c promises it. So whatever is let through wrongly, or looked
   at beyond its end, is found. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tvm/ffi/c_api.h>

enum { ROWS = 1, COLUMNS = 2, CLASSES = 8, FLOATS = 32, HEIGHT = 2, WIDTH = 5, CHANNELS = 3 };
enum { MAX_DATA = 1 << 16, FUNCTIONS = 4 };

int __tvm_ffi_run(void*, const TVMFFIAny*, int32_t, TVMFFIAny*);
int __tvm_ffi_run_fuzzed(void*, const TVMFFIAny*, int32_t, TVMFFIAny*);
int __tvm_ffi_code(void*, const TVMFFIAny*, int32_t, TVMFFIAny*);
int __tvm_ffi_contract(void*, const TVMFFIAny*, int32_t, TVMFFIAny*);

static uint64_t state;
static void* owned[64];
static int owned_count, let_through, refused;

static uint64_t draw(uint64_t below) { /* xorshift64*, Vigna 2016 */
  state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
  return (state * 0x2545f4914f6cdd1dull >> 11) % below;
}

static void* own(size_t bytes) {
  void* memory = malloc(bytes);
  if (!memory || owned_count == 64) abort();
  return owned[owned_count++] = memory;
}

/* The version that dispatch.c calls: reads and writes everything. */
void run_fuzzed(const uint8_t* images, int64_t count, float* logits, float* arena) {
  unsigned sum = 0;
  for (int64_t i = 0; i < count * HEIGHT * WIDTH * CHANNELS; ++i) sum += images[i];
  for (int64_t i = 0; i < count * ROWS * COLUMNS * CLASSES; ++i) logits[i] = (float)sum;
  for (int i = 0; i < FLOATS; ++i) arena[i] = 1;
  ++let_through;
}

void TVMFFIErrorSetRaisedFromCStr(const char* kind, const char* message) {
  size_t bytes = strlen(message);
  if (!strlen(kind) || !bytes || message[bytes - 1] != '.') abort();
  ++refused;
}

static int64_t strange_extent(void) {
  static const int64_t extents[] = {0, 1, 2, 3, 5, 8, 30, 31, 33, -1, -2, INT64_MAX, INT64_MIN,
                                    1ll << 32, (1ll << 32) + 2, 1ll << 62};
  return extents[draw(sizeof extents / sizeof *extents)];
}

static void* data_of(const DLTensor* tensor) {
  double bytes = tensor->dtype.bits / 8.0 * tensor->dtype.lanes;
  for (int axis = 0; axis < tensor->ndim; ++axis) bytes *= (double)tensor->shape[axis];
  size_t stated = bytes > 0 && bytes < MAX_DATA ? (size_t)bytes : 1;
  char* data = own(stated + tensor->byte_offset);
  memset(data, 1, stated + tensor->byte_offset);
  return data;
}

/* Fill `tensor` with a right one for argument 0, 1 or 2, with `damage` changes. */
static void make_tensor(DLTensor* tensor, int argument, int64_t images, int damage) {
  static const int64_t shapes[3][4] = {
      {0, HEIGHT, WIDTH, CHANNELS}, {0, ROWS, COLUMNS, CLASSES}, {FLOATS}};
  int64_t shape[8] = {0}, strides[8] = {0};
  int with_strides = draw(2) == 0;
  memset(tensor, 0, sizeof *tensor);
  tensor->device = (DLDevice){kDLCPU, 0};
  tensor->ndim = argument == 2 ? 1 : 4;
  tensor->dtype = argument ? (DLDataType){kDLFloat, 32, 1} : (DLDataType){kDLUInt, 8, 1};
  memcpy(shape, shapes[argument], sizeof shapes[argument]);
  if (argument < 2) shape[0] = images;
  int64_t step = 1;
  for (int axis = tensor->ndim - 1; axis >= 0; --axis) {
    strides[axis] = step;
    step = (int64_t)((uint64_t)step * (uint64_t)shape[axis]);
  }
  for (; damage > 0; --damage) {
    switch (draw(9)) {
      case 0: tensor->ndim = (int32_t)draw(7); break;
      case 1: tensor->dtype.code = (uint8_t)draw(8); break;
      case 2: tensor->dtype.bits = (uint8_t)(8 << draw(5)); break;
      case 3: tensor->dtype.lanes = (uint16_t)draw(3); break;
      case 4: tensor->device.device_type = (DLDeviceType)draw(3); break;
      case 5: tensor->byte_offset = draw(9); break;
      case 6: strides[draw(8)] = strange_extent(), with_strides = 1; break;
      default: shape[draw((uint64_t)tensor->ndim + 1)] = strange_extent();
    }
  }
  size_t bytes = (size_t)tensor->ndim * sizeof *shape;
  tensor->shape = memcpy(own(bytes), shape, bytes);
  tensor->strides = with_strides ? memcpy(own(bytes), strides, bytes) : NULL;
  tensor->data = data_of(tensor);
}

static TVMFFIAny make_argument(int argument, int64_t images) {
  TVMFFIAny value = {0};
  int damage = draw(3) ? 0 : 1 + (int)draw(3);
  if (draw(40) == 0) { /* no tensor at all */
    static const int32_t kinds[] = {kTVMFFINone, kTVMFFIInt, kTVMFFIFloat, kTVMFFISmallStr, 200};
    value.type_index = kinds[draw(5)];
    value.v_int64 = strange_extent();
    return value;
  }
  size_t before = draw(2) ? sizeof(TVMFFIObject) : 0;
  char* memory = own(before + sizeof(DLTensor));
  memset(memory, 0, before);
  make_tensor((DLTensor*)(memory + before), argument, images, damage);
  value.type_index = before ? kTVMFFITensor : kTVMFFIDLTensorPtr;
  value.v_ptr = memory;
  return value;
}

static void call_once(uint64_t number) {
  typedef int Function(void*, const TVMFFIAny*, int32_t, TVMFFIAny*);
  static Function* const functions[FUNCTIONS] = {__tvm_ffi_run, __tvm_ffi_run_fuzzed,
                                                 __tvm_ffi_code, __tvm_ffi_contract};
  state = (number + 1) * 0x9e3779b97f4a7c15ull;
  int64_t images = draw(8) ? (int64_t)draw(5) : strange_extent();
  if (images > 64) images = 64;
  int32_t count = draw(30) ? 3 : (int32_t)draw(5);
  TVMFFIAny* arguments = own((size_t)(count + 1) * sizeof *arguments);
  for (int i = 0; i < count; ++i) arguments[i] = make_argument(i % 3, images);
  TVMFFIAny result = {0};
  int before = let_through + refused, index = draw(20) ? (int)draw(2) : (int)draw(FUNCTIONS);
  int failed = functions[index](0, arguments, count, &result);
  int told = let_through + refused - before;
  if (index < 2 ? told != 1 : failed) abort(); /* each call is let through or refused, once */
  while (owned_count) free(owned[--owned_count]);
}

int main(int count, char** arguments) {
  if (count != 3) return 2;
  uint64_t last = strtoull(arguments[2], 0, 10);
  for (uint64_t i = strtoull(arguments[1], 0, 10); i < last; ++i) call_once(i);
  printf("%d let through, %d refused\n", let_through, refused);
  return 0;
}
