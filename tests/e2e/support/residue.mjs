// residue - shows that what was refused has left nothing: the same memory, connections and descriptors as before it came, to the byte
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { connect } from 'node:net'

import { waitFor } from './herold.mjs'

// With sanitizers all is slower, and their leak checker looks at the end as well.
const TIMES = (process.env.BIN ?? '').includes('asan') ? 40 : 200
const AT_ONCE = 25
const ROUNDS = 3

function open(address) {
	const at = address.lastIndexOf(':')
	const socket = connect({ host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(address.slice(at + 1)) })

	socket.on('data', () => {})
	socket.on('end', () => socket.end())
	// A reset is an end, too: what is not read any more may still be under way.
	socket.on('error', () => {})
	socket.ended = new Promise((done) => socket.on('close', done))
	return socket
}

/** One request; waits for the end of its connection, whatever the answer is. */
function ask(address, bytes) {
	const socket = open(address)

	socket.write(bytes)
	return socket.ended
}

/** What is kept for as many connections as there were at once (a place for each descriptor, free buffers) is there after this. */
async function fill(herold) {
	const sockets = Array.from({ length: 3 * AT_ONCE }, () => open(herold.address))

	await waitFor(async () => (await herold.status()).workers.every((w) => w.connections > AT_ONCE), 'many connections at once')
	for (const socket of sockets)
		socket.write('x\r\n\r\n')
	await Promise.all(sockets.map((socket) => socket.ended))
}

async function askOften(address, bytes, times) {
	for (let left = times; left > 0; left -= AT_ONCE)
		await Promise.all(Array.from({ length: Math.min(left, AT_ONCE) }, () => ask(address, bytes)))
}

async function holdings(herold) {
	const { workers } = await herold.status()
	const sum = (name) => workers.reduce((n, w) => n + w[name], 0)

	return { connections: sum('connections'), bytes: sum('allocated_bytes'),
		descriptors: workers.reduce((n, w) => n + readdirSync(`/proc/${w.pid}/fd`).length, 0) }
}

const isSame = (a, b) => Object.keys(a).every((key) => a[key] === b[key])

/** rows: [what, bytes] of requests that are refused. Each is sent until all that is made once is there, and then many times more, after
 * which everything has to be as before. What is kept for later may grow in one round, when more meet than ever before, but not in all.
 * Returns how many rows these were. Herold has one worker and core_dumps=on: else nobody but root may count its descriptors. */
export async function assertNoResidue(herold, rows, address = herold.address) {
	await fill(herold)
	for (const [what, bytes] of rows) {
		let before, after

		await askOften(address, bytes, AT_ONCE)
		for (let round = 0; round < ROUNDS && (round === 0 || !isSame(before, after)); round++) {
			before = await waitFor(async () => {
				const now = await holdings(herold)

				return now.connections === 0 ? now : null
			}, `${what}: no connection`)
			await askOften(address, bytes, TIMES)
			await waitFor(async () => {
				after = await holdings(herold)
				return isSame(before, after)
			}, what, 1000).catch(() => {})
		}
		assert.deepEqual(after, before, `${what}: ${TIMES} times, and something is left`)
	}
	return rows.length
}
