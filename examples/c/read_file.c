#define _POSIX_C_SOURCE 200809L
#include "read_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

char* read_file(const char* name, size_t most, size_t* bytes) {
  struct stat facts;
  if (stat(name, &facts)) return 0;
  if (!S_ISREG(facts.st_mode)) return errno = S_ISDIR(facts.st_mode) ? EISDIR : EINVAL, NULL;
  FILE* file = fopen(name, "rb");
  if (!file) return 0;
  char* content = malloc(most < (size_t)facts.st_size ? 1 : (size_t)facts.st_size + 1);
  int number = ENOMEM;
  if (content) {
    *bytes = fread(content, 1, most < (size_t)facts.st_size ? 0 : (size_t)facts.st_size, file);
    number = ferror(file) ? EIO : most < (size_t)facts.st_size ? EFBIG : 0;
  }
  fclose(file);
  if (!number) return content;
  free(content);
  return errno = number, NULL;
}
