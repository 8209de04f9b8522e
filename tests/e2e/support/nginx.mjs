// nginx - a real one with the files of nginx/, of which only addresses and paths are changed, in a folder of its own
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'

import { Herold, waitFor } from './herold.mjs'

const SHIPPED = new URL('../../../nginx/', import.meta.url).pathname
const MODULES = '/usr/lib/nginx/modules'
const hasIpv6 = existsSync('/proc/net/if_inet6') && readFileSync('/proc/net/if_inet6', 'utf8').includes(' lo')
// Where nobody but root may enter the root directory, nginx' workers have to be root to reach their files.
const isRootBlocked = (statSync('/').mode & 0o001) === 0

/** Every shipped file of configuration, as a path below nginx/. */
export const shippedFiles = readdirSync(SHIPPED, { recursive: true }).filter((name) => name.endsWith('.conf')).sort()

/** A port that nobody listens on, below those that the system gives to connections. */
async function freePort() {
	for (;;) {
		const port = 10000 + Math.floor(Math.random() * 20000)
		const server = createServer()
		const isFree = await new Promise((done) => server.once('error', () => done(false)).listen(port, '127.0.0.1', () => done(true)))

		if (isFree)
			await new Promise((done) => server.close(done))
		if (isFree)
			return port
	}
}

const accepts = (port) => new Promise((done) => {
	const socket = connect(port, '127.0.0.1', () => {
		socket.destroy()
		done(true)
	}).once('error', () => done(false))
})

export class Nginx {
	lines = []		// what it said on its terminal
	exit = null

	/** backends: HOST:PORT of Herolds; page: { name: text } of files for the page; tls: { pem, key }, turns TLS on; stream: HOST:PORT of
	 * Herolds that expect the PROXY protocol, turns TCP on; edit: (name, text) => text, a last change. Waits until it serves. */
	static async start(settings) {
		for (let attempt = 1; ; attempt++) {
			const nginx = new Nginx(settings)

			try {
				await nginx.#start()
				return nginx
			} catch (error) {
				nginx.kill()
				// Somebody else has taken the port in between.
				if (attempt === 3 || !nginx.log().includes('Address already in use'))
					throw new Error(`${error.message}\n${nginx.log()}`)
			}
		}
	}

	constructor(settings) {
		this.settings = settings
		this.folder = mkdtempSync(join(tmpdir(), 'herold-nginx-'))
		this.conf = join(this.folder, 'conf')
		// Its workers are another user.
		chmodSync(this.folder, 0o755)
		for (const name of ['log', 'lib', 'www'])
			mkdirSync(join(this.folder, name))
		// Modules are looked for below the prefix.
		if (existsSync(MODULES))
			symlinkSync(MODULES, join(this.folder, 'modules'))
	}

	/** Writes the files: those that are shipped, with other addresses and paths. */
	async configure() {
		const { page = {}, tls, stream } = this.settings

		Object.assign(this, { port: await freePort(), tlsPort: await freePort(), streamPort: await freePort() })
		cpSync(SHIPPED, this.conf, { recursive: true })
		for (const name of shippedFiles)
			writeFileSync(join(this.conf, name), this.#adapt(name, readFileSync(join(SHIPPED, name), 'utf8')))
		this.writeUpstream(this.settings.backends)
		for (const [name, text] of Object.entries(page))
			writeFileSync(join(this.folder, 'www', name), text)
		if (tls !== undefined)
			for (const kind of ['pem', 'key'])
				cpSync(tls[kind], join(this.conf, `herold.${kind}`))
		Object.assign(this, { wsUrl: `ws://127.0.0.1:${this.port}`, url: `http://127.0.0.1:${this.port}`, address: `127.0.0.1:${this.port}`,
			streamWsUrl: `ws://127.0.0.1:${this.streamPort}`, hasStream: stream !== undefined })
	}

	#adapt(name, text) {
		const { tls, stream = [], edit = (_, same) => same } = this.settings
		const enabled = [tls !== undefined && 'tls', this.settings.stream !== undefined && 'stream-proxy-protocol'].filter(Boolean)
		let result = text
			.replaceAll('/run/nginx.pid', join(this.folder, 'nginx.pid'))
			.replaceAll('/var/log/nginx', join(this.folder, 'log'))
			.replaceAll('/var/lib/nginx', join(this.folder, 'lib'))
			.replaceAll('/var/www/herold', join(this.folder, 'www'))
			.replaceAll('/etc/nginx/herold', join(this.conf, 'herold'))
			.replace(/listen \[::\]:(80|443) (.*)\n\s*/g, (_, port, rest) => hasIpv6 ? `listen [::1]:${port} ${rest}\n` : '')
			.replace(/listen (\[::1\]:)?(80|443|8000) /g, (_, v6 = '127.0.0.1:', port) =>
				`listen ${v6}${{ 80: this.port, 443: this.tlsPort, 8000: this.streamPort }[port]} `)
			.replace(/server 127\.0\.0\.1:8090 (.*)\n/, (_, rest) => stream.map((address) => `server ${address} ${rest}\n`).join(''))

		for (const file of enabled)
			result = result.replace(`# include ${file}.conf;`, `include ${file}.conf;`)
		if (isRootBlocked)
			result = result.replace('user www-data;', 'user root;')
		return edit(name, result)
	}

