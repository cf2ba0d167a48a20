/*
 * A reload: the messages of who thinks, the words in the memfd, and what becomes of that. Whatever comes, the program goes on as it
 * was or becomes another, and nothing of its descriptors or its masters is lost on the way.
 *
 * input   MESSAGES BEFORE 0xff WORDS
 *         MESSAGES: a byte, how many there are, at most 7; bit 3: the channel is not closed behind them; bit 4: masters that were to
 *         leave have been killed and are not reaped yet; the bits above: which allocation fails, from 1, 0 none. Then of each its
 *         data (an int, little-endian), how many bytes are sent of that and four more, and how many descriptors
 *         BEFORE    the argument vector of the body that there is     WORDS     what is in the memfd
 */
#include "system.h"

#define HEADER 6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int memfd, filler; /* the descriptors that are sent: the first of all, the others */

static void send_message(int to, const uint8_t *message, int *sent) {
  union { struct cmsghdr header; char space[CMSG_SPACE(253 * sizeof(int))]; } control = {0};
  uint8_t bytes[8] = {0};
  const int count = message[5] > 253 ? 253 : message[5];
  memcpy(bytes, message, 4);
  struct iovec part = {.iov_base = bytes, .iov_len = message[4] % 9};
  struct msghdr whole = {.msg_iov = &part, .msg_iovlen = 1};
  if (count) {
    whole.msg_control = &control;
    whole.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&whole);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
    for (int i = 0; i < count; i++)
      memcpy(CMSG_DATA(header) + (size_t)i * sizeof(int), (*sent)++ ? &filler : &memfd, sizeof(int));
  }
  sendmsg(to, &whole, MSG_DONTWAIT | MSG_NOSIGNAL); /* what the kernel does not let through does not come */
}

/* The masters that BEFORE tells of get lifelines that are there, and those that are to leave their time, as take_masters() does. */
static void hold_masters(int killed) {
  for (struct app *app = apps; app < apps + app_count; app++) {
    if (!app->master) continue;
    app->lifeline = fake_fcntl(filler, F_DUPFD_CLOEXEC, 3);
    HOLDS(app->lifeline >= 0);
    if (!app->sockets) app->until = killed ? 0 : now() + app->grace + MARGIN;
  }
}

/* The program goes on with what comes over the channel: BECAME, 0, or what it would have exited with. */
static int live(const int messages) {
  if (setjmp(over)) return ended;
  for (int turn = 0, offer = 0; offers >= 0 && turn <= messages; turn++) {
    offer = take_offer();
    if (offer < 0) end_reload();
    else if (offer > 0) hand_over();
  }
  return 0;
}

/* Whether LIVE has been put where the words have a place for it; else they are not what a lookout sends. */
static int is_in_place(char **argv, int argc) {
  if (argc < 6) return 0;
  const int files_at = 6;
  const long file_count = strtol(argv[5], NULL, 10);
  if (file_count < 0 || file_count > argc - files_at - 1) return 0;
  const long count = strtol(argv[files_at + file_count], NULL, 10);
  return count >= 0 && count <= argc && files_at + file_count + 1 + count == insert_at - 1;
}

/* Each master of before is its app's, if that has not changed, else one that is to leave; there are no others. */
static void compare(const struct app *before, int count) {
  int masters_before = 0, masters_after = 0;
  for (const struct app *old = before; old < before + count; old++) {
    if (!old->master) continue;
    masters_before++;
    const struct app *found = NULL;
    for (struct app *app = apps; app < apps + app_count; app++)
      if (app->master == old->master && app->lifeline == old->lifeline && strcmp(app->name, old->name) == 0) found = app;
    HOLDS(found);
    HOLDS(found->woken == old->woken && found->failures == old->failures);
    HOLDS(strcmp(found->version, old->version) == 0);
    if (!old->sockets) HOLDS(!found->sockets);
  }
  for (struct app *app = apps; app < apps + app_count; app++) masters_after += app->master != 0;
  HOLDS(masters_before == masters_after);
}

/* The next body reads what it is given. */
static void go_on(void) {
  struct app *before = kept(calloc((size_t)app_count, sizeof *before));
  memcpy(before, apps, (size_t)app_count * sizeof *before);
  const int count = app_count;
  int argc = 0;
  while (next_body[1 + argc]) argc++;
  char **argv = kept(calloc((size_t)argc + 1, sizeof *argv));
  memcpy(argv, next_body + 1, (size_t)argc * sizeof *argv);
  const int whole = is_in_place(argv, argc);
  end_reload();
  if (begin(argc, argv) == 0 && whole) compare(before, count);
  for (const struct app *app = before; app < before + count; app++)
    if (app->master) fake_close(app->lifeline);
}

static void run(const uint8_t *data, size_t size, const uint8_t *before, size_t length) {
  const uint8_t first = data[0], *words_at = before + length + 1, *end = data + size;
  const int count = first & 7;
  int pair[2], sent = 0, argc;
  char **argv = vector_of(before, length, &argc);
  if (begin(argc, argv) != 0 || socket_count > 64) return;
  HOLDS(ftruncate(memfd, 0) == 0 && pwrite(memfd, words_at, (size_t)(end - words_at), 0) == end - words_at);
  HOLDS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
  offers = pair[0];
  open_count = 1;
  files = kept(calloc((size_t)socket_count + 1, sizeof *files));
  hold_masters(first & 16);
  for (int i = 0; i < count; i++) send_message(pair[1], data + 1 + i * HEADER, &sent);
  if (!(first & 8)) close(pair[1]);
  if (first >> 5) allocations = (first >> 5) - 1;
  const int status = live(count);
  allocations = INT_MAX;
  HOLDS(status == BECAME || status == 0);
  if (first & 8) close(pair[1]);
  if (status == BECAME) go_on();
  else {
    end_reload();
    for (struct app *app = apps; app < apps + app_count; app++)
      if (app->master) fake_close(app->lifeline);
  }
  HOLDS(open_count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!filler) {
    memfd = memfd_create("words", MFD_CLOEXEC);
    filler = open("/dev/null", O_RDWR | O_CLOEXEC);
    HOLDS(memfd >= 0 && filler > 0);
  }
  const size_t header = 1 + (size > 0 ? (data[0] & 7) * HEADER : 0u);
  const uint8_t *before = data + header;
  const uint8_t *mark = size > header ? memchr(before, 0xff, size - header) : NULL;
  if (mark) run(data, size, before, (size_t)(mark - before));
  forget();
  return 0;
}
