// herold - starts the real programs on free ports, watches what they log, and ends them without a trace
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { join, resolve } from 'node:path'
import test from 'node:test'

import { parseMetrics } from './metrics.mjs'
import { seen, seenCounters, seenMetrics } from './seen.mjs'

const BIN = resolve(process.env.BIN ?? new URL('../../../build', import.meta.url).pathname)
const TELLTALES = /ERROR: \w+Sanitizer|runtime error:|LeakSanitizer|bug at |message"?[=:]"crashed"/
/** For processes that have to reach files after they have given up root: nothing, unless only root may enter the root directory (a bare chroot). */
export const REACHES_FILES = (statSync('/').mode & 0o001) === 0 ? { user: 'root' } : {}
// The leak checker reads /proc.
const BLOCKED_ROOT = BIN.includes('asan') ? REACHES_FILES : {}
/** Tests are faster than people: nobody here is limited, but where a test says limit_exempt: ''; and they want every line. */
const LOCAL = '127.0.0.0/8,::1,unix'
// A build with sanitizers on a busy machine takes its time.
const START_MS = 20000
const WAIT_MS = 10000
const STOP_MS = 20000

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms))

/** Calls `condition` until what it returns is true enough, and returns that. */
export async function waitFor(condition, what, timeoutMs = WAIT_MS) {
	const end = Date.now() + timeoutMs
	let trouble = ''

	for (;;) {
		try {
			const value = await condition()

			if (value)
				return value
		} catch (error) {
			trouble = `: ${error.message}`
		}
		if (Date.now() > end)
			throw new Error(`${what}: not within ${timeoutMs} ms${trouble}`)
		await sleep(20)
	}
}

