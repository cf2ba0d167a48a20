/*
 * The addon: system calls that Node does not offer, one function a call.
 *
 * lib/posix.ts checks the arguments; a function here makes its call and throws the errno by name
 * (error.code, error.errno, error.syscall). It keeps no state but the polls it was asked for.
 * File descriptors belong to the caller: nothing here closes one that it did not open, but exec(2)
 * and spawn's child, which hand on exactly the descriptors named.
 */
#include <errno.h>
#include <fcntl.h>
#include <node_api.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "napi.h"
#include "processes.h"
#include "sockets.h"
#include "watch.h"

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
