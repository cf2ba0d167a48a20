/*
 * A wake: in its child the app's master, and worker 0, come to be. What they get is in the contract of lookout.c.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define FIRST_DELAY 100  /* ms between two wakes of an app; doubling each time that its master failed ... */
#define LAST_DELAY 15000 /* ... up to here, and forgotten when one lives that long */
#define STATS_BYTES 128 /* worker 0's: lib/slot.ts */

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
    int from = lowest + app->first + i, to = 3 + i;
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
  must("seal", fcntl(stats, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)); /* the master adds another */
  set_number("LISTEN_FDS", app->sockets);
  for (char **entry = app->env; *entry; entry++) must("putenv", putenv(*entry));
  if (*app->user) drop_privileges(app->user); /* before the death signal, which a change of user would clear */
  if (*app->folder) must(app->folder, chdir(app->folder));
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
  become(app, app->argv, (int[]){pair[0], stats, board, lifeline}, 4);
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
  pid_t pid = pipe2(lifeline, O_CLOEXEC | O_NONBLOCK) < 0 ? -1 : fork();
  if (pid == 0) start(app, lifeline[0]);
  if (pid < 0) {
    const char *cause = strerror(errno);
    say("cannot wake %s: %s; next try in %ld ms", app->name, cause, back_off(app));
    close(lifeline[1]);
  } else {
    setpgid(pid, pid); /* here too: whoever comes first. It fails when the child has been through exec */
    app->master = pid;
    app->lifeline = lifeline[1];
    masters++;
    if (!quiet) say("wakes %s: master %d", app->name, (int)pid);
  }
  close(lifeline[0]);
}
