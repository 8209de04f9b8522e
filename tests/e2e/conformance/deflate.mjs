// permessage-deflate (RFC 7692): window sizes x contexts x kinds of payload x sizes
import { binaryOf, textOf } from '../support/payload.mjs'
import { OP } from '../support/raw.mjs'

const CONTEXTS = [
	{ name: 'contexts kept', params: '' },
	{ name: 'the server without context', params: '; server_no_context_takeover' },
	{ name: 'the client without context', params: '; client_no_context_takeover' },
]
/* Lines that differ a little, as an application sends them. */
const jsonOf = (size, i) => Buffer.from(Array.from({ length: Math.ceil(size / 60) + 1 }, (_, k) =>
	JSON.stringify({ id: i * 1000 + k, name: `Gauge ${k % 7}`, value: (k * 7919 + i) % 1000, unit: '°C' })).join('\n')).subarray(0, size)
const KINDS = [
	{ kind: 'JSON', opcode: OP.TEXT, of: (size, i) => Buffer.from(jsonOf(size, i).toString('latin1')) },
	{ kind: 'noise', opcode: OP.BINARY, of: (size, i) => binaryOf(size, i + 1) },
	{ kind: 'runs', opcode: OP.TEXT, of: (size, i) => Buffer.concat([textOf(size >> 3), Buffer.alloc(size >> 1, 97 + i), textOf(size >> 4)]) },
]
/* How large each message is. */
const SIZES = [
	{ size: 'small', list: [0, 1, 2, 7, 16, 33, 64, 125, 126, 127, 128, 200, 255, 256, 257, 300, 300, 300] },
	{ size: 'medium', list: [511, 512, 513, 1023, 1024, 2048, 4096, 4096, 8192, 16384] },
	{ size: 'large', list: [32767, 32768, 65535, 65536, 131072, 262144] },
]

/** 8 bits cannot be had from the server: the offer behind it is the one that is taken. */
function offerOf(bits, params) {
	const wish = `permessage-deflate; client_max_window_bits=${bits}${params}`

	return bits === 8 ? `${wish}; server_max_window_bits=8, ${wish}` : `${wish}; server_max_window_bits=${bits}`
}

/* Some in fragments, some not compressed at all though they could be. */
function messagesOf({ opcode, of }, sizes) {
	return sizes.map((size, i) => ({
		opcode, data: of(size, i), isDeflated: i % 5 !== 3, size: i % 3 === 1 ? Math.max(1, Math.ceil(size / 7)) : Infinity, hasPing: i % 6 === 1,
	}))
}

/** { name, bits, offer, messages(): [{ opcode, data, isDeflated, size of fragments, hasPing }] } */
export const deflate = [8, 9, 10, 11, 12, 13, 14, 15].flatMap((bits) => CONTEXTS.flatMap(({ name, params }) => KINDS.flatMap((kind) =>
	SIZES.map(({ size, list }) => ({
		name: `${bits} bits, ${name}, ${kind.kind}, ${size}`, bits, offer: offerOf(bits, params), params, messages: () => messagesOf(kind, list),
	})))))
