/* Reads plates with an artifact of lprnet, without Python: links against libtvm_ffi alone.

   An artifact is a shared object, `NAME.so`, and its manifest, `NAME.json`. The manifest has the
   SHA-256 of the shared object and of itself, so a damaged file is refused before it is loaded. This
   is no signature: an artifact is code, take it from where you would take a program. */
#ifndef LPRNET_H
#define LPRNET_H

#include <stddef.h>
#include <stdint.h>

#define LPRNET_ERROR_BYTES 512

/* One sentence that says what is wrong with which file and what to do. UTF-8. */
typedef struct {
  char sentence[LPRNET_ERROR_BYTES];
} lprnet_error;

/* A loaded artifact with the memory of one call: for one thread at a time. */
typedef struct lprnet lprnet;

/* What an artifact reads: uint8 pixels (height, width, channels), rows one after another without
   gaps. With 3 channels their order is blue, green, red. */
typedef struct {
  int64_t height, width, channels;
} lprnet_image;

/* Load the artifact `path`, which ends in `.so`. NULL, with `error` written, if a file is missing or
   not what lprnet build wrote, if memory is short, or if this CPU can run no code of it. */
lprnet* lprnet_open(const char* path, lprnet_error* error);

lprnet_image lprnet_image_of(const lprnet* reader);

/* The text of the plate on `pixels`, which has `bytes` bytes: greedy CTC decoding, as `lprnet
   recognize --no-grammar`. UTF-8, valid until the next call with this reader. NULL, with `error`
   written, if `bytes` is not the size of one image or the artifact fails. */
const char* lprnet_read(lprnet* reader, const uint8_t* pixels, size_t bytes, lprnet_error* error);

/* Unload it. `reader` may be NULL. */
void lprnet_close(lprnet* reader);

#endif
