// The chat page in a real browser
import assert from 'node:assert/strict'

import { Browser, NARROW, WIDE, screenshot } from './support/browser.mjs'
import { story, waitFor } from './support/herold.mjs'
import { RawSocket } from './support/raw.mjs'

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

async function enter(browser, herold, name, { room = '', ...options } = {}) {
	const page = await browser.open(`${herold.url}/${room}`, options)

	await page.getByLabel('Your name').fill(name)
	await page.getByRole('button', { name: 'Join the chat' }).click()
	await connected(page)
	return page
}

const connected = (page) => page.locator('#connection[data-state=online]').waitFor()
const texts = (page) => page.locator('.log:not([hidden]) .message .text').allTextContents()
const notes = (page) => page.locator('.log:not([hidden]) .note .text').allTextContents()

async function say(page, text) {
	await page.getByLabel('Your message').fill(text)
	await page.keyboard.press('Enter')
}

async function sees(page, text) {
	await page.locator('.log:not([hidden])').getByText(text, { exact: true }).first().waitFor()
}

/** WebSockets of each worker, by pid. */
async function websockets(herold) {
	return new Map((await herold.status()).workers.map((w) => [w.pid, w.websockets]))
}

/** Lets the second page come in anew until each worker has one of the two. Returns the workers' pids. */
async function onTwoWorkers(herold, second) {
	for (let attempt = 0; attempt < 60; attempt++) {
		const counts = await waitFor(async () => {
			const now = [...await websockets(herold)]

			return now.reduce((sum, [, count]) => sum + count, 0) === 2 ? now : null
		}, 'two WebSockets in /status')

		if (counts.every(([, count]) => count === 1))
			return counts.map(([pid]) => pid)
		await second.reload()
		await connected(second)
	}
	throw new Error('two pages never met two workers')
}

const FILES = {
	'/': 'text/html; charset=utf-8',
	'/chat.css': 'text/css; charset=utf-8',
	'/chat.js': 'text/javascript; charset=utf-8',
	'/view.js': 'text/javascript; charset=utf-8',
	'/herold.js': 'text/javascript; charset=utf-8',
	'/icon.svg': 'image/svg+xml',
}

story('the files of the page: types, caching, a strict policy', { options: { log_level: 'debug' } }, async (herold) => {
	for (const [path, type] of Object.entries(FILES)) {
		const answer = await fetch(herold.url + path)
		const body = await answer.text()

		assert.equal(answer.status, 200, path)
		assert.equal(answer.headers.get('content-type'), type)
		assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
		const policy = answer.headers.get('content-security-policy')

		assert.match(policy, /default-src 'none'/)
		assert.match(policy, /script-src 'self'/)
		assert.doesNotMatch(policy, /unsafe/)
		const etag = answer.headers.get('etag')

		assert.match(etag, /^"[0-9a-f]{32}"$/)
		assert.match(answer.headers.get('cache-control'), /no-cache/)
		const again = await fetch(herold.url + path, { headers: { 'If-None-Match': etag } })

		assert.equal(again.status, 304, path)
		assert.equal(await again.text(), '')
		const head = await fetch(herold.url + path, { method: 'HEAD' })

		assert.equal(head.status, 200)
		assert.equal(Number(head.headers.get('content-length')), Buffer.byteLength(body))
	}
	assert.equal((await fetch(`${herold.url}/nothing.js`)).status, 404)
	assert.equal((await fetch(`${herold.url}/ws`)).status, 426)
	const raw = await RawSocket.open(herold.address)

	raw.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
	assert.equal((await raw.response()).headers.connection, 'close')
	await raw.finished()
	await herold.waitLog(/\breason=http_done\b/)
})

