/* JSON in UTF-8 (RFC 8259): a tree of its values. Numbers keep their characters. A document with
   an object that has one key twice is refused. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>

typedef enum { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT }
    json_kind;

typedef struct {
  const char* start; /* no zero behind it */
  size_t bytes;
} json_text;

typedef struct json json;
struct json {
  json_kind kind;
  json_text text; /* of a string, its characters in UTF-8; of a number, as it was written */
  json_text key;  /* in an object */
  json* first;    /* of an array or object; of an object, in the order of its keys */
  json* next;
};

/* The value of the document `content`; NULL if it is no JSON or memory is short. */
json* json_parse(const char* content, size_t bytes);
void json_free(json* document);

/* A member of an object, of this kind; NULL if there is none. */
const json* json_member(const json* object, const char* key, json_kind kind);

/* Whether `value` is an integer from 0 to `most`, which is then in `*number`. */
bool json_integer(const json* value, long long most, long long* number);

/* Whether `text` is the string `expected`. */
bool json_is(json_text text, const char* expected);

#endif
