// The status page in a real browser: what it shows of a server, and that it says so when it does not know
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'

import { Browser, WIDE, screenshot } from './support/browser.mjs'
import { ChatClient } from './support/client.mjs'
import { startLoad } from './support/herold-load.mjs'
import { Herold, story, waitFor } from './support/herold.mjs'
import { RawSocket } from './support/raw.mjs'
import { Redis, freePort } from './support/redis.mjs'

const TOKEN = 'correct-horse/battery+staple=='
const SMALL = { width: 360, height: 740 }

function pageStory(name, settings, fn) {
	story(name, { timeout: 120000, ...settings }, async (herold, t) => {
		const browser = await Browser.start()

		try {
			await fn({ herold, browser, t })
		} finally {
			await browser.close()
		}
	})
}

const word = (page) => page.locator('#verdict-word').textContent()
const verdict = (page, text) => waitFor(async () => await word(page) === text, `the verdict ${text}`, 20000)
const because = (page) => page.locator('#because li').allTextContents()
const figure = async (page, tile) => (await page.locator(`#tile-${tile} .figure`).textContent()).trim()
const number = async (page, tile) => Number((await page.locator(`#tile-${tile} .number`).textContent()).replace(/[^\d.]/g, ''))
const live = (page) => page.locator('#page[data-link=live]').waitFor()
const stickOut = (page) => page.evaluate(() => document.documentElement.scrollWidth > innerWidth)

const FILES = {
	'/': 'text/html; charset=utf-8',
	'/status.css': 'text/css; charset=utf-8',
	'/status.js': 'text/javascript; charset=utf-8',
	'/icon.svg': 'image/svg+xml',
}

story('the files of the status page: types, caching, a strict policy, no token, an own name', { options: { workers: 1, hosts: 'status.example' } }, async (herold) => {
	for (const [path, type] of Object.entries(FILES)) {
		const answer = await herold.admin(path)

		assert.equal(answer.status, 200, path)
		assert.equal(answer.headers.get('content-type'), type)
		assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
		assert.match(answer.headers.get('content-security-policy'), /default-src 'none'; script-src 'self'/)
		assert.doesNotMatch(answer.headers.get('content-security-policy'), /unsafe/)
		const again = await fetch(herold.adminUrl + path, { headers: { 'If-None-Match': answer.headers.get('etag') } })

		assert.equal(again.status, 304, path)
	}
	const script = readFileSync(new URL('../../server/admin/page/index.html', import.meta.url), 'utf8')

	assert.doesNotMatch(script, /https?:|<style|style=|onclick/, 'nothing from elsewhere, nothing inline')
	assert.equal((await herold.admin('/nothing.js')).status, 404)
	assert.equal((await herold.admin('/status.js', { method: 'POST' })).status, 405)
	for (const [host, status] of [['status.example', 200], ['evil.example', 421]]) {
		const raw = await RawSocket.open(herold.adminAddress)

		raw.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
		assert.equal((await raw.response()).status, status, host)
		raw.destroy()
	}
})

/** Screens of all kinds, nothing of which sticks out to the right. */
async function looks(page, name) {
	for (const [size, viewport] of Object.entries({ wide: WIDE, narrow: SMALL })) {
		for (const colorScheme of ['light', 'dark']) {
			await page.setViewportSize(viewport)
			await page.emulateMedia({ colorScheme })
			await screenshot(page, `${name}-${colorScheme}-${size}`, { fullPage: true })
			assert.equal(await stickOut(page), false, `${size}: nothing sticks out to the right`)
		}
	}
	await page.setViewportSize(WIDE)
}

pageStory('under load: the figures of the clients, and that it is well', { options: { workers: 2 } }, async ({ herold, browser }) => {
	const page = await browser.open(`${herold.adminUrl}/`)

	await live(page)
	await verdict(page, 'Well')
	assert.equal(await figure(page, 'connections'), '0')
	const load = startLoad('chat', `${herold.wsUrl}/ws`, '--connections=120', '--publishers=12', '--rooms=8', '--rate=200', '--seconds=60')

	try {
		await waitFor(async () => await figure(page, 'connections') === '120', 'all connections')
		await waitFor(async () => Math.abs(await number(page, 'received') - 200) < 20, '200 messages a second', 20000)
		await waitFor(async () => Math.abs(await number(page, 'sent') / 15 - 200) < 40, 'each for the 15 of a room, and an answer', 20000)
		assert.equal(await page.locator('#panel-processes tbody th').allTextContents().then((names) => names.join()), 'worker 0,worker 1,broker,admin,master')
		await waitFor(async () => (await page.locator('#tile-received .edge').getAttribute('d')).includes('L'), 'a line', 20000)
		assert.equal(await word(page), 'Well')
		await looks(page, 'status-load')
	} finally {
		load.kill()
		await load.done
	}
	await waitFor(async () => await figure(page, 'connections') === '0', 'nobody any more')
	await page.locator('#panel-ends th').filter({ hasText: /^client (eof|reset|close)$/ }).first().waitFor()
	assert.deepEqual(page.problems, [])
})

