#include "json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 32 };

typedef struct {
  const char *at, *end;
  json* free_value; /* the next of the document's values that is not used */
  char* free_text;
} parser;

static bool parse_value(parser* p, json* value, int depth);

static void skip_space(parser* p) {
  while (p->at < p->end && strchr(" \t\n\r", *p->at) && *p->at) ++p->at;
}

static bool take(parser* p, const char* word) {
  size_t bytes = strlen(word);
  if ((size_t)(p->end - p->at) < bytes || memcmp(p->at, word, bytes)) return false;
  p->at += bytes;
  return true;
}

static bool take_digits(parser* p) {
  const char* start = p->at;
  while (p->at < p->end && *p->at >= '0' && *p->at <= '9') ++p->at;
  return p->at > start;
}

static bool parse_number(parser* p, json* value) {
  const char* start = p->at;
  take(p, "-");
  if (!take(p, "0") && !take_digits(p)) return false;
  if (take(p, ".") && !take_digits(p)) return false;
  if (take(p, "e") || take(p, "E")) {
    if (!take(p, "+")) take(p, "-");
    if (!take_digits(p)) return false;
  }
  value->text = (json_text){p->free_text, (size_t)(p->at - start)};
  memcpy(p->free_text, start, value->text.bytes);
  p->free_text += value->text.bytes;
  return true;
}

/* Four hexadecimal digits; -1 for anything else. */
static int32_t parse_code(parser* p) {
  int32_t code = 0;
  if (p->end - p->at < 4) return -1;
  for (int i = 0; i < 4; ++i) {
    static const char digits[] = "0123456789abcdef";
    char one = *p->at++;
    const char* digit = one ? strchr(digits, one >= 'A' && one <= 'F' ? one - 'A' + 'a' : one) : 0;
    if (!digit) return -1;
    code = code * 16 + (int32_t)(digit - digits);
  }
  return code;
}

static void put_code(parser* p, int32_t code) {
  static const int marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
  int bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (int i = bytes - 1; i > 0; --i, code >>= 6) p->free_text[i] = (char)(0x80 | (code & 0x3f));
  p->free_text[0] = (char)(marks[bytes] | code);
  p->free_text += bytes;
}

static bool parse_escape(parser* p) {
  static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
  if (p->at == p->end) return false;
  if (*p->at != 'u') {
    const char* name = *p->at ? strchr(names, *p->at++) : 0;
    if (name) *p->free_text++ = meant[name - names];
    return name;
  }
  ++p->at;
  int32_t code = parse_code(p);
  const char* behind = p->at;
  if (code >= 0xd800 && code < 0xdc00 && take(p, "\\u")) {
    int32_t low = parse_code(p);
    if (low >= 0xdc00 && low < 0xe000) code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    else p->at = behind; /* a lone half, which is kept: a byte of a file name that is not UTF-8 */
  }
  if (code >= 0) put_code(p, code);
  return code >= 0;
}

/* Copies one character of more than one byte; false where it is not UTF-8. */
static bool copy_character(parser* p) {
  uint8_t lead = (uint8_t)*p->at;
  int bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  int32_t code = lead & (0xff >> (bytes + 1));
  if (lead < 0xc2 || lead > 0xf4 || p->end - p->at < bytes) return false;
  for (int i = 1; i < bytes; ++i) {
    if ((p->at[i] & 0xc0) != 0x80) return false;
    code = code << 6 | (p->at[i] & 0x3f);
  }
  static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < least[bytes] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
  p->at += bytes;
  put_code(p, code);
  return true;
}

static bool parse_string(parser* p, json_text* text) {
  char* start = p->free_text;
  if (!take(p, "\"")) return false;
  while (p->at < p->end && *p->at != '"') {
    uint8_t byte = (uint8_t)*p->at;
    if (byte < 0x20) return false;
    if (byte >= 0x80) {
      if (!copy_character(p)) return false;
    } else if (take(p, "\\")) {
      if (!parse_escape(p)) return false;
    } else {
      *p->free_text++ = *p->at++;
    }
  }
  *text = (json_text){start, (size_t)(p->free_text - start)};
  return take(p, "\"");
}