pageStory('two pages on two workers chat both ways, and a backend reaches both', { options: { workers: 2 } }, async ({ herold, browser }) => {
	const ada = await enter(browser, herold, 'Ada')
	const bob = await enter(browser, herold, 'Bob')

	const pids = await onTwoWorkers(herold, bob)

	assert.equal(new Set(pids).size, 2)
	await say(ada, 'Hello Bob')
	await sees(bob, 'Hello Bob')
	await say(bob, 'Hello Ada')
	await sees(ada, 'Hello Ada')
	const position = await herold.api('publish', { channel: 'room:lobby', data: 'hello from the backend' })

	assert.ok(position.offset >= 3)
	for (const page of [ada, bob]) {
		await sees(page, 'hello from the backend')
		assert.deepEqual(await texts(page), ['Hello Bob', 'Hello Ada'])
		assert.deepEqual(await page.locator('#people .person-name').allTextContents(), page === ada ? ['Ada (you)', 'Bob'] : ['Bob (you)', 'Ada'])
		await page.locator('.own .state', { hasText: /^Sent$/ }).waitFor()
	}
	await herold.api('publish', { channel: 'room:lobby', data: { message: 'only its message' } })
	await herold.api('publish', { channel: 'room:lobby', data: { home: 2, away: 1 } })
	await sees(ada, 'only its message')
	await sees(ada, '{"home":2,"away":1}')
	assert.deepEqual([...ada.problems, ...bob.problems], [])
})

pageStory('kill -9 of its worker: a page comes back by itself and has lost nothing', { options: { workers: 2 } }, async ({ herold, browser }) => {
	const ada = await enter(browser, herold, 'Ada')
	const bob = await enter(browser, herold, 'Bob')
	const [mine] = await onTwoWorkers(herold, bob)

	for (const page of [ada, bob]) {
		await page.evaluate(() => {
			window.states = []
			new MutationObserver(() => window.states.push(document.getElementById('connection').dataset.state))
				.observe(document.getElementById('connection'), { attributes: true })
		})
	}
	const said = []

	for (let i = 0; i < 12; i++) {
		if (i === 3)
			process.kill(mine, 'SIGKILL')
		for (const [page, name] of [[ada, 'Ada'], [bob, 'Bob']]) {
			said.push(`${name} ${i}`)
			await say(page, `${name} ${i}`)
		}
	}
	for (const page of [ada, bob])
		await waitFor(async () => (await page.locator('[data-state=sent] .own').count()) === 12, 'every own message sent', 20000)
	await waitFor(async () => (await texts(ada)).length === said.length && (await texts(bob)).length === said.length, 'all messages')
	assert.deepEqual(await texts(ada), await texts(bob))
	assert.deepEqual((await texts(ada)).sort(), said.sort())
	const states = [await ada.evaluate(() => window.states), await bob.evaluate(() => window.states)]

	assert.equal(states.filter((each) => each.includes('waiting')).length, 1, 'one page lost its connection, the other did not')
	assert.equal((await notes(ada)).concat(await notes(bob)).filter((text) => / left /.test(text)).length, 0, 'nobody left')
	await waitFor(async () => !(await herold.status()).workers.some((w) => w.pid === mine), 'a new worker')
})

pageStory('what others write goes in as text, whatever it is', {}, async ({ herold, browser }) => {
	const evil = '<img src=x onerror="document.title=\'broken\'"><script>document.title="broken"</script><b>&amp;</b>'
	const ada = await enter(browser, herold, '<i>Ada</i>')
	const bob = await enter(browser, herold, 'Bob')

	await say(ada, evil)
	await sees(bob, evil)
	await herold.api('publish', { channel: 'room:lobby', data: evil })
	await herold.api('publish', { channel: 'room:lobby', data: { message: evil } })
	await waitFor(async () => (await bob.getByText(evil, { exact: true }).count()) === 3, 'all three')
	for (const page of [ada, bob]) {
		assert.equal(await page.locator('#app img:not(.logo), #app b, #app i, #app script').count(), 0)
		assert.match(await page.title(), /lobby · Herold$/)
		assert.deepEqual(page.problems, [])
	}
	assert.deepEqual(await bob.locator('#people .person-name').allTextContents(), ['Bob (you)', '<i>Ada</i>'])
	await say(ada, 'one\ntwo')
	await sees(bob, 'one\ntwo')
})

