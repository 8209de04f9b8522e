// docker-compose.yml with a real engine, in the order in which an operator meets it.
import assert from 'node:assert/strict'
import test from 'node:test'

import { ChatClient } from '../e2e/support/client.mjs'
import { Crowd } from '../e2e/support/crowd.mjs'
import { waitFor } from '../e2e/support/herold.mjs'
import { Project } from './project.mjs'

// nginx/conf.d/limits.conf: 200 WebSockets from one address.
const CROWD = { clients: 60, rooms: 20, publishers: 8, perSecond: 240 }
const PATIENCE_MS = 60000

const project = await Project.create()

/** Everybody in, everything said has its final word, and everybody has seen it. */
async function settled(crowd) {
	crowd.stopPublishing()
	await waitFor(() => crowd.inside === crowd.members.length && crowd.unsettled === 0, 'all settled', PATIENCE_MS)
	let counts

	await waitFor(() => {
		counts = crowd.check()
		return true
	}, 'everybody has everything', PATIENCE_MS)
	return counts
}

/** While a crowd chats: what happens, then so many more acknowledged messages. Prints the counts. */
async function whileChatting(t, what) {
	const crowd = new Crowd(`${project.wsUrl}/ws`, CROWD)

	try {
		await waitFor(() => crowd.inside === crowd.members.length, 'everybody is in', PATIENCE_MS)
		crowd.start()
		await more(crowd)
		await what(crowd)
		await more(crowd)
		t.diagnostic(JSON.stringify({ ...await settled(crowd), reconnected: crowd.reconnected, recovered: crowd.sum('recovered') }))
	} finally {
		crowd.end()
	}
}

function more(crowd, count = 1000) {
	const had = crowd.settled.acknowledged.length

	return waitFor(() => crowd.settled.acknowledged.length >= had + count, `${count} more acknowledged messages`, PATIENCE_MS)
}

test('docker compose', async (t) => {
	// Each builds on the one before: after a failure there is nothing to be learned from the rest.
	const step = async (name, what) => {
		let failure

		await t.test(name, (t) => what(t).catch(async (error) => {
			error.message += `\n${await project.logs()}`
			failure = error
			throw error
		}))
		if (failure !== undefined)
			throw new Error(`not gone on after "${name}"`)
	}

	try {
		await step('one command brings all up', () => project.up(1, '--build'))

		await step('nobody is root, and nothing can be written', async () => {
			for (const service of ['redis', 'herold', 'nginx']) {
				assert.notEqual(await project.inside(service, 'id', '-u'), '0', service)
				await assert.rejects(project.inside(service, 'touch', '/usr/local/x'), /Read-only file system/, service)
				assert.match(await project.inside(service, 'grep', 'CapBnd', '/proc/self/status'), /^CapBnd:\t0+$/, service)
			}
		})

		await step('the page and the chat are at one address', async () => {
			const page = await fetch(project.url)

			assert.equal(page.status, 200)
			assert.match(await page.text(), /<title>/)
			const [ada, ben] = [await ChatClient.login(project, { userId: 'ada' }), await ChatClient.login(project, { userId: 'ben' })]

			await ada.ask({ type: 'chat', message: 'hello', ref: 1 })
			assert.equal((await ben.next('chat')).message, 'hello')
			await Promise.all([ada.close(), ben.close()])
		})

		await step('the admin listener asks for the token that was handed over', async () => {
			for (const [path, headers, status] of [['/status', {}, 401], ['/healthz', {}, 200], ['/status', undefined, 200]]) {
				for (const answer of await project.admin(path, headers))
					assert.equal(answer.status, status, path)
			}
			assert.ok(!(await project.logs()).includes(project.token), 'the log')
		})

		await step('nginx is restarted while people chat', (t) => whileChatting(t, async (crowd) => {
			await project.restart('nginx')
			await waitFor(() => crowd.reconnected === crowd.members.length, 'everybody came back', PATIENCE_MS)
		}))

		await step('1 -> 3: nginx finds them, and nobody is disturbed', async () => {
			const before = await Promise.all([1, 2, 3].map(() => ChatClient.open(project)))

			await project.up(3)
			const after = await Promise.all(Array.from({ length: 30 }, () => ChatClient.open(project)))

			assert.ok((await project.spread()).every((count) => count >= 5), `spread over all: ${await project.spread()}`)
			assert.deepEqual(before.map((client) => client.closeInfo), [undefined, undefined, undefined])
			await Promise.all([...before, ...after].map((client) => client.close()))
		})
	} finally {
		await t.test('and it goes without a trace', () => project.down())
	}
})
