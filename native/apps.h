/*
 * The apps that the resting program keeps, as its argv tells of them (the contract is in lookout.c), and how it
 * complains. A misuse is exit 2, in one line.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct app {
  const char *name;
  int first, sockets; /* counted from the lowest of all */
  long grace;
  char **env, **argv, **worker;
  pid_t master;      /* 0: at rest */
  int lifeline;      /* the master reads signals there */
  unsigned failures; /* in a row: a master ended other than by exit 0, or could not be forked */
  long long woken;   /* ms: when the master was */
  long long until;   /* ms: not woken before; while ending: killed then. 0: no such time */
};

static struct app *apps;
static int app_count, socket_count, lowest, board, quiet;
static char **removed; /* files that go with us */
static int removed_count;
static pid_t self;

/* One write(2) a line, without stdio's buffer: it would be memory at rest. A log that nobody reads stops nobody. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
  char line[2048];
  const int most = (int)sizeof line - 1;
  struct pollfd log = {.fd = STDERR_FILENO, .events = POLLOUT};
  va_list values;
  va_start(values, format);
  int start = snprintf(line, sizeof line, "lookout %d: ", (int)self);
  int length = start + vsnprintf(line + start, (size_t)(most - start), format, values);
  va_end(values);
  if (length >= most) length = most - 1;
  for (int i = 0; i < length; i++)
    if ((unsigned char)line[i] < ' ') line[i] = '?';
  line[length] = '\n';
  if (poll(&log, 1, 0) == 1 && write(STDERR_FILENO, line, (size_t)length + 1) < 0) return;
}

static _Noreturn void die(int status, const char *action, const char *cause) {
  say("cannot %s: %s", action, cause);
  _exit(status);
}

/* The result of a call that has to succeed. In a child its failure is that of the wake. */
static int must(const char *call, int result) {
  if (result < 0) die(1, call, strerror(errno));
  return result;
}

/* ---- argv ---- */

static char **words;

static char *word(void) {
  if (!*words) die(2, "read its arguments", "there are too few");
  return *words++;
}

static int number(int least, int most) {
  char *text = word(), *rest;
  errno = 0;
  long value = strtol(text, &rest, 10);
  if (*text < '0' || *text > '9' || *rest || errno || value < least || value > most)
    die(2, "read its arguments: not a number in range", text);
  return (int)value;
}

/* That many words, each with `part` in it: an assignment, a path. */
static char **vector(int count, const char *part) {
  char **start = words;
  while (count-- > 0)
    if (!strstr(word(), part)) die(2, "read its arguments: what is wrong is", words[-1]);
  return start;
}

/* A vector is used where it lies in argv: the word behind it is overwritten with NULL once it has been read. */
static void read_app(struct app *app) {
  app->name = word();
  words[-1] = NULL;
  app->first = socket_count;
  app->sockets = number(1, 4096);
  app->grace = number(0, 1000000000);
  app->env = vector(number(0, 64), "=");
  int count = number(1, 65536);
  words[-1] = NULL;
  int worker = number(0, count - 1);
  app->argv = vector(count, "");
  app->worker = app->argv + worker;
  socket_count += app->sockets;
}

/* Returns the ready line. */
static const char *read_arguments(int argc, char **argv) {
  words = argv + (argc > 0);
  const char *ready = word();
  quiet = number(0, 1);
  lowest = number(4, 1 << 20);
  board = number(3, lowest - 1);
  removed_count = number(0, 64);
  removed = vector(removed_count, "/");
  apps = calloc((size_t)argc / 7 + 1, sizeof *apps); /* no app has fewer words */
  must("allocate", apps ? 0 : -1);
  for (; *words; app_count++) read_app(&apps[app_count]);
  if (!app_count) die(2, "read its arguments", "there is no app");
  return ready;
}
