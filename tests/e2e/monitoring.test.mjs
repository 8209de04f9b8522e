// A real Prometheus that scrapes three hosts of a cluster under load: its figures are those of the load, the dashboard has something to
// show, and alerts come when something is broken.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { clusterStory } from './support/cluster.mjs'
import { dashboard, metricNames, queries } from './support/dashboard.mjs'
import { startLoad } from './support/herold-load.mjs'
import { waitFor } from './support/herold.mjs'
import { CONFIG, Prometheus } from './support/prometheus.mjs'

const TOKEN = 'not-for-everybody-0123456789'
const folder = mkdtempSync(join(tmpdir(), 'herold-test-'))
const tokenFile = join(folder, 'token')
const CLUSTER = { hosts: 3, timeout: 240000, options: { admin_token_file: tokenFile, tls_self_signed: 'on', tls_listen: '127.0.0.1:0', workers: 2 } }
// Messages per second of each host, for so many seconds; the middle of them is looked at.
const RATE = 300
const LOAD_SECONDS = 16
const WINDOW_SECONDS = 12
const TOLERANCE = 0.02

writeFileSync(tokenFile, `${TOKEN}\n`, { mode: 0o644 })
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

/** The test with a Prometheus that has seen every host. */
function monitored(name, fn) {
	clusterStory(name, CLUSTER, async (cluster, t) => {
		const prometheus = await Prometheus.start({ targets: cluster.hosts.map((host) => host.adminAddress), token: TOKEN })

		try {
			await waitFor(async () => (await prometheus.query('up{job="herold"} == 1')).length === 3, 'every host is scraped')
			await fn({ cluster, prometheus, t })
		} catch (error) {
			t.diagnostic(JSON.stringify((await prometheus.targets().catch(() => [])).map(({ lastError, scrapeUrl }) => [scrapeUrl, lastError])))
			throw error
		} finally {
			await prometheus.end()
		}
	})
}

/** The same load on every host: its results. */
async function onEveryHost(cluster, scenario, url, ...args) {
	const loads = cluster.hosts.map((host, i) => startLoad(scenario, url(host), '--json', ...args.map((arg) => arg.replace('%', i))))
	const results = await Promise.all(loads.map((load) => load.done))

	for (const { code, err, out } of results)
		assert.equal(code, 0, `${scenario}: ${err}${out}`)
	return results.map(({ json }) => json)
}

const plain = (host) => host.wsUrl

/** A little of everything that is shown. */
async function variety(cluster) {
	await onEveryHost(cluster, 'reconnect', plain, '--connections=40', '--cut=20', '--rooms=4', '--room-prefix=room-%-', '--rate=50', '--seconds=3')
	await onEveryHost(cluster, 'broadcast', plain, '--connections=10', '--publishers=2', '--bytes=2000', '--compress', '--rate=20', '--seconds=2')
	await onEveryHost(cluster, 'echo', (host) => `wss://127.0.0.1:${host.tls.port}`, '--connections=4', '--insecure', '--rate=20', '--seconds=1')
	assert.equal((await fetch(`${cluster.hosts[0].adminUrl}/status`)).status, 401)
}

const differsBy = (figure, wanted) => Math.abs(figure / wanted - 1)

/** Herold's messages per second, as Prometheus has them, are those of the load. */
async function figuresAgree({ cluster, prometheus, t }) {
	const results = await onEveryHost(cluster, 'echo', plain, '--connections=20', `--rate=${RATE}`, `--seconds=${LOAD_SECONDS}`)
	const at = Date.now() / 1000 - (LOAD_SECONDS - WINDOW_SECONDS) / 2
	const wanted = results.reduce((sum, { per_second: rate }) => sum + rate, 0)

	assert.ok(differsBy(wanted, 3 * RATE) < 0.1, `the load is what was asked for: ${wanted}`)
	for (const metric of ['herold_messages_received_total', 'herold_messages_sent_total']) {
		const figure = await prometheus.value(`sum(rate(${metric}{job="herold"}[${WINDOW_SECONDS}s]))`, at)

		t.diagnostic(`${metric}: ${figure.toFixed(1)} a second, the load: ${wanted}, ${(100 * (figure / wanted - 1)).toFixed(2)} %`)
		assert.ok(differsBy(figure, wanted) < TOLERANCE, `${metric}: ${figure} of ${wanted}`)
		for (const { metric: { instance }, value } of await prometheus.query(`sum by (instance) (rate(${metric}{job="herold"}[${WINDOW_SECONDS}s]))`, at))
			assert.ok(differsBy(value, wanted / 3) < TOLERANCE, `${instance}: ${value} of ${wanted / 3}`)
	}
}

