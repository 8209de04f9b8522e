// The end of the program, in order and out of order: nothing that was accepted is lost, and nothing is left behind.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'

import { ChatClient, usersOnEachWorker } from './support/client.mjs'
import { story, waitFor } from './support/herold.mjs'
import { RawSocket, handshake } from './support/raw.mjs'

const several = (herold, count) => Promise.all(Array.from({ length: count }, (_, i) => ChatClient.login(herold, { userId: `u${i}` })))

/** Says something whenever the last thing was acknowledged, until it is closed. */
async function chatter(client) {
	client.acks = new Map()
	for (let i = 0; client.closeInfo === undefined; i++) {
		try {
			const ack = await client.ask({ type: 'chat', message: `${client.loginOk.userId} ${i}`, ref: `${client.loginOk.userId} ${i}` })

			if (ack.type === 'ack')
				client.acks.set(ack.offset, ack.ref)
		} catch {
			// Closed before the answer.
		}
	}
}

story('SIGTERM: red, refusing, then one after the other', { options: { predrain_seconds: 4, drain_seconds: 2, room_history: 100000 } }, async (herold) => {
	const clients = await several(herold, 20)
	const idle = await RawSocket.open(herold.address)
	const chatting = clients.map(chatter)
	const closedAt = clients.map((client) => client.closed.then(() => Date.now()))

	idle.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
	assert.equal((await idle.response()).status, 200)
	await waitFor(() => clients.every((client) => client.acks.size > 0), 'everybody chats')
	assert.equal((await herold.admin('/readyz')).status, 200)
	herold.terminate()

	const red = await waitFor(async () => {
		const answer = await herold.admin('/readyz')

		return answer.status === 503 && answer
	}, 'not ready')

	assert.deepEqual(red.json, { status: 'not ready', reason: 'the server is going away' })
	assert.equal((await herold.admin('/healthz')).status, 200, 'but alive')
	const said = clients.map((client) => client.acks.size)

	for (const request of [handshake(), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /ws HTTP/1.1\r\nHost: a\r\n\r\n']) {
		const late = await RawSocket.open(herold.address)

		late.write(request)
		const { status, headers, body } = await late.response()

		assert.deepEqual([status, JSON.parse(body).error], [503, 'The server is going away; try again.'])
		assert.match(headers['retry-after'], /^[1-5]$/)
		await late.finished()
	}
	assert.ok(clients.every((client) => client.closeInfo === undefined), 'nobody is asked to go yet')
	await waitFor(() => clients.every((client, i) => client.acks.size > said[i]), 'everybody chats on')

	await Promise.all(chatting)
	for (const client of clients)
		assert.deepEqual(client.closeInfo, { code: 1001, reason: 'server is going away' })
	const times = (await Promise.all(closedAt)).sort((a, b) => a - b)

	assert.ok(times.at(-1) - times[0] >= 1000, `spread over ${times.at(-1) - times[0]} ms`)
	assert.ok(times.at(-1) - times[0] <= 4000, `spread over ${times.at(-1) - times[0]} ms`)
	await waitFor(() => herold.exit, 'the end')

	// Up to its end everybody has seen everything, and what was acknowledged is what the others saw.
	const last = clients.reduce((a, b) => a.texts().length > b.texts().length ? a : b)

	for (const client of clients) {
		const chats = client.received.filter((m) => m.type === 'chat')

		assert.deepEqual(chats.map((m) => m.offset), Array.from({ length: chats.length }, (_, i) => chats[0].offset + i), 'no gap')
		assert.deepEqual(client.texts(), last.texts().slice(chats[0].offset - 1, chats[0].offset - 1 + chats.length), 'one order')
		for (const [offset, text] of client.acks) {
			const seen = last.received.find((m) => m.type === 'chat' && m.offset === offset)

			assert.ok(seen === undefined ? offset > last.texts().length : seen.message === text, `acknowledged: ${offset} ${text}`)
		}
	}
})

story('a message that is under way when everybody is asked to go', { options: { workers: 1, drain_seconds: 1 } }, async (herold) => {
	const [sender, reader] = await several(herold, 2)
	const { broker } = await herold.pids()

	// The broker holds it up until the drain has begun.
	process.kill(broker, 'SIGSTOP')
	sender.send({ type: 'chat', message: 'just in time', ref: 1 })
	herold.terminate()
	await herold.waitLog(/draining/)
	process.kill(broker, 'SIGCONT')
	await Promise.all([sender.closed, reader.closed])
	assert.ok(reader.texts().includes('just in time') || sender.texts().includes('just in time'), 'it was delivered')
})

story('the whole group is asked to end, as by a service manager or Ctrl-C', { options: { drain_seconds: 1 } }, async (herold) => {
	const clients = await several(herold, 6)
	const chatting = clients.map(chatter)

	await waitFor(() => clients.every((client) => client.acks.size > 0), 'everybody chats')
	for (const signal of ['SIGHUP', 'SIGTERM']) {
		const said = clients.map((client) => client.acks.size)

		process.kill(-herold.pid, signal)
		await waitFor(() => clients.some((client, i) => client.acks.size > said[i]), 'somebody chats on')
	}
	await Promise.all(chatting)
	assert.ok(clients.every((client) => client.closeInfo.code === 1001))
	await waitFor(() => herold.exit, 'the end')
	assert.ok(!herold.lines.some((line) => / (error|warn) .*link/.test(line)), 'the broker stayed to the end')
	const order = herold.lines.findIndex((line) => /broker ends/.test(line))

	assert.ok(order > herold.lines.findLastIndex((line) => /worker ends/.test(line)), 'and went last')
})

story('SIGINT ends as SIGTERM does', {}, async (herold) => {
	const [client] = await several(herold, 1)

	process.kill(-herold.pid, 'SIGINT')
	assert.equal((await client.closed).code, 1001)
	await waitFor(() => herold.exit, 'the end')
})

story('a worker that dies while it drains is not started again; a second signal ends all at once', { options: { drain_seconds: 600 },
	exit: { code: 1, signal: null } },
	async (herold) => {
		const clients = await usersOnEachWorker(herold, 3)
		const { workers } = await herold.pids()

		herold.terminate()
		await waitFor(() => herold.lines.filter((line) => /draining/.test(line)).length >= 2, 'both workers drain')
		const before = herold.processes()

		process.kill(workers[0], 'SIGKILL')
		await waitFor(() => !herold.processes().includes(workers[0]), 'its end')
		// The other one's clients chat on, and the master has had every occasion.
		const rest = await waitFor(() => clients.filter((client) => client.closeInfo === undefined), 'somebody')

		for (let round = 0; round < 20; round++)
			for (const client of rest.filter((each) => each.closeInfo === undefined))
				await client.ask({ type: 'chat', message: 'x', ref: `${client.loginOk.userId} ${round}` }).catch(() => {})
		assert.deepEqual(herold.processes(), before.filter((pid) => pid !== workers[0]))
		assert.equal((await herold.status()).restarts.worker, 0)
		// Who comes now is told at once, in both slots: nobody waits for an answer that never comes.
		for (let i = 0; i < 20; i++)
			await assert.rejects(RawSocket.open(herold.address), { code: 'ECONNREFUSED' })
		const start = Date.now()

		process.kill(herold.pid, 'SIGTERM')	// the second one
		await waitFor(() => herold.exit, 'the end')
		assert.ok(Date.now() - start < 5000, `at once, not in ${Date.now() - start} ms`)
	})

story('without its master nobody stays', { options: { workers: 3 }, exit: { code: null, signal: 'SIGKILL' } }, async (herold) => {
	const clients = await several(herold, 6)

	assert.equal(herold.processes().length, 6)
	process.kill(herold.pid, 'SIGKILL')
	await waitFor(() => herold.processes().length === 0, 'the end of all')
	await Promise.all(clients.map((client) => client.closed))
})

const UNSHARE = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child']
const noNamespace = spawnSync(UNSHARE[0], [...UNSHARE.slice(1), 'true']).status !== 0 && 'needs the right to make PID namespaces (root)'

story('as process 1 of a container', { skip: noNamespace, under: UNSHARE, options: { drain_seconds: 1 } }, async (herold) => {
	const title = (pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0+$/, '')
	const outside = (name) => waitFor(() => herold.processes().find((pid) => title(pid) === name), name)
	const { master } = await herold.status()

	assert.equal(master.pid, 1)
	process.kill(await outside('herold: worker 0'), 'SIGKILL')
	await waitFor(async () => {
		const { ready, restarts } = await herold.status()

		return ready && restarts.worker === 1
	}, 'another worker')
	const clients = await several(herold, 6)

	process.kill(await outside('herold: master'), 'SIGTERM')
	for (const client of clients)
		assert.equal((await client.closed).code, 1001)
	await waitFor(() => herold.exit, 'the end')
})
