// browser - Chromium with a fresh profile, and the chat page in it
import { chromium } from 'playwright-core'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
	'--disable-component-update', '--disable-sync']
const SCREENSHOTS = new URL('../../../build/screenshots/', import.meta.url).pathname

export const WIDE = { width: 1280, height: 800 }
export const NARROW = { width: 390, height: 844 }

export class Browser {
	static async start() {
		return new Browser(await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS }))
	}

	constructor(chromium) {
		this.chromium = chromium
	}

	/** A page of its own user, at a URL. page.problems collects what the console and uncaught errors say. */
	async open(url, { viewport = WIDE, colorScheme = 'light', ...options } = {}) {
		const context = await this.chromium.newContext({ viewport, colorScheme, locale: 'en-GB', ...options })
		const page = await context.newPage()

		page.problems = []
		page.on('console', (m) => {
			if (m.type() === 'error' || m.type() === 'warning')
				page.problems.push(m.text())
		})
		page.on('pageerror', (error) => page.problems.push(error.stack))
		page.setDefaultTimeout(15000)
		await page.goto(url)
		return page
	}

	close() {
		return this.chromium.close()
	}
}

/** Into build/screenshots/NAME.png */
export async function screenshot(page, name, options) {
	mkdirSync(SCREENSHOTS, { recursive: true })
	await page.screenshot({ ...options, path: join(SCREENSHOTS, `${name}.png`) })
}