/** Every query has at least one value that is a number; queries of which all are 0 are shown. */
async function dashboardHasData({ prometheus, t }, since) {
	const [empty, zero] = [[], []]

	for (const { where, expression } of queries(dashboard())) {
		const values = (await prometheus.queryRange(expression, since, Date.now() / 1000, 1)).flatMap((series) => series.values).filter(Number.isFinite)

		if (values.length === 0)
			empty.push(`${where}: ${expression}`)
		else if (values.every((value) => value === 0))
			zero.push(where)
	}
	t.diagnostic(`always 0: ${zero.join('; ')}`)
	assert.deepEqual(empty, [], 'queries without data')
}

/** What rules, dashboard and manual name is there. */
async function namesExist({ prometheus }) {
	const there = new Set((await prometheus.query('group by (__name__) ({__name__=~"herold_.+"})')).map(({ metric }) => metric.__name__))
	const texts = ['rules.yml', 'grafana/herold.json', '../../docs/monitoring.md'].map((path) => readFileSync(join(CONFIG, path), 'utf8'))

	assert.deepEqual([...metricNames(texts.join('\n'))].filter((name) => !there.has(name)), [])
	assert.equal(await prometheus.value('min(herold_redis_servers)'), 1)
	assert.ok(await prometheus.value('min(herold_tls_certificate_end_seconds) - time()') > 300 * 86400, 'it is for a year')
	for (const rule of await prometheus.rules())
		assert.equal(rule.health, 'ok', `${rule.name}: ${rule.lastError}`)
}

/** An alert that has come tells whom it is about, in words. */
function tells(alert, instance) {
	assert.equal(alert.labels.instance, instance)
	for (const text of Object.values(alert.annotations))
		assert.doesNotMatch(text, /<error|%!|<no value>/)
	assert.ok(alert.annotations.summary.includes(instance), alert.annotations.summary)
}

async function alertsCome({ cluster, prometheus }) {
	const [first, , last] = cluster.hosts
	const headers = { Authorization: `Bearer ${TOKEN}` }

	assert.deepEqual((await prometheus.alerts()).filter(({ state }) => state === 'firing'), [], 'all is well until now')
	process.kill((await first.admin('/status', { headers })).json.workers[0].pid, 'SIGKILL')
	const crashed = await prometheus.alert('HeroldCrashed')

	tells(crashed, first.adminAddress)
	assert.equal(crashed.state, 'firing')
	assert.match(crashed.annotations.summary, /worker/)

	await cluster.redis.kill()
	const unreachable = await prometheus.alert('HeroldRedisUnreachable')

	tells(unreachable, unreachable.labels.instance)
	await cluster.redis.restart()
	await waitFor(async () => (await prometheus.alerts()).every(({ labels }) => labels.alertname !== 'HeroldRedisUnreachable'), 'Redis is there again', 20000)

	cluster.killLast()
	tells(await prometheus.alert('HeroldDown'), last.adminAddress)
}

monitored('Prometheus sees what the load does, the dashboard shows it, and alerts come', async (world) => {
	const since = Date.now() / 1000

	await variety(world.cluster)
	await figuresAgree(world)
	await namesExist(world)
	await dashboardHasData(world, since)
	await alertsCome(world)
})
