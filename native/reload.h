/*
 * HUP: another argument vector for the same process. A child thinks: RELOAD, with LOOKOUT_RELOAD as its end of a socket
 * pair, and our board, locks and sockets where they are. It sends what the next body of ours is to have as descriptor 3 and
 * up, many to a message, after a memfd with the words of its argv (a path first, each with its NUL); a message's data is the
 * number of the word before which LIVE comes, and DONE in the last. Whatever goes wrong before that leaves us as we are.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define MOST_FDS 5000
#define A_MESSAGE 250 /* descriptors, of which the kernel lets 253 through */
#define DONE (-1)

static pid_t reloader; /* the child that thinks */
static int offers = -1; /* our end of the pair */
static int *offered;    /* what has come: the memfd, then what becomes 3 and up */
static int offered_count, insert_at;

/* There is nothing to be had from it, or all that there was is taken. */
static void end_reload(void) {
  for (int i = 0; i < offered_count; i++) close(offered[i]);
  free(offered);
  offered = NULL;
  offered_count = 0;
  if (offers >= 0) close(offers);
  offers = -1;
}

/* One that is under way may have read what has changed since: it is given up. */
static void start_reload(void) {
  int pair[2];
  if (reloader) {
    kill(reloader, SIGKILL);
    must("reap", waitpid(reloader, NULL, 0));
    reloader = 0;
  }
  end_reload();
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
    say("cannot reload: %s", strerror(errno));
    return;
  }
  pid_t parent = getpid();
  reloader = fork();
  if (reloader == 0) {
    char text[16];
    must("prctl", prctl(PR_SET_PDEATHSIG, SIGKILL));
    if (getppid() != parent) _exit(1);
    for (int fd = 3; fd < lowest + socket_count; fd++) fcntl(fd, F_SETFD, 0);
    must("fcntl", fcntl(pair[1], F_SETFD, 0));
    snprintf(text, sizeof text, "%d", pair[1]);
    must("setenv", setenv("LOOKOUT_RELOAD", text, 1));
    sigset_t none;
    sigemptyset(&none);
    must("sigprocmask", sigprocmask(SIG_SETMASK, &none, NULL));
    execv(reloads[0], reloads);
    die(127, reloads[0], strerror(errno));
  }
  close(pair[1]);
  if (reloader < 0) {
    say("cannot reload: %s", strerror(errno));
    reloader = 0;
    close(pair[0]);
    return;
  }
  offers = pair[0];
}

/* Takes one message; 1 once all is there, -1 when it never will be. */
static int take_offer(void) {
  union { struct cmsghdr header; char space[CMSG_SPACE(A_MESSAGE * sizeof(int))]; } control;
  int data = 0;
  struct iovec part = {.iov_base = &data, .iov_len = sizeof data};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t got = recvmsg(offers, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (!offered) offered = calloc(MOST_FDS, sizeof *offered);
  struct cmsghdr *header = got >= 0 ? CMSG_FIRSTHDR(&message) : NULL; /* one without data may bring some, too */
  if (header && header->cmsg_type == SCM_RIGHTS) {
    int count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(header) + (size_t)i * sizeof fd, sizeof fd);
      if (offered && offered_count < MOST_FDS) offered[offered_count++] = fd;
      else close(fd), got = -1;
    }
  }
  if (got != sizeof data || !offered || (message.msg_flags & MSG_CTRUNC)) return -1;
  if (data == DONE) return offered_count > 1 ? 1 : -1;
  insert_at = data;
  return 0;
}

/* The words of a memfd, each with its NUL; NULL where they are none. */
static char *read_words(int memfd, size_t *size, size_t *count) {
  struct stat status;
  if (fstat(memfd, &status) < 0 || status.st_size < 2) return NULL;
  *size = (size_t)status.st_size;
  char *text = malloc(*size);
  if (!text || pread(memfd, text, *size, 0) != (ssize_t)*size || text[*size - 1]) {
    free(text);
    return NULL;
  }
  *count = 0;
  for (size_t i = 0; i < *size; i++) *count += !text[i];
  return text;
}

#define LIVE_WORDS 8
#define LIVE_NUMBERS 6
#define DIGITS 24

/* LIVE of one app: where they end. Its numbers are written into `space`. One that is to leave has a time, though that has come. */
static char **describe(const struct app *app, char **at, char (*space)[DIGITS]) {
  const long long until = app->sockets || app->until ? app->until : 1;
  const long long numbers[LIVE_NUMBERS] = {app->master, app->lifeline, app->grace, app->failures, app->woken, until};
  *at++ = app->name;
  *at++ = app->version;
  for (int i = 0; i < LIVE_NUMBERS; i++) {
    snprintf(space[i], DIGITS, "%lld", numbers[i]);
    *at++ = space[i];
  }
  return at;
}

/* The next body's path and argv: the words sent, and LIVE of each app that is not simply at rest. NULL where that fails. */
static char **compose(int memfd) {
  size_t size = 0, count = 0, live = 0;
  char *text = read_words(memfd, &size, &count);
  char **next = calloc(count + 2 + (size_t)app_count * LIVE_WORDS, sizeof *next), **at = next;
  char(*space)[DIGITS] = calloc((size_t)app_count * LIVE_NUMBERS + 1, sizeof *space);
  if (!text || !next || !space || insert_at < 2 || (size_t)insert_at >= count) {
    free(text);
    free(next);
    free(space);
    errno = EINVAL;
    return NULL;
  }
  char *next_word = text, (*numbers)[DIGITS] = space + 1;
  for (struct app *app = apps; app < apps + app_count; app++) live += app->master || app->until;
  snprintf(space[0], DIGITS, "%zu", live);
  for (size_t i = 0; i < count; i++, next_word += strlen(next_word) + 1) {
    if (i == (size_t)insert_at) {
      *at++ = space[0];
      for (struct app *app = apps; app < apps + app_count; app++) {
        if (!app->master && !app->until) continue;
        at = describe(app, at, numbers);
        numbers += LIVE_NUMBERS;
      }
    }
    *at++ = next_word;
  }
  return next;
}

/* Copies of descriptors, out of the way of those that become 3 to `limit`; -1 where there are no more. */
static int lift(int limit) {
  for (struct app *app = apps; app < apps + app_count; app++) {
    if (!app->master) continue;
    int copy = fcntl(app->lifeline, F_DUPFD_CLOEXEC, limit);
    if (copy < 0) return -1;
    close(app->lifeline);
    app->lifeline = copy;
  }
  for (int i = 1; i < offered_count; i++) {
    int copy = fcntl(offered[i], F_DUPFD_CLOEXEC, limit);
    if (copy < 0) return -1;
    close(offered[i]);
    offered[i] = copy;
  }
  return 0;
}

/* All is there: we become the next body. Until the first descriptor is replaced a failure is said, and we go on. */
static void hand_over(void) {
  const int limit = 2 + offered_count;
  char **next = lift(limit) < 0 ? NULL : compose(offered[0]);
  if (!next || access(next[0], X_OK) < 0) {
    say("cannot reload: %s; it goes on as it was", strerror(errno));
    end_reload(); /* what was composed is lost, which only a program that is gone brings about */
    return;
  }
  drop_files(offered + 1, offered_count - 1);
  for (int i = 1; i < offered_count; i++) must("dup2", dup2(offered[i], 2 + i));
  for (struct app *app = apps; app < apps + app_count; app++)
    if (app->master) must("fcntl", fcntl(app->lifeline, F_SETFD, 0));
  execv(next[0], next + 1);
  die(1, next[0], strerror(errno));
}
