/*
 * lookout, at rest: waits for a connection, wakes the app's master, waits for the master to end.
 *
 * argv   lookout READY QUIET FIRST BOARD FILEC FILE... RELOADC RELOAD... LIVEC { LIVE }... { APP }...
 *        APP is NAME VERSION SOCKETS GRACE USER FOLDER ENVC ENV... ARGC WORKER ARG...
 *          READY    a line for stderr, once signals are ours          QUIET   1: say nothing but failures
 *          FIRST    the lowest listening descriptor; the apps' follow each other from there
 *          BOARD    a descriptor below FIRST that every master gets   FILE    is removed at the end
 *          RELOAD   an argument vector that HUP runs, see reload.h; without one, HUP is TERM
 *          LIVE     what the body before us knew of an app: NAME VERSION, master, lifeline, GRACE, failures, woken, until
 *          NAME     of the app, which no other has        VERSION  the same as long as nothing about the app changes
 *          SOCKETS  how many are its     GRACE  ms to drain at the end
 *          USER     who its processes are: UID:GID:GROUP,...; empty: who we are
 *          FOLDER   where its processes work; empty: as we do
 *          ENV      NAME=VALUE added for the app's processes
 *          ARG      the master's argument vector, a path first; from index WORKER on it is worker 0's
 *        Written by lib/plan.ts. Numbers are decimal; anything else is exit 2.
 * fds    0 to 2 as they are; from FIRST on the listening sockets, nonblocking; those below, the locks of
 *        socket files, are only kept open. Nothing else is.
 * env    handed on, with ENV, LISTEN_FDS, LISTEN_PID and
 *          master     LOOKOUT_WORKER_PID (its child, worker 0), LOOKOUT_WOKEN (ms, monotonic)
 *          worker 0   LOOKOUT_WORKER=0, and LOOKOUT_NODE_OPTIONS, where it is set, as NODE_OPTIONS
 *        Both get /dev/null as 0, the sockets as 3 and up, then their end of a socket pair, then the
 *        slot of worker 0; the master the board, too, then a nonblocking pipe. A byte in the pipe is the number of a signal
 *        that we got, TERM asking it to drain and exit 0; an end of file before that says that we are gone.
 *        No signal is blocked. The master leads a process group.
 *        HUP in the pipe: the same, but another master takes its place.
 * exit   0 after TERM or INT, once the masters have drained; 128 + the signal after QUIT or a second
 *        INT, which kill them at once; 1 when it cannot go on; 2 for a bad argv.
 *
 * USR1, USR2, TTIN, TTOU, TSTP and CONT go to the masters that live. Between TSTP and CONT nobody is woken, and what a
 * reload has come to is left; a terminal's TSTP stops us, too.
 * It never accepts, reads nothing that a client sent, allocates only while it starts, wakes an app ten times a
 * second at most, and has a timeout only while one may not be woken yet or a master has to end.
 */
#include "apps.h"
#include "files.h"
#include "reload.h"
#include "wake.h"
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#define MARGIN 1000 /* ms a master has beyond its grace before it is killed */

static struct pollfd *polls; /* every listening socket, number i being descriptor lowest + i, then the signals */
static int ending, interrupts, code; /* whether a signal asked for the end, how many were INT, what to exit with */
static int held;                     /* between TSTP and CONT */

/* Whether somebody connects to it. A socket that another process shut down would be seen for ever. */
static int called(const struct app *app) {
  int seen = 0;
  for (int i = app->first; i < app->first + app->sockets; i++) seen |= polls[i].revents;
  if (seen & ~POLLIN) die(1, "listen", "a socket was shut down");
  return seen;
}

/* ---- Ending ---- */

/* The master is dead but not reaped, so its pid, and the group's, cannot be a stranger's: what it left goes, too. */
static void bury(struct app *app) {
  int status = 0;
  kill(-app->master, SIGKILL);
  must("reap a master", waitpid(app->master, &status, 0));
  close(app->lifeline);
  app->master = 0;
  app->until = 0;
  masters--;
  if (ending || !app->sockets) return;
  int failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  if (!failed || now() - app->woken > LAST_DELAY) app->failures = 0;
  if (WIFSIGNALED(status))
    say("master of %s was killed by signal %d; next try in %ld ms", app->name, WTERMSIG(status), back_off(app));
  else if (failed)
    say("master of %s exited with %d; next try in %ld ms", app->name, WEXITSTATUS(status), back_off(app));
  else {
    app->until = app->woken + FIRST_DELAY; /* over by now, unless it left the connection where it was */
    if (!quiet) say("%s rests", app->name);
  }
}

/* Its messages may be still to be read: then its end was a good one. */
static void bury_reloader(void) {
  int status = 0;
  must("reap", waitpid(reloader, &status, 0));
  reloader = 0;
  if (!status) return;
  say("reload failed: it goes on as it was");
  end_reload();
}