pageStory('the pointer shows what was; a screen reader hears names, and the keyboard needs no pointer', { options: { workers: 1 } }, async ({ herold, browser }) => {
	const page = await browser.open(`${herold.adminUrl}/`)

	await verdict(page, 'Well')
	await page.getByRole('status').filter({ hasText: 'Well. The worker and the broker serve; nothing went wrong in the last minute.' }).waitFor()
	assert.equal(await page.title(), 'Well · Herold')
	await page.getByRole('article', { name: 'Messages in' }).waitFor()
	await page.getByRole('img', { name: /^Connections, last 15 minutes: 0 +at most$/ }).waitFor()
	await page.getByRole('table', { name: 'Processes' }).getByRole('columnheader', { name: 'CPU' }).waitFor()
	await page.getByRole('heading', { level: 1, name: 'Herold' }).waitFor()
	await page.locator('#tile-connections .chart').hover()
	await page.locator('#tile-received .aside').filter({ hasText: /^at \d\d:\d\d:\d\d$/ }).waitFor()
	await page.mouse.move(0, 0)
	await page.locator('#tile-received .aside').filter({ hasText: 'B/s' }).waitFor()
	await page.keyboard.press('Tab')
	assert.equal(await page.evaluate(() => document.activeElement.id), 'tiles')
	await page.keyboard.press('ArrowLeft')
	await page.locator('#tile-received .aside').filter({ hasText: /^at / }).waitFor()
	await page.getByRole('status').filter({ hasText: /^At \d\d:\d\d:\d\d: Connections 0 , Messages in 0 \/s, / }).waitFor()
	await page.keyboard.press('Escape')
	await page.locator('#tile-received .aside').filter({ hasText: 'B/s' }).waitFor()
	await page.keyboard.press('Tab')
	assert.equal(await page.evaluate(() => document.activeElement.textContent), '/status')
	assert.deepEqual(page.problems, [])
})

pageStory('under pressure, and why', { options: { workers: 1, max_connections: 4, limit_exempt: '' } }, async ({ herold, browser }) => {
	const page = await browser.open(`${herold.adminUrl}/`)
	const ada = await ChatClient.login(herold, { userId: 'ada', room: 'kitchen' })

	await verdict(page, 'Well')
	await page.getByRole('table', { name: 'Largest rooms' }).getByRole('rowheader', { name: 'kitchen' }).waitFor()
	const others = []

	for (let i = 0; i < 6; i++)
		others.push(await RawSocket.open(herold.address))
	await verdict(page, 'Under pressure')
	assert.match((await because(page))[0], /^Newcomers are refused because max_connections or worker_connections is reached: \d in the last minute\.$/)
	await page.getByRole('table', { name: 'Refused because of' }).getByRole('rowheader', { name: 'max connections' }).waitFor()
	assert.equal(await page.title(), 'Under pressure · Herold')
	await looks(page, 'status-pressure')
	for (const other of others)
		other.destroy()
	ada.close()
	assert.deepEqual(page.problems, [])
})

pageStory('without Redis: not ready, and why; with it again it is', { options: { workers: 1 } }, async ({ browser }) => {
	const redis = await Redis.start()
	const herold = await Herold.start({ options: { workers: 2, engine: 'redis', redis_url: redis.url } })

	try {
		const page = await browser.open(`${herold.adminUrl}/`)

		await verdict(page, 'Well')
		await page.getByRole('row', { name: 'Servers that take commands 1 of 1' }).waitFor()
		await page.getByRole('table', { name: 'Cluster nodes' }).waitFor()
		await redis.kill()
		await verdict(page, 'Not ready')
		const { json } = await herold.admin('/readyz')

		assert.match((await because(page))[0].toLowerCase(), new RegExp(`^${json.reason.toLowerCase().slice(0, 10)}`))
		await page.getByRole('row', { name: 'Servers that take commands 0 of 1' }).waitFor()
		await page.locator('#page[data-link=live]').waitFor()
		await page.getByRole('table', { name: 'Last warnings and errors' }).getByRole('row').filter({ hasText: 'Redis is lost' }).first().waitFor()
		await looks(page, 'status-redis-down')
		await redis.restart()
		await verdict(page, 'Worth a look')
		assert.ok((await because(page)).some((text) => /^Connections to Redis were lost: \d+ in the last minute\.$/.test(text)), await because(page))
		await page.getByRole('row', { name: 'Servers that take commands 1 of 1' }).waitFor()
		await looks(page, 'status-redis-back')
		assert.deepEqual(page.problems, [])
		await herold.stop()
	} finally {
		herold.kill()
		await redis.end()
	}
})

