#define _GNU_SOURCE /* memfd_create */
#include "lprnet.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <tvm/ffi/c_api.h>
#include <unistd.h>

#include "manifest.h"
#include "read_file.h"
#include "sha256.h"

#define REBUILD "build the artifact again with lprnet build."

enum { ALIGNMENT = 64, MAX_MANIFEST = 1 << 20, MAX_ARTIFACT = 1 << 28 };

typedef int function(void* self, const TVMFFIAny* args, int32_t count, TVMFFIAny* result);

struct lprnet {
  manifest manifest;
  manifest_version version; /* the one that `run` calls on this CPU */
  int file;                 /* the shared object in memory; open as long as it is loaded, since
                               dlopen knows libraries by their path */
  void* library;
  function* run;
  float *logits, *arena;
  uint8_t* pixels;
  char* text;
};

static bool fail(lprnet_error* error, const char* form, ...) {
  va_list values;
  va_start(values, form);
  vsnprintf(error->sentence, sizeof error->sentence, form, values);
  va_end(values);
  return false;
}

/* The message of the function of libtvm_ffi's convention that has just failed. */
static void raised(char* message, size_t bytes) {
  TVMFFIObjectHandle object = 0;
  snprintf(message, bytes, "no message");
  TVMFFIErrorMoveFromRaised(&object);
  if (!object) return;
  const TVMFFIErrorCell* cell = (void*)((char*)object + sizeof(TVMFFIObject));
  snprintf(message, bytes, "%.*s", (int)cell->message.size, cell->message.data);
  TVMFFIObjectDecRef(object);
}

/* What a function without arguments returns; false if there is none or it fails. */
static bool call_integer(void* library, const char* name, int64_t* number, char* message,
                         size_t bytes) {
  TVMFFIAny result = {0};
  function* found = (function*)dlsym(library, name);
  snprintf(message, bytes, "it has no %s", name);
  if (!found) return false;
  if (found(0, 0, 0, &result)) return raised(message, bytes), false;
  *number = result.v_int64;
  return true;
}

/* `content` as a library. From memory: the bytes whose digest was compared are those that are
   loaded, whatever happens to the file. */
static bool load_library(lprnet* reader, const char* path, const char* content, size_t bytes,
                         lprnet_error* error) {
  char name[64];
  reader->file = memfd_create("lprnet", MFD_CLOEXEC);
  for (size_t done = 0; reader->file >= 0 && done < bytes;) {
    ssize_t written = write(reader->file, content + done, bytes - done);
    if (written < 0) return fail(error, "%s: no memory for it (%s).", path, strerror(errno));
    done += (size_t)written;
  }
  snprintf(name, sizeof name, "/proc/self/fd/%d", reader->file);
  reader->library = reader->file < 0 ? 0 : dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!reader->library) {
    const char* reason = reader->file < 0 ? strerror(errno) : dlerror();
    return fail(error, "%s: cannot be loaded (%s); " REBUILD, path, reason);
  }
  return true;
}

static bool load_code(lprnet* reader, const char* path, lprnet_error* error) {
  int64_t confirmed, number;
  char reason[256];
  if (!call_integer(reader->library, "__tvm_ffi_contract", &confirmed, reason, sizeof reason))
    return fail(error, "%s: is no artifact (%s); " REBUILD, path, reason);
  if (confirmed != reader->manifest.contract)
    return fail(error, "%s: was not compiled for what its manifest states; " REBUILD, path);
  if (!call_integer(reader->library, "__tvm_ffi_code", &number, reason, sizeof reason))
    return fail(error, "%s: %s Build it on this machine with lprnet build.", path, reason);
  reader->run = (function*)dlsym(reader->library, "__tvm_ffi_run");
  if (!reader->run || number < 0 || number >= reader->manifest.versions)
    return fail(error, "%s: is not the artifact its manifest describes; " REBUILD, path);
  reader->version = reader->manifest.version[number];
  return true;
}

