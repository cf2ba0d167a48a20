/*
 * lookout, at rest: waits for a connection, wakes the app's master, waits for the master to end.
 *
 * argv   lookout READY QUIET FIRST { NAME SOCKETS GRACE ENVC ENV... ARGC WORKER ARG... }...
 *          READY    a line for stderr, once signals are ours          QUIET   1: say nothing but failures
 *          FIRST    the lowest listening descriptor; the apps' follow each other from there
 *          NAME     of the app, for messages     SOCKETS  how many are its     GRACE  ms to drain at the end
 *          ENV      NAME=VALUE added for the app's processes
 *          ARG      the master's argument vector; from index WORKER on it is worker 0's
 *        Written by lib/plan.ts. Numbers are decimal; anything else is exit 2.
 * fds    0 to 2 as they are; from FIRST on the listening sockets, nonblocking; those below, the locks of
 *        socket files, are only kept open.
 * env    handed on, with ENV, LISTEN_FDS, LISTEN_PID and
 *          master     LOOKOUT_WORKER_PID (its child, worker 0), LOOKOUT_WOKEN (ms, monotonic)
 *          worker 0   LOOKOUT_WORKER=0
 *        Both get the sockets as 3 and up, then their end of a socket pair, then the shared statistics.
 * exit   0 after TERM or INT, once the masters have drained; 128 + the signal after QUIT or a second
 *        INT, which end everything at once; 1 when it cannot go on; 2 for a bad argv.
 *
 * It never accepts, reads nothing that a client sent, allocates once, and has a timeout only while an
 * app that failed waits for its next chance or one that must end is being waited for.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STATS_BYTES (256 * 64) /* one slot of 64 bytes a worker: lib/stats.ts */
#define FIRST_DELAY 100        /* ms before a master that failed is woken again, doubling ... */
#define LAST_DELAY 15000       /* ... up to here */
#define MARGIN 1000            /* ms a master has beyond its grace before it is killed */

struct app {
  const char *name;
  int first, sockets; /* into the pollfds */
  long grace;
  char **env, **argv, **worker;
  pid_t master;       /* 0: at rest */
  unsigned failures;  /* masters in a row that ended other than by exit 0 */
  long long until;    /* ms: not woken before; while ending: killed then. 0: no such time */
};

static struct app *apps;
static struct pollfd *polls; /* the signals, then every listening socket */
static ino_t *files;         /* of each socket in polls that has a path */
static int app_count, poll_count, quiet, lowest;
static int ending; /* the signal that ends us, 0 while we go on */
static pid_t self;

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* One write(2) a line, without stdio's buffer: it would be memory at rest. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
  char line[512];
  int at = snprintf(line, sizeof line, "lookout %d: ", (int)self);
  va_list values;
  va_start(values, format);
  int length = vsnprintf(line + at, sizeof line - (size_t)at - 1, format, values);
  va_end(values);
  if (length < 0) return;
  at = at + length < (int)sizeof line - 1 ? at + length : (int)sizeof line - 2;
  line[at++] = '\n';
  ssize_t ignored = write(STDERR_FILENO, line, (size_t)at); /* a full or closed log stops nobody */
  (void)ignored;
}

static _Noreturn void die(int code, const char *action, const char *cause) {
  say("cannot %s: %s", action, cause);
  _exit(code);
}

/* ---- argv ---- */

static char **words;

static char *word(void) {
  if (!*words) die(2, "read its arguments", "there are too few");
  return *words++;
}

static int number(int least, int most) {
  char *text = word(), *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (errno || *end || end == text || value < least || value > most) die(2, "read its arguments: not a number in range", text);
  return (int)value;
}

static char **vector(int count) {
  char **start = words;
  for (int i = 0; i < count; i++) word();
  return start;
}

/* A vector is used where it lies in argv: the word behind it is overwritten with NULL once it has been read. */
static void read_app(struct app *app) {
  app->name = word();
  words[-1] = NULL;
  app->first = poll_count;
  app->sockets = number(1, 4096);
  app->grace = number(0, 1000000000);
  int count = number(0, 64);
  app->env = vector(count);
  count = number(1, 65536);
  words[-1] = NULL;
  int worker = number(0, count - 1);
  app->argv = vector(count);
  app->worker = app->argv + worker;
  poll_count += app->sockets;
}

/* ---- Waking ---- */

static void set_number(const char *name, long long value) {
  char text[24];
  snprintf(text, sizeof text, "%lld", value);
  if (setenv(name, text, 1) < 0) _exit(1);
}

