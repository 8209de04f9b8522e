// Fragmentation (RFC 6455, 5.4)
import { binary, close, only, pieces, pong, text } from '../support/conformance.mjs'
import { OP, chop, frame } from '../support/raw.mjs'

const first = (payload, opcode = OP.TEXT) => frame(opcode, payload, { fin: false })
const next = (payload) => frame(OP.CONTINUATION, payload, { fin: false })
const last = (payload) => frame(OP.CONTINUATION, payload)
const ping = (payload) => frame(OP.PING, payload)

const withPings = [first('one '), next('two '), ping('p1'), next('three '), next('four '), ping('p2'), last('five')]
const withPingsSeen = [pong('p1'), pong('p2'), text('one two three four five')]

export const fragmentation = [
	{ name: 'a ping in two fragments', send: [frame(OP.PING, 'a', { fin: false }), last('b')], expect: [close(1002)] },
	{ name: 'a pong in two fragments', send: [frame(OP.PONG, 'a', { fin: false }), last('b')], expect: [close(1002)] },
	{ name: 'a text in two fragments', send: [Buffer.concat([first('frag'), last('ment')])], expect: [text('fragment')] },
	{ name: 'a text in two fragments, apart', send: [first('frag'), only(), last('ment')], expect: [text('fragment')] },
	{ name: 'a text in two fragments, byte by byte', send: [pieces(chop(Buffer.concat([first('frag'), last('ment')])))], expect: [text('fragment')] },
	{ name: 'a ping between two fragments', send: [Buffer.concat([first('frag'), ping('p'), last('ment')])], expect: [pong('p'), text('fragment')] },
	{ name: 'a ping between two fragments, apart', send: [first('frag'), ping('p'), only(pong('p')), last('ment')], expect: [pong('p'), text('fragment')] },
	{ name: 'a ping between two fragments, byte by byte', send: [pieces(chop(Buffer.concat([first('frag'), ping('p'), last('ment')])))],
		expect: [pong('p'), text('fragment')] },
	{ name: 'a last fragment of nothing', send: [last('a'), frame(OP.TEXT, 'b')], expect: [close(1002)] },
	{ name: 'a fragment of nothing that goes on', send: [next('a'), frame(OP.TEXT, 'b')], expect: [close(1002)] },
	{ name: 'a last fragment behind a whole text', send: [frame(OP.TEXT, 'whole'), last('a')], expect: [text('whole'), close(1002)] },
	{ name: 'a last fragment behind the last fragment', send: [first('a'), last('b'), last('c')], expect: [text('ab'), close(1002)] },
	{ name: 'a whole text inside a text', send: [first('a'), frame(OP.TEXT, 'b'), last('c')], expect: [close(1002)] },
	{ name: 'a whole binary message inside a text', send: [first('a'), only(), frame(OP.BINARY, 'b')], expect: [close(1002)] },
	{ name: 'a fragmented text inside a text, refused by its first byte', send: [first('a'), next('b'), first('c').subarray(0, 1)], expect: [close(1002)] },
	{ name: 'pings among five fragments', send: [Buffer.concat(withPings)], expect: withPingsSeen },
	{ name: 'pings among five fragments, byte by byte', send: [pieces(chop(Buffer.concat(withPings)))], expect: withPingsSeen },
	{ name: 'empty fragments before, between and behind', send: [first(''), next(''), next('a'), next(''), last('')], expect: [text('a')] },
	{ name: 'a binary message of empty fragments', send: [first('', OP.BINARY), next(''), only(), last('')], expect: [binary('')] },
	{ name: 'fragmented messages of both kinds with a pong in each', send: [first('a'), frame(OP.PONG, 'x'), last('b'), first('c', OP.BINARY),
		frame(OP.PONG, 'y'), next('d'), last('e'), frame(OP.TEXT, 'f')], expect: [text('ab'), binary('cde'), text('f')] },
]
