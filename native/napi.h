/*
 * Node-API for posix.c: statuses, arguments, errors. Every status is checked; a string taken from JavaScript is the
 * caller's to free.
 */
#include <errno.h>
#include <node_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define MAX_ARGUMENTS 6

#define CHECK(call) \
  do { if ((call) != napi_ok) return fail_napi(env, #call); } while (0)

static napi_value fail_napi(napi_env env, const char *call) {
  bool pending = false;
  if (napi_is_exception_pending(env, &pending) == napi_ok && !pending)
    napi_throw_error(env, "ERR_NAPI", call);
  return NULL;
}

static napi_value fail(napi_env env, const char *syscall_name, int number) {
  napi_value error, code, text, value;
  char message[160];
  snprintf(message, sizeof message, "%s: %s", syscall_name, strerror(number));
  CHECK(napi_create_string_utf8(env, uv_err_name(-number), NAPI_AUTO_LENGTH, &code));
  CHECK(napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &text));
  CHECK(napi_create_error(env, code, text, &error));
  CHECK(napi_create_int32(env, number, &value));
  CHECK(napi_set_named_property(env, error, "errno", value));
  CHECK(napi_create_string_utf8(env, syscall_name, NAPI_AUTO_LENGTH, &value));
  CHECK(napi_set_named_property(env, error, "syscall", value));
  CHECK(napi_throw(env, error));
  return NULL;
}

static napi_value from_int(napi_env env, int number) {
  napi_value value;
  CHECK(napi_create_int32(env, number, &value));
  return value;
}

static napi_value result(napi_env env, const char *syscall_name, int returned) {
  return returned < 0 ? fail(env, syscall_name, errno) : from_int(env, returned);
}

static bool arguments(napi_env env, napi_callback_info info, napi_value *values) {
  size_t count = MAX_ARGUMENTS;
  return napi_get_cb_info(env, info, &count, values, NULL, NULL) == napi_ok;
}

/* Every argument as an int; a value that is none reads as 0, which posix.ts has ruled out. */
static bool integers(napi_env env, napi_callback_info info, int *numbers, size_t wanted) {
  napi_value values[MAX_ARGUMENTS];
  if (!arguments(env, info, values)) return false;
  for (size_t i = 0; i < wanted; i++)
    if (napi_get_value_int32(env, values[i], &numbers[i]) != napi_ok) return false;
  return true;
}

#define INTEGERS(name, count) \
  int name[count]; \
  if (!integers(env, info, name, count)) return fail(env, __func__, EINVAL)

/* A string of the caller's as a new buffer, or NULL. */
static char *to_string(napi_env env, napi_value value) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) return NULL;
  char *text = malloc(length + 1);
  if (text && napi_get_value_string_utf8(env, value, text, length + 1, &length) != napi_ok) {
    free(text);
    return NULL;
  }
  return text;
}

static void free_strings(char **strings) {
  if (!strings) return;
  for (char **s = strings; *s; s++) free(*s);
  free(strings);
}

/* An array of strings as a NULL-terminated vector, or NULL. */
static char **to_strings(napi_env env, napi_value array) {
  uint32_t length;
  if (napi_get_array_length(env, array, &length) != napi_ok) return NULL;
  char **strings = calloc((size_t)length + 1, sizeof *strings);
  for (uint32_t i = 0; strings && i < length; i++) {
    napi_value element;
    if (napi_get_element(env, array, i, &element) != napi_ok || !(strings[i] = to_string(env, element))) {
      free_strings(strings);
      return NULL;
    }
  }
  return strings;
}