/* In the child: the sockets become 3 and up, the two behind them what lies above; then exec. */
static _Noreturn void become(const struct app *app, char **argv, int channel, int stats) {
  const int base = 3 + app->sockets;
  set_number("LISTEN_PID", getpid());
  if ((channel = fcntl(channel, F_DUPFD_CLOEXEC, base + 2)) < 0 || (stats = fcntl(stats, F_DUPFD_CLOEXEC, base + 2)) < 0) _exit(1);
  for (int i = 0; i < app->sockets; i++) { /* downwards or in place, so none is overwritten before its turn */
    int from = lowest + app->first - 1 + i, to = 3 + i;
    if (from == to ? fcntl(to, F_SETFD, 0) < 0 : dup2(from, to) < 0) _exit(1);
  }
  if (dup2(channel, base) < 0 || dup2(stats, base + 1) < 0) _exit(1);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execv(argv[0], argv);
  say("cannot run %s: %s", argv[0], strerror(errno));
  _exit(127);
}

static int memory(void) {
  int fd = memfd_create("lookout-stats", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0 || ftruncate(fd, STATS_BYTES) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
    say("cannot make the statistics: %s", strerror(errno));
    _exit(1);
  }
  return fd;
}

/* In the child: its own group, dead with us; it forks worker 0, its own child, and becomes the master. */
static _Noreturn void start(const struct app *app) {
  if (setpgid(0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != self) _exit(1);
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC), pair[2], stats = memory();
  if (null < 0 || dup2(null, STDIN_FILENO) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
    say("cannot wake %s: %s", app->name, strerror(errno));
    _exit(1);
  }
  set_number("LISTEN_FDS", app->sockets);
  for (char **entry = app->env; *entry; entry++)
    if (putenv(*entry) != 0) _exit(1);
  pid_t master = getpid(), worker = fork();
  if (worker == 0) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != master) _exit(1);
    set_number("LOOKOUT_WORKER", 0);
    const char *node_options = getenv("LOOKOUT_NODE_OPTIONS"); /* for the app, not for the master */
    if (node_options && setenv("NODE_OPTIONS", node_options, 1) < 0) _exit(1);
    become(app, app->worker, pair[1], stats);
  }
  if (worker < 0) {
    say("cannot wake %s: fork: %s", app->name, strerror(errno));
    _exit(1);
  }
  set_number("LOOKOUT_WORKER_PID", worker);
  set_number("LOOKOUT_WOKEN", now());
  become(app, app->argv, pair[0], stats);
}

static void watch(const struct app *app, int on) {
  for (int i = 0; i < app->sockets; i++) {
    int fd = lowest + app->first - 1 + i;
    polls[app->first + i].fd = on ? fd : ~fd; /* poll(2) passes over negative ones */
    polls[app->first + i].revents = 0;
  }
}

/* An app whose master failed, or could not be forked, waits: the queued connection would wake it again at once. */
static void back_off(struct app *app) {
  long delay = app->failures < 8 ? FIRST_DELAY << app->failures : LAST_DELAY;
  app->failures++;
  app->until = now() + (delay < LAST_DELAY ? delay : LAST_DELAY);
}

static void wake(struct app *app) {
  watch(app, 0);
  pid_t pid = fork();
  if (pid == 0) start(app);
  if (pid < 0) {
    say("cannot wake %s: fork: %s", app->name, strerror(errno));
    back_off(app);
    return;
  }
  setpgid(pid, pid); /* here too: whoever comes first */
  app->master = pid;
  if (!quiet) say("wakes %s: master %d", app->name, (int)pid);
}

/* ---- Ending ---- */

/* The master is dead but not reaped, so its pid, and the group's, cannot be a stranger's: what the app left goes too. */
static void bury(struct app *app) {
  int status = 0;
  kill(-app->master, SIGKILL);
  if (waitpid(app->master, &status, 0) < 0) die(1, "reap a master", strerror(errno));
  app->master = 0;
  app->until = 0;
  if (ending) return;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    app->failures = 0;
    watch(app, 1);
    if (!quiet) say("%s rests", app->name);
    return;
  }
  back_off(app);
  say("master of %s %s %d; next try in %lld ms", app->name, WIFSIGNALED(status) ? "was killed by signal" : "exited with",
      WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), app->until - now());
}

static void reap(void) {
  siginfo_t dead;
  for (;;) {
    dead.si_pid = 0;
    if (waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) < 0 || dead.si_pid == 0) return;
    struct app *app = apps;
    while (app < apps + app_count && app->master != dead.si_pid) app++;
    if (app < apps + app_count) bury(app);
    else waitpid(dead.si_pid, NULL, 0); /* an orphan that came to us as PID 1 */
  }
}

