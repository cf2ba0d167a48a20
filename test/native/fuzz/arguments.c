/* An argument vector, its words ended by NULs: it is refused, or every app lies within it. */
#include "system.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  int argc;
  char **argv = vector_of(data, size, &argc);
  begin(argc, argv);
  forget();
  return 0;
}
