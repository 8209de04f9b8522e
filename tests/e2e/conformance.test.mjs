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
