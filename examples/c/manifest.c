#include "manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canonical_json.h"

enum { FORMAT = 4, MAX_EXTENT = 1 << 16, MAX_PIXELS = 1 << 24 };
static const long long MAX_ARENA = 1ll << 32; /* bytes */

static const char DAMAGED[] = "is damaged";

static bool member_integer(const json* object, const char* key, long long most, int64_t* number) {
  long long found;
  if (!json_integer(json_member(object, key, JSON_NUMBER), most, &found)) return false;
  *number = found;
  return true;
}

static int64_t count_of(const json* array) {
  int64_t count = 0;
  for (const json* one = array->first; one; one = one->next) ++count;
  return count;
}

static bool has_digest(const json* document) {
  sha256 hash;
  uint8_t digest[32];
  char hex[65];
  const json* stated = json_member(document, "digest", JSON_STRING);
  sha256_begin(&hash);
  canonical_json(document, "digest", &hash);
  sha256_end(&hash, digest);
  sha256_hex(digest, hex);
  return stated && json_is(stated->text, hex);
}

static int compare_texts(const void* left, const void* right) {
  const json_text *a = left, *b = right;
  int order = memcmp(a->start, b->start, a->bytes < b->bytes ? a->bytes : b->bytes);
  return order ? order : (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

/* Whether no symbol stands for two classes. */
static bool all_different(const json_text* symbols, size_t count) {
  json_text* sorted = malloc(count * sizeof *sorted);
  if (!sorted) return false;
  memcpy(sorted, symbols, count * sizeof *sorted);
  qsort(sorted, count, sizeof *sorted, compare_texts);
  bool different = true;
  for (size_t i = 1; i < count; ++i) different &= compare_texts(sorted + i - 1, sorted + i) != 0;
  free(sorted);
  return different;
}

static bool read_alphabet(const json* alphabet, manifest* read) {
  const json* symbols = json_member(alphabet, "symbols", JSON_ARRAY);
  if (!symbols) return false;
  read->classes = count_of(symbols);
  read->symbols = calloc((size_t)read->classes + 1, sizeof *read->symbols);
  if (!read->symbols || read->classes < 2 || read->classes > MAX_EXTENT) return false;
  json_text* filled = read->symbols;
  for (const json* one = symbols->first; one; one = one->next) {
    bool usable = one->kind == JSON_STRING && one->text.bytes > 0;
    if (!usable || memchr(one->text.start, 0, one->text.bytes)) return false;
    *filled++ = one->text;
  }
  return all_different(read->symbols, (size_t)read->classes) &&
         member_integer(alphabet, "blank", read->classes - 1, &read->blank);
}

static bool read_image(const json* image, manifest* read) {
  lprnet_image* found = &read->image;
  return member_integer(image, "height", MAX_EXTENT, &found->height) && found->height > 0 &&
         member_integer(image, "width", MAX_EXTENT, &found->width) && found->width > 0 &&
         member_integer(image, "channels", 3, &found->channels) && found->channels % 2 &&
         found->height * found->width <= MAX_PIXELS;
}

static bool read_version(const json* version, int64_t classes, manifest_version* read) {
  const json* shape = json_member(version, "logits_shape", JSON_ARRAY);
  int64_t bytes;
  long long extents[3];
  if (!shape || count_of(shape) != 3) return false;
  const json* one = shape->first;
  for (int axis = 0; axis < 3; ++axis, one = one->next) {
    if (!json_integer(one, MAX_EXTENT, &extents[axis])) return false;
  }
  if (!member_integer(version, "arena_bytes", MAX_ARENA, &bytes)) return false;
  *read = (manifest_version){bytes / 4, extents[1], extents[2]};
  return extents[0] == 1 && extents[1] > 0 && extents[2] >= classes && bytes > 0 && bytes % 4 == 0;
}

static bool read_versions(const json* versions, manifest* read) {
  if (!versions) return false;
  read->versions = count_of(versions);
  read->version = calloc((size_t)read->versions + 1, sizeof *read->version);
  if (!read->version || !read->versions) return false;
  manifest_version* filled = read->version;
  for (const json* one = versions->first; one; one = one->next, ++filled) {
    if (!read_version(one, read->classes, filled)) return false;
    if (filled->positions != read->version->positions) return false;
  }
  return true;
}

static void add(sha256* hash, const char* text) { sha256_add(hash, text, strlen(text)); }

/* Adds members of `object` to `hash`, with `before` each; false where one is missing. */
static bool add_members(const json* object, const char* const* keys, bool named, sha256* hash) {
  for (int i = 0; keys[i]; ++i) {
    const json* value = object->kind == JSON_OBJECT ? object->first : 0;
    while (value && !json_is(value->key, keys[i])) value = value->next;
    if (!value) return false;
    if (i) add(hash, ",");
    if (named) canonical_text(value->key, hash), add(hash, ":");
    canonical_json(value, 0, hash);
  }
  return true;
}

/* As `contract` of manifest.py: 63 bits of a SHA-256 over what was compiled in. */
static bool read_contract(const json* image, const json* alphabet, const json* versions,
                          manifest* read) {
  static const char* const of_image[] = {"border", "channels", "fit", "height", "width", 0};
  static const char* const of_alphabet[] = {"blank", "grammar", "name", "symbols", 0};
  static const char* const of_version[] = {"target",      "function",     "cpu_flags",
                                           "arena_bytes", "logits_shape", 0};
  sha256 hash;
  uint8_t digest[32];
  sha256_begin(&hash);
  add(&hash, "[{");
  bool whole = add_members(image, of_image, true, &hash);
  add(&hash, "},{");
  whole = whole && add_members(alphabet, of_alphabet, true, &hash);
  add(&hash, "},[");
  for (const json* one = versions->first; one && whole; one = one->next) {
    add(&hash, one == versions->first ? "[" : ",[");
    whole = add_members(one, of_version, false, &hash);
    add(&hash, "]");
  }
  add(&hash, "]]");
  sha256_end(&hash, digest);
  uint64_t first = 0;
  for (int i = 0; i < 8; ++i) first = first << 8 | digest[i];
  read->contract = (int64_t)(first >> 1);
  return whole;
}

const char* manifest_read(const char* content, size_t bytes, manifest* read) {
  int64_t format;
  memset(read, 0, sizeof *read);
  json* document = read->document = json_parse(content, bytes);
  if (!document || document->kind != JSON_OBJECT) return "is no JSON object";
  if (!member_integer(document, "format", FORMAT, &format) || format != FORMAT)
    return "was written by another version of lprnet";
  if (!has_digest(document)) return DAMAGED;
  const json* image = json_member(document, "image", JSON_OBJECT);
  const json* alphabet = json_member(document, "alphabet", JSON_OBJECT);
  const json* versions = json_member(document, "target_versions", JSON_ARRAY);
  const json* sum = json_member(document, "artifact_sha256", JSON_STRING);
  if (!sum || sum->text.bytes != 64) return DAMAGED;
  memcpy(read->artifact_sha256, sum->text.start, 64);
  bool whole = read_image(image, read) && read_alphabet(alphabet, read) &&
               read_versions(versions, read) && read_contract(image, alphabet, versions, read);
  return whole ? 0 : DAMAGED;
}

void manifest_free(manifest* read) {
  free(read->symbols);
  free(read->version);
  json_free(read->document);
}
