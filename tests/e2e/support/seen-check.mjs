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

/* The series of a name in /status, which was looked at while it had another value than 0. */
function seriesOf(name) {
	const found = []
	let head

	for (const [, kind, first, second, third, label] of readFileSync(join(root, 'common/svc/stats.tbl'), 'utf8')
		.matchAll(/^STAT_(\w+)\("?(\w+)"?, "?(\w+)"?(?:, (\w+))?(?:, \w*"?(\w+)"?)?/gm)) {
		const suffix = (type) => type === 'COUNTER' ? '_total' : ''

		if (kind === 'METRIC')
			head = { metric: first, suffix: suffix(second), label }
		if (first !== name)
			continue
		if (kind === 'CASE')
			found.push(`herold_${head.metric}${head.suffix}{${head.label}="${second}"}`)
		else if (['COUNTER', 'GAUGE', 'HIGHEST'].includes(kind))
			found.push(`herold_${second}${suffix(kind)}`)
		else if (kind === 'BY_WORKER' || kind === 'BY_PROCESS')
			found.push(`herold_${second}${suffix(third)}{${kind === 'BY_WORKER' ? 'worker' : 'process'}=""}`)
	}
	return found
}

/* What only another test moves, and that one has to be there: this text in this file. */
const ELSEWHERE = {
	herold_deliveries_duplicate_total: ['tests/unit/test_hub.c', 'STAT_deliveries_duplicate'],
	herold_link_bad_messages_total: ['tests/unit/test_broker.c', 'STAT_link_bad_messages'],
	herold_redis_gaps_lost_total: ['tests/unit/test_redis_channel.c', 'STAT_redis_gaps_lost'],
	herold_sanctions_dropped_total: ['tests/unit/test_moderation.c', 'STAT_sanctions_dropped'],
	herold_limit_uncounted_total: ['tests/unit/test_limits.c', 'usage.uncounted'],
	// As far as the kernel can do it.
	herold_tls_kernel_total: ['tests/e2e/metrics.test.mjs', 'herold_tls_kernel_total'],
}
const notedAs = (kind) => [...noted].filter((line) => line.startsWith(`${kind} `)).map((line) => line.slice(kind.length + 1))
const moved = new Set([...notedAs('moved'), ...notedAs('stat').flatMap(seriesOf)])

for (const [series, [file, text]] of Object.entries(ELSEWHERE)) {
	if (readFileSync(join(root, file), 'utf8').includes(text))
		moved.add(series)
}
for (const series of notedAs('series').filter((one) => !moved.has(one)))
	missing.push(`metric ${series}`)
for (const line of missing)
	console.error(`never seen in this suite: ${line}`)
process.exitCode = missing.length > 0 ? 1 : 0
