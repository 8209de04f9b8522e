// prometheus - a real Prometheus on a free port of loopback, with the configuration of deploy/monitoring, and a small client to ask it
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { waitFor } from './herold.mjs'
import { freePort } from './redis.mjs'

/** The folder that containers of Prometheus see. */
export const CONFIG = new URL('../../../deploy/monitoring/', import.meta.url).pathname
const START_MS = 20000
const STOP_MS = 10000

/** Runs promtool to its end: { code, text }. */
export function promtool(args, input) {
	return new Promise((done) => {
		const child = execFile('promtool', args, { cwd: CONFIG, maxBuffer: 1 << 24 },
			(error, out, err) => done({ code: error === null ? 0 : error.code, text: out + err }))

		child.stdin.end(input)
	})
}

/** Replaces what has to be there. */
function replace(text, pattern, by) {
	assert.match(text, pattern)
	return text.replace(pattern, by)
}

/** The configuration in force, put into a folder of its own with what it names; edit(text) changes it. */
export function writeConfig(dir, token, edit = (text) => text) {
	const text = readFileSync(join(CONFIG, 'prometheus.yml'), 'utf8')

	writeFileSync(join(dir, 'token'), `${token}\n`)
	for (const name of ['rules.yml', 'alertmanagers.yml'])
		copyFileSync(join(CONFIG, name), join(dir, name))
	writeFileSync(join(dir, 'prometheus.yml'), edit(replace(text, /\/run\/secrets\/admin_token/, join(dir, 'token'))))
	return join(dir, 'prometheus.yml')
}

/** Each second; targets instead of a name that only a network of containers has. */
function forTest(targets) {
	return (text) => {
		const quick = replace(replace(replace(text, /scrape_interval: \S+/, 'scrape_interval: 1s'), /scrape_timeout: \S+/, 'scrape_timeout: 1s'),
			/evaluation_interval: \S+/, 'evaluation_interval: 1s')

		return replace(quick, /dns_sd_configs:\n(\s+)- names:(.*\n)+/, `static_configs:\n$1- targets: ${JSON.stringify(targets)}\n`)
	}
}

export class Prometheus {
	lines = []

	/** targets: HOST:PORT each; token: what they want. Waits until it answers. */
	static async start({ targets, token = 'none' }) {
		const prometheus = new Prometheus(await freePort(), targets, token)

		try {
			await waitFor(async () => prometheus.hasEnded || (await fetch(`${prometheus.url}/-/ready`)).ok, 'Prometheus', START_MS)
			assert.ok(!prometheus.hasEnded, 'it ended at once')
		} catch (error) {
			await prometheus.end()
			throw new Error(`${error.message}\n${prometheus.lines.join('')}`)
		}
		return prometheus
	}

	constructor(port, targets, token) {
		this.url = `http://127.0.0.1:${port}`
		this.dir = mkdtempSync(join(tmpdir(), 'herold-prometheus-'))
		this.child = spawn('prometheus', [`--config.file=${writeConfig(this.dir, token, forTest(targets))}`, `--storage.tsdb.path=${this.dir}/data`,
			'--storage.tsdb.retention.time=1h', `--web.listen-address=127.0.0.1:${port}`, '--log.level=warn'], { stdio: ['ignore', 'ignore', 'pipe'] })
		this.child.stderr.on('data', (data) => this.lines.push(String(data)))
		this.atExit = () => this.#remove()
		// node may abandon a test that is out of time without running its finally.
		process.once('exit', this.atExit)
		this.hasEnded = false
		this.exited = new Promise((done) => {
			this.child.on('error', (error) => {
				this.lines.push(`could not start: ${error.message}`)
				this.hasEnded = true
				done()
			})
			this.child.on('exit', () => {
				this.hasEnded = true
				done()
			})
		})
	}

	async #get(path, parameters = {}) {
		const answer = await fetch(`${this.url}/api/v1/${path}?${new URLSearchParams(parameters)}`)
		const json = await answer.json()

		assert.equal(json.status, 'success', `${path} ${JSON.stringify(parameters)}: ${json.error}`)
		return json.data
	}

	/** The series of an expression at a time (seconds; now): [{ metric, value }]. */
	async query(expression, time) {
		const { result } = await this.#get('query', { query: expression, ...time !== undefined && { time } })

		return result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }))
	}

	/** The value of an expression that has one. */
	async value(expression, time) {
		const series = await this.query(expression, time)

		assert.equal(series.length, 1, `${expression} has one value: ${JSON.stringify(series)}`)
		return series[0].value
	}

	/** The series of an expression over a span: [{ metric, values }]. */
	async queryRange(expression, start, end, step) {
		const { result } = await this.#get('query_range', { query: expression, start, end, step })

		return result.map(({ metric, values }) => ({ metric, values: values.map(([, value]) => Number(value)) }))
	}

	async targets() { return (await this.#get('targets')).activeTargets }

	async rules() { return (await this.#get('rules')).groups.flatMap((group) => group.rules) }

	/** Pending and firing. */
	async alerts() { return (await this.#get('alerts')).alerts }

	/** Until an alert is pending or fires; it. */
	alert(name, timeoutMs) {
		return waitFor(async () => (await this.alerts()).find((alert) => alert.labels.alertname === name), `the alert ${name}`, timeoutMs)
	}

	/** For good: what it has stored is gone with it. */
	async end() {
		if (!this.hasEnded)
			this.child.kill('SIGTERM')
		await waitFor(() => this.hasEnded, 'the end of Prometheus', STOP_MS).finally(() => this.#remove())
	}

	#remove() {
		process.removeListener('exit', this.atExit)
		if (!this.hasEnded)
			this.child.kill('SIGKILL')
		rmSync(this.dir, { recursive: true, force: true, maxRetries: 5 })
	}
}
