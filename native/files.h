/*
 * The files that are the resting program's to remove: those of its unix sockets, with their locks, and what its argv names.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static ino_t *files; /* of each socket that has a path */

/* The file that a unix socket is bound to, and its path; 0 for any other. */
static ino_t file_of(int fd, struct sockaddr_un *address) {
  struct stat status;
  socklen_t length = sizeof *address;
  memset(address, 0, sizeof *address);
  if (getsockname(fd, (struct sockaddr *)address, &length) < 0 || address->sun_family != AF_UNIX) return 0;
  return length <= sizeof *address && lstat(address->sun_path, &status) == 0 ? status.st_ino : 0;
}

/* Which they are while they are ours. */
static void note_files(void) {
  struct sockaddr_un address;
  files = calloc((size_t)socket_count + 1, sizeof *files);
  must("allocate", files ? 0 : -1);
  for (int i = 0; i < socket_count; i++) files[i] = file_of(lowest + i, &address);
}

/* Another may have the addresses: socket files go, with their locks, but none that replaced one; then the sockets. */
static void let_go(void) {
  for (int i = 0; i < socket_count; i++) {
    struct sockaddr_un address;
    char lock[sizeof address.sun_path + 8];
    if (files[i] && file_of(lowest + i, &address) == files[i]) {
      snprintf(lock, sizeof lock, "%s.lock", address.sun_path);
      unlink(address.sun_path);
      unlink(lock);
    }
    close(lowest + i);
  }
  for (int i = 0; i < removed_count; i++) unlink(removed[i]);
}
