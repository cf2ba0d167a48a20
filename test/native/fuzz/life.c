/*
 * A life of the resting program, from its argument vector to its exit, in a world that the input makes up: connections, signals,
 * masters that end or do not, forks that fail, a clock. Whatever happens, it touches no process but its own children, wakes nobody
 * it may not wake, never spins, and once it is told to end it ends, with no master left.
 *
 * input   the argument vector, 0xff, then bytes of what happens while it polls: see happen()
 */
#include "holds.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- The world ---- */

#define WORLD
#define MOST_CHILDREN 4096
#define MOST_WAITS 20000 /* until it must have ended */
#define FIRST_FD 2000000 /* of those that it opens: above all that its argument vector may name */
#define SIGNAL_FD (FIRST_FD - 1)

static struct child { pid_t pid; int status; enum { ALIVE, KILLED, ZOMBIE, REAPED } state; } children[MOST_CHILDREN];
static int child_count, open_fds; /* open_fds: opened less closed, of those from FIRST_FD on */
static long long the_time;
static const uint8_t *tape, *tape_end; /* what will happen */
static uint8_t pending[64]; /* signals */
static int pending_count, wind_down, waits, forks_fail;

static int next_byte(void) { return tape < tape_end ? *tape++ : -1; }

static struct child *child_of(pid_t pid) {
  for (int i = 0; i < child_count; i++)
    if (children[i].pid == pid && children[i].state != REAPED) return &children[i];
  return NULL;
}

static void born(pid_t pid) {
  HOLDS(child_count < MOST_CHILDREN);
  children[child_count++] = (struct child){pid, 0, ALIVE};
}

static void signalled(int number) {
  for (int i = 0; i < pending_count; i++)
    if (pending[i] == number) return; /* once, as the kernel has it */
  pending[pending_count++] = (uint8_t)number;
}

static void dies(struct child *child, int status) {
  if (child->state == ZOMBIE || child->state == REAPED) return;
  child->state = ZOMBIE;
  child->status = status;
  signalled(SIGCHLD);
}

static int world_clock_gettime(clockid_t clock, struct timespec *t) {
  HOLDS(clock == CLOCK_MONOTONIC);
  *t = (struct timespec){the_time / 1000, the_time % 1000 * 1000000};
  return 0;
}

static int world_pipe2(int *pair, int flags) {
  HOLDS(flags == (O_CLOEXEC | O_NONBLOCK));
  if (forks_fail == 1) return errno = EMFILE, -1;
  pair[0] = pair[1] = FIRST_FD;
  open_fds += 2;
  return 0;
}

static int world_socketpair(int family, int type, int protocol, int *pair) {
  (void)family, (void)type, (void)protocol;
  pair[0] = pair[1] = FIRST_FD;
  open_fds += 2;
  return 0;
}

static pid_t world_fork(void) {
  if (forks_fail == 2) return errno = EAGAIN, -1;
  born(5000000 + child_count);
  return children[child_count - 1].pid;
}

/* Those that it was given may be closed, too: they are below. */
static int world_close(int fd) {
  if (fd < FIRST_FD) return 0;
  HOLDS(open_fds-- > 0);
  return 0;
}

static int world_kill(pid_t pid, int number) {
  struct child *child = child_of(pid < 0 ? -pid : pid);
  HOLDS(pid != 0 && pid != -1 && child && number == SIGKILL);
  if (child->state == ALIVE) child->state = KILLED;
  return 0;
}

static int world_waitid(idtype_t type, id_t id, siginfo_t *found, int options) {
  HOLDS(options == (WEXITED | WNOHANG | WNOWAIT));
  found->si_pid = 0;
  if (type == P_PID) { /* a master of the body before: init is none, nor is every third */
    if (id == 1 || id % 3 == 0) return errno = ECHILD, -1;
    if (!child_of((pid_t)id)) born((pid_t)id);
    return 0;
  }
  for (int i = 0; i < child_count && !found->si_pid; i++)
    if (children[i].state == ZOMBIE) found->si_pid = children[i].pid;
  return 0;
}

/* It may wait for the dead, and for those whom it has killed; else it would hang. */
static pid_t world_waitpid(pid_t pid, int *status, int options) {
  struct child *child = pid > 0 ? child_of(pid) : NULL;
  HOLDS(child && options == 0 && child->state != ALIVE);
  if (status) *status = child->state == KILLED ? SIGKILL : child->status;
  child->state = REAPED;
  return pid;
}

