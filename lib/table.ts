/** Apps as a table without lines and colours: what a shell can cut. */
import Table from 'cli-table3'

const PLAIN = {
  chars: {
    ...Object.fromEntries(
      ['top', 'bottom', 'left', 'right'].flatMap(side => [
        [side, ''],
        [`${side}-mid`, ''],
        [`${side}-left`, ''],
        [`${side}-right`, ''],
      ]),
    ),
    mid: '',
    'mid-mid': '',
    middle: '',
  },
  style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
}

export function tableOf(head: string[], rows: string[][]): string {
  const table = new Table({ ...PLAIN, head })
  table.push(...rows)
  return table.toString().replace(/ +$/gm, '')
}

/** Bytes as a person would say them; nothing for none. */
export function megabytes(bytes: number): string {
  return bytes === 0 ? '' : `${Math.round(bytes / 2 ** 20)} MB`
}
