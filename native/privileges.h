/*
 * In the child of a wake, where lookout is root and the app is not to be: it becomes another user, for good.
 */
#include <grp.h>
#include <stdint.h>
#include <sys/prctl.h>

#define MOST_GROUPS 256

struct user {
  uid_t uid;
  gid_t gid, groups[MOST_GROUPS];
  size_t count;
};

/* A number and what has to follow it, at *text, which is moved behind it. */
static unsigned id_of(const char **text, char end) {
  char *rest;
  errno = 0;
  long long id = strtoll(*text, &rest, 10);
  if (**text < '0' || **text > '9' || errno || *rest != end || id >= UINT32_MAX)
    die(2, "read its arguments: not UID:GID:GROUP,... at", *text);
  *text = rest + (end != '\0');
  return (unsigned)id;
}

static struct user read_user(const char *text) {
  struct user user = {0};
  user.uid = id_of(&text, ':');
  user.gid = id_of(&text, ':');
  while (*text) {
    if (user.count == MOST_GROUPS) die(2, "read its arguments", "a user has too many groups");
    user.groups[user.count++] = id_of(&text, strchr(text, ',') ? ',' : '\0');
  }
  return user;
}

/* What runs from here on cannot come back, nor gain anything by an exec. */
static void drop_privileges(const char *text) {
  const struct user user = read_user(text);
  must("setgroups", setgroups(user.count, user.groups));
  must("setresgid", setresgid(user.gid, user.gid, user.gid));
  must("setresuid", setresuid(user.uid, user.uid, user.uid));
  must("no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  if (user.uid != 0 && (setuid(0) == 0 || seteuid(0) == 0 || setgroups(0, NULL) == 0))
    die(1, "drop root", "it could come back");
}