pageStory('everything can be done with the keyboard, and has a name for a screen reader', {}, async ({ herold, browser }) => {
	const page = await browser.open(`${herold.url}/`)
	const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.className)
	const tabTo = async (id) => {
		for (let i = 0; i < 30 && await focused() !== id; i++)
			await page.keyboard.press('Tab')
		assert.equal(await focused(), id)
	}

	assert.equal(await focused(), 'name')
	await page.keyboard.press('Enter')
	await page.getByRole('alert').filter({ hasText: 'Please enter a name.' }).waitFor()
	await page.keyboard.type('Ada')
	await page.keyboard.press('Enter')
	await connected(page)
	assert.equal(await focused(), 'text')
	await page.keyboard.type('first line')
	await page.keyboard.press('Shift+Enter')
	await page.keyboard.type('second line')
	await page.keyboard.press('Enter')
	await page.getByRole('log', { name: 'Messages in lobby' }).getByText('second line').waitFor()
	assert.deepEqual(await texts(page), ['first line\nsecond line'])
	await tabTo('new-room')
	await page.keyboard.type('kitchen')
	await page.keyboard.press('Enter')
	await page.getByRole('heading', { name: 'Room kitchen' }).waitFor()
	assert.equal(await focused(), 'text')
	await page.keyboard.type('in the kitchen')
	await page.keyboard.press('Enter')
	await page.getByRole('log', { name: 'Messages in kitchen' }).getByText('in the kitchen').waitFor()
	await page.getByRole('button', { name: 'lobby', exact: true }).focus()
	await page.keyboard.press('Enter')
	assert.deepEqual(await texts(page), ['first line\nsecond line'])
	await page.getByRole('button', { name: 'Leave kitchen' }).focus()
	await page.keyboard.press('Enter')
	assert.equal(await page.locator('#rooms li').count(), 1)
	await page.getByRole('status').filter({ hasText: 'Connected' }).waitFor()
	await tabTo('sign-out')
	await page.keyboard.press('Enter')
	assert.equal(await focused(), 'name')
	assert.deepEqual(page.problems, [])
})

pageStory('a reload is the same user and no departure; another tab is another user', {}, async ({ herold, browser }) => {
	const bob = await enter(browser, herold, 'Bob')
	const ada = await enter(browser, herold, 'Ada')

	await say(ada, 'before the reload')
	await sees(bob, 'before the reload')
	await ada.reload()
	await connected(ada)
	await sees(ada, 'before the reload')
	await ada.locator('.message.own').waitFor()
	const copy = await ada.context().newPage()

	await copy.goto(`${herold.url}/`)
	await copy.getByLabel('Your name').fill('Ada too')
	await copy.keyboard.press('Enter')
	await sees(bob, 'Ada too joined the chat')
	assert.deepEqual((await notes(bob)).filter((text) => !text.startsWith('Bob')), ['Ada joined the chat', 'Ada too joined the chat'])
	await copy.getByRole('button', { name: 'Sign out' }).click()
	await sees(bob, 'Ada too left the chat')
	await waitFor(async () => (await bob.locator('#people li').count()) === 2, 'two people')
	assert.deepEqual([...ada.problems, ...bob.problems], [])
})

pageStory('the room comes from the address', {}, async ({ herold, browser }) => {
	const page = await enter(browser, herold, 'Ada', { room: '#kitchen' })

	await page.getByRole('heading', { name: 'Room kitchen' }).waitFor()
	await page.evaluate(() => { location.hash = '#garden' })
	await page.getByRole('heading', { name: 'Room garden' }).waitFor()
	await say(page, 'in the garden')
	await page.locator('[data-state=sent] .own').waitFor()
	assert.equal(await page.locator('#rooms li').count(), 2)
	await page.getByPlaceholder('Join another room').fill('no/such?room')
	await page.keyboard.press('Enter')
	await page.getByRole('alert').filter({ hasText: 'room' }).waitFor()
	assert.equal(await page.locator('#rooms li').count(), 2)
})

