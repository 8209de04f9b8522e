// seen-check - after a whole run: every error code, refused token and close reason of the tables has occurred, every metric has moved
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const root = new URL('../../../', import.meta.url).pathname
const rows = (file, macro) => [...readFileSync(join(root, file), 'utf8').matchAll(new RegExp(`^${macro}\\((\\w+)`, 'gm'))].map((m) => m[1])
const noted = new Set(readdirSync(process.env.SEEN_DIR)
	.flatMap((name) => readFileSync(join(process.env.SEEN_DIR, name), 'utf8').split('\n')))
const missing = [
	...rows('server/proto/chat_errors.tbl', 'CHAT_ERROR').map((name) => `error ${name}`),
	...rows('server/auth/auth_refusals.tbl', 'AUTH_REFUSAL').map((name) => `refusal ${name}`),
	...rows('server/conn/close_reasons.tbl', 'CLOSE_REASON').map((name) => `close ${name}`),
].filter((line) => !noted.has(line))

/* A metric that was only looked at in /status, while it had another value than 0: name, metric and label of its row. */
function seriesOf(name) {
	let head

	for (const [, kind, first, second, , label] of readFileSync(join(root, 'common/svc/stats.tbl'), 'utf8')
		.matchAll(/^STAT_(\w+)\("?(\w+)"?, "?(\w+)"?(?:, (\w+))?(?:, "(\w+)")?/gm)) {
		const suffix = (type) => type === 'COUNTER' ? '_total' : ''

		if (kind === 'METRIC')
			head = { metric: first, suffix: suffix(second), label }
		else if (kind === 'CASE' && first === name)
			return `herold_${head.metric}${head.suffix}{${head.label}="${second}"}`
		else if (first === name && ['COUNTER', 'GAUGE', 'HIGHEST'].includes(kind))
			return `herold_${second}${suffix(kind)}`
	}
}

const notedAs = (kind) => [...noted].filter((line) => line.startsWith(`${kind} `)).map((line) => line.slice(kind.length + 1))
const moved = new Set([...notedAs('moved'), ...notedAs('stat').map(seriesOf)])

for (const series of notedAs('series').filter((one) => !moved.has(one)))
	missing.push(`metric ${series}`)
for (const line of missing)
	console.error(`never seen in this suite: ${line}`)
process.exitCode = missing.length > 0 ? 1 : 0
