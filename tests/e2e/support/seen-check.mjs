// seen-check - after a whole run: every error code, refused token and close reason of the tables has occurred
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

for (const line of missing)
	console.error(`never seen in this suite: ${line}`)
process.exitCode = missing.length > 0 ? 1 : 0