static ssize_t world_read(int fd, void *bytes, size_t size) {
  HOLDS(fd == SIGNAL_FD && size == sizeof(struct signalfd_siginfo));
  if (pending_count == 0) return errno = EAGAIN, -1;
  struct signalfd_siginfo *got = memset(bytes, 0, size);
  got->ssi_signo = pending[0];
  got->ssi_code = pending_count % 2 ? SI_KERNEL : 0;
  memmove(pending, pending + 1, (size_t)--pending_count);
  return (ssize_t)size;
}

static ssize_t world_write(int fd, const void *bytes, size_t size);
static int world_poll(struct pollfd *waited, nfds_t count, int timeout);

/* Who thinks about a reload never has anything to offer. */
static ssize_t world_recvmsg(int fd, struct msghdr *message, int flags) {
  HOLDS(fd == FIRST_FD && (flags & MSG_DONTWAIT));
  message->msg_controllen = 0;
  return 0;
}

static int world_getsockopt(int fd, int level, int name, void *value, socklen_t *size) {
  HOLDS(fd >= 4 && level == SOL_SOCKET && name == SO_ACCEPTCONN && *size == sizeof(int));
  *(int *)value = 1;
  return 0;
}

static int world_signalfd(int fd, const sigset_t *signals, int flags) {
  HOLDS(fd == -1 && signals && flags == (SFD_CLOEXEC | SFD_NONBLOCK));
  return SIGNAL_FD;
}

static int world_fcntl(int fd, int command, int value) {
  (void)fd, (void)command, (void)value;
  return 0;
}

static int nothing(void) { return 0; }

#define clock_gettime world_clock_gettime
#define pipe2 world_pipe2
#define socketpair world_socketpair
#define fork world_fork
#define close world_close
#define kill world_kill
#define waitid world_waitid
#define waitpid world_waitpid
#define read world_read
#define write world_write
#define poll(...) world_poll(__VA_ARGS__)
#define recvmsg world_recvmsg
#define getsockopt world_getsockopt
#define signalfd world_signalfd
#define fcntl world_fcntl
#define setpgid(...) nothing()
#define sigprocmask(...) nothing()
#define signal(...) nothing()
#define raise(...) nothing()

#include "system.h"

/* ---- What happens ---- */

static struct seen { pid_t master; long long woken; int here; } *seen; /* of each app, at the last poll; here: it was woken by us */
static uint8_t *connected; /* by socket: whether somebody waits there */
static int reloader_ended;

static ssize_t world_write(int fd, const void *bytes, size_t size) {
  return size == 1 ? 1 : fake_write(fd, bytes, size);
}

/* What is so whenever it waits. */
static void observe(const struct pollfd *waited, int timeout) {
  int living = 0;
  HOLDS(timeout == -1 || timeout > 0);
  for (int i = 0; i < app_count; i++) {
    const struct app *app = &apps[i];
    if (app->master) HOLDS(child_of(app->master) && ++living);
    if (app->master && ending) HOLDS(app->until || child_of(app->master)->state != ALIVE);
    for (int other = 0; app->master && other < i; other++) HOLDS(apps[other].master != app->master);
    if (app->woken != seen[i].woken || (app->master && app->master != seen[i].master)) {
      HOLDS(!seen[i].master && app->sockets && !held && !ending);
      HOLDS(!seen[i].here || app->woken - seen[i].woken >= FIRST_DELAY);
      seen[i].here = 1;
    }
    seen[i].master = app->master;
    seen[i].woken = app->woken;
    for (int s = app->first; s < app->first + app->sockets; s++)
      HOLDS(waited[s].fd == (app->master || app->until || ending || held ? -1 : lowest + s));
  }
  HOLDS(living == masters);
}

static int is_ready(struct pollfd *waited, int count) {
  int ready = 0;
  for (int i = 0; i < socket_count; i++)
    if (waited[i].fd >= 0 && connected[i]) waited[i].revents = connected[i] == 1 ? POLLIN : POLLIN | POLLHUP;
  if (pending_count) waited[socket_count].revents = POLLIN;
  if (waited[socket_count + 1].fd >= 0 && reloader_ended) waited[socket_count + 1].revents = POLLIN;
  for (int i = 0; i < count; i++) ready += waited[i].revents != 0;
  return ready;
}

