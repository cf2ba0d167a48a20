/*
 * lookout, at rest: waits for a connection, wakes the app's master, waits for the master to end.
 *
 * argv   lookout READY QUIET FIRST { NAME SOCKETS GRACE ENVC ENV... ARGC WORKER ARG... }...
 *          READY    a line for stderr, once signals are ours          QUIET   1: say nothing but failures
 *          FIRST    the lowest listening descriptor; the apps' follow each other from there
 *          NAME     of the app, for messages     SOCKETS  how many are its     GRACE  ms to drain at the end
 *          ENV      NAME=VALUE added for the app's processes
 *          ARG      the master's argument vector, a path first; from index WORKER on it is worker 0's
 *        Written by lib/plan.ts. Numbers are decimal; anything else is exit 2.
 * fds    0 to 2 as they are; from FIRST on the listening sockets, nonblocking; those below, the locks of
 *        socket files, are only kept open. Nothing else is.
 * env    handed on, with ENV, LISTEN_FDS, LISTEN_PID and
 *          master     LOOKOUT_WORKER_PID (its child, worker 0), LOOKOUT_WOKEN (ms, monotonic)
 *          worker 0   LOOKOUT_WORKER=0, and LOOKOUT_NODE_OPTIONS, where it is set, as NODE_OPTIONS
 *        Both get /dev/null as 0, the sockets as 3 and up, then their end of a socket pair, then the
 *        shared statistics; the master a pipe, too, whose end of file asks it to drain and exit 0: we want
 *        it, or are gone. No signal is blocked. The master leads a process group.
 * exit   0 after TERM, INT or HUP, once the masters have drained; 128 + the signal after QUIT or a second
 *        INT, which kill them at once; 1 when it cannot go on; 2 for a bad argv.
 *
 * It never accepts, reads nothing that a client sent, allocates only while it starts, and has a timeout only
 * while an app that failed waits for its next chance or one that must end is being waited for.
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
#define LAST_DELAY 15000       /* ... up to here, and forgotten when one lives that long */
#define MARGIN 1000            /* ms a master has beyond its grace before it is killed */

struct app {
  const char *name;
  int first, sockets; /* into the pollfds */
  long grace;
  char **env, **argv, **worker;
  pid_t master;      /* 0: at rest */
  int lifeline;      /* closed, it asks the master to end; -1 once it is. No signal: there may be no handler yet */
  unsigned failures; /* in a row: a master ended other than by exit 0, or could not be forked */
  long long woken;   /* ms: when the master was */
  long long until;   /* ms: not woken before; while ending: killed then. 0: no such time */
};

static struct app *apps;
static struct pollfd *polls; /* the signals, then every listening socket: number i is descriptor below + i */
static ino_t *files;         /* of each socket in polls that has a path */
static int app_count, poll_count, quiet, below;
static int masters;                  /* that live */
static int ending, interrupts, code; /* whether a signal asked for the end, how many were INT, what to exit with */
static pid_t self;

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

/* That many words, each with `part` in it. */
static char **vector(int count, const char *part) {
  char **start = words;
  while (count-- > 0)
    if (!strstr(word(), part)) die(2, "read its arguments: not NAME=VALUE", words[-1]);
  return start;
}

/* A vector is used where it lies in argv: the word behind it is overwritten with NULL once it has been read. */
static void read_app(struct app *app) {
  app->name = word();
  words[-1] = NULL;
  app->first = poll_count;
  app->sockets = number(1, 4096);
  app->grace = number(0, 1000000000);
  app->env = vector(number(0, 64), "=");
  int count = number(1, 65536);
  words[-1] = NULL;
  int worker = number(0, count - 1);
  app->argv = vector(count, "");
  app->worker = app->argv + worker;
  poll_count += app->sockets;
}

/* ---- Waking ---- */

static void set_number(const char *name, long long value) {
  char text[24];
  snprintf(text, sizeof text, "%lld", value);
  must("setenv", setenv(name, text, 1));
}

/* In the child: the sockets become 3 and up, those of `others` follow; then exec. */
static _Noreturn void become(const struct app *app, char **argv, int *others, int count) {
  const int behind = 3 + app->sockets;
  set_number("LISTEN_PID", getpid());
  for (int i = 0; i < count; i++) others[i] = must("fcntl", fcntl(others[i], F_DUPFD_CLOEXEC, behind + count));
  for (int i = 0; i < app->sockets; i++) { /* downwards or in place, so none is overwritten before its turn */
    int from = below + app->first + i, to = 3 + i;
    must("dup2", from == to ? fcntl(to, F_SETFD, 0) : dup2(from, to));
  }
  for (int i = 0; i < count; i++) must("dup2", dup2(others[i], behind + i));
  sigset_t none;
  sigemptyset(&none);
  must("sigprocmask", sigprocmask(SIG_SETMASK, &none, NULL));
  execv(argv[0], argv);
  say("cannot run %s: %s", argv[0], strerror(errno));
  _exit(127);
}

