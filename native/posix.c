/*
 * The addon: system calls that Node does not offer, one function a call.
 *
 * lib/posix.ts checks the arguments; a function here makes its call and throws the errno by name
 * (error.code, error.errno, error.syscall). It keeps no state but the polls it was asked for.
 * File descriptors belong to the caller: nothing here closes one that it did not open, but exec(2)
 * and spawn's child, which hand on exactly the descriptors named.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <node_api.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "napi.h"
#include "processes.h"

/* ---- Sockets ---- */

static napi_value Socket(napi_env env, napi_callback_info info) {
  INTEGERS(a, 1);
  return result(env, "socket", socket(a[0], SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

static napi_value Setsockopt(napi_env env, napi_callback_info info) {
  INTEGERS(a, 4);
  return result(env, "setsockopt", setsockopt(a[0], a[1], a[2], &a[3], sizeof a[3]));
}

static napi_value Getsockopt(napi_env env, napi_callback_info info) {
  INTEGERS(a, 3);
  int value = 0;
  socklen_t length = sizeof value;
  if (getsockopt(a[0], a[1], a[2], &value, &length) < 0) return fail(env, "getsockopt", errno);
  return from_int(env, value);
}

/* The address as text: an IPv4 or IPv6 address, or a path. EINVAL where it does not fit. */
static socklen_t to_address(int family, const char *text, int port, struct sockaddr_storage *out) {
  memset(out, 0, sizeof *out);
  out->ss_family = (sa_family_t)family;
  if (family == AF_INET) {
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    in->sin_port = htons((uint16_t)port);
    return inet_pton(AF_INET, text, &in->sin_addr) == 1 ? sizeof *in : 0;
  }
  if (family == AF_INET6) {
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    return uv_ip6_addr(text, port, in6) == 0 ? sizeof *in6 : 0;
  }
  struct sockaddr_un *un = (struct sockaddr_un *)out;
  size_t length = strlen(text);
  if (length == 0 || length >= sizeof un->sun_path) return 0;
  memcpy(un->sun_path, text, length + 1);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
}

static napi_value with_address(napi_env env, napi_callback_info info, const char *name,
                               int (*call)(int, const struct sockaddr *, socklen_t)) {
  napi_value values[MAX_ARGUMENTS];
  int fd, family, port;
  if (!arguments(env, info, values) || napi_get_value_int32(env, values[0], &fd) != napi_ok ||
      napi_get_value_int32(env, values[1], &family) != napi_ok || napi_get_value_int32(env, values[3], &port) != napi_ok)
    return fail(env, name, EINVAL);
  char *text = to_string(env, values[2]);
  if (!text) return fail(env, name, EINVAL);
  struct sockaddr_storage address;
  socklen_t length = to_address(family, text, port, &address);
  free(text);
  if (!length) return fail(env, name, EINVAL);
  return result(env, name, call(fd, (struct sockaddr *)&address, length));
}

static napi_value Bind(napi_env env, napi_callback_info info) { return with_address(env, info, "bind", bind); }
static napi_value Connect(napi_env env, napi_callback_info info) { return with_address(env, info, "connect", connect); }

static napi_value Listen(napi_env env, napi_callback_info info) {
  INTEGERS(a, 2);
  return result(env, "listen", listen(a[0], a[1]));
}

/* [family, address or path, port] of a socket's own end. */
static napi_value Getsockname(napi_env env, napi_callback_info info) {
  INTEGERS(a, 1);
  struct sockaddr_storage address = {0};
  socklen_t length = sizeof address;
  if (getsockname(a[0], (struct sockaddr *)&address, &length) < 0) return fail(env, "getsockname", errno);
  char text[INET6_ADDRSTRLEN + sizeof(struct sockaddr_un)] = "";
  int port = 0;
  if (address.ss_family == AF_INET) {
    struct sockaddr_in *in = (struct sockaddr_in *)&address;
    inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
    port = ntohs(in->sin_port);
  } else if (address.ss_family == AF_INET6) {
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
    inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
    port = ntohs(in6->sin6_port);
  } else if (address.ss_family == AF_UNIX && length > offsetof(struct sockaddr_un, sun_path)) {
    memcpy(text, ((struct sockaddr_un *)&address)->sun_path, length - offsetof(struct sockaddr_un, sun_path));
  }
  napi_value array, value;
  CHECK(napi_create_array_with_length(env, 3, &array));
  CHECK(napi_set_element(env, array, 0, from_int(env, address.ss_family)));
  CHECK(napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value));
  CHECK(napi_set_element(env, array, 1, value));
  CHECK(napi_set_element(env, array, 2, from_int(env, port)));
  return array;
}

/* A connection's descriptor, or minus the errno: EAGAIN is an answer here, not an exception. */
static napi_value Accept(napi_env env, napi_callback_info info) {
  INTEGERS(a, 1);
  int fd;
  do fd = accept4(a[0], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK); while (fd < 0 && errno == EINTR);
  return from_int(env, fd < 0 ? -errno : fd);
}

static napi_value Socketpair(napi_env env, napi_callback_info info) {
  (void)info;
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) return fail(env, "socketpair", errno);
  napi_value array;
  CHECK(napi_create_array_with_length(env, 2, &array));
  CHECK(napi_set_element(env, array, 0, from_int(env, pair[0])));
  CHECK(napi_set_element(env, array, 1, from_int(env, pair[1])));
  return array;
}

/* notify(address, text): a datagram to a unix socket: a path, or @ and an abstract name. */
static napi_value Notify(napi_env env, napi_callback_info info) {
  napi_value values[MAX_ARGUMENTS];
  if (!arguments(env, info, values)) return fail(env, "sendto", EINVAL);
  char *name = to_string(env, values[0]), *text = to_string(env, values[1]);
  struct sockaddr_storage address;
  socklen_t length = name && text ? to_address(AF_UNIX, name, 0, &address) : 0;
  int number = EINVAL, fd = length ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
  if (length && *name == '@') {
    ((struct sockaddr_un *)&address)->sun_path[0] = '\0';
    length--; /* its end is not a NUL */
  }
  if (length) {
    ssize_t sent = fd < 0 ? -1 : sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address, length);
    number = sent < 0 ? errno : 0;
  }
  if (fd >= 0) close(fd);
  free(name);
  free(text);
  return number ? fail(env, "sendto", number) : NULL;
}

