/* SHA-256 (FIPS 180-4). */
#ifndef SHA256_H
#define SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint32_t state[8];
  uint64_t bytes; /* so far */
  uint8_t block[64];
} sha256;

void sha256_begin(sha256* hash);
void sha256_add(sha256* hash, const void* content, size_t bytes);
void sha256_end(sha256* hash, uint8_t digest[32]);

/* `digest` in hexadecimal digits, with a zero behind them. */
void sha256_hex(const uint8_t digest[32], char hex[65]);

/* `hex` of all of `content`. */
void sha256_of(const void* content, size_t bytes, char hex[65]);

#endif
