// The close handshake (RFC 6455, 5.5.1 and 7)
import { binary, close, only, pieces, pong, text } from '../support/conformance.mjs'
import { binaryOf, textOf } from '../support/payload.mjs'
import { OP, chop, closePayload, frame } from '../support/raw.mjs'

const bye = (code, reason) => frame(OP.CLOSE, closePayload(code, reason))

/* What may stand in a close frame: defined or registered (7.4.1 and IANA), of libraries, of applications. */
const GOOD_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 3000, 3999, 4000, 4999]
const BAD_CODES = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535]

export const closing = [
	{ name: 'a close frame without code', send: [frame(OP.CLOSE)], expect: [close()] },
	{ name: 'a close frame byte by byte', send: [pieces(chop(bye(1000, 'bye')))], expect: [close(1000)] },
	{ name: 'a reason of 123 bytes', send: [bye(1000, textOf(123))], expect: [close(1000)] },
	{ name: 'a reason of 124 bytes', send: [bye(1000, textOf(124))], expect: [close(1002)] },
	{ name: 'a code of one byte', send: [frame(OP.CLOSE, Buffer.from([3]))], expect: [close(1002)] },
	{ name: 'a reason that is no UTF-8', send: [bye(1000, Buffer.from('cebae1bdb9cf83ceedbfbf', 'hex'))], expect: [close(1007)] },
	{ name: 'a reason that ends in a character', send: [bye(1000, Buffer.from('61f09f98', 'hex'))], expect: [close(1007)] },
	{ name: 'a text, then the end', send: [Buffer.concat([frame(OP.TEXT, 'last words'), bye(1000)])], expect: [text('last words'), close(1000)] },
	{ name: 'the end twice', send: [Buffer.concat([bye(1000), bye(1001)])], expect: [close(1000)] },
	{ name: 'a ping behind the end', send: [Buffer.concat([bye(1000), frame(OP.PING, 'late')])], expect: [close(1000)] },
	{ name: 'a text behind the end', send: [Buffer.concat([bye(1000), frame(OP.TEXT, 'late')])], expect: [close(1000)] },
	{ name: 'the end in the middle of a message', send: [Buffer.concat([frame(OP.TEXT, 'frag', { fin: false }), bye(1000), frame(OP.CONTINUATION, 'ment')])], expect: [close(1000)] },
	{ name: 'the end with 256 KiB of echo before it', send: [frame(OP.BINARY, binaryOf(262144)), frame(OP.PING, 'p'), bye(3000)], expect: [binary(binaryOf(262144)), pong('p'), close(3000)] },
	...GOOD_CODES.map((code) => ({ name: `code ${code}`, send: [frame(OP.TEXT, 'before'), only(text('before')), bye(code, 'good')], expect: [text('before'), close(code)] })),
	...BAD_CODES.map((code) => ({ name: `code ${code}`, send: [frame(OP.TEXT, 'before'), bye(code, 'bad'), frame(OP.TEXT, 'late')], expect: [text('before'), close(1002)] })),
]
