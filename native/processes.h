/*
 * Processes, for posix.c: becoming another, children that die with us, and pidfds. What is handed on over exec(2) is
 * exactly the descriptors named.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* What Node changed in its own process and exec(2) would hand on. */
static void restore_signals(void) {
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

#define SPARE 256 /* descriptors beside those handed on */

/* The soft limit on descriptors before Node raised it to the hard one: our parent still has it. */
static void restore_nofile(int needed) {
  struct rlimit ours, parents;
  if (getrlimit(RLIMIT_NOFILE, &ours) < 0 || prlimit(getppid(), RLIMIT_NOFILE, NULL, &parents) < 0) return;
  if (parents.rlim_cur < (rlim_t)needed + SPARE) return;
  if (parents.rlim_cur < ours.rlim_cur) ours.rlim_cur = parents.rlim_cur;
  setrlimit(RLIMIT_NOFILE, &ours);
}

/* Descriptor i becomes fds[i], open over exec; all are copied out of the way first. -1 with errno where one cannot be. */
static int arrange(int *fds, int count) {
  for (int i = 0; i < count; i++)
    if ((fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, count)) < 0) return -1;
  for (int i = 0; i < count; i++)
    if (dup2(fds[i], i) < 0) return -1;
  syscall(SYS_close_range, count, ~0U, 4 /* CLOSE_RANGE_CLOEXEC, from Linux 5.11 on: Node marks the lowest only */);
  return 0;
}

#define MAX_FDS 5000

/* What exec and spawn are called with. */
struct program {
  char *path, **argv, **environment;
  int fds[MAX_FDS], count;
};

static void free_program(struct program *program) {
  free(program->path);
  free_strings(program->argv);
  free_strings(program->environment);
}

static bool read_program(napi_env env, napi_value *values, struct program *program) {
  uint32_t count = 0;
  memset(program, 0, sizeof *program);
  program->path = to_string(env, values[0]);
  program->argv = to_strings(env, values[1]);
  program->environment = to_strings(env, values[2]);
  bool fine = program->path && program->argv && program->environment &&
              napi_get_array_length(env, values[3], &count) == napi_ok && count <= MAX_FDS;
  for (uint32_t i = 0; fine && i < count; i++) {
    napi_value element;
    fine = napi_get_element(env, values[3], i, &element) == napi_ok &&
           napi_get_value_int32(env, element, &program->fds[i]) == napi_ok;
  }
  program->count = (int)count;
  if (!fine) free_program(program);
  return fine;
}

/*
 * exec(path, argv, env, fds): this process becomes another, which gets fds[i] as i. The signals that the next body waits
 * for are blocked first, so one that comes in between is kept for it. Throws while this process is whole, EACCES or ENOENT
 * say; what fails after that ends it.
 */
static napi_value Exec(napi_env env, napi_callback_info info) {
  napi_value values[MAX_ARGUMENTS];
  struct program program;
  if (!arguments(env, info, values) || !read_program(env, values, &program)) return fail(env, "execve", EINVAL);
  if (access(program.path, X_OK) == 0) {
    sigset_t waited;
    sigemptyset(&waited);
    const int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGTSTP};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaddset(&waited, signals[i]);
    sigprocmask(SIG_BLOCK, &waited, NULL);
    signal(SIGPIPE, SIG_DFL);
    restore_nofile(program.count);
    if (arrange(program.fds, program.count) == 0) execve(program.path, program.argv, program.environment);
    fprintf(stderr, "lookout: cannot run %s: %s\n", program.path, strerror(errno)); /* Node's own descriptors are gone */
    _exit(1);
  }
  int number = errno;
  free_program(&program);
  return fail(env, "execve", number);
}

