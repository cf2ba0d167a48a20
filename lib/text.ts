/** Words for people. */

/** 1 worker, 2 workers. */
export function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}
