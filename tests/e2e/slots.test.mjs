// A worker slot that stays empty: its listeners are lent to another worker, and come back.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { story, waitFor } from './support/herold.mjs'
import { RawSocket } from './support/raw.mjs'

const folder = mkdtempSync(join(tmpdir(), 'herold-test-'))

process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

/** The pid of a slot's ready worker. */
const ready = (herold, slot) => waitFor(async () => (await herold.status()).workers.find((w) => w.slot === slot && w.ready)?.pid, `worker ${slot}`)

async function answersAll(herold, address, count) {
	for (let i = 0; i < count; i++) {
		const socket = await RawSocket.open(address)

		socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
		assert.equal((await socket.response()).status, 200)
		await socket.finished()
	}
}

story('a slot that is down for long', { options: { listen: `127.0.0.1:0,unix:${folder}/herold` } }, async (herold) => {
	const survivor = await ready(herold, 1)

	// Each death in a row doubles the wait before the next start.
	while (!herold.lines.some((line) => /go to another worker/.test(line))) {
		const pid = await ready(herold, 0)

		process.kill(pid, 'SIGKILL')
		await waitFor(() => herold.lines.some((line) => line.includes('a process died') && line.includes(`child_pid=${pid} `)), 'its death')
		await waitFor(async () => herold.lines.some((line) => /go to another worker/.test(line)) ||
			(await herold.status()).workers.some((w) => w.slot === 0 && w.ready), 'the next one, or a lender')
	}
	// While nobody is in the slot, everybody is answered all the same.
	await answersAll(herold, herold.address, 20)
	const newcomer = await ready(herold, 0)

	await herold.waitLog(/no longer accepting for another slot/)
	await answersAll(herold, herold.address, 20)

	// The unix socket is shared by all slots: the lender keeps its own share when the loan is over.
	process.kill(newcomer, 'SIGSTOP')
	try {
		await answersAll(herold, `unix:${folder}/herold`, 5)
	} finally {
		process.kill(newcomer, 'SIGCONT')
	}
	assert.equal(await ready(herold, 1), survivor)
})
