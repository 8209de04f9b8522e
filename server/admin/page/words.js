/* words - numbers, sizes, times and sentences for people: of even width as far as that goes */

const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const exact = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 })
const few = new Intl.NumberFormat('en', { minimumSignificantDigits: 3, maximumSignificantDigits: 3 })
const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
const RATES = ['B', 'kB', 'MB', 'GB', 'TB']

/* What is not known. */
export const NOTHING = '–'

/* A count: exact up to a million. */
export function count(n) {
	if (n === undefined || n === null)
		return NOTHING
	return n < 1e6 ? grouped.format(n) : n < 1e9 ? `${few.format(n / 1e6)} M` : `${few.format(n / 1e9)} G`
}

/* So many in a second: what is rare has a digit behind the point. */
export function rate(n) {
	if (n === undefined || n === null)
		return NOTHING
	return n >= 0.05 && n < 9.95 ? exact.format(n) : count(Math.round(n))
}

function scaled(n, base, names) {
	let i = 0

	for (; n >= base * 0.9995 && i < names.length - 1; i++)
		n /= base
	return [i === 0 ? grouped.format(n) : few.format(n), names[i]]
}

/* Memory, as [number, unit]. */
export function bytes(n) {
	return n === undefined || n === null ? [NOTHING, ''] : scaled(n, 1024, SIZES)
}

/* What goes through a line, as [number, unit]. */
export function bytesPerSecond(n) {
	if (n === undefined || n === null)
		return [NOTHING, '']
	const [number, unit] = scaled(n, 1000, RATES)

	return [number, `${unit}/s`]
}

/* Seconds, as [number, unit]. */
export function seconds(s) {
	if (s === undefined || s === null)
		return [NOTHING, '']
	return s < 0.001 ? [grouped.format(s * 1e6), 'µs'] : s < 1 ? [few.format(s * 1000), 'ms'] : [few.format(s), 's']
}

export function percent(share) {
	return rate(share === undefined || share === null ? share : share * 100)
}

/* How long, with the two largest units. */
export function duration(s) {
	const parts = [['d', Math.floor(s / 86400)], ['h', Math.floor(s / 3600) % 24], ['min', Math.floor(s / 60) % 60], ['s', Math.floor(s) % 60]]
	const first = parts.findIndex(([, n]) => n > 0)

	if (first < 0)
		return '0 s'
	return parts.slice(first, first + 2).filter(([, n]) => n > 0).map(([unit, n]) => `${n} ${unit}`).join(' ')
}

export function clock(ms) {
	return new Date(ms).toLocaleTimeString('en-GB')
}

/* The time, with the day if it is not today's. */
export function moment(ms) {
	const date = new Date(ms)
	const isToday = date.toDateString() === new Date().toDateString()

	return isToday ? clock(ms) : `${date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })} ${clock(ms)}`
}

export function sentence(text) {
	return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`
}

/* "a", "a and b", "a, b and c" */
export function list(words) {
	return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}
