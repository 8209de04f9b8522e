// deflate-client - permessage-deflate (RFC 7692) from the client's side, with windows and contexts of its own choice
//
// Of zlib only single calls are used, and the context is what this file hands them as a dictionary. So it is known for each message
// what it may refer to, and an answer that refers to more, by a kept context or a larger window, cannot be inflated.
import assert from 'node:assert/strict'
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib'

import { OP, RawSocket, chop, fragments, handshake } from './raw.mjs'

const TAIL = Buffer.from('0000ffff', 'hex')
const WAIT_MS = 60000

/** A Sec-WebSocket-Extensions header: [{ name, params: { name: value, or true without one } }]. */
export function parseExtensions(value) {
	return value.split(',').map((each) => {
		const [name, ...params] = each.split(';').map((part) => part.trim())

		return { name, params: Object.fromEntries(params.map((param) => param.includes('=') ? param.split('=') : [param, true])) }
	})
}

/** What an answer says: { serverBits, clientBits, serverKeeps, clientKeeps }; null for none. */
export function termsOf(answer) {
	if (answer === undefined)
		return null
	const [{ name, params }, ...others] = parseExtensions(answer)

	assert.deepEqual([name, others], ['permessage-deflate', []], answer)
	for (const [param, value] of Object.entries(params)) {
		if (param.endsWith('_no_context_takeover'))
			assert.equal(value, true, answer)
		else
			assert.match(`${param}=${value}`, /^(server|client)_max_window_bits=([89]|1[0-5])$/, answer)
	}
	return {
		serverBits: Number(params.server_max_window_bits ?? 15), clientBits: Number(params.client_max_window_bits ?? 15),
		serverKeeps: params.server_no_context_takeover === undefined, clientKeeps: params.client_no_context_takeover === undefined,
	}
}

/** Deflates messages, each as far as a sync flush, without the flush's four bytes. */
export class Deflater {
	#context = Buffer.alloc(0)

	/** keeps: whether a message may refer to those before it. */
	constructor({ bits = 15, keeps = true, level = 6 }) {
		Object.assign(this, { bits, keeps, level })
	}

	message(data) {
		// zlib makes no raw deflate with a window of 8 bits. With 9, blocks that see 128 bytes before them refer to less than 256.
		const isSmall = this.bits === 8
		const blocks = isSmall ? chop(data, 128) : [data]
		const deflated = blocks.length === 0 ? [this.#block(data)] : blocks.map((block) => this.#block(block))

		if (!this.keeps)
			this.#context = Buffer.alloc(0)
		return Buffer.concat(deflated).subarray(0, -TAIL.length)
	}

	#block(data) {
		const dictionary = this.#context.length > 0 ? { dictionary: this.#context } : {}
		const out = deflateRawSync(data, { windowBits: Math.max(9, this.bits), level: this.level, finishFlush: constants.Z_SYNC_FLUSH, ...dictionary })

		this.#context = Buffer.concat([this.#context, data]).subarray(this.bits === 8 ? -128 : -(1 << this.bits))
		return out
	}
}

export class Inflater {
	#context = Buffer.alloc(0)

	constructor({ bits = 15, keeps = true }) {
		Object.assign(this, { bits, keeps })
	}

	message(data) {
		const dictionary = this.#context.length > 0 ? { dictionary: this.#context } : {}
		// zlib takes a distance beyond the window as long as it lies in the output of the same call: so little of that at a time.
		const out = inflateRawSync(Buffer.concat([data, TAIL]), { windowBits: this.bits, chunkSize: Math.max(64, 1 << (this.bits - 2)),
			finishFlush: constants.Z_SYNC_FLUSH, ...dictionary })

		if (this.keeps)
			this.#context = Buffer.concat([this.#context, out]).subarray(-(1 << this.bits))
		return out
	}
}

export class DeflateClient {
	/** Upgraded with an offer. keeps: false if it does without a context though it might have one. */
	static async open(address, { offer, path = '/echo', keeps = true, level } = {}) {
		const raw = await RawSocket.open(address)

		raw.write(handshake({ path, headers: { 'Sec-WebSocket-Extensions': offer } }))
		const response = await raw.response()

		assert.equal(response.status, 101, response.body)
		return new DeflateClient(raw, response.headers['sec-websocket-extensions'], { keeps, level })
	}

	constructor(raw, answer, { keeps, level }) {
		this.raw = raw
		this.answer = answer
		this.terms = termsOf(answer)
		if (this.terms === null)
			return
		this.deflater = new Deflater({ bits: this.terms.clientBits, keeps: this.terms.clientKeeps && keeps, level })
		this.inflater = new Inflater({ bits: this.terms.serverBits, keeps: this.terms.serverKeeps })
	}

	/** The frames of a message. size: of a fragment's payload at most. */
	frames(opcode, data, { isDeflated = true, size = Infinity } = {}) {
		const payload = isDeflated ? this.deflater.message(Buffer.from(data)) : Buffer.from(data)

		return fragments(opcode, payload, size, { rsv: isDeflated ? 4 : 0 })
	}

	send(...args) {
		this.raw.write(Buffer.concat(this.frames(...args)))
	}

	/** The next frame, inflated if need be: { opcode, payload, isDeflated, wireBytes, code }; null at the end. */
	async next() {
		const got = await this.raw.frame(WAIT_MS)

		if (got === null)
			return null
		const isDeflated = got.rsv === 4

		assert.ok(isDeflated ? this.terms !== null && got.opcode <= OP.BINARY : got.rsv === 0, 'a reserved bit where it may be')
		assert.deepEqual([got.fin, got.masked, got.isShortest], [true, false, true], 'the form of a frame')
		assert.ok(!isDeflated || !got.payload.subarray(-4).equals(TAIL), 'without the last bytes of the flush')
		return { opcode: got.opcode, payload: isDeflated ? this.inflater.message(got.payload) : got.payload, isDeflated,
			wireBytes: got.payload.length, code: got.code }
	}
}
