/* status - the page: the verdict, the tiles with their charts, the panels, and how old all of it is */
import { Link } from './link.js'
import { PANELS, TILES, VERDICTS, facts, wellSentence } from './contents.js'
import { Chart } from './chart.js'
import { clock, duration, sentence } from './words.js'

const TOKEN_FORM = /^[\x21-\x7e]{16,512}$/
const OUR_WORDS = {
	connecting: ['Connecting', ''],
	live: ['Live', ''],
	old: ['No news', 'No news'],
	lost: ['Link lost', 'The link is lost'],
	refused: ['Refused', 'The server refuses this page'],
}

const byId = (id) => document.getElementById(id)
const tiles = []
const panels = []
let columns = []
let points = []			// { time, NAME: value }, oldest first
let step = 5000
let span = 900000
let newest = null		// the last message "now"
let pastTime = null		// that is shown instead of it
let saidGist = ''

function fromTemplate(name) {
	return byId(`${name}-template`).content.firstElementChild.cloneNode(true)
}

/* Only what is new is touched: so a selection stays, and a screen reader is not told the same again. */
function setText(element, text) {
	if (element.textContent !== text)
		element.textContent = text
}

// --- the verdict ---

function showVerdict(state, word, because) {
	const list = byId('because')

	byId('verdict').dataset.state = state
	byId('verdict-mark').setAttribute('d', VERDICTS[state].mark)
	setText(byId('verdict-word'), word)
	if ([...list.children].map((li) => li.textContent).join('\n') !== because.join('\n')) {
		list.replaceChildren(...because.map((text) => {
			const li = document.createElement('li')

			li.textContent = text
			return li
		}))
	}
	document.title = `${word} · Herold`
	say(word, because)
}

/* Aloud: what is new, but not every number that has changed. */
function say(word, because) {
	const text = [word, ...because].join('. ')
	const gist = text.replace(/\d+/g, '')

	if (gist === saidGist)
		return
	saidGist = gist
	setText(byId('said'), text)
}

function showFacts(now) {
	const list = byId('facts')
	const wanted = facts(now)

	while (list.childElementCount < wanted.length) {
		const pair = document.createElement('div')

		pair.append(document.createElement('dt'), document.createElement('dd'))
		list.append(pair)
	}
	wanted.forEach(([name, value], i) => {
		setText(list.children[i].firstElementChild, name)
		setText(list.children[i].lastElementChild, value)
	})
}

// --- tiles ---

function addTile(tile) {
	const element = fromTemplate('tile')
	const part = (name) => element.querySelector(name)
	const id = `tile-${tile.id}`

	element.id = id
	element.setAttribute('aria-labelledby', `${id}-title`)
	part('h3').id = `${id}-title`
	part('h3').textContent = tile.title
	byId('tiles').append(element)
	tiles.push({ ...tile, element, number: part('.number'), unit: part('.unit'), aside: part('.aside'), top: part('.top-value'),
		chart: new Chart(part('.chart'), tile.lines.map((line) => line.name)) })
}

function showFigure(tile, [number, unit], aside) {
	setText(tile.number, number)
	setText(tile.unit, unit)
	setText(tile.aside, aside)
}

function showTiles(now) {
	for (const tile of tiles) {
		tile.element.hidden = tile.isThere?.(now) === false
		showFigure(tile, tile.figure(now), tile.note(now))
	}
}

function linesOf(tile) {
	return tile.lines.map(({ column }) => points.map((p) => ({ time: p.time, value: p[column] ?? null })))
}

function drawCharts() {
	const to = points.length > 0 ? points.at(-1).time : Date.now()

	for (const tile of tiles) {
		const highest = tile.chart.draw(linesOf(tile), { from: to - span, to, step, least: tile.least })
		const [number, unit] = tile.format(highest)

		setText(tile.top, (highest ?? 0) === 0 ? '' : `max ${number} ${unit}`.trim())
		tile.chart.describe(highest === null ? `${tile.title}: nothing measured yet`
			: `${tile.title}, last ${Math.round(span / 60000)} minutes: ${number} ${unit} at most`)
	}
}