static int compare_keys(const void* left, const void* right) {
  json_text a = (*(json* const*)left)->key, b = (*(json* const*)right)->key;
  int order = memcmp(a.start, b.start, a.bytes < b.bytes ? a.bytes : b.bytes);
  return order ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

/* Puts the members of an object into the order of their keys; false where two are the same. */
static bool sort_members(json* object, size_t count) {
  json** members = malloc((count + 1) * sizeof *members);
  if (!members) return false;
  size_t filled = 0;
  for (json* one = object->first; one; one = one->next) members[filled++] = one;
  qsort(members, count, sizeof *members, compare_keys);
  members[count] = 0;
  object->first = members[0];
  bool different = true;
  for (size_t i = 0; i < count; ++i) {
    members[i]->next = members[i + 1];
    if (i && !compare_keys(&members[i - 1], &members[i])) different = false;
  }
  free(members);
  return different;
}

static bool parse_items(parser* p, json* value, int depth) {
  bool object = value->kind == JSON_OBJECT;
  json** last = &value->first;
  size_t count = 0;
  skip_space(p);
  if (take(p, object ? "}" : "]")) return true;
  do {
    json* one = p->free_value++;
    skip_space(p);
    if (object) {
      if (!parse_string(p, &one->key)) return false;
      skip_space(p);
      if (!take(p, ":")) return false;
    }
    if (!parse_value(p, one, depth + 1)) return false;
    *last = one, last = &one->next, ++count;
    skip_space(p);
  } while (take(p, ","));
  return take(p, object ? "}" : "]") && (!object || sort_members(value, count));
}

static bool parse_value(parser* p, json* value, int depth) {
  skip_space(p);
  if (p->at == p->end || depth > MAX_DEPTH) return false;
  switch (*p->at) {
    case 'n': return value->kind = JSON_NULL, take(p, "null");
    case 'f': return value->kind = JSON_FALSE, take(p, "false");
    case 't': return value->kind = JSON_TRUE, take(p, "true");
    case '"': return value->kind = JSON_STRING, parse_string(p, &value->text);
    case '[': return value->kind = JSON_ARRAY, ++p->at, parse_items(p, value, depth);
    case '{': return value->kind = JSON_OBJECT, ++p->at, parse_items(p, value, depth);
    default: return value->kind = JSON_NUMBER, parse_number(p, value);
  }
}

/* One block of memory has the values, then the characters of all strings and numbers. */
json* json_parse(const char* content, size_t bytes) {
  size_t values = 1;
  for (size_t i = 0; i < bytes; ++i) values += content[i] && strchr("[{,", content[i]) != 0;
  json* document = calloc(1, values * sizeof *document + bytes);
  if (!document) return 0;
  parser p = {content, content + bytes, document + 1, (char*)(document + values)};
  bool whole = parse_value(&p, document, 0);
  skip_space(&p);
  if (whole && p.at == p.end) return document;
  free(document);
  return 0;
}

void json_free(json* document) { free(document); }

const json* json_member(const json* object, const char* key, json_kind kind) {
  if (!object || object->kind != JSON_OBJECT) return 0;
  for (const json* one = object->first; one; one = one->next) {
    if (json_is(one->key, key)) return one->kind == kind ? one : 0;
  }
  return 0;
}

bool json_is(json_text text, const char* expected) {
  return text.bytes == strlen(expected) && !memcmp(text.start, expected, text.bytes);
}

bool json_integer(const json* value, long long most, long long* number) {
  if (!value || value->kind != JSON_NUMBER || value->text.bytes > 18) return false;
  *number = 0;
  for (size_t i = 0; i < value->text.bytes; ++i) {
    char digit = value->text.start[i];
    if (digit < '0' || digit > '9') return false;
    *number = *number * 10 + (digit - '0');
  }
  return *number <= most;
}
