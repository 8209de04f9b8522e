// seen - notes which error codes and close reasons occurred, for seen-check.mjs
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'

const noted = new Set()

/** kind: 'error' (a code the chat answered with) or 'close' (a reason in the log). */
export function seen(kind, name) {
	const line = `${kind} ${name}\n`

	if (process.env.SEEN_DIR === undefined || noted.has(line))
		return
	noted.add(line)
	appendFileSync(join(process.env.SEEN_DIR, String(process.pid)), line)
}