/* What was at that time, in all tiles at once. */
function showPast(time) {
	const past = points.reduce((best, p) => Math.abs(p.time - time) < Math.abs(best.time - time) ? p : best)

	pastTime = past.time
	byId('tiles').dataset.past = ''
	for (const tile of tiles) {
		tile.chart.mark(past.time)
		showFigure(tile, tile.format(past[tile.lines[0].column] ?? null), `at ${clock(past.time)}`)
	}
}

function showPresent() {
	pastTime = null
	delete byId('tiles').dataset.past
	for (const tile of tiles)
		tile.chart.mark(null)
	if (newest !== null)
		showTiles(newest)
}

/* By one point, or with Shift by a minute. */
function onKey(event) {
	const by = event.shiftKey ? 60000 : step
	const way = { ArrowLeft: -by, ArrowRight: by }[event.key]

	if (event.key === 'Escape' && pastTime !== null) {
		showPresent()
	} else if (way !== undefined && points.length > 0) {
		event.preventDefault()
		showPast((pastTime ?? points.at(-1).time) + way)
		setText(byId('said'), `At ${clock(pastTime)}: ${tiles.filter((t) => !t.element.hidden)
			.map((t) => `${t.title} ${t.number.textContent} ${t.unit.textContent}`).join(', ')}`)
	}
}

function watchPast() {
	byId('tiles').addEventListener('keydown', onKey)
	byId('tiles').addEventListener('blur', showPresent)
	byId('tiles').addEventListener('pointermove', ({ target, clientX }) => {
		const box = target.closest('.chart')?.getBoundingClientRect()

		if (box === undefined || points.length === 0)
			showPresent()
		else
			showPast(points.at(-1).time - span * (1 - (clientX - box.left) / box.width))
	})
	byId('tiles').addEventListener('pointerleave', showPresent)
}

// --- panels ---

function addPanel(panel) {
	const element = fromTemplate('panel')
	const head = element.querySelector('h2')
	const table = document.createElement('table')
	const row = table.createTHead().insertRow()

	element.id = `panel-${panel.id}`
	head.id = `panel-${panel.id}-title`
	head.textContent = panel.title
	element.setAttribute('aria-labelledby', head.id)
	table.setAttribute('aria-labelledby', head.id)
	for (const { text, kind = '' } of panel.columns) {
		const th = document.createElement('th')

		th.scope = 'col'
		th.textContent = text
		th.className = kind
		row.append(th)
	}
	element.querySelector('.body').append(table)
	element.querySelector('.nothing').textContent = panel.nothing ?? ''
	byId(panel.side).append(element)
	panels.push({ ...panel, element, table, body: table.createTBody(), nothing: element.querySelector('.nothing'), rows: new Map() })
}

function rowOf(panel, key) {
	let row = panel.rows.get(key)

	if (row === undefined) {
		row = document.createElement('tr')
		panel.columns.forEach(({ kind = '' }, i) => {
			const cell = document.createElement(i === 0 ? 'th' : 'td')

			if (i === 0)
				cell.scope = 'row'
			cell.className = kind
			row.append(cell)
		})
		panel.rows.set(key, row)
	}
	return row
}

function showPanel(panel, now) {
	const items = panel.items(now)
	const keys = new Set()

	panel.element.hidden = items === undefined
	if (items === undefined)
		return
	items.forEach((item, i) => {
		const key = panel.key(item)
		const row = rowOf(panel, key)

		keys.add(key)
		panel.cells(item).forEach((text, k) => setText(row.children[k], text))
		row.dataset.state = panel.state?.(item) ?? ''
		row.title = panel.help?.(item) ?? ''
		if (panel.share !== undefined)
			row.style.setProperty('--share', `${(panel.share(item, items) * 100).toFixed(1)}%`)
		if (panel.body.children[i] !== row)
			panel.body.insertBefore(row, panel.body.children[i] ?? null)
	})
	for (const [key, row] of panel.rows) {
		if (!keys.has(key)) {
			row.remove()
			panel.rows.delete(key)
		}
	}
	panel.table.hidden = items.length === 0
	panel.nothing.hidden = items.length > 0
	letScroll(panel)
}