/* One thing; 0 where there are no more, 2 where the next happens at the same time. */
static int happen(void) {
  static const int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGTTIN, SIGTSTP, SIGCONT, SIGPIPE};
  const int what = next_byte(), which = next_byte();
  if (which < 0) return 0;
  struct child *child = child_count ? &children[child_count - 1 - which % (child_count < 16 ? child_count : 16)] : NULL;
  switch ((what & 127) % 10) {
    case 0: connected[which % socket_count] = 1; break;
    case 1: memset(connected, 0, (size_t)socket_count); break; /* all were served */
    case 2: if (which == 255) connected[0] = 2; break; /* somebody shut the socket down */
    case 3: signalled(signals[(size_t)which % (sizeof signals / sizeof *signals)]); break;
    case 4: if (child) dies(child, 0); break;
    case 5: if (child) dies(child, which % 2 ? 1 << 8 : SIGSEGV); break;
    case 6: the_time += which * 10; break;
    case 7: the_time += which * 1000; break;
    case 8: forks_fail = which % 3; break;
    case 9: reloader_ended = which % 2; break;
  }
  return what & 128 ? 2 : 1;
}

/* Where nothing is left to happen it is told to end, and no master does so by itself. */
static void end_of_tape(void) {
  if (wind_down++ == 0) signalled(SIGTERM);
}

static int world_poll(struct pollfd *waited, nfds_t count, int timeout) {
  if (count == 1 && waited->fd == STDERR_FILENO) return 1;
  HOLDS((int)count == socket_count + 2 && ++waits < MOST_WAITS);
  observe(waited, timeout);
  const long long until = timeout < 0 ? LLONG_MAX : the_time + timeout;
  for (nfds_t i = 0; i < count; i++) waited[i].revents = 0;
  for (int i = 0; i < child_count; i++)
    if (children[i].state == KILLED) dies(&children[i], SIGKILL);
  for (int more = 0;;) {
    const int ready = is_ready(waited, (int)count);
    if (ready && !more) return ready;
    if (the_time >= until && !more) return 0;
    const int happened = happen();
    more = happened == 2;
    if (happened) continue;
    end_of_tape();
    HOLDS(pending_count || until < LLONG_MAX); /* else it waits for ever, and was told to end */
    if (!pending_count) the_time = until;
  }
}

static void live(int argc, char **argv) {
  if (setjmp(over)) return;
  resting_main(argc, argv);
}

/* The argument vector, as far as it is one that a life can begin with: times in it are of about now. */
static int is_sound(const uint8_t *data, size_t size) {
  int argc;
  char **argv = vector_of(data, size, &argc);
  if (begin(argc, argv) != 0 || socket_count > 64 || lowest > 1000) return 0;
  for (struct app *app = apps; app < apps + app_count; app++) {
    if (app->woken > the_time || app->until > the_time + 1000000 || app->failures > 1000) return 0;
    for (struct app *other = apps; other < app; other++)
      if (app->master && (app->master == other->master || app->lifeline == other->lifeline)) return 0;
  }
  return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const uint8_t *mark = size > 0 ? memchr(data, 0xff, size) : NULL;
  if (!mark) return 0;
  the_time = 100000;
  child_count = open_fds = pending_count = wind_down = waits = forks_fail = reloader_ended = 0;
  if (is_sound(data, (size_t)(mark - data))) {
    int argc;
    char **argv = vector_of(data, (size_t)(mark - data), &argc);
    connected = kept(calloc((size_t)socket_count + 1, 1));
    seen = kept(calloc((size_t)app_count, sizeof *seen));
    for (int i = 0; i < app_count; i++) seen[i] = (struct seen){apps[i].master, apps[i].woken, 0};
    child_count = masters = ending = interrupts = code = held = reloader = app_count = socket_count = 0;
    apps = NULL;
    offers = -1;
    offered = NULL;
    offered_count = 0;
    tape = mark + 1;
    tape_end = data + size;
    live(argc, argv);
    HOLDS(ended == 0 || ended == 1 || ended == 128 + SIGINT || ended == 128 + SIGQUIT);
    for (int i = 0; i < child_count && ended != 1; i++)
      for (int app = 0; app < app_count; app++) HOLDS(children[i].state == REAPED || apps[app].master != children[i].pid);
    if (ended != 1) HOLDS(masters == 0);
  }
  forget();
  return 0;
}
