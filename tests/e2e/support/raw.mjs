// raw - a TCP connection for requests and frames built by hand, right or wrong
import { connect } from 'node:net'
import { createHash, randomBytes } from 'node:crypto'

import { waitFor } from './herold.mjs'

export const OP = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 }

/** An upgrade request. headers replace or add (undefined removes); every part can be made wrong. */
export function handshake({ method = 'GET', path = '/ws', version = 'HTTP/1.1', headers = {}, end = '\r\n' } = {}) {
	const all = {
		Host: 'localhost', Upgrade: 'websocket', Connection: 'Upgrade',
		'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version': '13', ...headers,
	}
	const lines = Object.entries(all).filter(([, value]) => value !== undefined)
		.flatMap(([name, value]) => [value].flat().map((each) => `${name}: ${each}\r\n`))

	return `${method} ${path} ${version}\r\n${lines.join('')}${end}`
}

export function acceptOf(key) {
	return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}

/** A frame as a client sends it. mask: false for none; length: what the header claims; lengthBytes: 0, 2 or 8 of them. */
export function frame(opcode, payload = '', { fin = true, rsv = 0, mask = randomBytes(4), length, lengthBytes } = {}) {
	const body = Buffer.from(payload)
	const claimed = BigInt(length ?? body.length)
	const form = lengthBytes ?? (claimed < 126n ? 0 : claimed < 65536n ? 2 : 8)
	const head = [Buffer.from([(fin ? 0x80 : 0) | (rsv << 4) | opcode, (mask ? 0x80 : 0) | (form === 0 ? Number(claimed) : form === 2 ? 126 : 127)])]

	if (form !== 0) {
		const field = Buffer.alloc(8)

		field.writeBigUInt64BE(claimed)
		head.push(field.subarray(8 - form))
	}
	if (!mask)
		return Buffer.concat([...head, body])
	const key = Buffer.from(mask)

	const masked = Buffer.alloc(body.length)

	for (let i = 0; i < body.length; i++)
		masked[i] = body[i] ^ key[i & 3]
	return Buffer.concat([...head, key, masked])
}

/** A message as frames with so many bytes of payload each. */
export function fragments(opcode, payload, size, { rsv = 0, mask } = {}) {
	const body = Buffer.from(payload)
	const frames = []

	for (let at = 0; at === 0 || at < body.length; at += size)
		frames.push(frame(at === 0 ? opcode : OP.CONTINUATION, body.subarray(at, at + size), { fin: at + size >= body.length, rsv: at === 0 ? rsv : 0, mask }))
	return frames
}

/** The bytes in pieces of so many, for writes of their own. */
export function chop(bytes, size = 1) {
	return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, i * size + size))
}

/** The payload of a close frame. */
export function closePayload(code, reason = '') {
	const head = Buffer.alloc(2)

	head.writeUInt16BE(code)
	return Buffer.concat([head, Buffer.from(reason)])
}

export class RawSocket {
	#chunks = []			// received and not yet taken
	ended = false			// the other side has sent its last byte, or reset

	/** To HOST:PORT or unix:/PATH. */
	static async open(address) {
		const at = address.lastIndexOf(':')
		const raw = new RawSocket(connect(address.startsWith('unix:') ? { path: address.slice(5) } :
			{ host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(address.slice(at + 1)) }))

		await new Promise((done, fail) => raw.socket.once('connect', done).once('error', fail))
		return raw
	}

	/** Open and upgraded. */
	static async upgraded(address, request) {
		const raw = await RawSocket.open(address)

		raw.write(handshake(request))
		const response = await raw.response()

		if (response.status !== 101)
			throw new Error(`status ${response.status} instead of 101: ${response.body}`)
		return raw
	}

	constructor(socket) {
		this.socket = socket
		socket.setNoDelay(true)
		socket.on('data', (data) => { this.#chunks.push(data) })
		socket.on('end', () => { this.ended = true })
		socket.on('close', () => { this.ended = true })
		socket.on('error', (error) => { this.error = error })
	}

	/** Received and not yet taken. */
	get bytes() {
		if (this.#chunks.length !== 1)
			this.#chunks = [Buffer.concat(this.#chunks)]
		return this.#chunks[0]
	}
	set bytes(rest) { this.#chunks = [rest] }

	write(data) { this.socket.write(data) }
	pause() { this.socket.pause() }
	resume() { this.socket.resume() }
	destroy() { this.socket.destroy() }
	/** Each piece by a write of its own, not in the same turn. */
	async writePieces(pieces) {
		for (const piece of pieces) {
			this.write(piece)
			await new Promise(setImmediate)
		}
	}
	/** Our half is done; theirs may still send. */
	end() { this.socket.end() }

	/** The next HTTP response: { status, headers (lower case), body }. */
	async response(timeoutMs) {
		const headEnd = await waitFor(() => {
			const at = this.bytes.indexOf('\r\n\r\n')

			return at >= 0 ? { at } : this.ended ? { at: -1 } : null
		}, 'a response head', timeoutMs)

		if (headEnd.at < 0)
			throw new Error('the connection ended without a response')
		const [statusLine, ...lines] = this.bytes.subarray(0, headEnd.at).toString('latin1').split('\r\n')
		const headers = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]))
		const status = Number(statusLine.split(' ')[1])
		const length = status === 101 ? 0 : Number(headers['content-length'] ?? 0)

		await waitFor(() => this.bytes.length >= headEnd.at + 4 + length || this.ended, 'a response body', timeoutMs)
		const body = this.bytes.subarray(headEnd.at + 4, headEnd.at + 4 + length).toString()

		this.bytes = this.bytes.subarray(headEnd.at + 4 + length)
		return { status, headers, body, statusLine }
	}

	/** The next frame of the server: { opcode, fin, rsv, masked, payload, code?, reason? }; null when the connection ended first. */
	async frame(timeoutMs) {
		const found = await waitFor(() => this.#takeFrame() ?? (this.ended ? { end: true } : null), 'a frame', timeoutMs)

		return found.end ? null : found
	}

	#takeFrame() {
		const b = this.bytes

		if (b.length < 2)
			return null
		const short = b[1] & 0x7f
		const at = short === 126 ? 4 : short === 127 ? 10 : 2

		if (b.length < at)
			return null
		const length = short === 126 ? b.readUInt16BE(2) : short === 127 ? Number(b.readBigUInt64BE(2)) : short

		if (b.length < at + length)
			return null
		const payload = b.subarray(at, at + length)
		const result = { opcode: b[0] & 0x0f, fin: (b[0] & 0x80) !== 0, rsv: (b[0] >> 4) & 7, masked: (b[1] & 0x80) !== 0, payload,
			isShortest: at === (length < 126 ? 2 : length < 65536 ? 4 : 10) }

		if (result.opcode === OP.CLOSE && length >= 2)
			Object.assign(result, { code: payload.readUInt16BE(0), reason: payload.subarray(2).toString() })
		this.bytes = b.subarray(at + length)
		return result
	}

	/** The next message, whatever pings came before it; null when the connection ended first. */
	async message(timeoutMs) {
		for (;;) {
			const next = await this.frame(timeoutMs)

			if (next === null || next.opcode < OP.CLOSE)
				return next
		}
	}

	/** The close frame, whatever came before it; null when there was none until the end. */
	async closeFrame(timeoutMs) {
		for (;;) {
			const next = await this.frame(timeoutMs)

			if (next === null || next.opcode === OP.CLOSE)
				return next
		}
	}

	/** Waits until the server has ended the connection. */
	finished(timeoutMs) {
		return waitFor(() => this.ended, 'the end of the connection', timeoutMs)
	}
}
