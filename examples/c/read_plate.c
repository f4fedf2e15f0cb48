/* read_plate ARTIFACT IMAGE...: prints the text of the plate on each image, a line an image.

   An image is a file of raw pixels of the size that the artifact reads: for LPRNet as published 94x24
   pixels of blue, green and red, 6768 bytes. Exit codes are those of lprnet recognize: 0 if all are
   read, 1 if some are not, 2 if the artifact cannot be used or no image is read. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lprnet.h"
#include "read_file.h"

enum { ALL_READ, SOME_FAILED, NONE_READ, MAX_IMAGE = 1 << 26 };

/* Prints a sentence on one line: names of files may have any character. */
static void complain(const char* sentence) {
  fputs("error: ", stderr);
  for (; *sentence; ++sentence) {
    unsigned char byte = (unsigned char)*sentence;
    fputc(byte < 0x20 || byte == 0x7f ? '?' : byte, stderr);
  }
  fputc('\n', stderr);
}

static int read_plate(lprnet* reader, const char* name) {
  lprnet_error error;
  size_t bytes;
  char* pixels = read_file(name, MAX_IMAGE, &bytes);
  if (!pixels) {
    snprintf(error.sentence, sizeof error.sentence, "%s: cannot be read (%s).", name,
             strerror(errno));
    complain(error.sentence);
    return 0;
  }
  const char* text = lprnet_read(reader, (const uint8_t*)pixels, bytes, &error);
  free(pixels);
  if (text) {
    puts(text);
    return 1;
  }
  char sentence[sizeof error.sentence + 4096];
  snprintf(sentence, sizeof sentence, "%s: %s", name, error.sentence);
  complain(sentence);
  return 0;
}

int main(int count, char** arguments) {
  lprnet_error error;
  if (count < 3) {
    fputs("usage: read_plate ARTIFACT.so IMAGE...\n", stderr);
    return NONE_READ;
  }
  lprnet* reader = lprnet_open(arguments[1], &error);
  if (!reader) {
    complain(error.sentence);
    return NONE_READ;
  }
  int read = 0;
  for (int i = 2; i < count; ++i) read += read_plate(reader, arguments[i]);
  lprnet_close(reader);
  if (fflush(stdout) || ferror(stdout)) {
    complain("stdout cannot be written; choose another place.");
    return NONE_READ;
  }
  return read == count - 2 ? ALL_READ : read ? SOME_FAILED : NONE_READ;
}
