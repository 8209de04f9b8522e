/* chart - a small line over the last 15 minutes: plain SVG, one shape, one scale from nothing to the highest */

const SVG = 'http://www.w3.org/2000/svg'
const WIDTH = 300
const HEIGHT = 48
const TOP = 4

function make(name, attributes) {
	const element = document.createElementNS(SVG, name)

	for (const [key, value] of Object.entries(attributes))
		element.setAttribute(key, value)
	return element
}

/* Points { time, value } in unbroken runs: what was not measured, or not known, is a gap. */
function runsOf(points, step) {
	const runs = []
	let last = null

	for (const point of points) {
		if (point.value === null) {
			last = null
			continue
		}
		if (last === null || point.time - last > 2.5 * step)
			runs.push([])
		runs.at(-1).push(point)
		last = point.time
	}
	return runs
}

export class Chart {
	#lines = []
	#cursor

	/* names: of its lines, for those who do not see them */
	constructor(element, names) {
		this.svg = make('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' })
		this.svg.append(make('path', { class: 'ground', d: `M0 ${HEIGHT - 0.5}H${WIDTH}` }))
		this.names = names
		names.forEach((_, i) => {
			const line = { area: make('path', { class: `area line-${i}` }), edge: make('path', { class: `edge line-${i}` }) }

			this.#lines.push(line)
			this.svg.append(line.area, line.edge)
		})
		this.#cursor = make('path', { class: 'cursor' })
		this.svg.append(this.#cursor)
		element.append(this.svg)
	}

	/* lines: for each name its points, oldest first; from, to: times at both ends; least: the top of the scale is no lower. Returns the
	 * highest value, or null. */
	draw(lines, { from, to, step, least = 0 }) {
		const known = lines.flat().map((p) => p.value).filter((v) => v !== null)
		const highest = known.length > 0 ? known.reduce((a, b) => Math.max(a, b), 0) : null
		const top = Math.max(highest ?? 0, least) || 1
		const x = (time) => ((time - from) / (to - from) * WIDTH).toFixed(1)
		const y = (value) => (HEIGHT - 0.5 - value / top * (HEIGHT - TOP)).toFixed(1)

		lines.forEach((points, i) => {
			const runs = runsOf(points.filter((p) => p.time >= from), step)
			const edges = runs.map((run) => run.map((p, k) => `${k === 0 ? 'M' : 'L'}${x(p.time)} ${y(p.value)}`).join(''))

			this.#lines[i].edge.setAttribute('d', edges.map((d, k) => runs[k].length === 1 ? `${d}h0.1` : d).join(''))
			this.#lines[i].area.setAttribute('d', edges.map((d, k) => `${d}L${x(runs[k].at(-1).time)} ${HEIGHT}L${x(runs[k][0].time)} ${HEIGHT}Z`).join(''))
		})
		this.x = x
		return highest
	}

	/* A line at that time; null: none. */
	mark(time) {
		this.#cursor.setAttribute('d', time === null ? '' : `M${this.x(time)} 0V${HEIGHT}`)
	}

	describe(text) {
		if (this.svg.getAttribute('aria-label') !== text)
			this.svg.setAttribute('aria-label', text)
	}
}
