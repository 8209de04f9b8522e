// The chat page in a real browser, when the server wants less of it, or nothing: the real one, and a scripted one that serves the page's
// own files
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import test from 'node:test'
import { WebSocketServer } from 'ws'

import { Browser, NARROW, WIDE, screenshot } from './support/browser.mjs'
import { story, waitFor } from './support/herold.mjs'

const PAGE = new URL('../../server/page/', import.meta.url)
const TYPES = { html: 'text/html', css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml' }

/** What a quiet server says to a message; undefined: nothing. */
function answer(m, server) {
	const place = { room: m.room, epoch: 'e1', offset: server.offset }

	if (m.type === 'login')
		return { type: 'login_ok', userId: m.userId, name: m.name, resume: 'secret', ...place, count: 1, users: [{ userId: m.userId, name: m.name }], messages: [] }
	if (m.type === 'history')
		return { type: 'history', ...place, messages: [], more: false, ref: m.ref }
	if (m.type === 'chat') {
		server.taken.push(m.message)
		return { type: 'ack', ...place, offset: ++server.offset, id: `id${server.offset}`, ref: m.ref }
	}
	return undefined
}

const refuse = (m, code, message, seconds) => ({ type: 'error', code, message, retry_after: seconds, ref: m.ref })

/** fn(page, server), the page logged in. script(m, server, socket): an answer of its own; null: it has done all; undefined: as usual. */
function pageStory(name, script, fn) {
	test(name, { timeout: 60000 }, async (t) => {
		const server = { offset: 0, taken: [], logins: 0, refusal: null, notBefore: 0, tooEarly: 0 }
		const http = createServer((request, response) => {
			const path = request.url.split('?')[0]
			const file = path === '/' ? 'index.html' : path.slice(1)

			if (path !== '/ws')
				return response.setHeader('Content-Type', TYPES[file.split('.').at(-1)]).end(readFileSync(new URL(file, PAGE)))
			response.writeHead(server.refusal?.status ?? 426, { 'Retry-After': server.refusal?.seconds ?? 0 })
			return response.end(JSON.stringify({ error: server.refusal?.sentence }))
		})
		const sockets = new WebSocketServer({ server: http, verifyClient: (info, done) => done(server.refusal === null, server.refusal?.status) })

		sockets.on('connection', (socket) => {
			socket.send(JSON.stringify({ type: 'connection', id: 'c' }))
			socket.on('message', (data) => {
				const m = JSON.parse(data)
				const own = script(m, server, socket)
				const reply = own === undefined ? answer(m, server) : own

				server.logins += m.type === 'login' ? 1 : 0
				if (reply)
					socket.send(JSON.stringify(reply))
			})
		})
		http.listen(0, '127.0.0.1')
		await once(http, 'listening')
		const browser = await Browser.start()

		t.after(async () => {
			await browser.close()
			for (const socket of sockets.clients)
				socket.terminate()
			http.close()
			http.closeAllConnections()
		})
		const page = await browser.open(`http://127.0.0.1:${http.address().port}/`)

		server.cut = () => [...sockets.clients].forEach((socket) => socket.terminate())
		await page.getByLabel('Your name').fill('Ada')
		await page.getByRole('button', { name: 'Join the chat' }).click()
		await fn(page, server)
	})
}

const online = (page) => page.locator('#connection[data-state=online]').waitFor()
const notice = (page, text) => page.locator('#notice').filter({ hasText: text }).waitFor()
const texts = (page) => page.locator('.log .message .text').allTextContents()

async function say(page, text) {
	await page.getByLabel('Your message').fill(text)
	await page.keyboard.press('Enter')
}

/** Faster than anybody writes. */
function sayAll(page, all) {
	return page.evaluate((lines) => {
		for (const line of lines) {
			document.getElementById('text').value = line
			document.getElementById('composer').requestSubmit()
		}
	}, all)
}

/** In light and dark, wide and narrow; nothing sticks out. */
async function looks(page, name) {
	for (const [size, viewport] of Object.entries({ wide: WIDE, narrow: NARROW })) {
		for (const colorScheme of ['light', 'dark']) {
			await page.setViewportSize(viewport)
			await page.emulateMedia({ colorScheme })
			await screenshot(page, `${name}-${colorScheme}-${size}`)
			assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, `${name}, ${size}`)
		}
	}
}

{
	let free = 20

	pageStory('over the rate, the page says so, sends nothing meanwhile, and all arrives in order', (m, server) => {
		server.tooEarly += Date.now() < server.notBefore ? 1 : 0
		if (m.type !== 'chat' || free-- > 0)
			return undefined
		free = 5
		server.notBefore = Date.now() + 400
		return refuse(m, 'rate_limited', 'too fast', 0.4)
	}, async (page, server) => {
		const all = Array.from({ length: 45 }, (_, i) => `message ${i}`)

		await online(page)
		await sayAll(page, all)
		await notice(page, 'You are writing too fast.')
		await looks(page, 'limited')
		await waitFor(async () => (await page.locator('[data-state=sent] .own').count()) === 45, 'every message sent', 20000)
		assert.deepEqual(server.taken, all)
		assert.deepEqual(await texts(page), all)
		assert.equal(server.logins, 1)
		assert.equal(server.tooEarly, 0)
		await page.locator('#notice').waitFor({ state: 'hidden' })
		assert.deepEqual(page.problems, [])
	})
}

