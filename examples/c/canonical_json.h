/* JSON in one form only, the one that the digest of a manifest is of. */
#ifndef CANONICAL_JSON_H
#define CANONICAL_JSON_H

#include "json.h"
#include "sha256.h"

/* Add a value to `hash` as Python's json.dumps(value, sort_keys=True, separators=(",", ":")) writes
   it, without the member `left_out` of the outermost object, which may be NULL. */
void canonical_json(const json* value, const char* left_out, sha256* hash);

/* The same of a string. */
void canonical_text(json_text text, sha256* hash);

#endif
