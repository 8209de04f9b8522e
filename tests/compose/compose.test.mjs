// docker-compose.yml with a real engine, in the order in which an operator meets it.
import assert from 'node:assert/strict'
import test from 'node:test'

import { Browser, screenshot } from '../e2e/support/browser.mjs'
import { ChatClient } from '../e2e/support/client.mjs'
import { Crowd } from '../e2e/support/crowd.mjs'
import { logFields, waitFor } from '../e2e/support/herold.mjs'
import { Project } from './project.mjs'

// nginx/conf.d/limits.conf: 200 WebSockets from one address.
const CROWD = { clients: 60, rooms: 20, publishers: 8, perSecond: 240 }
const PATIENCE_MS = 60000

const project = await Project.create()

/** Everybody in, everything said has its final word, everybody has seen it, and knows who is there. */
async function settled(crowd) {
	crowd.stopPublishing()
	await waitFor(() => crowd.inside === crowd.members.length && crowd.unsettled === 0, 'all settled', PATIENCE_MS)
	let counts

	await waitFor(() => {
		counts = crowd.check()
		crowd.checkPresence()
		return true
	}, 'everybody has everything', PATIENCE_MS)
	return counts
}

/** While the crowd chats: what happens, then so many more acknowledged messages. Prints the counts, of all steps until now. */
async function whileChatting(t, crowd, what) {
	for (const member of crowd.members)
		member.lastClose = undefined
	await waitFor(() => crowd.inside === crowd.members.length, 'everybody is in', PATIENCE_MS)
	crowd.start()
	await more(crowd)
	await what()
	await more(crowd)
	t.diagnostic(JSON.stringify({ ...await settled(crowd), recovered: crowd.sum('recovered'), notRecovered: crowd.sum('notRecovered'),
		resets: crowd.sum('resets') }))
	// Whoever was cut off was back before anybody was told.
	assert.deepEqual([...crowd.departed], [])
}

function more(crowd, count = 1000) {
	const had = crowd.settled.acknowledged.length

	return waitFor(() => crowd.settled.acknowledged.length >= had + count, `${count} more acknowledged messages`, PATIENCE_MS)
}

/** How their last connection ended, of those who have lost one in this step. */
function ends(crowd) {
	return crowd.members.map((member) => member.lastClose).filter((end) => end !== undefined)
}

/** The chat page, with somebody logged in. */
async function enter(browser, name) {
	const page = await browser.open(project.url)

	await page.getByLabel('Your name').fill(name)
	await page.getByRole('button', { name: 'Join the chat' }).click()
	await page.locator('#connection[data-state=online]').waitFor()
	return page
}

async function say(page, text) {
	await page.getByLabel('Your message').fill(text)
	await page.keyboard.press('Enter')
}

const sees = (page, text) => page.locator('.log:not([hidden])').getByText(text, { exact: true }).first().waitFor()

