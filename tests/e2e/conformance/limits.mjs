// Limits and sizes: big messages, whole, in fragments, in pieces; and many small ones
import { binary, pieces, text } from '../support/conformance.mjs'
import { binaryOf, textOf } from '../support/payload.mjs'
import { OP, chop, fragments, frame } from '../support/raw.mjs'

const KIB = 1024
const MIB = 1024 * KIB
const KINDS = [
	{ kind: 'text', opcode: OP.TEXT, seen: text, of: textOf },
	{ kind: 'binary', opcode: OP.BINARY, seen: binary, of: binaryOf },
]
const sized = (n) => n >= MIB ? `${n / MIB} MiB` : n >= KIB ? `${n / KIB} KiB` : `${n} bytes`
const forKinds = (sizes, row) => KINDS.flatMap((each) => sizes.map((size) => row(size, each)))

/* Made when it is sent: hundreds of MiB stood around otherwise. */
const later = (make) => (raw) => raw.write(make())

export const limits = [
	...forKinds([64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB], (size, { kind, opcode, seen, of }) => ({
		name: `${kind} of ${sized(size)}`, send: [later(() => frame(opcode, of(size)))], expect: () => [seen(of(size))],
	})),
	...forKinds([64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB], (size, { kind, opcode, seen, of }) => ({
		name: `${kind} of 4 MiB in fragments of ${sized(size)}`, send: [later(() => Buffer.concat(fragments(opcode, of(4 * MIB), size)))], expect: () => [seen(of(4 * MIB))],
	})),
	...forKinds([64, 128, 256, 512, KIB, 2 * KIB], (size, { kind, opcode, seen, of }) => ({
		name: `${kind} of 1 MiB in pieces of ${sized(size)}`, send: [(raw) => raw.writePieces(chop(frame(opcode, of(MIB)), size))], expect: () => [seen(of(MIB))],
	})),
	...forKinds([0, 16, 64, 256, KIB, 4 * KIB], (size, { kind, opcode, seen, of }) => ({
		name: `1000 messages, ${kind} of ${sized(size)}`, send: [later(() => Buffer.concat(Array.from({ length: 1000 }, () => frame(opcode, of(size)))))],
		expect: () => Array.from({ length: 1000 }, () => seen(of(size))),
	})),
	{ name: 'text of 64 KiB in fragments of 1300 bytes, each in a write of its own', send: [pieces(fragments(OP.TEXT, textOf(64 * KIB), 1300))], expect: [text(textOf(64 * KIB))] },
]