	/** As a program would that follows the number of backends. */
	writeUpstream(backends) {
		writeFileSync(join(this.conf, 'upstream.conf'), backends.map((address) => `server ${address} max_fails=1 fail_timeout=5s;\n`).join(''))
	}

	/** nginx with its arguments: { code, out }. */
	run(...args) {
		return new Promise((done) => execFile('nginx', ['-p', this.folder, '-c', join(this.conf, 'nginx.conf'), ...args],
			(error, out, err) => done({ code: error === null ? 0 : error.code, out: out + err })))
	}

	async #start() {
		await this.configure()
		// A session of its own: everything that it starts can be found by that.
		this.child = spawn('nginx', ['-p', this.folder, '-c', join(this.conf, 'nginx.conf'), '-g', 'daemon off;'],
			{ detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
		for (const stream of [this.child.stdout, this.child.stderr])
			stream.on('data', (data) => this.lines.push(String(data)))
		this.child.on('error', (error) => {
			this.lines.push(`could not start: ${error.message}`)
			this.exit = { code: null, signal: null }
		})
		this.child.on('close', (code, signal) => { this.exit = { code, signal } })
		await waitFor(async () => this.exit !== null || await accepts(this.port), 'nginx accepts')
		assert.equal(this.exit, null, 'it ended at once')
	}

	/** Its processes: { pid, title }. */
	processes() {
		return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).flatMap((pid) => {
			try {
				const [state, , , session] = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ')

				return Number(session) === this.child?.pid && state !== 'Z'
					? [{ pid, title: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0+$/, '') }] : []
			} catch {
				return []
			}
		})
	}

	/** SIGHUP; waits until other workers serve and the old ones only keep what they have. */
	async reload() {
		const workers = () => this.processes().filter((p) => p.pid !== this.child.pid)
		const isLeaving = (p) => p.title.includes('shutting down')
		const old = workers()
		const serving = old.filter((p) => !isLeaving(p)).length

		this.child.kill('SIGHUP')
		await waitFor(() => {
			const fresh = workers().filter((p) => old.every((each) => each.pid !== p.pid))

			return fresh.length >= serving && workers().every((p) => fresh.some((each) => each.pid === p.pid) || isLeaving(p))
		}, 'the workers of after the reload')
	}

	/** The lines of the access log, parsed. */
	accesses() {
		return readFileSync(join(this.folder, 'log', 'access.log'), 'utf8').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line))
	}

	log() {
		const file = join(this.folder, 'log', 'error.log')

		return this.lines.join('') + (existsSync(file) ? readFileSync(file, 'utf8').slice(-20000) : '')
	}

	/** SIGTERM: at once, in order. */
	async stop() {
		this.child.kill('SIGTERM')
		await waitFor(() => this.exit, 'the end of nginx')
		assert.deepEqual(this.exit, { code: 0, signal: null }, this.log())
		this.kill()
	}

	/** Whatever happened: nothing stays behind. */
	kill() {
		for (const { pid } of this.processes()) {
			try {
				process.kill(pid, 'SIGKILL')
			} catch {
				// Gone already.
			}
		}
		rmSync(this.folder, { recursive: true, force: true })
	}
}

/** A test with so many Herolds behind an nginx of their own: fn({ nginx, herolds, t }). options: of each Herold, or i => options.
 * proxied: they also expect the PROXY protocol, on an address of its own, which nginx' stream goes to. ends: how those end that do
 * not end in order, by their number. */
export function frontStory(name, { timeout = 90000, backends = 2, options = {}, proxied = false, ends = {}, ...settings }, fn) {
	test(name, { timeout }, async (t) => {
		const herolds = []
		let nginx
		const kill = () => {
			for (const each of [nginx, ...herolds])
				each?.kill()
		}

		process.once('exit', kill)
		try {
			const listen = proxied ? '127.0.0.1:0,127.0.0.1:0 proxy_protocol' : '127.0.0.1:0'

			for (let i = 0; i < backends; i++)
				herolds.push(await Herold.start({ options: { listen, trusted_proxies: '127.0.0.1', ...(typeof options === 'function' ? options(i) : options) } }))
			nginx = await Nginx.start({ backends: herolds.map((h) => h.address), ...(proxied && { stream: herolds.map((h) => h.addresses[1]) }), ...settings })
			await fn({ nginx, herolds, t })
			await nginx.stop()
			for (const [i, herold] of herolds.entries())
				await herold.stop(ends[i])
		} catch (error) {
			for (const line of [nginx?.log() ?? 'no nginx', ...herolds.map((h, i) => `--- Herold ${i}\n${h.log(100)}`)])
				t.diagnostic(line)
			throw error
		} finally {
			kill()
			process.removeListener('exit', kill)
		}
	})
}
