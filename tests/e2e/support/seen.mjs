// seen - notes which error codes and close reasons occurred and which metrics moved, for seen-check.mjs
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'

const noted = new Set()

/** kind: 'error' (a code the chat answered with), 'close' (a reason in the log), 'series' (shown by /metrics), 'moved' (with another value than
 * 0), or 'stat' (a name in /status with another value than 0). */
export function seen(kind, name) {
	const line = `${kind} ${name}\n`

	if (process.env.SEEN_DIR === undefined || noted.has(line))
		return
	noted.add(line)
	appendFileSync(join(process.env.SEEN_DIR, String(process.pid)), line)
}

/** What /metrics says. Every worker shows the same, not every process has a link, and of a histogram it is enough that something was observed. */
export function seenMetrics({ values }) {
	for (const [name, value] of values) {
		if (/_(bucket|sum)(\{|$)/.test(name))
			continue
		const series = name.replace(/worker="\d+"/, 'worker=""').replace(/(link_queue_bytes\{process)="\w+"/, '$1=""').replace(/version="[^"]*"/, 'version=""')

		seen('series', series)
		if (value !== 0)
			seen('moved', series)
	}
}

/** The counters of /status, families in objects of their own. */
export function seenCounters(counters) {
	for (const [name, value] of Object.entries(counters)) {
		if (typeof value === 'number' && value !== 0)
			seen('stat', name)
	}
}
