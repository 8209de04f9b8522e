// client - a chat client that hides nothing: raw JSON messages over `ws`
import assert from 'node:assert/strict'
import { WebSocket } from 'ws'

import { seen } from './seen.mjs'

const WAIT_MS = 10000

export class ChatClient {
	received = []		// every message, in order
	#taken = new Set()
	#waiting = new Set()

	/** Opens and waits for the connection; path and headers may be others. */
	static async open(herold, { path = '/ws', headers, ...options } = {}) {
		const client = new ChatClient(herold.wsUrl + path, { headers, ...options })

		await client.opened
		return client
	}

	/** Opens and logs in; client.loginOk is the answer. */
	static async login(herold, login, options) {
		const client = await ChatClient.open(herold, options)

		client.loginOk = await client.login(login)
		return client
	}

	constructor(url, options) {
		this.socket = new WebSocket(url, options)
		this.closed = new Promise((done) => this.socket.on('close', (code, reason) => {
			this.closeInfo = { code, reason: reason.toString() }
			done(this.closeInfo)
			this.#wake()
		}))
		this.opened = new Promise((done, fail) => {
			this.socket.on('open', done)
			this.socket.on('error', fail)
		})
		this.socket.on('error', () => {})
		this.socket.on('message', (data, isBinary) => this.#receive(data, isBinary))
	}

	#receive(data, isBinary) {
		const message = isBinary ? { type: 'binary', data } : JSON.parse(data.toString())

		if (message.type === 'error')
			seen('error', message.code)
		this.received.push(message)
		this.#wake()
	}

	#wake() {
		for (const check of [...this.#waiting])
			check()
	}

	/** An object becomes JSON; a text or Buffer goes as it is. */
	send(message) {
		this.socket.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message))
	}

	/** The first message of this type (or for which the function is true) that was not taken before; waits for it. */
	next(what, timeoutMs = WAIT_MS) {
		const matches = typeof what === 'function' ? what : (m) => m.type === what

		return new Promise((done, fail) => {
			const timer = setTimeout(() => end(fail, new Error(`no ${what} within ${timeoutMs} ms; last: ` +
				JSON.stringify(this.received.slice(-5)))), timeoutMs)
			const end = (how, value) => {
				clearTimeout(timer)
				this.#waiting.delete(check)
				how(value)
			}
			const check = () => {
				const at = this.received.findIndex((m, i) => !this.#taken.has(i) && matches(m))

				if (at >= 0) {
					this.#taken.add(at)
					end(done, this.received[at])
				} else if (this.closeInfo !== undefined) {
					end(fail, new Error(`closed (${this.closeInfo.code} ${this.closeInfo.reason}) before ${what}`))
				}
			}
			this.#waiting.add(check)
			check()
		})
	}

	/** Sends and waits for the answer: by `ref` (an ack or error has it), or the next of this type. */
	ask(message, type) {
		this.send(message)
		return this.next(type ?? ((m) => m.ref !== undefined && m.ref === message.ref))
	}

	async login({ userId, name = userId, ...rest }) {
		const answer = await this.ask({ type: 'login', userId, name, ...rest }, (m) => m.type === 'login_ok' || m.type === 'error')

		assert.equal(answer.type, 'login_ok', JSON.stringify(answer))
		return answer
	}

	/** The texts of all chat messages, in order, of one room or of all. */
	texts(room) {
		return this.received.filter((m) => m.type === 'chat' && (room === undefined || m.room === room)).map((m) => m.message)
	}

	close(code, reason) {
		this.socket.close(code, reason)
		return this.closed
	}
	terminate() {
		this.socket.terminate()
		return this.closed
	}
}

/** Users u0, u1, .. until each worker has at least so many of them. roomOf: the room of each one's login, by its number. */
export async function usersOnEachWorker(herold, least = 1, roomOf = () => undefined) {
	const clients = []

	do
		clients.push(await ChatClient.login(herold, { userId: `u${clients.length}`, room: roomOf(clients.length) }))
	while ((await herold.status()).workers.some((w) => w.websockets < least))
	return clients
}
