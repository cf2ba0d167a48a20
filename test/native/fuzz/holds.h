/* What must hold, whatever the input; and the headers of all that the targets stand in for, so that none comes behind a macro. */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
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

#define HOLDS(condition) \
  do { if (!(condition)) { fprintf(stderr, "%s:%d: it does not hold that %s\n", __FILE__, __LINE__, #condition); abort(); } } while (0)
