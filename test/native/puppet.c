/*
 * Plays a master or a worker for the tests of the resting program: does what the words of its argv say, in order.
 *
 *   say WORD      a line on stdout: WORD and the pid
 *   serve N       takes a connection from socket N (0 is the first), answers its pid, reads to the end of file
 *   unless FILE   goes on when FILE is there, else exits 1
 *   lifeline      says "waits", then what a master's lifeline has: "signalN" for byte N, until "asked" for TERM's or
 *                 "orphaned" for its end
 *   hum           says "hums" and waits to be killed; TERM does not do it
 *   send, hear    a byte through the socket pair, to and from the other end
 *   orphans N     leaves N children of nobody, in sessions of their own, which end when they are killed
 *   straggler     leaves a child in its own process group, which says "straggler" and its pid
 *   shut          shuts socket 0 down, for everybody
 *   exit N        ends
 *   kill N        dies of that signal
 *   adopt         gets the orphans of its descendants from now on, even after exec
 *   exec ARG...   becomes another program
 *
 * What is missing or fails is exit 9: no test expects that.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void need(int fulfilled) {
  if (!fulfilled) _exit(9);
}

static void say(const char *word) {
  char line[128];
  int length = snprintf(line, sizeof line, "%s %d\n", word, (int)getpid());
  need(write(STDOUT_FILENO, line, (size_t)length) == length);
}

static _Noreturn void hum(const char *word) {
  signal(SIGTERM, SIG_IGN);
  say(word);
  for (;;) pause();
}

static void lifeline(int fd) {
  struct pollfd pipe = {.fd = fd, .events = POLLIN};
  char byte, word[32];
  say("waits");
  for (;;) {
    need(poll(&pipe, 1, -1) == 1);
    ssize_t got = read(fd, &byte, 1);
    need(got >= 0);
    if (got == 0) return say("orphaned");
    if (byte == SIGTERM) return say("asked");
    snprintf(word, sizeof word, "signal%d", byte);
    say(word);
  }
}

static void serve(int fd) {
  struct pollfd listener = {.fd = fd, .events = POLLIN};
  char text[64];
  int client;
  do need(poll(&listener, 1, -1) == 1); while ((client = accept(fd, NULL, NULL)) < 0);
  int length = snprintf(text, sizeof text, "%d\n", (int)getpid());
  need(write(client, text, (size_t)length) == length);
  while (read(client, text, sizeof text) > 0) {}
  close(client);
}

static void orphan(void) {
  pid_t child = fork();
  need(child >= 0);
  if (child > 0) return;
  need(setsid() > 0);
  child = fork();
  need(child >= 0);
  if (child > 0) _exit(0);
  hum("orphan");
}

static void straggler(void) {
  pid_t child = fork();
  need(child >= 0);
  if (child == 0) hum("straggler");
}

int main(int argc, char **argv) {
  const char *sockets = getenv("LISTEN_FDS");
  const int channel = 3 + (sockets ? atoi(sockets) : 0);
  for (int i = 1; i < argc; i++) {
    const char *step = argv[i];
    char byte = 'x';
#define STEP(word) (strcmp(step, word) == 0)
    if (STEP("say")) say(argv[++i]);
    else if (STEP("serve")) serve(3 + atoi(argv[++i]));
    else if (STEP("unless")) { if (access(argv[++i], F_OK) != 0) _exit(1); }
    else if (STEP("lifeline")) lifeline(channel + 3);
    else if (STEP("hum")) hum("hums");
    else if (STEP("send")) need(write(channel, &byte, 1) == 1);
    else if (STEP("hear")) { need(read(channel, &byte, 1) == 1); say("heard"); }
    else if (STEP("orphans")) for (int n = atoi(argv[++i]); n > 0; n--) orphan();
    else if (STEP("straggler")) straggler();
    else if (STEP("shut")) need(shutdown(3, SHUT_RDWR) == 0);
    else if (STEP("exit")) _exit(atoi(argv[++i]));
    else if (STEP("kill")) raise(atoi(argv[++i]));
    else if (STEP("adopt")) need(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    else if (STEP("exec")) { execvp(argv[i + 1], argv + i + 1); need(0); }
    else need(0);
  }
  return 0;
}