pageStory('a refusal is shown in its own words', { options: { predrain_seconds: 4 } }, async ({ herold, browser }) => {
	const page = await browser.open(`${herold.url}/`)

	await page.getByLabel('Your name').fill('Ada')
	herold.terminate()
	await waitFor(async () => (await fetch(`${herold.url}/ws`)).status === 503, 'a refusal')
	const { error: sentence } = await (await fetch(`${herold.url}/ws`)).json()

	await page.keyboard.press('Enter')
	await page.locator('#notice').filter({ hasText: sentence.replace(/\.$/, '').slice(1) }).waitFor()
	await page.getByRole('button', { name: 'Try now' }).waitFor()
})

pageStory('the death of the broker: the page goes on and says that something may be missing', {}, async ({ herold, browser }) => {
	const ada = await enter(browser, herold, 'Ada')
	const bob = await enter(browser, herold, 'Bob')
	const { broker } = await herold.pids()

	await say(ada, 'before')
	await sees(bob, 'before')
	process.kill(broker, 'SIGKILL')
	await say(ada, 'meanwhile')
	for (const page of [ada, bob]) {
		await sees(page, 'meanwhile')
		await sees(page, 'Some messages may be missing here.')
		assert.deepEqual(await texts(page), ['before', 'meanwhile'])
		await waitFor(async () => (await page.locator('#people li').count()) === 2, 'both people again')
		await page.locator('#connection[data-state=online]').waitFor()
	}
	assert.deepEqual([...ada.problems, ...bob.problems], [])
})

pageStory('a long list keeps its newest 500, and the place where one reads', {}, async ({ herold, browser }) => {
	const page = await enter(browser, herold, 'Ada')
	const newest = (n) => page.getByText(`number ${n}`, { exact: true }).waitFor()

	for (let i = 1; i <= 600; i++)
		await herold.api('publish', { channel: 'room:lobby', data: `number ${i}` })
	await newest(600)
	assert.equal(await page.locator('.log li').count(), 500)
	await page.locator('.log').evaluate((log) => log.scrollTo(0, 100))
	await page.getByRole('button', { name: 'To the newest' }).waitFor()
	await herold.api('publish', { channel: 'room:lobby', data: 'number 601' })
	await page.getByRole('button', { name: 'New messages' }).click()
	await newest(601)
	await waitFor(() => page.locator('.log').evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight < 2), 'the bottom')
	await page.locator('#jump').waitFor({ state: 'hidden' })
})

pageStory('looks: light and dark, wide and narrow', {}, async ({ herold, browser }) => {
	const ada = await enter(browser, herold, 'Ada Lovelace')
	const bob = await enter(browser, herold, 'Bob')

	await say(ada, 'Good morning. The drawings of the second machine are ready.')
	await say(bob, 'Good morning Ada!')
	await say(bob, 'Shall we go through them at four? I would ask Charles to come, too; he has been waiting for this since March.')
	await sees(ada, 'Good morning Ada!')
	await say(ada, 'At four, then.')
	await herold.api('publish', { channel: 'room:lobby', data: 'Deployment of version 4.2 has finished.' })
	for (const page of [ada, bob]) {
		await sees(page, 'Deployment of version 4.2 has finished.')
		await sees(page, 'At four, then.')
	}
	for (const [size, viewport] of Object.entries({ wide: WIDE, narrow: NARROW })) {
		for (const colorScheme of ['light', 'dark']) {
			await ada.setViewportSize(viewport)
			await ada.emulateMedia({ colorScheme })
			await screenshot(ada, `chat-${colorScheme}-${size}`)
			const scrolls = await ada.evaluate(() => document.documentElement.scrollWidth > innerWidth)

			assert.equal(scrolls, false, `${size}: nothing sticks out to the right`)
		}
	}
	await ada.getByRole('button', { name: 'People' }).click()
	await ada.getByRole('complementary').getByText('Bob').waitFor()
	await screenshot(ada, 'people-dark-narrow')
	await ada.keyboard.press('Escape')
	assert.equal(await ada.evaluate(() => document.activeElement.id), 'show-people')
	const welcome = await browser.open(`${herold.url}/`)

	await screenshot(welcome, 'welcome-light-wide')
	assert.deepEqual([...ada.problems, ...bob.problems, ...welcome.problems], [])
})
