// permessage-deflate (RFC 7692) row by row, with compression shared and dedicated: any window, with and without context, in fragments,
// among messages that are not compressed. What an offer is answered with and what must not be: deflate.test.mjs.
import assert from 'node:assert/strict'

import { deflate } from './conformance/deflate.mjs'
import { DeflateClient } from './support/deflate-client.mjs'
import { story } from './support/herold.mjs'
import { OP, closePayload, frame } from './support/raw.mjs'

/* With room for the largest windows, and all messages compressed, the empty one too. */
const options = { max_message_bytes: '32m', link_queue_bytes: '256m', compression_min_bytes: 0, compression_memory: '1m' }

/* What RFC 7692 7.1 lets the answer be, and what the mode is for. */
function assertTerms({ bits, params }, mode, { answer, terms }) {
	assert.notEqual(terms, null, 'an offer that can be met')
	assert.equal(terms.serverBits, bits === 8 ? 15 : bits, answer)
	assert.equal(terms.clientBits, bits, answer)
	assert.equal(terms.serverKeeps, mode === 'dedicated' && !params.includes('server_no'), answer)
	assert.equal(terms.clientKeeps, mode === 'dedicated' && !params.includes('client_no'), answer)
}

function framesOf(client, { opcode, data, isDeflated, size, hasPing }) {
	const frames = client.frames(opcode, data, { isDeflated, size })

	return hasPing ? [...frames.slice(0, -1), frame(OP.PING, 'between'), frames.at(-1)] : frames
}

async function runRow(address, mode, row) {
	const client = await DeflateClient.open(address, { offer: row.offer })
	const messages = row.messages()

	assertTerms(row, mode, client)
	client.raw.write(Buffer.concat(messages.flatMap((message) => framesOf(client, message))))
	for (const { opcode, data, hasPing } of messages) {
		const expected = [...(hasPing ? [[OP.PONG, 'between']] : []), [opcode, data]]

		for (const [expectedOpcode, payload] of expected) {
			const got = await client.next()

			assert.equal(got.opcode, expectedOpcode)
			assert.ok(got.payload.equals(Buffer.from(payload)), `the message of ${data.length} bytes`)
		}
	}
	client.raw.write(frame(OP.CLOSE, closePayload(1000)))
	assert.equal((await client.next()).code, 1000)
	assert.equal(await client.next(), null)
	client.raw.destroy()
}

for (const mode of ['shared', 'dedicated']) {
	story(`conformance: compression ${mode}`, { options: { ...options, compression: mode }, concurrency: 8, timeout: 180000 }, async (herold, t) => {
		assert.equal(deflate.length, 216)
		await Promise.all(deflate.map((row) => t.test(row.name, () => runRow(herold.address, mode, row))))
		const { counters } = await herold.status()

		t.diagnostic(`${counters.deflate_calls} messages compressed, ${counters.inflate_calls} inflated`)
	})
}