static void* aligned(size_t bytes) {
  return aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

static size_t image_bytes(const lprnet* reader) {
  const lprnet_image* image = &reader->manifest.image;
  return (size_t)(image->height * image->width * image->channels);
}

static bool allocate(lprnet* reader, const char* path, lprnet_error* error) {
  const manifest_version* version = &reader->version;
  size_t longest = 0;
  for (int64_t i = 0; i < reader->manifest.classes; ++i) {
    size_t bytes = reader->manifest.symbols[i].bytes;
    if (bytes > longest) longest = bytes;
  }
  reader->pixels = aligned(image_bytes(reader));
  reader->logits = aligned(4 * (size_t)(version->positions * version->padded_classes));
  reader->arena = aligned(4 * (size_t)version->arena_floats);
  reader->text = malloc((size_t)version->positions * longest + 1);
  if (reader->pixels && reader->logits && reader->arena && reader->text) return true;
  return fail(error, "%s: there is no memory for it on this machine.", path);
}

/* The manifest is beside `path`. */
static bool load_manifest(lprnet* reader, const char* path, lprnet_error* error) {
  size_t stem = strlen(path), bytes;
  if (stem < 4 || strcmp(path + stem - 3, ".so"))
    return fail(error, "%s: is no artifact (.so); build one with lprnet build.", path);
  char name[4096];
  if (stem + 3 > sizeof name) return fail(error, "The name of the artifact is too long.");
  snprintf(name, sizeof name, "%.*s.json", (int)stem - 3, path);
  char* content = read_file(name, MAX_MANIFEST, &bytes);
  if (!content)
    return fail(error, "%s: cannot be read (%s); copy both files or " REBUILD, name,
                strerror(errno));
  const char* wrong = manifest_read(content, bytes, &reader->manifest);
  free(content);
  return !wrong || fail(error, "%s: the manifest %s; " REBUILD, name, wrong);
}

static bool load(lprnet* reader, const char* path, lprnet_error* error) {
  size_t bytes;
  char hex[65];
  if (!load_manifest(reader, path, error)) return false;
  char* content = read_file(path, MAX_ARTIFACT, &bytes);
  if (!content)
    return fail(error, "%s: cannot be read (%s); " REBUILD, path, strerror(errno));
  sha256_of(content, bytes, hex);
  bool loaded = strcmp(hex, reader->manifest.artifact_sha256)
                    ? fail(error, "%s: is not the file its manifest describes; " REBUILD, path)
                    : load_library(reader, path, content, bytes, error);
  free(content);
  return loaded && load_code(reader, path, error) && allocate(reader, path, error);
}

lprnet* lprnet_open(const char* path, lprnet_error* error) {
  lprnet* reader = calloc(1, sizeof *reader);
  if (!reader) {
    fail(error, "%s: there is no memory for it on this machine.", path);
    return 0;
  }
  reader->file = -1;
  if (load(reader, path, error)) return reader;
  lprnet_close(reader);
  return 0;
}

lprnet_image lprnet_image_of(const lprnet* reader) { return reader->manifest.image; }

/* Greedy CTC decoding (Graves et al., ICML 2006, section 3.2): the most probable class at each
   position, repeats merged, blanks dropped. Of equal logits the first counts, the blank last, as in
   lprnet/runtime/ctc.py. */
static void decode(lprnet* reader) {
  const manifest* m = &reader->manifest;
  int64_t before = m->blank;
  char* end = reader->text;
  for (int64_t position = 0; position < reader->version.positions; ++position) {
    const float* logits = reader->logits + position * reader->version.padded_classes;
    int64_t best = m->blank ? 0 : 1;
    for (int64_t one = best + 1; one < m->classes; ++one) {
      if (one != m->blank && logits[one] > logits[best]) best = one;
    }
    if (logits[m->blank] > logits[best]) best = m->blank;
    if (best != before && best != m->blank) {
      memcpy(end, m->symbols[best].start, m->symbols[best].bytes);
      end += m->symbols[best].bytes;
    }
    before = best;
  }
  *end = 0;
}

static DLTensor tensor(void* data, DLDataTypeCode code, uint8_t bits, int axes, int64_t* shape) {
  return (DLTensor){data, {kDLCPU, 0}, axes, {(uint8_t)code, bits, 1}, shape, 0, 0};
}

const char* lprnet_read(lprnet* reader, const uint8_t* pixels, size_t bytes, lprnet_error* error) {
  const lprnet_image* image = &reader->manifest.image;
  const manifest_version* version = &reader->version;
  if (bytes != image_bytes(reader)) {
    fail(error, "an image has %zu bytes; give the %zu of %dx%d pixels with %d channels.", bytes,
         image_bytes(reader), (int)image->width, (int)image->height, (int)image->channels);
    return 0;
  }
  memcpy(reader->pixels, pixels, bytes);
  int64_t images_shape[] = {1, image->height, image->width, image->channels};
  int64_t logits_shape[] = {1, 1, version->positions, version->padded_classes};
  int64_t arena_shape[] = {version->arena_floats};
  DLTensor tensors[] = {tensor(reader->pixels, kDLUInt, 8, 4, images_shape),
                        tensor(reader->logits, kDLFloat, 32, 4, logits_shape),
                        tensor(reader->arena, kDLFloat, 32, 1, arena_shape)};
  TVMFFIAny arguments[3] = {0}, result = {0};
  for (int i = 0; i < 3; ++i) {
    arguments[i].type_index = kTVMFFIDLTensorPtr;
    arguments[i].v_ptr = &tensors[i];
  }
  if (reader->run(0, arguments, 3, &result)) {
    raised(error->sentence, sizeof error->sentence);
    return 0;
  }
  decode(reader);
  return reader->text;
}

void lprnet_close(lprnet* reader) {
  if (!reader) return;
  if (reader->library) dlclose(reader->library);
  if (reader->file >= 0) close(reader->file);
  manifest_free(&reader->manifest);
  free(reader->pixels);
  free(reader->logits);
  free(reader->arena);
  free(reader->text);
  free(reader);
}
