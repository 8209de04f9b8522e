// UTF-8 in texts (RFC 6455, 5.6 and 8.1; RFC 3629): each sequence in three ways of sending
import { close, only, pieces, pong, text } from '../support/conformance.mjs'
import { OP, chop, fragments, frame } from '../support/raw.mjs'

const BEFORE = Buffer.from('κό')
const AFTER = Buffer.from('με')

/** Sequences that are text, by the boundaries of RFC 3629. */
const VALID = [
	['ASCII', '48 65 6c 6c 6f 20 7e'],
	['control characters and DEL', '00 01 09 0a 1f 7f'],
	['the first of two bytes', 'c2 80'],
	['the last of two bytes', 'df bf'],
	['the first of three bytes', 'e0 a0 80'],
	['the last with e0', 'e0 bf bf'],
	['the first with e1', 'e1 80 80'],
	['the last with ec', 'ec bf bf'],
	['the last before the surrogates', 'ed 9f bf'],
	['the first behind the surrogates', 'ee 80 80'],
	['the byte order mark', 'ef bb bf'],
	['a replacement character', 'ef bf bd'],
	['what is no character of the basic plane', 'ef b7 90 ef bf be ef bf bf'],
	['the first of four bytes', 'f0 90 80 80'],
	['the last with f0', 'f0 bf bf bf'],
	['the last with f3', 'f3 bf bf bf'],
	['what is no character of another plane', 'f0 9f bf be f4 8f bf bf'],
	['the last there is', 'f4 8f bf bf'],
	['combined and right-to-left', '65 cc 81 d7 a9 d7 9c e2 80 8f'],
	['emoji joined', 'f0 9f 91 a9 e2 80 8d f0 9f 92 bb'],
]

/** Sequences that are none. The bar stands before the first byte that no text can have there; at the end: it lacks one. */
const INVALID = [
	['a byte of a sequence alone, 80', '| 80'],
	['a byte of a sequence alone, bf', '| bf'],
	['three of them', '| 80 bf 80'],
	['one behind a whole character', 'c3 a4 | a4'],
	['two bytes with no second', 'c3 | 28'],
	['three bytes with no third', 'e2 82 | 28'],
	['four bytes with no third', 'f0 9f | 28'],
	['four bytes with no fourth', 'f0 9f 98 | 28'],
	['another begins too early', 'e2 82 | c3 a4'],
	['/ in two bytes', '| c0 af'],
	['NUL in two bytes', '| c0 80'],
	['the last that is overlong in two bytes', '| c1 bf'],
	['/ in three bytes', 'e0 | 80 af'],
	['the last that is overlong in three bytes', 'e0 | 9f bf'],
	['/ in four bytes', 'f0 | 80 80 af'],
	['the last that is overlong in four bytes', 'f0 | 8f bf bf'],
	['the first surrogate', 'ed | a0 80'],
	['the last surrogate', 'ed | bf bf'],
	['a pair of surrogates', 'ed | a0 bd ed b8 80'],
	['the first behind Unicode', 'f4 | 90 80 80'],
	['f5', '| f5 80 80 80'],
	['f7', '| f7 bf bf bf'],
	['five bytes', '| f8 88 80 80 80'],
	['six bytes', '| fc 84 80 80 80 80'],
	['fe', '| fe'],
	['ff', '| ff'],
	['the end after one byte of two', 'c3 |'],
	['the end after three bytes of four', 'f0 9f 98 |'],
]

const bytes = (hex) => Buffer.from(hex.replace(/[ |]/g, ''), 'hex')

function validRows([name, hex]) {
	const whole = Buffer.concat([BEFORE, bytes(hex), AFTER])

	return [
		{ name: `${name}: whole`, send: [frame(OP.TEXT, whole)], expect: [text(whole)] },
		{ name: `${name}: a fragment per byte`, send: [Buffer.concat(fragments(OP.TEXT, whole, 1))], expect: [text(whole)] },
		{ name: `${name}: byte by byte, alone`, send: [pieces(chop(frame(OP.TEXT, bytes(hex))))], expect: [text(bytes(hex))] },
	]
}

const open = (payload) => fragments(OP.TEXT, payload, 1).map((each) => (each[0] &= 0x7f, each))
const goesOn = (payload) => [...payload].map((byte) => frame(OP.CONTINUATION, Buffer.from([byte]), { fin: false }))

/* After the bad byte nothing is sent, so what ends the connection is that byte; and what comes before it does not. */
function invalidRows([name, hex]) {
	const [good, bad] = hex.split('|').map(bytes)
	const whole = Buffer.concat([BEFORE, good, bad, AFTER])
	const until = Buffer.concat([BEFORE, good])

	return [
		{ name: `${name}: whole, behind a good one`, send: [frame(OP.TEXT, 'good'), frame(OP.TEXT, whole), frame(OP.TEXT, 'late')], expect: [text('good'), close(1007)] },
		{ name: `${name}: at the first bad byte, a fragment per byte`, send: [...open(until), frame(OP.PING, 'alive'), only(pong('alive')), ...goesOn(bad.subarray(0, 1))],
			expect: [pong('alive'), close(1007)] },
		{ name: `${name}: at the first bad byte, in a frame that is not complete`,
			send: [pieces(chop(frame(OP.TEXT, until, { length: 1000, mask: Buffer.from([1, 2, 3, 4]) }))), only(),
				frame(OP.TEXT, whole.subarray(0, until.length + 1), { mask: Buffer.from([1, 2, 3, 4]) }).subarray(-1)],
			expect: [close(1007)] },
	]
}

/* The bad byte is the one that is not there: known with the end of the message, and not before. */
function cutRows([name, hex]) {
	const until = Buffer.concat([BEFORE, bytes(hex)])

	return [
		{ name: `${name}: whole, behind a good one`, send: [frame(OP.TEXT, 'good'), frame(OP.TEXT, until), frame(OP.TEXT, 'late')], expect: [text('good'), close(1007)] },
		{ name: `${name}: a fragment per byte, then an empty last one`, send: [...open(until), frame(OP.PING, 'alive'), only(pong('alive')), frame(OP.CONTINUATION)],
			expect: [pong('alive'), close(1007)] },
		{ name: `${name}: byte by byte, then the next message`, send: [pieces(chop(frame(OP.TEXT, until))), frame(OP.TEXT, 'late')], expect: [close(1007)] },
	]
}

/* Everything that is a scalar value, once, in 64 KiB fragments that cut characters. */
function everyCharacter() {
	const parts = []

	for (let at = 0; at < 0x110000; at += 0x800) {
		if (at !== 0xd800)
			parts.push(String.fromCodePoint(...Array.from({ length: 0x800 }, (_, i) => at + i)))
	}
	return Buffer.from(parts.join(''))
}

const all = everyCharacter()

export const utf8 = [
	...VALID.flatMap(validRows),
	...INVALID.flatMap((row) => row[1].endsWith('|') ? cutRows(row) : invalidRows(row)),
	{ name: 'every character there is', send: [Buffer.concat(fragments(OP.TEXT, all, 65521))], expect: [text(all)] },
]
