/** Hours in which an idle app stays awake: 8:00-18:00, mon-fri 8:00-18:00, several by commas. */
import { Misuse } from './errors.js'

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

/** A span of each of these days, in minutes from midnight, local time; past midnight where `to` is above a day's. */
export interface Hours {
  /** 0 is Sunday. */
  days: number[]
  from: number
  to: number
}

const DAY = 24 * 60

const SPAN = /^(?:([a-z]{3})(?:-([a-z]{3}))?\s+)?(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)$/i

/** @throws Misuse */
export function parseHours(text: string): Hours[] {
  return text.split(',').map(part => {
    const found = SPAN.exec(part.trim())
    const days = found && daysOf(found[1], found[2])
    const [from = -1, to = -1] = found ? [minutes(found[3]!, found[4]!), minutes(found[5]!, found[6]!)] : []
    if (!days || from < 0 || to < 0 || from === to || from === DAY)
      throw new Misuse(`hours are 8:00-18:00 or mon-fri 8:00-18:00, several by commas, not ${JSON.stringify(text)}`)
    return { days, from, to: to > from ? to : to + DAY }
  })
}

/** -1 where there is no such time. */
function minutes(hours: string, minutes: string): number {
  const sum = Number(hours) * 60 + Number(minutes)
  return Number(minutes) < 60 && sum <= DAY ? sum : -1
}

/** From one day to another, over the weekend where that is between; every day where none is given. */
function daysOf(first?: string, last = first): number[] | undefined {
  if (first === undefined) return [...DAYS.keys()]
  const [from, to] = [first, last!].map(day => DAYS.indexOf(day.toLowerCase())) as [number, number]
  if (from < 0 || to < 0) return undefined
  const count = ((to - from + 7) % 7) + 1
  return Array.from({ length: count }, (_, index) => (from + index) % 7)
}

/** Until when an idle app is to stay awake, as 18:00; undefined where it need not. */
export function awakeUntil(hours: Hours[], date: Date): string | undefined {
  const time = date.getHours() * 60 + date.getMinutes()
  const today = date.getDay()
  const within = hours.find(
    ({ days, from, to }) =>
      (days.includes(today) && time >= from && time < to) ||
      (days.includes((today + 6) % 7) && time + DAY >= from && time + DAY < to),
  )
  if (!within) return undefined
  const [hour, minute] = [Math.floor((within.to % DAY) / 60), within.to % 60]
  return `${hour}:${String(minute).padStart(2, '0')}`
}