/* send(fd, data, fds): what a unix socket takes of a buffer, with copies of up to 250 descriptors: how many bytes went. */
static napi_value Send(napi_env env, napi_callback_info info) {
  napi_value values[MAX_ARGUMENTS];
  union { struct cmsghdr header; char space[CMSG_SPACE(250 * sizeof(int))]; } control = {0};
  int fd;
  struct iovec part;
  uint32_t count;
  if (!arguments(env, info, values) || napi_get_value_int32(env, values[0], &fd) != napi_ok ||
      napi_get_buffer_info(env, values[1], &part.iov_base, &part.iov_len) != napi_ok ||
      napi_get_array_length(env, values[2], &count) != napi_ok || count > 250)
    return fail(env, "sendmsg", EINVAL);
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (count) {
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    for (uint32_t i = 0; i < count; i++) {
      napi_value element;
      int copied;
      CHECK(napi_get_element(env, values[2], i, &element));
      CHECK(napi_get_value_int32(env, element, &copied));
      memcpy(CMSG_DATA(header) + i * sizeof copied, &copied, sizeof copied);
    }
  }
  ssize_t sent;
  do sent = sendmsg(fd, &message, MSG_NOSIGNAL); while (sent < 0 && errno == EINTR);
  return result(env, "sendmsg", (int)sent);
}

/* peek(fd, most): what may be read, left where it is; undefined while there is nothing, empty at the end of file. */
static napi_value Peek(napi_env env, napi_callback_info info) {
  INTEGERS(a, 2);
  void *data;
  napi_value buffer;
  char *bytes = malloc((size_t)a[1]);
  if (!bytes) return fail(env, "recv", ENOMEM);
  ssize_t got;
  do got = recv(a[0], bytes, (size_t)a[1], MSG_PEEK | MSG_DONTWAIT); while (got < 0 && errno == EINTR);
  int number = errno;
  napi_status status = got < 0 ? napi_ok : napi_create_buffer_copy(env, (size_t)got, bytes, &data, &buffer);
  free(bytes);
  if (got < 0) return number == EAGAIN ? NULL : fail(env, "recv", number);
  return status == napi_ok ? buffer : fail_napi(env, "napi_create_buffer_copy");
}

/* receive(fd, buffer): bytes into it, and the descriptor that came with them, close-on-exec, or -1: [how many bytes, it];
 * EAGAIN while there is nothing. The kernel joins no two messages that bring some. */
