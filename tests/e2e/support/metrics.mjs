// metrics - what /metrics says, as a map
/** { types: name to type, values: series to number }, of Prometheus' text format or OpenMetrics. */
export function parseMetrics(text) {
	const types = new Map()
	const values = new Map()

	for (const line of text.split('\n')) {
		const type = /^# TYPE (\S+) (\S+)$/.exec(line)
		const sample = /^([a-z_]+(?:\{.*\})?) (\S+)$/.exec(line)

		if (type !== null)
			types.set(type[1], type[2])
		else if (sample !== null)
			values.set(sample[1], Number(sample[2]))
	}
	return { types, values }
}

/** Only those that never fall: counters, and all of histograms. */
export const countersOf = ({ values }) => new Map([...values].filter(([name]) => /^\w+_(total|bucket|count|sum)(\{|$)/.test(name)))