/** The fields of a log line, text or JSON. */
export function logFields(line) {
	if (line.startsWith('{'))
		return JSON.parse(line)
	return Object.fromEntries([...line.matchAll(/(\w+)=("(?:[^"\\]|\\.)*"|\S+)/g)]
		.map(([, key, value]) => [key, value.startsWith('"') ? value.slice(1, -1).replace(/\\(.)/g, '$1') : value]))
}

/* HOST:PORT, or unix:/PATH, of what the log shows as a URL. */
function plainAddress(text) {
	return text.replace(/^https?:\/\//, '').replace(/\/$/, '')
}

/* The line of an address for clients, of which there may be several. */
const isReadyLine = (line) => /\bready\b/.test(line) && /\baddress\b/.test(line) && /\badmin\b/.test(line)

export class Herold {
	lines = []
	#addressCount
	isTerminated = false
	exit = null		// { code, signal } once the master has ended

	/** options: { NAME: VALUE } of the program; env: more environment; args: more arguments; under: a program with its arguments
	 * that is to start it; crashes: the program that does so on order. Waits until it is ready. */
	static async start({ options = {}, env = {}, args = [], under = [], crashes = false } = {}) {
		const herold = new Herold({ options, env, args, under, crashes })

		try {
			await herold.#ready()
		} catch (error) {
			herold.kill()
			throw new Error(`${error.message}\n${herold.log()}`)
		}
		return herold
	}

	constructor({ options, env, args, under, crashes }) {
		this.crashes = crashes
		this.program = join(BIN, crashes ? 'crash/herold' : 'herold')
		const all = { listen: '127.0.0.1:0', admin_listen: '127.0.0.1:0', workers: 2, drain_seconds: 0, limit_exempt: LOCAL, log_lines_per_second: 0, ...BLOCKED_ROOT, ...options }

		this.staysRoot = all.user === 'root'
		this.#addressCount = [all.listen, all.tls_listen ?? (all.tls_self_signed === 'on' ? 'one' : '')]
			.reduce((n, list) => n + `${list}`.split(',').filter(Boolean).length, 0)
		const [program, ...rest] = [...under, this.program, ...Object.entries(all).flatMap(([name, value]) => ['-o', `${name}=${value}`]), ...args]

		// A session of its own: everything that it starts can be found by that.
		this.child = spawn(program, rest, {
			detached: true, stdio: ['ignore', 'pipe', 'pipe'],
			env: { ...process.env, UBSAN_OPTIONS: 'print_stacktrace=1', ...env },
		})
		this.pid = this.child.pid
		for (const stream of [this.child.stdout, this.child.stderr])
			createInterface({ input: stream }).on('line', (line) => this.#note(line))
		this.exited = new Promise((done) => {
			this.child.on('error', (error) => this.#note(`could not start: ${error.message}`))
			this.child.on('close', (code, signal) => {
				this.exit = { code, signal }
				done(this.exit)
			})
		})
	}

	#note(line) {
		this.lines.push(line)
		for (const [, name] of line.matchAll(/\b(?:reason|then)"?[=:]"?(\w+)/g))
			seen('close', name)
	}

	async #ready() {
		// A line for each address; they may arrive one by one.
		await waitFor(() => this.exit !== null || this.lines.filter(isReadyLine).length >= this.#addressCount, 'the lines that say ready', START_MS)
		assert.equal(this.exit, null, 'it ended at once')
		const fields = logFields(this.lines.find(isReadyLine))

		this.address = plainAddress(fields.address)
		this.adminAddress = plainAddress(fields.admin)
		this.url = `http://${this.address}`
		this.wsUrl = `ws://${this.address}`
		this.adminUrl = `http://${this.adminAddress}`
	}

	/** All addresses for clients. */
	get addresses() {
		return this.lines.filter(isReadyLine).map((line) => plainAddress(logFields(line).address))
	}

	/** The first address with TLS: { host, port }. */
	get tls() {
		const address = logFields(this.lines.find((line) => isReadyLine(line) && line.includes('https://'))).address
		const { hostname, port } = new URL(address)

		return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) }
	}

	log(last = 200) {
		return this.lines.slice(-last).join('\n')
	}

	/** The first line that matches, now or later. */
	waitLog(pattern, timeoutMs) {
		return waitFor(() => this.lines.find((line) => pattern.test(line)), `a log line like ${pattern}`, timeoutMs)
	}

	/** A request to the admin process: { status, headers, text, json }. */
	async admin(path, init) {
		// A kept-alive connection may end in the very moment in which it is used again; asking twice does no harm, publishing may.
		const answer = await fetch(this.adminUrl + path, init).catch((error) => {
			if (init?.method !== undefined)
				throw error
			return fetch(this.adminUrl + path)
		})
		const text = await answer.text()
		let json

		try {
			json = JSON.parse(text)
		} catch {
			// A plain sentence.
		}
		return { status: answer.status, headers: answer.headers, text, json }
	}

	async status() {
		const { status, json, text } = await this.admin('/status')

		assert.equal(status, 200, text)
		seenCounters(json.counters)
		return json
	}

	/** What /metrics says: { types, values, text }. */
	async metrics(init) {
		const { status, text } = await this.admin('/metrics', init)

		assert.equal(status, 200, text)
		const metrics = parseMetrics(text)

		seenMetrics(metrics)
		return { ...metrics, text }
	}

	/** POST of the server API; its JSON. */
	async api(path, body) {
		const { status, json, text } = await this.admin(`/api/${path}`, {
			method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
		})

		assert.equal(status, 200, `${path}: ${text}`)
		return json
	}

	/** The slots of workers with their pids; likewise of broker and admin. */
	async pids() {
		const { workers, broker, admin } = await this.status()

		return { master: this.pid, workers: workers.map((w) => w.pid), broker: broker.pid, admin: admin.pid }
	}

	/** Every living process of this Herold, by its session. */
	processes() {
		return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
			try {
				const [state, , , session] = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ')

				return Number(session) === this.pid && state !== 'Z'
			} catch {
				return false
			}
		})
	}

	/** SIGTERM, once: a second one means "at once" to the master, and exit status 1. */
	terminate() {
		if (this.exit === null && !this.isTerminated)
			this.child.kill('SIGTERM')
		this.isTerminated = true
	}

	/** terminate() and what has to follow: exit status 0 (or what is given), nothing left, no report of a sanitizer. */
	async stop(exit = { code: 0, signal: null }) {
		// Unless it wants a token, or is gone already.
		if (this.exit === null && !this.isTerminated && this.adminUrl !== undefined)
			await this.metrics({ signal: AbortSignal.timeout(STOP_MS) }).catch(() => {})
		this.terminate()
		await waitFor(() => this.exit, 'the end after SIGTERM', STOP_MS)
		assert.deepEqual(this.exit, exit, 'exit status')
		await waitFor(() => this.processes().length === 0, 'the end of all its processes', 2000)
		this.assertClean()
	}

	assertClean() {
		const report = this.crashes ? -1 : this.lines.findIndex((line) => TELLTALES.test(line))

		assert.equal(report, -1, `in the log: ${this.lines.slice(report, report + 40).join('\n')}`)
	}

	/** Whatever happened: nothing stays behind. */
	kill() {
		for (const pid of this.processes()) {
			try {
				process.kill(pid, 'SIGKILL')
			} catch {
				// Gone already.
			}
		}
	}
}

/** Runs the program to its end, for what it says and does not serve: { code, signal, out, err }. */
export function run(args, { env = {} } = {}) {
	return new Promise((done) => execFile(join(BIN, 'herold'), args, { env: { ...process.env, ...env }, timeout: STOP_MS },
		(error, out, err) => done({ code: error === null ? 0 : error.code, signal: error?.signal ?? null, out, err })))
}

/** A test with a Herold of its own: fn(herold, t). Its log is shown when the test fails. exit: how it ends, when not in order;
 * concurrency: of its subtests. */
export function story(name, { timeout = 60000, skip = false, concurrency = 1, exit, ...settings }, fn) {
	test(name, { timeout, skip, concurrency }, async (t) => {
		const herold = await Herold.start(settings)
		// node may abandon a test that is out of time without running its finally.
		const atExit = () => herold.kill()

		process.once('exit', atExit)
		try {
			await fn(herold, t)
			await herold.stop(exit)
		} catch (error) {
			for (const line of herold.lines.slice(-200))
				t.diagnostic(line)
			throw error
		} finally {
			herold.kill()
			process.removeListener('exit', atExit)
		}
	})
}
