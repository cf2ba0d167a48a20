{
  "target_defaults": {
    "cflags": ["-Wall", "-Wextra", "-Wconversion", "-Wno-unused-parameter", "-O2", "-D_GNU_SOURCE"],
  },
  "targets": [
    {
      "target_name": "posix",
      "sources": ["native/posix.c"],
      "defines": ["NAPI_VERSION=8"],
    },
    {
      # Static: no dynamic linker, no relocations to dirty. What rests is what is written.
      "target_name": "lookout",
      "type": "executable",
      "sources": ["native/lookout.c"],
      "ldflags": ["-static", "-Wl,-z,norelro", "-Wl,--gc-sections"],
      "libraries!": ["-lstdc++"],
    },
  ],
}
