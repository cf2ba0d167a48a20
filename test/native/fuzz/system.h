/*
 * The resting program inside a fuzz target: its files as they are, with calls of ours in the place of those by which it would end
 * this process, write on its log or become another. What it allocates is given back after each run, by forget(); what it takes of
 * descriptors is counted. A target with a WORLD has calls of its own for what happens there.
 *
 * A life is what the program is from one argument vector to the next: begin() reads one.
 */
#include "holds.h"

/* ---- Memory ---- */

#define MOST_BLOCKS 40000

static void *blocks[MOST_BLOCKS]; /* that are to be given back */
static int block_count;
static int allocations = INT_MAX; /* that work, until one fails */

static void *kept(void *block) {
  HOLDS(block && block_count < MOST_BLOCKS);
  return blocks[block_count++] = block;
}

static void *fake_malloc(size_t size) {
  if (allocations-- > 0 && size < 1 << 24) return kept(malloc(size));
  errno = ENOMEM;
  return NULL;
}

static void *fake_calloc(size_t count, size_t size) {
  if (allocations-- > 0) return kept(calloc(count, size));
  errno = ENOMEM;
  return NULL;
}

/* Of what it has allocated itself, once. */
static void fake_free(void *block) {
  if (!block) return;
  int at = block_count - 1;
  while (at >= 0 && blocks[at] != block) at--;
  HOLDS(at >= 0);
  blocks[at] = blocks[--block_count];
  free(block);
}

/* ---- The end, and what is said ---- */

#define BECAME (-1) /* what begin() and those like it return after exec(2) */

static jmp_buf over;
static int ended; /* exit status, or BECAME */
static char **next_body; /* path and argv, after that */

static _Noreturn void fake_exit(int status) {
  HOLDS(status >= 0 && status <= 255);
  ended = status;
  longjmp(over, 1);
}

static int fake_execv(const char *path, char **argv) {
  next_body = argv - 1;
  HOLDS(next_body[0] == path);
  ended = BECAME;
  longjmp(over, 1);
}

/* Whole lines, begun with who says it, whatever is in them; or a signal for a master. */
static ssize_t fake_write(int fd, const void *bytes, size_t size) {
  const char *text = bytes;
  if (fd != STDERR_FILENO) return (ssize_t)size;
  HOLDS(size > 9 && size <= 2048 && memcmp(text, "lookout ", 8) == 0 && text[size - 1] == '\n');
  for (size_t i = 0; i < size - 1; i++) HOLDS((unsigned char)text[i] >= ' ');
  return (ssize_t)size;
}

/* ---- Others ---- */

/* It has none that a path belongs to. */
static int fake_getsockname(int fd, struct sockaddr *address, socklen_t *length) {
  (void)fd, (void)address, (void)length;
  errno = ENOTSOCK;
  return -1;
}

static int fake_access(const char *path, int mode) {
  HOLDS(mode == X_OK);
  if (*path) return 0;
  errno = ENOENT;
  return -1;
}

/* It is not done: it would replace our own. */
static int fake_dup2(int from, int to) {
  HOLDS(from >= 3 && fcntl(from, F_GETFD, 0) >= 0 && to >= 3);
  return to;
}

/* Nothing of this machine is removed. */
static int fake_unlink(const char *path) {
  HOLDS(path);
  return 0;
}

#ifndef WORLD /* else these are the target's own */

/* ---- A world in which nothing happens ---- */

static int open_count; /* that it has taken, and not closed */

static int fake_close(int fd) {
  HOLDS(fd > STDERR_FILENO && close(fd) == 0);
  open_count--;
  return 0;
}

static int fake_fcntl(int fd, int command, int value) {
  int returned = fcntl(fd, command, value);
  if (command == F_DUPFD_CLOEXEC && returned >= 0) open_count++;
  return returned;
}

