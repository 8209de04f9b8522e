// Rules, alerts and dashboard of deploy/monitoring, without a Herold: they are read, complete, and each alert fires when it is to.
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'

import { allPanels, dashboard, queries } from './support/dashboard.mjs'
import { CONFIG, Prometheus, promtool, writeConfig } from './support/prometheus.mjs'

const TOP = new URL('../..', import.meta.url).pathname
const read = (path) => readFileSync(join(TOP, path), 'utf8')
const TIMEOUT = { timeout: 60000 }

async function accepts(...args) {
	const { code, text } = await promtool(args)

	assert.equal(code, 0, text)
	return text
}

test('promtool accepts configuration and rules, and every alert fires when it is to, and only then', TIMEOUT, async () => {
	const dir = mkdtempSync(join(tmpdir(), 'herold-promtool-'))

	try {
		assert.match(await accepts('check', 'config', writeConfig(dir, 'token')), /SUCCESS/)
	} finally {
		rmSync(dir, { recursive: true })
	}
	await accepts('check', 'rules', '--lint=all', '--lint-fatal', 'rules.yml')
	await accepts('test', 'rules', 'rules.test.yml')
})

test('every alert is complete: how urgent, what is, what to do, where more about it stands, and when it fires and when not', TIMEOUT, async () => {
	const prometheus = await Prometheus.start({ targets: [] })

	try {
		const rules = await prometheus.rules()
		const alerts = rules.filter((rule) => rule.type === 'alerting')
		const runbook = read('docs/monitoring.md')
		const tests = read('deploy/monitoring/rules.test.yml').split(/^ {2}- name: /m).slice(1)

		assert.deepEqual(rules.filter((rule) => rule.health === 'err'), [])
		assert.deepEqual(tests.map((text) => text.split('\n')[0]).sort(), alerts.map(({ name }) => name).sort(), 'each has its test')
		for (const { name, labels, annotations } of alerts) {
			const section = `### ${name}\n`
			const its = tests.find((text) => text.startsWith(`${name}\n`))

			assert.match(labels.severity, /^(page|ticket)$/, name)
			assert.deepEqual(Object.keys(annotations).sort(), ['action', 'runbook', 'summary'], name)
			assert.equal(annotations.runbook, `docs/monitoring.md#${name.toLowerCase()}`)
			assert.ok(runbook.includes(section), `docs/monitoring.md has the section ${name}`)
			assert.ok(runbook.split(section)[1].split('\n#')[0].length > 150, `which says what to do about ${name}`)
			assert.match(its, /exp_samples: \[\]/, `${name}: a test in which it does not fire`)
			assert.match(its, /exp_samples:\n/, `${name}: a test in which it fires`)
		}
		assert.deepEqual([...runbook.matchAll(/^### (Herold\w+)$/gm)].map(([, name]) => name).sort(), alerts.map(({ name }) => name).sort())
	} finally {
		await prometheus.end()
	}
})

test('the dashboard has what Grafana wants: places, units, queries, and the variables for data source and hosts', TIMEOUT, async () => {
	const dash = dashboard()
	const panels = allPanels(dash)
	const source = { type: 'prometheus', uid: '${datasource}' }

	assert.ok(dash.schemaVersion >= 36 && dash.uid === 'herold' && dash.title === 'Herold')
	assert.deepEqual(dash.templating.list.map(({ name, type }) => [name, type]), [['datasource', 'datasource'], ['instance', 'query']])
	assert.equal(dash.templating.list[0].query, 'prometheus')
	assert.deepEqual(dash.templating.list[1].datasource, source)
	assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length, 'each has its number')
	for (const { title, description, type, targets, datasource, fieldConfig } of panels.filter((panel) => panel.type !== 'row')) {
		assert.ok(title && description?.length > 3, title)
		assert.match(type, /^(stat|timeseries)$/, title)
		assert.match(fieldConfig.defaults.unit, /^(short|mps|cps|ops|reqps|Bps|bytes|s|percentunit)$/, title)
		assert.deepEqual(datasource, source, title)
		assert.ok(targets.length > 0, title)
		assert.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length, title)
		for (const { expr, legendFormat, ...target } of targets) {
			assert.deepEqual(target.datasource, source, title)
			assert.ok(legendFormat, title)
			assert.equal([...expr.matchAll(/herold_\w+\{(.*?)\}/g)].every(([, labels]) => labels.startsWith('job="herold", instance=~"$instance"')), true, expr)
			assert.doesNotMatch(expr, /herold_\w+(?![\w{])/, `${title}: every selector is for the hosts that were chosen`)
		}
	}
	assert.deepEqual(overlapping(panels), [])
})

/** Pairs of panels that lie over each other, or beside the 24 columns. */
function overlapping(panels) {
	const boxes = panels.map(({ title, gridPos }) => ({ title, ...gridPos }))

	return boxes.flatMap((a, i) => a.x + a.w > 24 ? [a.title] : boxes.slice(i + 1)
		.filter((b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h).map((b) => [a.title, b.title]))
}

test('Prometheus reads every expression of the dashboard', TIMEOUT, async () => {
	const prometheus = await Prometheus.start({ targets: [] })

	try {
		for (const { expression } of queries(dashboard()))
			await prometheus.query(expression)
	} finally {
		await prometheus.end()
	}
})

test('the profile "monitoring" has what it mounts, images with a version, and no port for strangers', () => {
	const compose = read('docker-compose.yml')
	const services = Object.fromEntries(compose.split(/^ {2}(?=\w+:$)/m).map((text) => [text.split(':')[0], text]))

	for (const name of ['prometheus', 'grafana']) {
		const text = services[name]

		assert.match(text, /<<: \*every/, name)
		assert.match(text, /profiles: \[monitoring\]/, name)
		assert.match(text, /image: (prom\/prometheus:v|grafana\/grafana:)\d+\.\d+\.\d+$/m, name)
		assert.match(text, /ports: \["\$\{\w+:-127\.0\.0\.1:\d+\}:\d+"\]/, name)
		for (const [, path] of text.matchAll(/(?<=[ "])\.\/(.*?):\/\S*:ro/g))
			assert.ok(existsSync(join(TOP, path)), path)
	}
	assert.match(read('deploy/compose-admin.yml'), /prometheus:\n\s+secrets: \[admin_token\]/)
	assert.match(read('deploy/monitoring/grafana/datasource.yml'), /url: http:\/\/prometheus:9090\n/)
	assert.match(read('deploy/monitoring/prometheus.yml'), /names: \[herold\]/)
	assert.equal(CONFIG, join(TOP, 'deploy/monitoring/'))
})
