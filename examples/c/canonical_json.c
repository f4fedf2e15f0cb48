#include "canonical_json.h"

#include <stdbool.h>
#include <string.h>

static void add(sha256* hash, const char* text) { sha256_add(hash, text, strlen(text)); }

static void add_code(int32_t code, sha256* hash) {
  static const char digits[] = "0123456789abcdef";
  char escape[7] = "\\u";
  for (int i = 0; i < 4; ++i) escape[2 + i] = digits[code >> (12 - 4 * i) & 15];
  add(hash, escape);
}

void canonical_text(json_text text, sha256* hash) {
  static const char named[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
  add(hash, "\"");
  for (size_t i = 0; i < text.bytes;) {
    uint8_t lead = (uint8_t)text.start[i];
    const char* found = lead ? strchr(named, (char)lead) : 0;
    int bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0x80 ? 2 : 1;
    int32_t code = bytes == 1 ? lead : lead & (0xff >> (bytes + 1));
    for (int k = 1; k < bytes; ++k) code = code << 6 | (text.start[i + (size_t)k] & 0x3f);
    if (found) {
      char escape[3] = {'\\', names[found - named], 0};
      add(hash, escape);
    } else if (code >= 0x20 && code < 0x7f) {
      sha256_add(hash, text.start + i, 1);
    } else if (code >= 0x10000) {
      add_code(0xd800 + ((code - 0x10000) >> 10), hash);
      add_code(0xdc00 + ((code - 0x10000) & 0x3ff), hash);
    } else {
      add_code(code, hash);
    }
    i += (size_t)bytes;
  }
  add(hash, "\"");
}

void canonical_json(const json* value, const char* left_out, sha256* hash) {
  static const char* words[] = {"null", "false", "true"};
  bool object = value->kind == JSON_OBJECT, later = false;
  if (value->kind <= JSON_TRUE) return add(hash, words[value->kind]);
  if (value->kind == JSON_NUMBER) return sha256_add(hash, value->text.start, value->text.bytes);
  if (value->kind == JSON_STRING) return canonical_text(value->text, hash);
  add(hash, object ? "{" : "[");
  for (const json* one = value->first; one; one = one->next) {
    if (object && left_out && json_is(one->key, left_out)) continue;
    if (later) add(hash, ",");
    later = true;
    if (object) canonical_text(one->key, hash), add(hash, ":");
    canonical_json(one, 0, hash);
  }
  add(hash, object ? "}" : "]");
}
