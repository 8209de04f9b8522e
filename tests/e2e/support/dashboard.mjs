// dashboard - what Grafana makes of the dashboard, as far as Prometheus is asked
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { CONFIG } from './prometheus.mjs'

export const dashboard = () => JSON.parse(readFileSync(join(CONFIG, 'grafana/herold.json'), 'utf8'))

/** With rows, and what folded rows have in them. */
export const allPanels = ({ panels }) => panels.flatMap((panel) => [panel, ...panel.panels ?? []])

/** Everything that is asked: { where, expression }, with Grafana's variables in place. */
export function queries(dash, { instance = '.*', rateInterval = '10s', range = '5m' } = {}) {
	const filled = (text) => text.replaceAll('$instance', instance).replaceAll('$__rate_interval', rateInterval).replaceAll('$__range', range)

	return allPanels(dash).flatMap(({ title, targets = [] }) => targets.map(({ refId, expr }) => ({ where: `${title}, ${refId}`, expression: filled(expr) })))
}

/** The names of Herold's metrics in a text. */
export const metricNames = (text) => new Set([...text.matchAll(/(?<![\w:/])herold_\w+/g)].map(([name]) => name))