test('docker compose', async (t) => {
	let crowd

	// Each builds on the one before: after a failure there is nothing to be learned from the rest.
	const step = async (name, what) => {
		let failure

		await t.test(name, (t) => what(t).catch(async (error) => {
			t.diagnostic(await project.logs())
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

		await step('a client is known by its own address, not by that of nginx', async () => {
			const client = await ChatClient.open(project)

			await client.close(1000)
			// nginx' log has a WebSocket when it has ended, as herold's has.
			const [entry] = await waitFor(async () => {
				const entries = (await project.log('nginx')).map((line) => logFields(line)).filter((entry) => entry.path === '/ws')

				return entries.length > 0 && entries
			}, 'it is in the log of nginx')
			const peers = await waitFor(async () => {
				const found = (await project.log('herold')).map((line) => logFields(line).peer).filter((peer) => peer !== undefined)

				return found.length > 0 && found
			}, 'it is in the log of herold')

			assert.deepEqual([...new Set(peers)], [entry.client])
			assert.notEqual(entry.client, await project.addressOf('nginx'))
			assert.ok(await project.counter('forwarded_requests') >= 3)
		})

		await step('an nginx that no longer follows is not healthy', async () => {
			const follower = await project.inside('nginx', 'sh', '-c',
				'for p in /proc/[0-9]*; do tr "\\0" " " <$p/cmdline | grep -q "^/bin/sh .*/nginx-follow " && echo ${p#/proc/}; done; true')
			const asked = '/run/upstream.conf.asked'

			await project.inside('nginx', 'nginx-healthy')
			await project.inside('nginx', 'sh', '-c', `kill -STOP ${follower}`)
			await project.inside('nginx', 'sh', '-c', `echo 0 >${asked}`)
			await assert.rejects(project.inside('nginx', 'nginx-healthy'), /nginx-follow does not follow/)
			await project.inside('nginx', 'sh', '-c', `kill -CONT ${follower}`)
			await waitFor(() => project.inside('nginx', 'nginx-healthy').then(() => true), 'it follows again', PATIENCE_MS)
		})

		await step('the admin listener asks for the token that was handed over', async () => {
			for (const [path, headers, status] of [['/status', {}, 401], ['/healthz', {}, 200], ['/status', undefined, 200]]) {
				for (const answer of await project.admin(path, headers))
					assert.equal(answer.status, status, path)
			}
			assert.ok(!(await project.logs()).includes(project.token), 'the log')
		})


		await step('1 -> 3: nginx finds them, and nobody is disturbed', async () => {
			const before = await Promise.all([1, 2, 3].map(() => ChatClient.open(project)))

			await project.up(3)
			const after = await Promise.all(Array.from({ length: 30 }, () => ChatClient.open(project)))

			assert.ok((await project.spread()).every((count) => count >= 5), `spread over all: ${await project.spread()}`)
			assert.deepEqual(before.map((client) => client.closeInfo), [undefined, undefined, undefined])
			await waitFor(async () => (await project.statuses()).every((status) => status.nodes.length === 3), 'each herold knows of all', PATIENCE_MS)
			// The last one is that which asks.
			await waitFor(async () => (await project.inside('redis', 'redis-cli', 'client', 'list')).split('\n').length === 2 * 3 + 1,
				'two connections to Redis for each herold')
			await Promise.all([...before, ...after].map((client) => client.close()))
		})

		await step('three people chat in a browser, each on another herold', async () => {
			const browser = await Browser.start()

			try {
				const pages = []

				for (const name of ['Ada', 'Ben', 'Cem'])
					pages.push(await enter(browser, name))
				assert.deepEqual(await project.spread(), [1, 1, 1])
				for (const [i, page] of pages.entries()) {
					await say(page, `Hello from number ${i}`)
					await Promise.all(pages.map((each) => sees(each, `Hello from number ${i}`)))
				}
				await screenshot(pages[0], 'compose')
				assert.deepEqual(pages.flatMap((page) => page.problems), [])
			} finally {
				await browser.close()
			}
		})

		crowd = new Crowd([`${project.wsUrl}/ws`], CROWD)

		for (const [what, again] of [['restarted', () => project.restart('redis')], ['killed, and started again', () => project.kill('redis')]]) {
			await step(`redis is ${what} while people chat: nobody is cut off, and everything is still there`, (t) => whileChatting(t, crowd, async () => {
				const losses = await project.counter('redis_losses')

				assert.ok((await project.spread()).every((count) => count >= 10), `spread over all: ${await project.spread()}`)
				await again()
				assert.ok(await project.counter('redis_losses') - losses >= 6, 'each herold has lost both connections')
				assert.deepEqual(ends(crowd), [])
				// It cannot have lost anything, so all positions are still good.
				assert.equal(await project.counter('redis_generations'), 0)
				assert.equal(crowd.sum('resets'), 0)
			}))
		}

		await step('nginx is restarted: everybody comes back', (t) => whileChatting(t, crowd, async () => {
			await project.restart('nginx')
			await waitFor(() => ends(crowd).length === crowd.members.length, 'everybody was cut off', PATIENCE_MS)
		}))

		await step('3 -> 2: those who were on the third are asked to go, and come back', (t) => whileChatting(t, crowd, async () => {
			await project.up(2)
			assert.ok(ends(crowd).length >= 10 && ends(crowd).length <= 30, `one third, not ${ends(crowd).length}`)
			assert.deepEqual([...new Set(ends(crowd))], ['1001 server is going away'])
		}))

		await step('every herold is replaced by a new one', (t) => whileChatting(t, crowd, async () => {
			const old = await project.replaceHerolds()
			const now = (await project.containers('herold')).map((c) => c.Id)

			assert.equal(now.length, 2)
			assert.ok(now.every((id) => !old.includes(id)), 'new ones')
			assert.equal(ends(crowd).length, crowd.members.length)
			assert.deepEqual([...new Set(ends(crowd))], ['1001 server is going away'])
		}))
	} finally {
		crowd?.end()
		await t.test('and it goes without a trace', () => project.down())
	}
})