/* In the child: its own group; it forks worker 0, its own child that dies with it, and becomes the master. */
static _Noreturn void start(const struct app *app, int lifeline) {
  int pair[2];
  must("setpgid", setpgid(0, 0));
  close(STDIN_FILENO);
  must("open /dev/null", open("/dev/null", O_RDONLY)); /* as the lowest free one: 0 */
  must("socketpair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
  int stats = must("memfd_create", memfd_create("lookout-stats", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  must("ftruncate", ftruncate(stats, STATS_BYTES));
  must("seal", fcntl(stats, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
  set_number("LISTEN_FDS", app->sockets);
  for (char **entry = app->env; *entry; entry++) must("putenv", putenv(*entry));
  pid_t master = getpid(), worker = must("fork", fork());
  if (worker == 0) {
    must("prctl", prctl(PR_SET_PDEATHSIG, SIGKILL));
    if (getppid() != master) _exit(1);
    set_number("LOOKOUT_WORKER", 0);
    const char *node_options = getenv("LOOKOUT_NODE_OPTIONS"); /* for the app, not for the master */
    if (node_options) must("setenv", setenv("NODE_OPTIONS", node_options, 1));
    become(app, app->worker, (int[]){pair[1], stats}, 2);
  }
  set_number("LOOKOUT_WORKER_PID", worker);
  set_number("LOOKOUT_WOKEN", app->woken);
  become(app, app->argv, (int[]){pair[0], stats, lifeline}, 3);
}

/* The queued connection would wake a failing app again at once: it waits instead. Returns for how long, in ms. */
static long back_off(struct app *app) {
  long delay = app->failures < 8 ? FIRST_DELAY << app->failures : LAST_DELAY;
  app->failures++;
  app->until = now() + delay;
  return delay;
}

static void wake(struct app *app) {
  int lifeline[2] = {-1, -1};
  app->woken = now();
  pid_t pid = pipe2(lifeline, O_CLOEXEC) < 0 ? -1 : fork();
  if (pid == 0) start(app, lifeline[0]);
  const char *cause = strerror(errno);
  close(lifeline[0]);
  if (pid < 0) {
    close(lifeline[1]);
    say("cannot wake %s: fork: %s; next try in %ld ms", app->name, cause, back_off(app));
    return;
  }
  app->lifeline = lifeline[1];
  setpgid(pid, pid); /* here too: whoever comes first. It fails when the child has been through exec */
  app->master = pid;
  masters++;
  if (!quiet) say("wakes %s: master %d", app->name, (int)pid);
}

/* Whether somebody connects to it. A socket that another process shut down would be seen for ever. */
static int called(const struct app *app) {
  int seen = 0;
  for (int i = app->first; i < app->first + app->sockets; i++) seen |= polls[i].revents;
  if (seen & ~POLLIN) die(1, "listen", "a socket was shut down");
  return seen;
}

/* ---- Ending ---- */

/* The master is dead but not reaped, so its pid, and the group's, cannot be a stranger's: what the app left goes too. */
static void bury(struct app *app) {
  int status = 0;
  kill(-app->master, SIGKILL);
  must("reap a master", waitpid(app->master, &status, 0));
  if (app->lifeline >= 0) close(app->lifeline);
  app->master = 0;
  app->until = 0;
  masters--;
  if (ending) return;
  int failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  if (!failed || now() - app->woken > LAST_DELAY) app->failures = 0;
  if (WIFSIGNALED(status))
    say("master of %s was killed by signal %d; next try in %ld ms", app->name, WTERMSIG(status), back_off(app));
  else if (failed)
    say("master of %s exited with %d; next try in %ld ms", app->name, WEXITSTATUS(status), back_off(app));
  else if (!quiet)
    say("%s rests", app->name);
}

static void reap(void) {
  for (;;) {
    siginfo_t dead = {0};
    if (waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) < 0 || dead.si_pid == 0) return;
    struct app *app = apps;
    while (app < apps + app_count && app->master != dead.si_pid) app++;
    if (app < apps + app_count) bury(app);
    else must("reap an orphan", waitpid(dead.si_pid, NULL, 0)); /* it came to us as PID 1 */
  }
}

/* The file that a unix socket is bound to, and its path; 0 for any other. */
static ino_t file_of(int fd, struct sockaddr_un *address) {
  struct stat status;
  socklen_t length = sizeof *address;
  memset(address, 0, sizeof *address);
  if (getsockname(fd, (struct sockaddr *)address, &length) < 0 || address->sun_family != AF_UNIX) return 0;
  return length <= sizeof *address && lstat(address->sun_path, &status) == 0 ? status.st_ino : 0;
}

/* Another may have the addresses: socket files go, with their locks, but for one that was replaced; then the sockets. */
static void let_go(void) {
  for (int i = 1; i < poll_count; i++) {
    struct sockaddr_un address;
    char lock[sizeof address.sun_path + 8];
    if (files[i] && file_of(below + i, &address) == files[i]) {
      snprintf(lock, sizeof lock, "%s.lock", address.sun_path);
      unlink(address.sun_path);
      unlink(lock);
    }
    close(below + i);
  }
}

/* The kill ladder: the masters are asked; when they are late, or we may not wait, the whole group is killed. */
static void end(int signal_number) {
  int at_once = signal_number == SIGQUIT || (signal_number == SIGINT && interrupts++ > 0);
  if (!ending) let_go();
  ending = 1;
  if (at_once) code = 128 + signal_number;
  for (struct app *app = apps; app < apps + app_count; app++) {
    if (!app->master) continue;
    if (at_once) kill(-app->master, SIGKILL);
    if (app->lifeline >= 0) close(app->lifeline);
    app->lifeline = -1;
    if (!app->until) app->until = now() + app->grace + MARGIN;
  }
}

/* What poll(2) is to wait for, and for how many ms, -1 for ever. A master that is late is killed here. */
static int arm(void) {
  long long next = -1, t = now();
  for (struct app *app = apps; app < apps + app_count; app++) {
    if (app->until && app->until <= t) {
      app->until = 0;
      if (app->master) kill(-app->master, SIGKILL);
    }
    if (app->until && (next < 0 || app->until - t < next)) next = app->until - t;
    int rests = !app->master && !app->until && !ending;
    for (int i = app->first; i < app->first + app->sockets; i++) polls[i].fd = rests ? below + i : -1;
  }
  return (int)next;
}

/* ---- Life ---- */

static void prepare(int argc, char **argv) {
  sigset_t signals;
  sigemptyset(&signals);
  const int waited[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGCHLD, SIGPIPE};
  for (size_t i = 0; i < sizeof waited / sizeof *waited; i++) sigaddset(&signals, waited[i]);
  self = getpid();
  must("block signals", sigprocmask(SIG_BLOCK, &signals, NULL));
  signal(SIGCHLD, SIG_DFL); /* ignored, it would have the kernel reap the masters */
  words = argv + (argc > 0);
  const char *ready = word();
  quiet = number(0, 1);
  below = number(3, 1 << 20) - 1;
  apps = calloc((size_t)argc / 7 + 1, sizeof *apps); /* no app has fewer words */
  must("allocate", apps ? 0 : -1);
  for (poll_count = 1; *words; app_count++) read_app(&apps[app_count]);
  if (!app_count) die(2, "read its arguments", "there is no app");
  polls = calloc((size_t)poll_count, sizeof *polls);
  files = calloc((size_t)poll_count, sizeof *files);
  must("allocate", polls && files ? 0 : -1);
  for (int fd = 3; fd <= below; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC); /* the locks are held here and nowhere else */
  for (int i = 1; i < poll_count; i++) {
    struct sockaddr_un address;
    int listening = 0;
    socklen_t length = sizeof listening;
    if (getsockopt(below + i, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) < 0 || !listening)
      die(2, "rest", "a descriptor is no listening socket");
    must("fcntl", fcntl(below + i, F_SETFD, FD_CLOEXEC));
    polls[i].events = POLLIN;
    files[i] = file_of(below + i, &address);
  }
  polls[0].fd = must("signalfd", signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  polls[0].events = POLLIN;
  if (*ready) say("%s", ready);
}

int main(int argc, char **argv) {
  prepare(argc, argv);
  while (!ending || masters > 0) {
    int count = poll(polls, (nfds_t)poll_count, arm());
    if (count < 0 && errno == EINTR) continue;
    must("poll", count);
    struct signalfd_siginfo got;
    while (read(polls[0].fd, &got, sizeof got) == sizeof got)
      if (got.ssi_signo != SIGCHLD && got.ssi_signo != SIGPIPE) end((int)got.ssi_signo);
    reap();
    for (struct app *app = apps; app < apps + app_count && !ending; app++)
      if (called(app)) wake(app);
  }
  _exit(code);
}
