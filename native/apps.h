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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct app {
  char *name, *version, *user, *folder;
  int first, sockets; /* counted from the lowest of all; none: a master that is to leave */
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
static char **reloads; /* what HUP runs, or NULL */
static pid_t self;
static int masters; /* that live */

/* ms, monotonic. */
static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* One write(2) a line, without stdio's buffer: it would be memory at rest. A log that nobody reads stops nobody. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
  char line[2048];
  const int most = (int)sizeof line - 1;
  struct pollfd log = {.fd = STDERR_FILENO, .events = POLLOUT};
  va_list values;
  va_start(values, format);
  int who = snprintf(line, sizeof line, "lookout %d: ", (int)self);
  int length = who + vsnprintf(line + who, (size_t)(most - who), format, values);
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

static long long long_number(long long least, long long most) {
  char *text = word(), *rest;
  errno = 0;
  long long value = strtoll(text, &rest, 10);
  if (*text < '0' || *text > '9' || *rest || errno || value < least || value > most)
    die(2, "read its arguments: not a number in range", text);
  return value;
}

static int number(int least, int most) { return (int)long_number(least, most); }

/* That many words, each with `part` in it: an assignment, a path. */
static char **vector(int count, const char *part) {
  char **first = words;
  while (count-- > 0)
    if (!strstr(word(), part)) die(2, "read its arguments: what is wrong is", words[-1]);
  return first;
}

#include "privileges.h"

/* A vector is used where it lies in argv: the word behind it is overwritten with NULL once it has been read. */
static void read_app(struct app *app) {
  app->name = word();
  words[-1] = NULL;
  app->version = word();
  app->first = socket_count;
  app->sockets = number(1, 4096);
  app->grace = number(0, 1000000000);
  app->user = word();
  if (*app->user) read_user(app->user);
  app->folder = word();
  app->env = vector(number(0, 1024), "=");
  int count = number(1, 65536);
  words[-1] = NULL;
  int worker = number(0, count - 1);
  app->argv = vector(count, "");
  app->worker = app->argv + worker;
  socket_count += app->sockets;
}

/* What the body before us knew: LIVE in lookout.c. It is the app's if that is as it was; else that master is to leave. */
static void read_live(struct app *known) {
  known->name = word();
  known->version = word();
  known->master = number(0, 1 << 22);
  known->lifeline = number(0, 1 << 20);
  known->grace = number(0, 1000000000);
  known->failures = (unsigned)number(0, 1 << 30);
  known->woken = long_number(0, 1LL << 50);
  known->until = long_number(0, 1LL << 50);
  siginfo_t unused = {0};
  if (known->master && waitid(P_PID, (id_t)known->master, &unused, WEXITED | WNOHANG | WNOWAIT) < 0)
    die(2, "read its arguments: a master that is no child of ours", known->name);
}

static struct app *named(const char *name) {
  for (struct app *app = apps; app < apps + app_count; app++)
    if (app->sockets && strcmp(app->name, name) == 0) return app;
  return NULL;
}

static void keep(const struct app *known) {
  struct app *app = named(known->name);
  int leaves = known->master && known->until;
  if (app && !leaves && strcmp(app->version, known->version) == 0) {
    app->master = known->master;
    app->lifeline = known->lifeline;
    app->failures = known->failures;
    app->woken = known->woken;
    app->until = known->until;
  } else if (known->master)
    apps[app_count++] = *known;
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
  int reload_count = number(0, 65536);
  words[-1] = NULL;
  reloads = reload_count ? vector(reload_count, "") : NULL;
  int live_count = number(0, 8192);
  words[-1] = NULL;
  apps = calloc((size_t)argc / 8 + 2, sizeof *apps); /* neither an app nor what is known of one has fewer words */
  struct app *known = calloc((size_t)live_count + 1, sizeof *known);
  must("allocate", apps && known ? 0 : -1);
  for (int i = 0; i < live_count; i++) read_live(&known[i]);
  for (; *words; app_count++) read_app(&apps[app_count]);
  if (!app_count) die(2, "read its arguments", "there is no app");
  for (int i = 0; i < live_count; i++) keep(&known[i]);
  free(known);
  return ready;
}
