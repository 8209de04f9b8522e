// RFC 6455 row by row: any bytes in, what comes back, and how it ends. The groups are those by which implementations of WebSocket are
// usually judged (of the Autobahn test suite), with as many rows as there; permessage-deflate: conformance-deflate.test.mjs.
import assert from 'node:assert/strict'

import { closing } from './conformance/closing.mjs'
import { fragmentation } from './conformance/fragments.mjs'
import { framing, opcodes, pings, reserved } from './conformance/framing.mjs'
import { limits } from './conformance/limits.mjs'
import { utf8 } from './conformance/utf8.mjs'
import { runRows } from './support/conformance.mjs'
import { story } from './support/herold.mjs'
import { OP, RawSocket, closePayload, frame } from './support/raw.mjs'

const GROUPS = [
	['framing', framing, 16],
	['pings and pongs', pings, 11],
	['reserved bits', reserved, 7],
	['opcodes', opcodes, 10],
	['fragmentation', fragmentation, 20],
	['UTF-8', utf8, 145],
	['closing', closing, 37],
]
const options = { max_message_bytes: '32m', link_queue_bytes: '256m' }

story('conformance', { options, concurrency: 16 }, async (herold, t) => {
	await Promise.all(GROUPS.map(([name, rows, count]) => t.test(name, async (group) => {
		assert.equal(rows.length, count)
		await runRows(group, herold.address, rows)
	})))
})

// Few at a time: each holds some copies of its message here.
story('conformance: limits and sizes', { options, concurrency: 3, timeout: 180000 }, async (herold, t) => {
	assert.equal(limits.length, 55)
	await runRows(t, herold.address, limits)
})

story('conformance: what the server begins', { options: { heartbeat_seconds: 1 }, concurrency: 2 }, async (herold, t) => {
	await t.test('pings, also in the middle of a message', async () => {
		const raw = await RawSocket.upgraded(herold.address, { path: '/echo' })

		raw.write(frame(OP.TEXT, 'frag', { fin: false }))
		// The second and third come only if the pong counted as life.
		for (let i = 0; i < 3; i++) {
			const { payload, ...ping } = await raw.frame()

			assert.deepEqual(ping, { opcode: OP.PING, fin: true, rsv: 0, masked: false, isShortest: true })
			assert.ok(payload.length <= 125)
			raw.write(frame(OP.PONG, payload))
		}
		raw.write(frame(OP.CONTINUATION, 'ment'))
		assert.equal((await raw.frame()).payload.toString(), 'fragment')
		raw.destroy()
	})
	await t.test('the close handshake, the client in the middle of a message', async () => {
		const raw = await RawSocket.upgraded(herold.address, { path: '/ws' })

		await raw.frame()
		raw.write(Buffer.concat([frame(OP.BINARY, 'no text'), frame(OP.TEXT, 'frag', { fin: false })]))
		const { payload, reason, ...close } = await raw.frame()

		assert.deepEqual(close, { opcode: OP.CLOSE, code: 1003, fin: true, rsv: 0, masked: false, isShortest: true })
		assert.ok(payload.length <= 125 && reason.length > 0)
		assert.equal(raw.ended, false, 'the answer is waited for')
		raw.write(Buffer.concat([frame(OP.PING, 'late'), frame(OP.CLOSE, closePayload(1003))]))
		assert.equal(await raw.frame(), null, 'and nothing but the end follows it')
		assert.equal(raw.error, undefined)
	})
})