static napi_value Receive(napi_env env, napi_callback_info info) {
  napi_value values[MAX_ARGUMENTS];
  union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } control;
  int from, fd = -1;
  struct iovec part;
  if (!arguments(env, info, values) || napi_get_value_int32(env, values[0], &from) != napi_ok ||
      napi_get_buffer_info(env, values[1], &part.iov_base, &part.iov_len) != napi_ok)
    return fail(env, "recvmsg", EINVAL);
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t got;
  do got = recvmsg(from, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT); while (got < 0 && errno == EINTR);
  if (got < 0) return fail(env, "recvmsg", errno);
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  size_t count = header && header->cmsg_type == SCM_RIGHTS ? (header->cmsg_len - CMSG_LEN(0)) / sizeof fd : 0;
  while (count-- > 0) { /* aligned, there is room for two */
    if (fd >= 0) close(fd);
    memcpy(&fd, CMSG_DATA(header) + count * sizeof fd, sizeof fd);
  }
  napi_value pair;
  CHECK(napi_create_array_with_length(env, 2, &pair));
  CHECK(napi_set_element(env, pair, 0, from_int(env, (int)got)));
  CHECK(napi_set_element(env, pair, 1, from_int(env, fd)));
  return pair;
}

/* ---- File descriptors ---- */

static napi_value Close(napi_env env, napi_callback_info info) {
  INTEGERS(a, 1);
  return result(env, "close", close(a[0]));
}

static napi_value Dup(napi_env env, napi_callback_info info) {
  INTEGERS(a, 2);
  return result(env, "fcntl", fcntl(a[0], F_DUPFD_CLOEXEC, a[1]));
}

static napi_value Dup2(napi_env env, napi_callback_info info) {
  INTEGERS(a, 2);
  return result(env, "dup2", dup2(a[0], a[1]));
}

static napi_value Cloexec(napi_env env, napi_callback_info info) {
  INTEGERS(a, 2);
  return result(env, "fcntl", fcntl(a[0], F_SETFD, a[1] ? FD_CLOEXEC : 0));
}

static napi_value Flock(napi_env env, napi_callback_info info) {
  INTEGERS(a, 1);
  return result(env, "flock", flock(a[0], LOCK_EX | LOCK_NB));
}

/* Whether a read, or an accept, would not wait: poll(2) without a timeout. */
static napi_value Readable(napi_env env, napi_callback_info info) {
  INTEGERS(a, 1);
  struct pollfd poll_fd = {.fd = a[0], .events = POLLIN};
  return result(env, "poll", poll(&poll_fd, 1, 0));
}

/* The same of a write of up to 4,096 bytes. */
static napi_value Writable(napi_env env, napi_callback_info info) {
  INTEGERS(a, 1);
  struct pollfd poll_fd = {.fd = a[0], .events = POLLOUT};
  return result(env, "poll", poll(&poll_fd, 1, 0));
}

/* ---- Shared memory ---- */

/* memfd(name, size): zeroed, of a fixed size: a mapping that another process truncates would be SIGBUS. Other seals may follow. */
static napi_value Memfd(napi_env env, napi_callback_info info) {
  napi_value values[MAX_ARGUMENTS];
  int size;
  if (!arguments(env, info, values) || napi_get_value_int32(env, values[1], &size) != napi_ok)
    return fail(env, "memfd_create", EINVAL);
  char *name = to_string(env, values[0]);
  int fd = name ? memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING) : -1;
  free(name);
  if (fd < 0) return fail(env, "memfd_create", errno);
  if (ftruncate(fd, size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0) {
    int number = errno;
    close(fd);
    return fail(env, "fcntl", number);
  }
  return from_int(env, fd);
}

/* seal(fd, seals): the last that a memfd gets. */
static napi_value Seal(napi_env env, napi_callback_info info) {
  INTEGERS(a, 2);
  return result(env, "fcntl", fcntl(a[0], F_ADD_SEALS, a[1] | F_SEAL_SEAL));
}

static void unmap(napi_env env, void *memory, void *size) {
  (void)env;
  munmap(memory, (size_t)size);
}

/* mmap(fd, size, protection): a memfd as an ArrayBuffer, mapped shared, unmapped with the buffer. Refused unless it is sealed. */
static napi_value Mmap(napi_env env, napi_callback_info info) {
  INTEGERS(a, 3);
  int seals = fcntl(a[0], F_GET_SEALS);
  off_t end = lseek(a[0], 0, SEEK_END);
  if (seals < 0 || !(seals & F_SEAL_SHRINK) || a[1] <= 0 || end < a[1]) return fail(env, "mmap", EINVAL);
  size_t size = (size_t)a[1];
  void *memory = mmap(NULL, size, a[2], MAP_SHARED, a[0], 0);
  if (memory == MAP_FAILED) return fail(env, "mmap", errno);
  napi_value buffer;
  if (napi_create_external_arraybuffer(env, memory, size, unmap, (void *)size, &buffer) != napi_ok) {
    munmap(memory, size);
    return fail_napi(env, "napi_create_external_arraybuffer");
  }
  return buffer;
}

