/* Reads manifests as examples/c does: each record on stdin is four bytes of length, least first, and
   a manifest. For each it writes 'a' for one that is accepted, 'r' for one that is refused; behind an
   'a', what was read, on a line, symbols in hexadecimal digits. Built with AddressSanitizer. */
#include <stdio.h>
#include <stdlib.h>

#include "manifest.h"

int main(void) {
  unsigned char length[4];
  while (fread(length, 1, 4, stdin) == 4) {
    size_t bytes = length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16;
    char* content = malloc(bytes); /* to the byte, so that a look beyond is found */
    manifest read;
    if ((bytes && !content) || fread(content, 1, bytes, stdin) != bytes) return 2;
    const char* wrong = manifest_read(content, bytes, &read);
    free(content);
    if (wrong) {
      puts("r");
    } else {
      printf("a %lld %lld %lld", (long long)read.contract, (long long)read.blank,
             (long long)read.version[read.versions - 1].arena_floats);
      for (int64_t i = 0; i < read.classes; ++i) {
        putchar(' ');
        for (size_t k = 0; k < read.symbols[i].bytes; ++k)
          printf("%02x", (unsigned char)read.symbols[i].start[k]);
      }
      putchar('\n');
    }
    manifest_free(&read);
    fflush(stdout);
  }
  return 0;
}