pageStory('the server is gone: the page says so and since when, and comes back by itself', { options: { workers: 1 } }, async ({ browser }) => {
	const options = { workers: 1, admin_listen: `127.0.0.1:${await freePort()}` }
	let herold = await Herold.start({ options })

	try {
		const page = await browser.open(`${herold.adminUrl}/`)

		await verdict(page, 'Well')
		await herold.stop()
		await page.locator('#page[data-link=lost]').waitFor()
		assert.equal(await word(page), 'Not known')
		assert.match((await because(page))[0], /^The admin process does not answer\. At \d\d:\d\d:\d\d it was: /)
		assert.match(await page.locator('#notice').textContent(), /The link is lost\..*What you see is of \d\d:\d\d:\d\d\./)
		await page.locator('#notice-clock').filter({ hasText: /\d s ago\. Trying again in \d+ s\./ }).waitFor()
		await looks(page, 'status-lost')
		herold = await Herold.start({ options })
		await page.getByRole('button', { name: 'Try now' }).click({ timeout: 1000 }).catch(() => {
			// It was quicker by itself.
		})
		await live(page)
		await verdict(page, 'Well')
		assert.equal(await page.locator('#notice').isVisible(), false)
		await herold.stop()
	} finally {
		herold.kill()
	}
})

pageStory('an admin process that says nothing: its figures are old, then the link is lost', { options: { workers: 1 } }, async ({ herold, browser }) => {
	const page = await browser.open(`${herold.adminUrl}/`)
	const { admin } = await herold.pids()

	await verdict(page, 'Well')
	process.kill(admin, 'SIGSTOP')
	try {
		await page.locator('#link-text').filter({ hasText: /^No news for \d+ s$/ }).waitFor()
		await page.locator('#page[data-link=lost]').waitFor()
		assert.equal(await word(page), 'Not known')
	} finally {
		process.kill(admin, 'SIGCONT')
	}
	await live(page)
	await verdict(page, 'Well')
})

pageStory('the token: asked for, refused in the server\'s words, kept for a reload', { options: { workers: 1, admin_token: TOKEN } }, async ({ herold, browser }) => {
	const page = await browser.open(`${herold.adminUrl}/`)
	const enter = async (token) => {
		await page.getByLabel('Admin token').fill(token)
		await page.keyboard.press('Enter')
	}

	await page.getByRole('button', { name: 'Show the status' }).waitFor()
	assert.equal(await page.evaluate(() => document.activeElement.id), 'token')
	await screenshot(page, 'status-token-light-wide')
	await enter('short')
	await page.getByRole('alert').filter({ hasText: 'A token has 16 to 512 visible characters.' }).waitFor()
	await enter('x'.repeat(20))
	await page.getByRole('alert').filter({ hasText: 'This is not the admin_token.' }).waitFor()
	await enter(TOKEN)
	await live(page)
	await verdict(page, 'Well')
	await page.reload()
	await live(page)
	assert.ok(!page.url().includes(TOKEN))
	const other = await browser.open(`${herold.adminUrl}/`)

	await other.getByLabel('Admin token').waitFor()
	assert.equal(await other.locator('#page').isVisible(), false)
})

pageStory('a refusal is shown in its own words', { options: { workers: 1 } }, async ({ herold, browser }) => {
	const page = await browser.open(herold.adminUrl.replace('127.0.0.1', 'status.localhost'))

	assert.match(await page.locator('body').textContent(), /without an admin_token the admin listener is asked by an address, localhost/)
	const viewers = []

	for (let i = 0; i < 32; i++)
		viewers.push(await RawSocket.upgraded(herold.adminAddress, { path: '/live' }))
	const late = await browser.open(`${herold.adminUrl}/`)

	await late.locator('#page[data-link=refused]').waitFor()
	assert.deepEqual(await because(late), ['As many status pages are open as there may be.'])
	assert.equal(await word(late), 'Not known')
	for (const viewer of viewers)
		viewer.destroy()
	await live(late)
})
