/* The manifest beside an artifact; lprnet/runtime/manifest.py says what its fields mean. */
#ifndef MANIFEST_H
#define MANIFEST_H

#include <stdint.h>

#include "json.h"
#include "lprnet.h"

/* What one target version needs: floats of memory and of the logits of one image. */
typedef struct {
  int64_t arena_floats, positions, padded_classes;
} manifest_version;

typedef struct {
  json* document;       /* owns the texts of `symbols` */
  char artifact_sha256[65];
  int64_t contract;     /* what the shared object must confirm */
  lprnet_image image;
  int64_t classes, blank, versions;
  json_text* symbols;   /* one a class */
  manifest_version* version; /* from the least demanding to the most */
} manifest;

/* Read a manifest. NULL, or what is wrong with it, as "the manifest ...". */
const char* manifest_read(const char* content, size_t bytes, manifest* read);
void manifest_free(manifest* read);

#endif