/* The path a unix socket is bound to, "" for any other. */
static void path_of(int fd, struct sockaddr_un *address) {
  socklen_t length = sizeof *address - 1;
  memset(address, 0, sizeof *address);
  if (getsockname(fd, (struct sockaddr *)address, &length) < 0 || address->sun_family != AF_UNIX) address->sun_path[0] = 0;
}

static ino_t inode(const char *path) {
  struct stat status;
  return lstat(path, &status) == 0 ? status.st_ino : 0;
}

/* Takes our socket files away, with their locks; a file that replaced one stays. */
static void unlink_sockets(void) {
  for (int i = 1; i < poll_count; i++) {
    struct sockaddr_un address;
    char lock[sizeof address.sun_path + 8];
    path_of(lowest + i - 1, &address);
    if (!files[i] || inode(address.sun_path) != files[i]) continue;
    snprintf(lock, sizeof lock, "%s.lock", address.sun_path);
    unlink(address.sun_path);
    unlink(lock);
  }
}

/* The kill ladder: the masters were asked; when they are late, or we may not wait, the whole group is killed. */
static void end(int signal_number) {
  int at_once = signal_number == SIGQUIT || (ending == SIGINT && signal_number == SIGINT);
  if (!ending || at_once) ending = signal_number == SIGINT && at_once ? -SIGINT : signal_number;
  for (struct app *app = apps; app < apps + app_count; app++) {
    watch(app, 0);
    if (!app->master) { app->until = 0; continue; }
    if (at_once) kill(-app->master, SIGKILL);
    else kill(app->master, SIGTERM);
    if (!app->until) app->until = now() + app->grace + MARGIN;
  }
}

static void finish(void) {
  for (struct app *app = apps; app < apps + app_count; app++) if (app->master) return;
  unlink_sockets();
  _exit(ending == SIGTERM || ending == SIGINT || ending == SIGHUP ? 0 : 128 + abs(ending));
}

/* Whatever is due by now; returns ms until the next is, -1 for never. */
static int due(void) {
  long long next = -1, t = now();
  for (struct app *app = apps; app < apps + app_count; app++) {
    if (!app->until) continue;
    if (app->until <= t) {
      app->until = 0;
      if (ending) kill(-app->master, SIGKILL);
      else watch(app, 1);
    } else if (next < 0 || app->until - t < next) next = app->until - t;
  }
  return (int)next;
}

/* ---- Life ---- */

static void prepare(int argc, char **argv) {
  sigset_t signals;
  sigemptyset(&signals);
  const int waited[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGCHLD};
  for (size_t i = 0; i < sizeof waited / sizeof *waited; i++) sigaddset(&signals, waited[i]);
  if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0) die(1, "block signals", strerror(errno));
  self = getpid();
  words = argv + (argc > 0);
  const char *ready = word();
  quiet = number(0, 1);
  lowest = number(3, 1 << 20);
  apps = calloc((size_t)argc / 6 + 1, sizeof *apps); /* no app has fewer words */
  if (!apps) die(1, "start", strerror(errno));
  for (poll_count = 1; *words; app_count++) read_app(&apps[app_count]);
  if (!app_count) die(2, "start", "there is no app");
  polls = calloc((size_t)poll_count, sizeof *polls);
  files = calloc((size_t)poll_count, sizeof *files);
  if (!polls || !files) die(1, "start", strerror(errno));
  for (int fd = 3; fd < lowest; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC); /* the locks are held here and nowhere else */
  for (int i = 1; i < poll_count; i++) {
    int fd = lowest + i - 1, listening = 0;
    socklen_t length = sizeof listening;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) < 0 || !listening || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
      die(2, "rest", "a descriptor is no listening socket");
    polls[i] = (struct pollfd){.fd = fd, .events = POLLIN};
    struct sockaddr_un address;
    path_of(fd, &address);
    files[i] = inode(address.sun_path);
  }
  int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) die(1, "wait for signals", strerror(errno));
  polls[0] = (struct pollfd){.fd = fd, .events = POLLIN};
  if (*ready) say("%s", ready);
}

int main(int argc, char **argv) {
  prepare(argc, argv);
  for (;;) {
    if (ending) finish();
    if (poll(polls, (nfds_t)poll_count, due()) < 0 && errno != EINTR) die(1, "wait", strerror(errno));
    struct signalfd_siginfo signal_info;
    while (read(polls[0].fd, &signal_info, sizeof signal_info) == sizeof signal_info)
      if (signal_info.ssi_signo != SIGCHLD) end((int)signal_info.ssi_signo);
    reap();
    for (struct app *app = apps; app < apps + app_count && !ending; app++)
      for (int i = 0; i < app->sockets && !app->master && !app->until; i++)
        if (polls[app->first + i].fd >= 0 && polls[app->first + i].revents) wake(app);
  }
}