pageStory('when sending too much has cost the connection, the page waits longer and says so', (m, server, socket) => {
	if (m.type !== 'chat')
		return undefined
	socket.close(1008, 'Rate limit exceeded')
	return null
}, async (page, server) => {
	await online(page)
	await say(page, 'one too many')
	await notice(page, 'You were writing too fast.')
	const [, seconds] = await waitFor(async () => /Next attempt in (\d+)/.exec(await page.locator('#notice').textContent()), 'the time')

	assert.ok(seconds >= 9 && seconds <= 20, seconds)
	assert.equal(await page.locator('#notice button').isVisible(), false)
	assert.equal(await page.locator('[data-state=pending] .own').count(), 1)
	await looks(page, 'too-much')
	assert.equal(server.logins, 1)
	assert.deepEqual(page.problems, [])
})

{
	let isMuted = true

	pageStory('muted: how long, and the message stays until it is sent again by hand', (m) => {
		return m.type === 'chat' && isMuted ? refuse(m, 'muted', 'you are muted', 240) : undefined
	}, async (page, server) => {
		await online(page)
		await say(page, 'something rude')
		await notice(page, 'You are muted.')
		assert.match(await page.locator('#notice-countdown').textContent(), /^4\u00a0min left\.$/)
		await page.locator('.failed').getByText('You are muted.').waitFor()
		await looks(page, 'muted')
		isMuted = false
		await page.getByRole('button', { name: 'Try again' }).click()
		await page.locator('[data-state=sent] .own').waitFor()
		assert.deepEqual(server.taken, ['something rude'])
		await page.locator('#notice').waitFor({ state: 'hidden' })
		assert.deepEqual(page.problems, [])
	})
}

{
	let isKicked = true

	pageStory('kicked: the sentence, and no way back but by hand', (m, server, socket) => {
		if (m.type !== 'chat' || !isKicked)
			return undefined
		socket.close(4403, 'kicked by a moderator')
		return null
	}, async (page, server) => {
		await online(page)
		await say(page, 'something rude')
		await notice(page, 'Kicked by a moderator.')
		await looks(page, 'kicked')
		// What brings a lost connection back does not bring this one back.
		await page.evaluate(() => dispatchEvent(new Event('online')))
		assert.equal(await page.locator('#connection').getAttribute('data-state'), 'closed')
		isKicked = false
		await page.getByRole('button', { name: 'Connect again' }).click()
		await online(page)
		await page.locator('#notice').waitFor({ state: 'hidden' })
		await page.locator('[data-state=sent] .own').waitFor()
		assert.equal(server.logins, 2)
		assert.deepEqual(page.problems, [])
	})
}

pageStory('banned at the login: the sentence and the button', (m) => (m.type === 'login' ? refuse(m, 'banned', 'you are banned', 3600) : undefined), async (page, server) => {
	await notice(page, 'You are banned.')
	await page.getByRole('button', { name: 'Connect again' }).waitFor()
	assert.equal(server.logins, 1)
})

pageStory('refused for a while: the sentence of the refusal, and its time', () => undefined, async (page, server) => {
	await online(page)
	server.refusal = { status: 429, sentence: 'too many connections from this address', seconds: 30 }
	server.cut()
	await notice(page, 'Too many connections from this address.')
	const seconds = await waitFor(async () => {
		const [, time] = /Next attempt in (\d+)/.exec(await page.locator('#notice').textContent()) ?? []

		return Number(time) > 20 ? Number(time) : null
	}, 'a longer time')

	assert.ok(seconds >= 29 && seconds <= 45, `${seconds}`)
	server.refusal = null
	await page.getByRole('button', { name: 'Try now' }).click()
	await online(page)
	assert.equal(server.logins, 2)
})

story('the real server: a page that sends far too much is told, is not cut off, and all of it arrives in order', {
	timeout: 120000, options: { limit_exempt: '', messages_per_minute: 100, room_history: 1000 },
}, async (herold, t) => {
	const browser = await Browser.start()
	const all = Array.from({ length: 125 }, (_, i) => `message ${i}`)

	t.after(() => browser.close())
	const page = await browser.open(`${herold.url}/`)

	await page.getByLabel('Your name').fill('Ada')
	await page.getByRole('button', { name: 'Join the chat' }).click()
	await online(page)
	await sayAll(page, all)
	await notice(page, 'You are writing too fast.')
	await waitFor(async () => (await page.locator('[data-state=sent] .own').count()) === all.length, 'every message sent', 60000)
	const said = (await herold.admin('/api/history?channel=room:lobby&limit=1000')).json.publications.map((p) => p.data.message)

	assert.deepEqual(said, all)
	assert.deepEqual(await texts(page), all)
	const { counters } = await herold.status()

	assert.ok(counters.limited_messages > 0)
	assert.deepEqual([counters.closed.rate_limited, counters.upgrades], [0, 1])
	await page.locator('#notice').waitFor({ state: 'hidden' })
	assert.deepEqual(page.problems, [])
})
