// conformance - runs rows of bytes in and visible outcome: what comes back, in order, and how it ends
//
// A row is { name, send, expect }. send: what is written, a Buffer by one write each; or a function of the RawSocket.
// expect: what the server sends, as text(), binary(), pong() and close() make it, or a function that returns that. A row that does not end with a close() goes on
// with a close handshake of the client's, so that nothing more than expected can have come. After the close frame there is
// always the end of the connection.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'

import { sleep } from './herold.mjs'
import { OP, RawSocket, closePayload, frame } from './raw.mjs'

// Nobody waits so long in a good run; a build with sanitizers on a busy machine has 16 MiB to echo.
const WAIT_MS = 60000
const QUIET_MS = 15

/* Short ones are shown as they are when they differ. */
function shown(payload) {
	const body = Buffer.from(payload)

	return body.length <= 64 ? body.toString('hex') : `${body.length} bytes, sha1 ${createHash('sha1').update(body).digest('hex')}`
}

export const text = (payload) => `text ${shown(payload)}`
export const binary = (payload) => `binary ${shown(payload)}`
export const pong = (payload) => `pong ${shown(payload)}`
/** No code: a close frame without payload. */
export const close = (code) => code === undefined ? 'close' : `close ${code}`

const isClose = (outcome) => outcome !== undefined && outcome.startsWith('close')

/** A step of `send`: nothing but what is given may have come by now. */
export const only = (...outcomes) => async (raw, got) => {
	while (got.length < outcomes.length)
		got.push(await outcome(raw))
	await sleep(QUIET_MS)
	assert.deepEqual(got, outcomes, 'in the middle')
	assert.equal(raw.bytes.length, 0, 'and nothing more')
	assert.equal(raw.ended, false, 'and it goes on')
}

/** A step of `send`: each piece by a write of its own. */
export const pieces = (list) => (raw) => raw.writePieces(list)

/* What a frame must be whoever sends what: as a server sends it, whole and plain. */
function assertPlain(got) {
	assert.deepEqual({ fin: got.fin, rsv: got.rsv, masked: got.masked, isShortest: got.isShortest },
		{ fin: true, rsv: 0, masked: false, isShortest: true }, 'the form of a frame')
}

/** What comes next, as text() and so on; 'end' for the end of the connection. */
export async function outcome(raw) {
	const got = await raw.frame(WAIT_MS)

	if (got === null)
		return 'end'
	assertPlain(got)
	switch (got.opcode) {
	case OP.TEXT: return text(got.payload)
	case OP.BINARY: return binary(got.payload)
	case OP.PONG: return pong(got.payload)
	case OP.CLOSE: return close(got.code)
	default: return `opcode ${got.opcode}`
	}
}

/** Sees what the row says, or throws. headers: more of them in the handshake. */
export async function runRow(address, row, headers) {
	const { send } = row
	const expect = typeof row.expect === 'function' ? row.expect() : row.expect
	const raw = await RawSocket.upgraded(address, { path: '/echo', headers })
	const got = []
	const all = isClose(expect.at(-1)) ? [...expect, 'end'] : [...expect, close(1000), 'end']

	try {
		for (const step of send) {
			if (typeof step === 'function')
				await step(raw, got)
			else
				raw.write(step)
		}
		if (!isClose(expect.at(-1))) {
			// Not before all is here: the server ends in a few seconds then, whatever is still to be taken.
			while (got.length < expect.length && got.at(-1) !== 'end')
				got.push(await outcome(raw))
			raw.write(frame(OP.CLOSE, closePayload(1000)))
		}
		while (got.at(-1) !== 'end' && got.length <= all.length)
			got.push(await outcome(raw))
		assert.deepEqual(got, all)
		assert.equal(raw.error, undefined, 'no reset')
		assert.equal(raw.bytes.length, 0, 'no piece of a frame at the end')
	} finally {
		raw.destroy()
	}
}

/** Every row as a subtest. */
export function runRows(t, address, rows) {
	return Promise.all(rows.map((row) => t.test(row.name, () => runRow(address, row))))
}
