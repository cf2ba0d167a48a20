/* Sockets, for posix.c: made, bound, asked; messages with descriptors. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

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