static void reap(void) {
  for (;;) {
    siginfo_t dead = {0};
    if (waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) < 0 || dead.si_pid == 0) return;
    struct app *app = apps;
    while (app < apps + app_count && app->master != dead.si_pid) app++;
    if (app < apps + app_count) bury(app);
    else if (dead.si_pid == reloader) bury_reloader();
    else must("reap an orphan", waitpid(dead.si_pid, NULL, 0)); /* it came to us as PID 1 */
  }
}

/* No signal: there may be no handler yet. Where the byte has no place the master hangs, or is gone. */
static void tell(const struct app *app, int signal_number) {
  const char byte = (char)signal_number;
  if (app->master && write(app->lifeline, &byte, 1) < 0) return;
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
    if (app->until) continue;
    app->until = now() + app->grace + MARGIN;
    tell(app, SIGTERM);
  }
}

static void obey(const struct signalfd_siginfo *got) {
  const int signal_number = (int)got->ssi_signo;
  switch (signal_number) {
    case SIGCHLD:
    case SIGPIPE: return;
    case SIGTERM:
    case SIGINT:
    case SIGQUIT: end(signal_number); return;
    case SIGHUP:
      if (!reloads) end(signal_number);
      else if (!ending) start_reload();
      return;
    case SIGTSTP: held = 1; break;
    case SIGCONT: held = 0; break;
  }
  for (struct app *app = apps; app < apps + app_count; app++) tell(app, signal_number);
  if (signal_number == SIGTSTP && got->ssi_code == SI_KERNEL) raise(SIGSTOP);
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
    int rests = !app->master && !app->until && !ending && !held;
    for (int i = app->first; i < app->first + app->sockets; i++) polls[i].fd = rests ? lowest + i : -1;
  }
  return (int)next;
}

/* ---- Life ---- */

/* All that are waited for; whatever else there is to do comes later. */
static sigset_t block_signals(void) {
  const int waited[] = {SIGTERM, SIGINT,  SIGQUIT, SIGHUP,  SIGCHLD, SIGPIPE,
                        SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGTSTP, SIGCONT};
  sigset_t signals;
  sigemptyset(&signals);
  for (size_t i = 0; i < sizeof waited / sizeof *waited; i++) sigaddset(&signals, waited[i]);
  must("block signals", sigprocmask(SIG_BLOCK, &signals, NULL));
  signal(SIGCHLD, SIG_DFL); /* ignored, it would have the kernel reap the masters */
  return signals;
}

static void take_sockets(void) {
  polls = calloc((size_t)socket_count + 2, sizeof *polls);
  must("allocate", polls ? 0 : -1);
  for (int fd = 3; fd < lowest; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC); /* locks are held here alone; the board is copied */
  for (int i = 0; i < socket_count; i++) {
    int listening = 0;
    socklen_t length = sizeof listening;
    if (getsockopt(lowest + i, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) < 0 || !listening)
      die(2, "rest", "a descriptor is no listening socket");
    must("fcntl", fcntl(lowest + i, F_SETFD, FD_CLOEXEC));
    polls[i].events = POLLIN;
  }
  note_files();
}

/* What the body before us had awake: the masters of apps that are as they were stay, the others go. */
static void take_masters(void) {
  for (struct app *app = apps; app < apps + app_count; app++) {
    if (!app->master) continue;
    masters++;
    must("fcntl", fcntl(app->lifeline, F_SETFD, FD_CLOEXEC));
    if (app->sockets || app->until) continue;
    app->until = now() + app->grace + MARGIN;
    tell(app, named(app->name) ? SIGHUP : SIGTERM);
  }
}

int main(int argc, char **argv) {
  self = getpid();
  sigset_t signals = block_signals();
  const char *ready = read_arguments(argc, argv);
  take_sockets();
  take_masters();
  struct pollfd *caught = &polls[socket_count];
  caught->fd = must("signalfd", signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  caught->events = POLLIN;
  caught[1].events = POLLIN;
  if (*ready) say("%s", ready);
  while (!ending || masters > 0) {
    caught[1].fd = ending || held ? -1 : offers;
    int count = poll(polls, (nfds_t)socket_count + 2, arm());
    if (count < 0 && errno == EINTR) continue;
    must("poll", count);
    struct signalfd_siginfo got;
    while (read(caught->fd, &got, sizeof got) == sizeof got) obey(&got);
    reap();
    int offer = offers >= 0 && !held && caught[1].revents ? take_offer() : 0;
    if (offer < 0 || (offer > 0 && ending)) end_reload(); /* a signal has come between */
    else if (offer > 0) hand_over();
    for (struct app *app = apps; app < apps + app_count && !ending && !held; app++)
      if (called(app)) wake(app);
  }
  _exit(code);
}
