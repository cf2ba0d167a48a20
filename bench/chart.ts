/** The picture that the README shows: four of the measures, a bar a server, lookout's in colour. */
import * as echarts from 'echarts'
import { median } from './report.ts'
import type { Series } from './sampling.ts'

const WIDTH = 900
const BAR = 24
const TITLE = 34
const GAP = 26

const OURS = '#0a7d55'
const OTHERS = '#9aa4ad'
const TEXT = '#3b4650'

/** Beginnings of the measures' names, with what is said above their bars. */
const PANELS = [
  { measure: 'first request, hello', title: 'First request from rest, bare http: ms, less is better' },
  { measure: 'first request, express', title: 'First request from rest, Express: ms, less is better' },
  { measure: 'new connections', title: 'New connections a second, 4 workers: more is better' },
  { measure: 'keep-alive, 2', title: 'Requests a second over keep-alive connections, 2 workers: more is better' },
  { measure: 'private dirty memory at rest', title: 'Private memory at rest: kB, less is better' },
]

const said = (value: number): string => (value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en'))

/** @returns an SVG of its own background, which reads on a light page and on a dark one */
export function chart(series: Series[], caption: string): string {
  const panels = PANELS.map(({ measure, title }) => ({
    title,
    rows: series.filter(each => each.measure.startsWith(measure)),
  })).filter(({ rows }) => rows.length > 0)
  let top = 0
  const placed = panels.map(panel => {
    const place = { ...panel, top: top + TITLE, height: panel.rows.length * BAR }
    top = place.top + place.height + GAP
    return place
  })
  const picture = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: top + 20 })
  picture.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { fontFamily: 'system-ui, sans-serif', color: TEXT },
    title: [
      ...placed.map(({ title, top }) => ({
        text: title,
        left: 16,
        top: top - 26,
        textStyle: { fontSize: 14, color: TEXT },
      })),
      { text: caption, left: 16, top: top - 8, textStyle: { fontSize: 11, fontWeight: 'normal', color: TEXT } },
    ],
    grid: placed.map(({ top, height }) => ({ left: 230, right: 90, top, height })),
    xAxis: placed.map((_, gridIndex) => ({ gridIndex, type: 'value', show: false })),
    yAxis: placed.map(({ rows }, gridIndex) => ({
      gridIndex,
      type: 'category',
      inverse: true,
      data: rows.map(({ server }) => server),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { fontSize: 12, color: TEXT, interval: 0 },
    })),
    series: placed.map(({ rows }, index) => ({
      type: 'bar',
      xAxisIndex: index,
      yAxisIndex: index,
      barWidth: BAR - 8,
      label: { show: true, position: 'right', color: TEXT, formatter: ({ value }: { value: number }) => said(value) },
      data: rows.map(({ server, samples }) => ({
        value: median(samples),
        itemStyle: { color: server.startsWith('lookout') ? OURS : OTHERS },
      })),
    })),
  })
  const svg = picture.renderToSVGString()
  picture.dispose()
  return svg
}