static ssize_t fake_recvmsg(int fd, struct msghdr *message, int flags) {
  ssize_t got = recvmsg(fd, message, flags);
  struct cmsghdr *header = got >= 0 ? CMSG_FIRSTHDR(message) : NULL;
  for (; header; header = CMSG_NXTHDR(message, header))
    if (header->cmsg_type == SCM_RIGHTS) open_count += (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
  return got;
}

static int fake_poll(struct pollfd *waited, nfds_t count, int timeout) {
  HOLDS(count == 1 && waited->fd == STDERR_FILENO && timeout == 0);
  return 1;
}

/* Of the processes that there may be, every third is no child of ours. */
static int fake_waitid(idtype_t type, id_t id, siginfo_t *found, int options) {
  HOLDS(type == P_PID && id > 0 && found && options == (WEXITED | WNOHANG | WNOWAIT));
  if (id % 3) return 0;
  errno = ECHILD;
  return -1;
}

#define close fake_close
#define fcntl fake_fcntl
#define recvmsg fake_recvmsg
#define write fake_write
#define poll(...) fake_poll(__VA_ARGS__)
#define waitid fake_waitid
#endif

#define malloc fake_malloc
#define calloc fake_calloc
#define free fake_free
#define getsockname fake_getsockname
#define _exit fake_exit
#define execv fake_execv
#define access fake_access
#define dup2 fake_dup2
#define unlink fake_unlink
#define main resting_main

#include "../../../native/lookout.c"

#undef malloc
#undef calloc
#undef free
#undef close
#undef fcntl

/* ---- Lives ---- */

static void forget(void) {
  while (block_count > 0) free(blocks[--block_count]);
  allocations = INT_MAX;
}

/* The words, each ended by a NUL, the last by the end; each with no room behind it, and the vector neither. */
static char **vector_of(const uint8_t *data, size_t size, int *count) {
  const uint8_t *end = data + size;
  *count = 0;
  for (const uint8_t *at = data; at < end; at++) *count += !*at || at == end - 1;
  char **argv = kept(calloc((size_t)*count + 1, sizeof *argv));
  for (int i = 0; i < *count; i++) {
    size_t length = strnlen((const char *)data, (size_t)(end - data));
    argv[i] = memcpy(kept(calloc(length + 1, 1)), data, length);
    data += length + 1;
  }
  return argv;
}

/* Every app lies within the vector, its parts end where they should, and the sockets are counted. */
static void inspect(int argc, char **argv) {
  int sockets = 0;
  HOLDS(app_count > 0 && board >= 3 && board < lowest && (quiet == 0 || quiet == 1));
  for (struct app *app = apps; app < apps + app_count; app++) {
    HOLDS(app->name && app->version && app->grace >= 0 && app->master >= 0 && app->woken >= 0 && app->until >= 0);
    HOLDS(!app->master || app->lifeline >= 0);
    if (!app->sockets) {
      HOLDS(app->master);
      continue;
    }
    HOLDS(app->first == sockets && app->env > argv && app->argv > app->env && app->argv < argv + argc);
    sockets += app->sockets;
    char **end = app->argv;
    while (*end) end++;
    HOLDS(end <= argv + argc && app->worker >= app->argv && app->worker < end);
    for (char **entry = app->env; *entry; entry++) HOLDS(strchr(*entry, '='));
  }
  HOLDS(sockets == socket_count);
  for (int i = 0; i < removed_count; i++) HOLDS(strchr(removed[i], '/'));
  for (char **word = reloads; word && *word; word++) HOLDS(word < argv + argc);
}

/* A life begins: 0, or what it would have exited with. */
static int begin(int argc, char **argv) {
  app_count = socket_count = 0;
  apps = NULL;
  if (setjmp(over)) {
    HOLDS(ended == 1 || ended == 2);
    return ended;
  }
  const char *ready = read_arguments(argc, argv);
  HOLDS(ready == argv[1]);
  inspect(argc, argv);
  return 0;
}
