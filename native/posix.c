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
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "napi.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
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
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) return fail(env, "socketpair", errno);
  napi_value array;
  CHECK(napi_create_array_with_length(env, 2, &array));
  CHECK(napi_set_element(env, array, 0, from_int(env, pair[0])));
  CHECK(napi_set_element(env, array, 1, from_int(env, pair[1])));
  return array;
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

/* ---- Shared memory ---- */

/* A zeroed memfd of a fixed size: a mapping that another process truncates would be SIGBUS. */
static napi_value Memfd(napi_env env, napi_callback_info info) {
  INTEGERS(a, 1);
  int fd = memfd_create("lookout", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return fail(env, "memfd_create", errno);
  if (ftruncate(fd, a[0]) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
    int number = errno;
    close(fd);
    return fail(env, "fcntl", number);
  }
  return from_int(env, fd);
}

static void unmap(napi_env env, void *memory, void *size) {
  (void)env;
  munmap(memory, (size_t)size);
}

/* A memfd as an ArrayBuffer, mapped shared, unmapped with the buffer. Refused unless it is sealed. */
static napi_value Mmap(napi_env env, napi_callback_info info) {
  INTEGERS(a, 2);
  int seals = fcntl(a[0], F_GET_SEALS);
  off_t end = lseek(a[0], 0, SEEK_END);
  if (seals < 0 || !(seals & F_SEAL_SHRINK) || a[1] <= 0 || end < a[1]) return fail(env, "mmap", EINVAL);
  size_t size = (size_t)a[1];
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, a[0], 0);
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

/* ---- Processes ---- */

/* What Node changed in its own process and exec(2) would hand on. */
static void restore_signals(void) {
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The soft limit on descriptors before Node raised it to the hard one: our parent still has it. */
static void restore_nofile(void) {
  struct rlimit ours, parents;
  if (getrlimit(RLIMIT_NOFILE, &ours) < 0 || prlimit(getppid(), RLIMIT_NOFILE, NULL, &parents) < 0) return;
  if (parents.rlim_cur < ours.rlim_cur) ours.rlim_cur = parents.rlim_cur;
  setrlimit(RLIMIT_NOFILE, &ours);
}

/*
 * exec(path, argv, env): this process becomes another. The signals that the next body waits for are
 * blocked first, so one that comes in between is kept for it.
 */
static napi_value Exec(napi_env env, napi_callback_info info) {
  napi_value values[MAX_ARGUMENTS];
  if (!arguments(env, info, values)) return fail(env, "execve", EINVAL);
  char *path = to_string(env, values[0]);
  char **argv = to_strings(env, values[1]), **environment = to_strings(env, values[2]);
  int number = EINVAL;
  if (path && argv && environment) {
    sigset_t waited, before;
    sigemptyset(&waited);
    const int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGTSTP};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaddset(&waited, signals[i]);
    sigprocmask(SIG_BLOCK, &waited, &before);
    signal(SIGPIPE, SIG_DFL);
    restore_nofile();
    execve(path, argv, environment);
    number = errno;
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_SETMASK, &before, NULL);
  }
  free(path);
  free_strings(argv);
  free_strings(environment);
  return fail(env, "execve", number);
}

/* In the child, async-signal-safe: descriptor i becomes fds[i], then exec. Returns the errno. */
static int become(char *path, char **argv, char **environment, int *fds, int count, int leads, pid_t parent,
                  int error_fd) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return errno;
  if (getppid() != parent) _exit(0);
  if (leads && setpgid(0, 0) < 0) return errno;
  restore_signals();
  if ((error_fd = fcntl(error_fd, F_DUPFD_CLOEXEC, count)) < 0) return errno;
  for (int i = 0; i < count; i++)
    if ((fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, count)) < 0) return errno;
  for (int i = 0; i < count; i++)
    if (dup2(fds[i], i) < 0) return errno;
  for (char **entry = environment; *entry; entry++) {
    if (strncmp(*entry, "LISTEN_PID=", 11) != 0) continue;
    char *digit = *entry + strlen(*entry);
    for (pid_t rest = getpid(); digit > *entry + 11; rest /= 10) *--digit = (char)('0' + rest % 10);
  }
  execve(path, argv, environment);
  return errno;
}

/*
 * spawn(path, argv, env, fds, leads): a child of ours that dies with us. fds[i] is what it gets as i; an entry
 * LISTEN_PID=0000000000 is filled in with its pid; where `leads` is 1 it leads a process group of its own. Returns the pid,
 * throws exec's own errno.
 */