/* The keyboard comes to what has more than is seen. */
function letScroll({ table, element }) {
	const box = table.parentElement
	const isLong = box.scrollHeight > box.clientHeight + 1

	if (isLong === box.hasAttribute('tabindex'))
		return
	box.toggleAttribute('tabindex', isLong)
	if (isLong) {
		box.tabIndex = 0
		box.setAttribute('role', 'group')
		box.setAttribute('aria-labelledby', element.getAttribute('aria-labelledby'))
	} else {
		box.removeAttribute('role')
		box.removeAttribute('aria-labelledby')
	}
}

// --- messages ---

function pointOf(values) {
	return Object.fromEntries(columns.map((name, i) => [name, values[i]]))
}

const handlers = {
	history(m) {
		columns = m.columns
		step = m.step
		span = m.span
		points = m.points.map(pointOf)
		drawCharts()
	},
	now(m) {
		const { state, because } = m.verdict

		newest = m
		if (m.point !== undefined) {
			points.push(pointOf(m.point))
			points = points.filter((p) => p.time > m.time - span - step)
			drawCharts()
		}
		showVerdict(state, VERDICTS[state].word, state === 'well' ? [wellSentence(m)] : because.map(sentence))
		showFacts(m)
		setText(byId('version'), m.version)
		setText(byId('time'), `Measured at ${clock(m.time)}.`)
		if (pastTime === null)
			showTiles(m)
		for (const panel of panels)
			showPanel(panel, m)
	},
}

// --- the link ---

function showUnknown() {
	const was = newest === null ? '' : ` At ${clock(newest.time)} it was: ${VERDICTS[newest.verdict.state].word.toLowerCase()}.`

	showVerdict('unknown', 'Not known', [link.state === 'refused' ? sentence(link.sentence) : `The admin process does not answer.${was}`])
}

function showClock() {
	const age = link.heardAt === null ? null : Math.round((performance.now() - link.heardAt) / 1000)
	const [light] = OUR_WORDS[link.state] ?? ['']

	setText(byId('link-text'), link.state === 'old' ? `No news for ${age} s` : light)
	const parts = []

	if (age !== null)
		parts.push(`${duration(age)} ago.`)
	if (link.retryAt !== null)
		parts.push(`Trying again in ${Math.max(0, Math.ceil((link.retryAt - performance.now()) / 1000))} s.`)
	setText(byId('notice-clock'), parts.join(' '))
}

function showLink() {
	const { state } = link
	const isAsked = state === 'token'
	const isAway = state === 'lost' || state === 'refused'

	byId('ask').hidden = !isAsked
	byId('page').hidden = isAsked
	byId('page').dataset.link = state
	if (isAsked) {
		askToken(link.sentence)
		return
	}
	byId('notice').hidden = !isAway
	if (isAway) {
		setText(byId('notice-title'), `${OUR_WORDS[state][1]}.`)
		setText(byId('notice-text'), newest === null ? '' : `What you see is of ${clock(newest.time)}.`)
		showUnknown()
	}
	showClock()
}

function askToken(error) {
	byId('ask-error').textContent = error === '' ? '' : sentence(error)
	byId('token').setAttribute('aria-invalid', error !== '')
	byId('token').value = ''
	byId('token').focus()
	document.title = 'Herold'
}

const link = new Link({
	onMessage: (m) => handlers[m.type]?.(m),
	onState: showLink,
})

byId('ask-form').addEventListener('submit', (event) => {
	const token = byId('token').value.trim()

	event.preventDefault()
	if (TOKEN_FORM.test(token))
		link.useToken(token)
	else
		askToken('a token has 16 to 512 visible characters')
})
byId('try-now').addEventListener('click', () => link.tryNow())
TILES.forEach(addTile)
PANELS.forEach(addPanel)
watchPast()
setInterval(showClock, 1000)
showVerdict('unknown', 'Looking', [])
showLink()
link.start()
