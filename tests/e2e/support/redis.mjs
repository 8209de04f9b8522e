// redis - real Redis servers and Sentinels on free ports of loopback, each in a directory of its own, and a small client to ask them
import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { waitFor } from './herold.mjs'

const START_MS = 10000
const ANSWER_MS = 5000
const living = new Set()

// node may abandon a test that is out of time without running its finally.
process.on('exit', () => living.forEach((server) => {
	server.killNow()
	server.removeDir()
}))

/** A port that nobody has, below those which the kernel gives to connections: so none of them takes it while its server is away, and
 * none that is being made to it meets itself. */
export async function freePort() {
	const [first] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split('\t').map(Number)

	for (;;) {
		const port = 10000 + Math.floor(Math.random() * (first - 10000))
		const isFree = await new Promise((done) => {
			const server = net.createServer().on('error', () => done(false))

			server.listen(port, '127.0.0.1', () => server.close(() => done(true)))
		})

		if (isFree)
			return port
	}
}

/** A connection that speaks RESP: command(...) answers texts, numbers, null and lists; an error of the server is thrown. */
export class RedisClient {
	#waiting = []
	#bytes = Buffer.alloc(0)

	constructor(port) {
		this.socket = net.connect(port, '127.0.0.1')
		this.socket.setNoDelay(true)
		this.socket.on('data', (bytes) => this.#receive(bytes))
		this.socket.on('error', (error) => this.#end(error))
		this.socket.on('close', () => this.#end(new Error('the connection to Redis ended')))
	}

	command(...words) {
		const parts = words.map((word) => Buffer.from(String(word)))

		return new Promise((done, failed) => {
			if (this.socket.destroyed) {
				failed(new Error('the connection to Redis has ended'))
				return
			}
			this.#waiting.push({ done, failed })
			this.socket.write(Buffer.concat([Buffer.from(`*${parts.length}\r\n`),
				...parts.flatMap((part) => [Buffer.from(`$${part.length}\r\n`), part, Buffer.from('\r\n')])]))
		})
	}

	end() { this.socket.destroy() }

	#end(error) {
		for (const { failed } of this.#waiting.splice(0))
			failed(error)
	}

	#receive(bytes) {
		this.#bytes = Buffer.concat([this.#bytes, bytes])
		for (let read = parse(this.#bytes, 0); read !== null; read = parse(this.#bytes, 0)) {
			const waiting = this.#waiting.shift()

			this.#bytes = this.#bytes.subarray(read.next)
			if (read.value instanceof Error)
				waiting?.failed(read.value)
			else
				waiting?.done(read.value)
		}
	}
}

/* One reply from `at`: { value, next }, or null as long as it is not whole. */
function parse(bytes, at) {
	const end = bytes.indexOf('\r\n', at)

	if (end < 0)
		return null
	const line = bytes.toString('utf8', at + 1, end)
	const next = end + 2

	switch (String.fromCharCode(bytes[at])) {
	case '+': return { value: line, next }
	case '-': return { value: new Error(line), next }
	case ':': return { value: Number(line), next }
	case '$':
		if (line === '-1')
			return { value: null, next }
		return bytes.length < next + Number(line) + 2 ? null
			: { value: bytes.toString('utf8', next, next + Number(line)), next: next + Number(line) + 2 }
	default:
		return parseList(bytes, next, Number(line))
	}
}

function parseList(bytes, next, count) {
	const value = []

	for (let i = 0; i < count; i++) {
		const item = parse(bytes, next)

		if (item === null)
			return null
		value.push(item.value)
		next = item.next
	}
	return { value, next }
}

/** "a:1\r\nb:2" as { a: '1', b: '2' }. */
const fields = (text, separator, between) => Object.fromEntries(text.split(separator).filter((line) => line.includes(between))
	.map((line) => [line.slice(0, line.indexOf(between)), line.slice(line.indexOf(between) + between.length)]))

export class Redis {
	lines = []
	child = null

	/** settings: { port, password, options: { NAME: VALUE } of redis.conf }. Waits until it answers. */
	static async start(settings = {}) {
		const redis = new Redis(settings, settings.port ?? await freePort())

		await redis.restart()
		return redis
	}

	constructor({ password, options = {} }, port) {
		this.port = port
		this.password = password
		this.dir = mkdtempSync(join(tmpdir(), 'herold-redis-'))
		// The hosts have given up root.
		chmodSync(this.dir, 0o711)
		this.path = join(this.dir, 'socket')
		this.options = { port, bind: '127.0.0.1', dir: this.dir, unixsocket: this.path, unixsocketperm: '777', save: '', appendonly: 'no', 'enable-debug-command': 'yes',
			...password !== undefined && { requirepass: password, masterauth: password }, ...options }
		living.add(this)
	}

	get address() { return `127.0.0.1:${this.port}` }
	get url() { return `redis://${this.password === undefined ? '' : `:${encodeURIComponent(this.password)}@`}${this.address}/0` }
	get pid() { return this.child?.pid }

	/** Starts the server (again), on the same port and in the same directory, and waits until it answers. */
	async restart() {
		this.spawn('redis-server', [...Object.entries(this.options).flatMap(([name, value]) => [`--${name}`, String(value)])])
		await this.answers()
	}

	async answers() {
		await waitFor(async () => this.hasEnded || (await this.command('PING')) === 'PONG', `Redis on port ${this.port}`, START_MS)
		if (this.hasEnded)
			throw new Error(`redis-server ended:\n${this.log()}`)
	}

	spawn(program, args) {
		const child = spawn(program, args, { cwd: this.dir, stdio: ['ignore', 'pipe', 'pipe'] })

		this.child = child
		this.hasEnded = false
		for (const stream of [child.stdout, child.stderr])
			createInterface({ input: stream }).on('line', (line) => this.lines.push(line))
		this.exited = new Promise((done) => {
			const ended = (error) => {
				if (error instanceof Error)
					this.lines.push(error.message)
				if (this.child === child)
					this.hasEnded = true
				done()
			}

			child.on('error', ended).on('close', ended)
		})
	}

	log(last = 40) { return this.lines.slice(-last).join('\n') }

	/** Asks it over a connection of its own, which ends with the answer. */
	async command(...words) {
		const client = new RedisClient(this.port)
		const timer = setTimeout(() => client.socket.destroy(new Error(`no answer to ${words[0]} within ${ANSWER_MS} ms`)), ANSWER_MS)

		try {
			if (this.password !== undefined)
				await client.command('AUTH', this.password)
			return await client.command(...words)
		} finally {
			clearTimeout(timer)
			client.end()
		}
	}

	/** Several commands one after the other: their last answer. */
	async commands(...lines) {
		let answer

		for (const line of lines)
			answer = await this.command(...line.split(' '))
		return answer
	}

	async info(section) { return fields(await this.command('INFO', section), '\r\n', ':') }

	/** The clients that are connected, without the one who asks: { id, name, sub, cmd .. } each. */
	async clients() {
		const list = await this.command('CLIENT', 'LIST')

		return list.split('\n').filter(Boolean).map((line) => fields(line, ' ', '=')).filter((client) => client.cmd !== 'client|list')
	}

	/** kill -9; it may be started again. */
	async kill() {
		this.killNow()
		await this.exited
	}

	killNow() {
		if (this.child !== null && !this.hasEnded)
			this.child.kill('SIGKILL')
	}

	freeze() { this.child.kill('SIGSTOP') }
	thaw() { this.child.kill('SIGCONT') }

	/** For good. */
	async end() {
		await this.kill()
		living.delete(this)
		this.removeDir()
	}

	removeDir() { rmSync(this.dir, { recursive: true, force: true }) }
}

/** A Sentinel that watches `master`. */
export class Sentinel extends Redis {
	/** downMs: of silence, then the master is down for it; quorum: of Sentinels that have to say so. */
	static async start({ master, name = 'mymaster', quorum = 1, downMs = 1000 }) {
		const sentinel = new Sentinel({}, await freePort())

		sentinel.name = name
		writeFileSync(join(sentinel.dir, 'sentinel.conf'), [`port ${sentinel.port}`, 'bind 127.0.0.1', `dir ${sentinel.dir}`,
			`sentinel monitor ${name} 127.0.0.1 ${master.port} ${quorum}`, `sentinel down-after-milliseconds ${name} ${downMs}`,
			`sentinel failover-timeout ${name} 5000`, ...master.password === undefined ? [] : [`sentinel auth-pass ${name} "${master.password}"`],
			''].join('\n'))
		await sentinel.restart()
		return sentinel
	}

	async restart() {
		this.spawn('redis-server', [join(this.dir, 'sentinel.conf'), '--sentinel'])
		await this.answers()
	}

	/** The port of the master as this Sentinel knows it. */
	async masterPort() { return Number((await this.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', this.name))[1]) }

	/** Until it knows so many replicas and other Sentinels. */
	async knows({ replicas, sentinels = 0 }) {
		await waitFor(async () => {
			const list = await this.command('SENTINEL', 'MASTER', this.name)
			const of = (name) => Number(list[list.indexOf(name) + 1])

			return of('num-slaves') === replicas && of('num-other-sentinels') === sentinels
		}, 'what the Sentinel knows', START_MS)
	}
}
