// residue - shows that what was refused has left nothing: the same memory, connections and descriptors as before it came, to the byte
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { connect } from 'node:net'

import { waitFor } from './herold.mjs'

// With sanitizers all is slower, and their leak checker looks at the end as well.
export const TIMES = (process.env.BIN ?? '').includes('asan') ? 40 : 200
const AT_ONCE = 25
const ROUNDS = 3
// By default nobody has limits here; who tests them leaves this address without.
export const EXEMPT = '127.0.0.9'
/** The options that all this needs: without core dumps, nobody but root may count the descriptors of a process. */
export const RESIDUE = { workers: 1, core_dumps: 'on' }

function open(address, localAddress) {
	const at = address.lastIndexOf(':')
	const socket = connect({ host: address.slice(0, at), port: Number(address.slice(at + 1)), localAddress })

	socket.on('data', () => {})
	socket.on('end', () => socket.end())
	// A reset is an end, too: what is not read any more may still be under way.
	socket.on('error', () => {})
	socket.ended = new Promise((done) => socket.on('close', done))
	return socket
}

/** One request, and what is to follow once there is an answer; waits for the end of the connection. */
function ask({ address, localAddress }, bytes) {
	const socket = open(address, localAddress)
	const [first, rest] = [bytes].flat()

	socket.write(first)
	if (rest !== undefined)
		socket.once('data', () => socket.write(rest))
	return socket.ended
}

/** What is kept for as many connections as there were at once (a place for each descriptor, free buffers) is there after this. */
async function fill(herold) {
	const sockets = Array.from({ length: 3 * AT_ONCE }, () => open(herold.address, EXEMPT))

	const workers = await waitFor(async () => {
		const { workers: now } = await herold.status()

		return now.every((w) => w.connections > AT_ONCE) ? now : null
	}, 'many connections at once')
	const tell = (signal) => workers.forEach(({ pid }) => process.kill(pid, signal))

	// Held up meanwhile, they have so many to answer in one turn: more than ever come together later.
	tell('SIGSTOP')
	try {
		for (const socket of sockets)
			socket.write('x\r\n\r\n')
	} finally {
		tell('SIGCONT')
	}
	await Promise.all(sockets.map((socket) => socket.ended))
}

async function askOften(to, bytes, times) {
	for (let left = times; left > 0; left -= AT_ONCE)
		await Promise.all(Array.from({ length: Math.min(left, AT_ONCE) }, () => ask(to, bytes)))
}

async function holdings(herold) {
	const { workers, limits } = await herold.status()
	const sum = (name) => workers.reduce((n, w) => n + w[name], 0)

	return { connections: sum('connections'), counted: limits.connections, bytes: sum('allocated_bytes'),
		descriptors: workers.reduce((n, w) => n + readdirSync(`/proc/${w.pid}/fd`).length, 0) }
}

const isSame = (a, b) => Object.keys(a).every((key) => a[key] === b[key])

/** rows: [what, bytes or [bytes, what follows the answer]] of requests that are refused. Each is sent until all that is made once is there, and then many times more, after
 * which everything has to be as before. What is kept for later may grow in one round, when more meet than ever before, but not in all.
 * held: connections that stay. Returns how many rows these were. Herold runs with RESIDUE. */
export async function assertNoResidue(herold, rows, { address = herold.address, localAddress, held = 0 } = {}) {
	const to = { address, localAddress }

	await fill(herold)
	for (const [what, bytes] of rows) {
		let before, after

		await askOften(to, bytes, AT_ONCE)
		for (let round = 0; round < ROUNDS && (round === 0 || !isSame(before, after)); round++) {
			before = await waitFor(async () => {
				const now = await holdings(herold)

				return now.connections === held ? now : null
			}, `${what}: no more connections`)
			await askOften(to, bytes, TIMES)
			await waitFor(async () => {
				after = await holdings(herold)
				return isSame(before, after)
			}, what, 1000).catch(() => {})
		}
		assert.deepEqual(after, before, `${what}: ${TIMES} times, and something is left`)
	}
	return rows.length
}
