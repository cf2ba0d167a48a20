/* Watches, for posix.c: polling a descriptor on Node's own event loop. */
#include <errno.h>
#include <node_api.h>
#include <stdlib.h>
#include <uv.h>

struct watch {
  uv_poll_t poll;
  napi_env env;
  napi_ref callback;
  napi_async_context context;
};

static void on_readable(uv_poll_t *poll, int status, int events) {
  (void)events;
  struct watch *watch = poll->data;
  napi_env env = watch->env;
  napi_handle_scope scope;
  napi_value callback, receiver, argument, error;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  if (napi_get_reference_value(env, watch->callback, &callback) == napi_ok &&
      napi_get_global(env, &receiver) == napi_ok && napi_create_int32(env, status, &argument) == napi_ok &&
      napi_make_callback(env, watch->context, receiver, callback, 1, &argument, NULL) == napi_pending_exception &&
      napi_get_and_clear_last_exception(env, &error) == napi_ok)
    napi_fatal_exception(env, error);
  napi_close_handle_scope(env, scope);
}

static void on_closed(uv_handle_t *handle) {
  struct watch *watch = handle->data;
  napi_handle_scope scope;
  if (napi_open_handle_scope(watch->env, &scope) == napi_ok) {
    napi_delete_reference(watch->env, watch->callback);
    napi_async_destroy(watch->env, watch->context);
    napi_close_handle_scope(watch->env, scope);
  }
  free(watch);
}

/* poll(fd, callback): a stopped watch, which calls callback(status) whenever fd is readable. */
static napi_value Poll(napi_env env, napi_callback_info info) {
  napi_value values[MAX_ARGUMENTS], name, external;
  int fd;
  uv_loop_t *loop;
  if (!arguments(env, info, values) || napi_get_value_int32(env, values[0], &fd) != napi_ok)
    return fail(env, "poll", EINVAL);
  CHECK(napi_get_uv_event_loop(env, &loop));
  struct watch *watch = calloc(1, sizeof *watch);
  if (!watch) return fail(env, "poll", ENOMEM);
  watch->env = env;
  int returned = uv_poll_init(loop, &watch->poll, fd);
  if (returned < 0) {
    free(watch);
    return fail(env, "poll", -returned);
  }
  watch->poll.data = watch;
  CHECK(napi_create_string_utf8(env, "lookout", NAPI_AUTO_LENGTH, &name));
  CHECK(napi_create_reference(env, values[1], 1, &watch->callback));
  CHECK(napi_async_init(env, NULL, name, &watch->context));
  CHECK(napi_create_external(env, watch, NULL, NULL, &external));
  return external;
}

/* control(watch, action): 0 stop, 1 start, 2 unref, 3 ref, 4 close (the last that may be done to it). */
static napi_value Control(napi_env env, napi_callback_info info) {
  napi_value values[MAX_ARGUMENTS];
  void *data;
  int action;
  if (!arguments(env, info, values) || napi_get_value_external(env, values[0], &data) != napi_ok ||
      napi_get_value_int32(env, values[1], &action) != napi_ok)
    return fail(env, "poll", EINVAL);
  struct watch *watch = data;
  int returned = 0;
  switch (action) {
    case 0: returned = uv_poll_stop(&watch->poll); break;
    case 1: returned = uv_poll_start(&watch->poll, UV_READABLE, on_readable); break;
    case 2: uv_unref((uv_handle_t *)&watch->poll); break;
    case 3: uv_ref((uv_handle_t *)&watch->poll); break;
    default: uv_close((uv_handle_t *)&watch->poll, on_closed);
  }
  return returned < 0 ? fail(env, "poll", -returned) : NULL;
}
