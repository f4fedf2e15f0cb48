/* Whole files. */
#ifndef READ_FILE_H
#define READ_FILE_H

#include <stddef.h>

/* The content of the regular file `name`, to be freed. NULL, with errno set, if it cannot be read or
   has more than `most` bytes. */
char* read_file(const char* name, size_t most, size_t* bytes);

#endif
