/** --watch: tells when a file that the app loaded changes. chokidar is loaded here, and only then. */
import path from 'node:path'
import type { FSWatcher } from 'chokidar'

/** @param changed called once, with the file as a person would name it */
export function watch(files: string[], changed: (file: string) => void): { add(files: string[]): void } {
  let pending = files
  let watcher: FSWatcher | undefined
  void import('chokidar').then(chokidar => {
    watcher = chokidar.watch(pending, { ignoreInitial: true, persistent: false })
    const once = (file: string) => {
      void watcher?.close()
      changed(path.relative(process.cwd(), file))
    }
    watcher.once('change', once)
    watcher.once('unlink', once)
    watcher.on('error', () => {}) // out of inotify watches: the rest are watched
    pending = []
  })
  return {
    add(more) {
      if (watcher) watcher.add(more)
      else pending.push(...more)
    },
  }
}
