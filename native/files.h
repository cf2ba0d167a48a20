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

/* A socket's file, and its lock, where it is still that socket's. */
static void remove_file(int socket) {
  struct sockaddr_un address;
  char lock[sizeof address.sun_path + 8];
  if (!files[socket] || file_of(lowest + socket, &address) != files[socket]) return;
  snprintf(lock, sizeof lock, "%s.lock", address.sun_path);
  unlink(address.sun_path);
  unlink(lock);
}

/* Those of sockets that are not among these descriptors. */
static void drop_files(const int *kept, int count) {
  struct sockaddr_un address;
  for (int i = 0; i < socket_count; i++) {
    int found = 0;
    for (int k = 0; k < count && files[i] && !found; k++) found = file_of(kept[k], &address) == files[i];
    if (!found) remove_file(i);
  }
}

/* Another may have the addresses: socket files go, with their locks, but none that replaced one; then the sockets. */
static void let_go(void) {
  for (int i = 0; i < socket_count; i++) {
    remove_file(i);
    close(lowest + i);
  }
  for (int i = 0; i < removed_count; i++) unlink(removed[i]);
}
