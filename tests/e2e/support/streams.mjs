// streams - what a client might send, right and wrong, from a seed
import { binaryOf, seeded, textOf } from './payload.mjs'
import { OP, closePayload, fragments, frame } from './raw.mjs'

/** The largest message that is fine in these streams. */
export const STREAM_MAX = 4096

const CODES = [1000, 1001, 1003, 1011, 1014, 3000, 4999, 0, 999, 1004, 1005, 1006, 1015, 2000, 5000]
const BAD_TEXTS = ['61ff', 'c080', 'eda080', 'f4908080', 'c3', 'e282', 'cebaeda08061']

class Source {
	constructor(seed) {
		this.random = seeded(seed)
	}

	below(n) { return Math.floor(this.random() * n) }
	oneOf(list) { return list[this.below(list.length)] }
	mask() { return Buffer.from([this.below(256), this.below(256), this.below(256), this.below(256)]) }
	size() { return this.oneOf([0, 1, 7, 125, 126, 300, this.below(1000), this.below(STREAM_MAX)]) }
	frame(opcode, payload, more) { return frame(opcode, payload, { mask: this.mask(), ...more }) }
}

/* A message, whole or in fragments with control frames between them. */
function message(s) {
	const isText = s.random() < 0.5
	const payload = isText ? textOf(s.size()) : binaryOf(s.size(), s.below(1000))
	const opcode = isText ? OP.TEXT : OP.BINARY

	if (s.random() < 0.5)
		return [s.frame(opcode, payload)]
	return fragments(opcode, payload, Math.max(1, Math.ceil(payload.length / (1 + s.below(5)))), { mask: s.mask() })
		.flatMap((each) => s.random() < 0.3 ? [control(s), each] : [each])
}

function control(s) {
	return s.frame(s.oneOf([OP.PING, OP.PONG]), binaryOf(s.below(126), s.below(1000)))
}

/** Frames that some rule forbids. */
const BAD_FRAMES = [
	(s) => s.frame(OP.TEXT, 'a', { rsv: 1 + s.below(7) }),
	(s) => s.frame(s.oneOf([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]), 'a'),
	(s) => frame(s.oneOf([OP.TEXT, OP.PING, OP.CLOSE]), 'abc', { mask: false }),
	(s) => s.frame(s.oneOf([OP.PING, OP.CLOSE]), '', { fin: false }),
	(s) => s.frame(OP.PING, binaryOf(126 + s.below(100))),
	(s) => s.frame(OP.CONTINUATION, 'a', { fin: s.random() < 0.5 }),
	(s) => Buffer.concat([s.frame(OP.TEXT, 'a', { fin: false }), s.frame(OP.BINARY, 'b')]),
	(s) => s.frame(OP.BINARY, binaryOf(STREAM_MAX + 1)),
	(s) => s.frame(OP.BINARY, '', { length: STREAM_MAX + 1 + s.below(1e9) }),
	(s) => Buffer.concat(fragments(OP.TEXT, textOf(STREAM_MAX + 1), 1 + s.below(STREAM_MAX), { mask: s.mask() })),
	(s) => s.frame(OP.CLOSE, closePayload(s.oneOf(CODES), 'reason')),
	(s) => s.frame(OP.CLOSE, s.oneOf([Buffer.from([3]), Buffer.from('03e8c328', 'hex'), ''])),
	(s) => s.frame(OP.TEXT, Buffer.from(s.oneOf(BAD_TEXTS), 'hex')),
	(s) => s.frame(OP.TEXT, Buffer.from(s.oneOf(BAD_TEXTS), 'hex'), { fin: false }),
	(s) => s.frame(OP.TEXT, Buffer.from(`${s.oneOf(BAD_TEXTS)}ff`, 'hex'), { length: 500 + s.below(500) }),
	(s) => s.frame(s.oneOf([OP.TEXT, OP.BINARY, OP.PING]), 'short', { lengthBytes: s.oneOf([2, 8]) }),
	(s) => s.frame(OP.BINARY, '', { length: 2n ** 63n + BigInt(s.below(1000)) }),
]

/** Damage to bytes anywhere. */
const DAMAGES = [
	(s, bytes) => { bytes[s.below(bytes.length)] ^= 1 << s.below(8); return bytes },
	(s, bytes) => { bytes[s.below(bytes.length)] = s.below(256); return bytes },
	(s, bytes) => { const at = s.below(bytes.length); return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + s.below(3))]) },
	(s, bytes) => { const at = s.below(bytes.length); return Buffer.concat([bytes.subarray(0, at), binaryOf(1 + s.below(4), s.below(1000)), bytes.subarray(at)]) },
	(s, bytes) => bytes.subarray(0, s.below(bytes.length)),
]

function cut(s, bytes) {
	const parts = []

	for (let at = 0; at < bytes.length;) {
		const size = s.random() < 0.3 ? bytes.length : 1 + s.below(200)

		parts.push(bytes.subarray(at, at + size))
		at += size
	}
	return parts
}

/** { kind, bytes, pieces } of a seed. Every stream asks for a pong and closes at its end, unless it was damaged there. */
export function streamOf(seed) {
	const s = new Source(seed)
	const kind = ['valid', 'bad frame', 'damaged'][seed % 3]
	const frames = Array.from({ length: 1 + s.below(6) }, () => s.random() < 0.7 ? message(s) : [control(s)]).flat()

	if (kind === 'bad frame')
		frames.splice(s.below(frames.length + 1), 0, s.oneOf(BAD_FRAMES)(s))
	let bytes = Buffer.concat(frames)

	if (kind === 'damaged')
		bytes = s.oneOf(DAMAGES)(s, bytes)
	bytes = Buffer.concat([bytes, s.frame(OP.PING, 'the end'), s.frame(OP.CLOSE, closePayload(1000))])
	return { kind, bytes, pieces: cut(s, bytes) }
}
