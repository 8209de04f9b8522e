// secure - TLS clients: by node's tls, by `ws`, and through a relay that lets a test lay hands on the bytes between
import { connect, createServer } from 'node:net'
import tls from 'node:tls'
import { WebSocket } from 'ws'

import { waitFor } from './herold.mjs'

/** A TLS connection; what it saw: socket.reused, .certificate (its common name), .alpnProtocol, .getProtocol(). Rejects when refused. */
export function secure(at, options = {}) {
	return new Promise((done, fail) => {
		const socket = tls.connect({ ...at, rejectUnauthorized: false, servername: 'localhost', ...options })

		socket.once('secureConnect', () => {
			socket.certificate = socket.getPeerCertificate().subject?.CN
			socket.reused = socket.isSessionReused()
			done(socket)
		})
		socket.once('error', fail)
		socket.once('close', () => fail(new Error('closed before it was secure')))
	})
}

/** An HTTP request over it; everything until the end. */
export async function get(at, options = {}, request = 'GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n') {
	const socket = await secure(at, options)
	let text = ''

	return new Promise((done, fail) => {
		socket.on('data', (bytes) => { text += bytes })
		socket.on('error', fail)
		socket.on('end', () => {
			socket.destroy()
			done({ text, socket })
		})
		socket.write(request)
	})
}

/** A WebSocket; client.messages are what came. */
export class SecureSocket {
	messages = []
	closed = null		// { code, reason }

	static async open(at, path = '/echo', options = {}) {
		const client = new SecureSocket(at, path, options)

		await new Promise((done, fail) => client.ws.once('open', done).once('error', fail))
		client.raw = client.ws._socket
		return client
	}

	constructor(at, path, options) {
		this.ws = new WebSocket(`wss://${at.host}:${at.port}${path}`,
			{ rejectUnauthorized: false, servername: 'localhost', perMessageDeflate: false, ...options })
		this.ws.on('message', (data) => this.messages.push(data))
		this.ws.on('close', (code, reason) => { this.closed = { code, reason: reason.toString() } })
		this.ws.on('error', (error) => { this.error = error })
	}

	async echo(data) {
		const at = this.messages.length

		this.ws.send(data)
		await waitFor(() => this.messages.length > at || this.closed !== null, 'an echo', 30000)
		return this.messages[at]
	}

	end() {
		this.ws.terminate()
	}
}

/** Listens, and carries bytes to and from `at`; relay.server is the socket towards the server of the latest connection. Deaf, it
 * forgets what clients send. oneByOne: each byte from a client goes by itself. */
export async function relay(at, { oneByOne = false } = {}) {
	const relay = { sockets: [], isDeaf: false }

	relay.listener = createServer((client) => {
		const server = connect({ ...at, noDelay: true })
		const waiting = []
		const timer = oneByOne && setInterval(() => waiting.length > 0 && server.write(Buffer.from([waiting.shift()])), 0)

		relay.sockets.push(client, server)
		relay.server = server
		client.on('data', (bytes) => {
			if (oneByOne)
				waiting.push(...bytes)
			else if (!relay.isDeaf)
				server.write(bytes)
		})
		client.on('close', () => clearInterval(timer))
		server.on('data', (bytes) => client.write(bytes))
		for (const [one, other] of [[client, server], [server, client]])
			one.on('error', () => {}).on('close', () => other.destroy())
	})
	await new Promise((done) => relay.listener.listen(0, '127.0.0.1', done))
	relay.at = { host: '127.0.0.1', port: relay.listener.address().port }
	relay.end = () => {
		for (const socket of relay.sockets)
			socket.destroy()
		relay.listener.close()
	}
	return relay
}