static napi_value Spawn(napi_env env, napi_callback_info info) {
  napi_value values[MAX_ARGUMENTS];
  uint32_t count = 0;
  int leads = 0;
  if (!arguments(env, info, values) || napi_get_array_length(env, values[3], &count) != napi_ok || count > 1024 ||
      napi_get_value_int32(env, values[4], &leads) != napi_ok)
    return fail(env, "spawn", EINVAL);
  int fds[1024], report[2], number = 0;
  for (uint32_t i = 0; i < count; i++) {
    napi_value element;
    CHECK(napi_get_element(env, values[3], i, &element));
    CHECK(napi_get_value_int32(env, element, &fds[i]));
  }
  if (pipe2(report, O_CLOEXEC) < 0) return fail(env, "pipe2", errno);
  char *path = to_string(env, values[0]);
  char **argv = to_strings(env, values[1]), **environment = to_strings(env, values[2]);
  pid_t parent = getpid(), pid = -1;
  sigset_t all, before;
  sigfillset(&all);
  if (!path || !argv || !environment) {
    number = EINVAL;
  } else {
    sigprocmask(SIG_SETMASK, &all, &before); /* no handler of Node's may run in the child */
    pid = fork();
    if (pid == 0) {
      number = become(path, argv, environment, fds, (int)count, leads, parent, report[1]);
      ssize_t ignored = write(report[1], &number, sizeof number);
      (void)ignored;
      _exit(127);
    }
    if (pid < 0) number = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
  }
  close(report[1]);
  if (pid > 0) {
    ssize_t got;
    do got = read(report[0], &number, sizeof number); while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof number) number = 0; /* end of file: the exec worked */
    else waitpid(pid, NULL, 0);
  }
  close(report[0]);
  free(path);
  free_strings(argv);
  free_strings(environment);
  return number ? fail(env, "spawn", number) : from_int(env, pid);
}

static napi_value PidfdOpen(napi_env env, napi_callback_info info) {
  INTEGERS(a, 1);
  return result(env, "pidfd_open", (int)syscall(SYS_pidfd_open, a[0], 0));
}

/* false when the process is gone: a signal by pidfd never reaches a stranger with the same pid. */
static napi_value PidfdKill(napi_env env, napi_callback_info info) {
  INTEGERS(a, 2);
  long returned = syscall(SYS_pidfd_send_signal, a[0], a[1], NULL, 0);
  if (returned < 0 && errno != ESRCH) return fail(env, "pidfd_send_signal", errno);
  napi_value value;
  CHECK(napi_get_boolean(env, returned == 0, &value));
  return value;
}

/* Reaps the child: its exit status, or minus the signal that killed it; undefined while it lives. */
static napi_value PidfdReap(napi_env env, napi_callback_info info) {
  INTEGERS(a, 1);
  siginfo_t status = {0};
  if (waitid((idtype_t)P_PIDFD, (id_t)a[0], &status, WEXITED | WNOHANG) < 0) return fail(env, "waitid", errno);
  if (status.si_pid == 0) return NULL;
  return from_int(env, status.si_code == CLD_EXITED ? status.si_status : -status.si_status);
}

/* Lets whoever else is ready run first. */
static napi_value Yield(napi_env env, napi_callback_info info) {
  (void)info;
  return result(env, "sched_yield", sched_yield());
}

static napi_value Prctl(napi_env env, napi_callback_info info) {
  INTEGERS(a, 2);
  return result(env, "prctl", prctl(a[0], a[1], 0, 0, 0));
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
    {"close", Close}, {"dup", Dup}, {"dup2", Dup2}, {"cloexec", Cloexec}, {"flock", Flock}, {"readable", Readable},
    {"memfd", Memfd}, {"mmap", Mmap}, {"unmap", Unmap}, {"backlog", Backlog}, {"exec", Exec}, {"spawn", Spawn}, {"pidfdOpen", PidfdOpen},
    {"pidfdKill", PidfdKill}, {"pidfdReap", PidfdReap}, {"prctl", Prctl}, {"yield", Yield}, {"poll", Poll}, {"control", Control},
  };
  static const struct { const char *name; int value; } constants[] = {
    {"AF_UNIX", AF_UNIX}, {"AF_INET", AF_INET}, {"AF_INET6", AF_INET6}, {"SOL_SOCKET", SOL_SOCKET},
    {"SO_TYPE", SO_TYPE}, {"SO_ACCEPTCONN", SO_ACCEPTCONN}, {"SO_REUSEADDR", SO_REUSEADDR},
    {"SOCK_STREAM", SOCK_STREAM}, {"IPPROTO_TCP", IPPROTO_TCP}, {"TCP_DEFER_ACCEPT", TCP_DEFER_ACCEPT},
    {"IPPROTO_IPV6", IPPROTO_IPV6}, {"IPV6_V6ONLY", IPV6_V6ONLY}, {"EAGAIN", EAGAIN}, {"EMFILE", EMFILE}, {"ENFILE", ENFILE},
    {"PR_SET_PDEATHSIG", PR_SET_PDEATHSIG},
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