/* unmap(buffer): what mmap() gave; the buffer has no length afterwards. */
static napi_value Unmap(napi_env env, napi_callback_info info) {
  napi_value values[MAX_ARGUMENTS];
  if (!arguments(env, info, values)) return fail(env, "munmap", EINVAL);
  CHECK(napi_detach_arraybuffer(env, values[0]));
  return NULL;
}

/* backlog(fd): how many connections wait to be accepted; of a socket that is not TCP's, whether one does. */
static napi_value Backlog(napi_env env, napi_callback_info info) {
  INTEGERS(a, 1);
  struct tcp_info tcp = {0};
  socklen_t length = sizeof tcp;
  if (getsockopt(a[0], IPPROTO_TCP, TCP_INFO, &tcp, &length) == 0) return from_int(env, (int)tcp.tcpi_unacked);
  if (errno != EOPNOTSUPP && errno != ENOPROTOOPT) return fail(env, "getsockopt", errno);
  struct pollfd waiting = {.fd = a[0], .events = POLLIN};
  return result(env, "poll", poll(&waiting, 1, 0));
}

/* ---- Polling a descriptor on Node's own event loop ---- */

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

/* ---- The map of what is bound ---- */

NAPI_MODULE_INIT() {
  static const struct { const char *name; napi_callback call; } functions[] = {
    {"socket", Socket}, {"setsockopt", Setsockopt}, {"getsockopt", Getsockopt}, {"bind", Bind}, {"connect", Connect},
    {"listen", Listen}, {"getsockname", Getsockname}, {"accept", Accept}, {"socketpair", Socketpair},
    {"notify", Notify}, {"send", Send}, {"peek", Peek}, {"receive", Receive}, {"close", Close},
    {"dup", Dup}, {"dup2", Dup2}, {"cloexec", Cloexec}, {"flock", Flock}, {"readable", Readable}, {"writable", Writable},
    {"memfd", Memfd}, {"seal", Seal}, {"mmap", Mmap}, {"unmap", Unmap}, {"backlog", Backlog}, {"poll", Poll}, {"control", Control},
    {"exec", Exec}, {"spawn", Spawn}, {"pidfdOpen", PidfdOpen}, {"pidfdKill", PidfdKill}, {"pidfdReap", PidfdReap},
    {"prctl", Prctl}, {"yield", Yield},
  };
  static const struct { const char *name; int value; } constants[] = {
    {"AF_UNIX", AF_UNIX}, {"AF_INET", AF_INET}, {"AF_INET6", AF_INET6}, {"SOL_SOCKET", SOL_SOCKET},
    {"SO_TYPE", SO_TYPE}, {"SO_RCVLOWAT", SO_RCVLOWAT}, {"SO_ACCEPTCONN", SO_ACCEPTCONN}, {"SO_REUSEADDR", SO_REUSEADDR},
    {"SOCK_STREAM", SOCK_STREAM}, {"IPPROTO_TCP", IPPROTO_TCP}, {"TCP_DEFER_ACCEPT", TCP_DEFER_ACCEPT},
    {"IPPROTO_IPV6", IPPROTO_IPV6}, {"IPV6_V6ONLY", IPV6_V6ONLY}, {"EAGAIN", EAGAIN}, {"EMFILE", EMFILE}, {"ENFILE", ENFILE},
    {"PR_SET_PDEATHSIG", PR_SET_PDEATHSIG}, {"PR_SET_DUMPABLE", PR_SET_DUMPABLE},
    {"PR_SET_NO_NEW_PRIVS", PR_SET_NO_NEW_PRIVS}, {"PROT_READ", PROT_READ}, {"PROT_WRITE", PROT_WRITE},
    {"F_SEAL_FUTURE_WRITE", F_SEAL_FUTURE_WRITE},
  };
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    napi_value function;
    CHECK(napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].call, NULL, &function));
    CHECK(napi_set_named_property(env, exports, functions[i].name, function));
  }
  for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
    CHECK(napi_set_named_property(env, exports, constants[i].name, from_int(env, constants[i].value)));
  return exports;
}
