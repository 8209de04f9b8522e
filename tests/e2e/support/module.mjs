// module - the page's client module, as node loads it: from source text, because it stands among browser files
import { readFileSync } from 'node:fs'

export function clientModule(source = readFileSync(new URL('../../../server/page/herold.js', import.meta.url), 'utf8')) {
	return import(`data:text/javascript;charset=utf-8,${encodeURIComponent(source)}`)
}

/** Everything a client of the module tells, in order, with the type as `event`. */
export function record(client) {
	const events = []

	client.on('*', (event, type) => events.push({ ...event, event: type }))
	return events
}