/* In the child, async-signal-safe: descriptor i becomes fds[i], then exec. Returns the errno. */
static int become(struct program *program, int leads, pid_t parent) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return errno;
  if (getppid() != parent) _exit(0);
  if (leads && setpgid(0, 0) < 0) return errno;
  restore_signals();
  if (arrange(program->fds, program->count) < 0) return errno;
  for (char **entry = program->environment; *entry; entry++) {
    if (strncmp(*entry, "LISTEN_PID=", 11) != 0) continue;
    char digits[16], *to = *entry + 11; /* there is room for ten; some compare texts, so there are no zeros before */
    int count = 0;
    for (pid_t rest = getpid(); rest > 0 && count < 10; rest /= 10) digits[count++] = (char)('0' + rest % 10);
    while (count > 0) *to++ = digits[--count];
    *to = '\0';
  }
  execve(program->path, program->argv, program->environment);
  return errno;
}

/*
 * spawn(path, argv, env, fds, leads): a child of ours that dies with us. fds[i] is what it gets as i; an entry
 * LISTEN_PID=0000000000 is filled in with its pid; where `leads` is 1 it leads a process group of its own. Returns the pid,
 * throws exec's own errno.
 */
static napi_value Spawn(napi_env env, napi_callback_info info) {
  napi_value values[MAX_ARGUMENTS];
  struct program program;
  int leads = 0, report[2], number = 0;
  if (!arguments(env, info, values) || napi_get_value_int32(env, values[4], &leads) != napi_ok ||
      !read_program(env, values, &program))
    return fail(env, "spawn", EINVAL);
  if (pipe2(report, O_CLOEXEC) < 0) {
    number = errno;
    free_program(&program);
    return fail(env, "pipe2", number);
  }
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before); /* no handler of Node's may run in the child */
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) {
    int error_fd = fcntl(report[1], F_DUPFD_CLOEXEC, program.count);
    number = error_fd < 0 ? errno : become(&program, leads, parent);
    ssize_t ignored = write(error_fd, &number, sizeof number);
    (void)ignored;
    _exit(127);
  }
  if (pid < 0) number = errno;
  sigprocmask(SIG_SETMASK, &before, NULL);
  close(report[1]);
  if (pid > 0) {
    ssize_t got;
    do got = read(report[0], &number, sizeof number); while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof number) number = 0; /* end of file: the exec worked */
    else waitpid(pid, NULL, 0);
  }
  close(report[0]);
  free_program(&program);
  return number ? fail(env, "spawn", number) : from_int(env, pid);
}

static napi_value PidfdOpen(napi_env env, napi_callback_info info) {
  INTEGERS(a, 1);
  return result(env, "pidfd_open", (int)syscall(SYS_pidfd_open, a[0], 0));
}

/* false when the process is gone: a signal by pidfd never reaches a stranger with the same pid. */
static napi_value PidfdKill(napi_env env, napi_callback_info info) {
  INTEGERS(a, 2);
  long returned = syscall(SYS_pidfd_send_signal, a[0], a[1], NULL, 0);
  if (returned < 0 && errno != ESRCH) return fail(env, "pidfd_send_signal", errno);
  napi_value value;
  CHECK(napi_get_boolean(env, returned == 0, &value));
  return value;
}

/* Reaps the child: its exit status, or minus the signal that killed it; undefined while it lives. */
static napi_value PidfdReap(napi_env env, napi_callback_info info) {
  INTEGERS(a, 1);
  siginfo_t status = {0};
  if (waitid((idtype_t)P_PIDFD, (id_t)a[0], &status, WEXITED | WNOHANG) < 0) return fail(env, "waitid", errno);
  if (status.si_pid == 0) return NULL;
  return from_int(env, status.si_code == CLD_EXITED ? status.si_status : -status.si_status);
}

/* Lets whoever else is ready run first. */
static napi_value Yield(napi_env env, napi_callback_info info) {
  (void)info;
  return result(env, "sched_yield", sched_yield());
}

static napi_value Prctl(napi_env env, napi_callback_info info) {
  INTEGERS(a, 2);
  return result(env, "prctl", prctl(a[0], a[1], 0, 0, 0));
}
