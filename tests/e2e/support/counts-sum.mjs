// counts-sum - after the stories: what each of them counted, and the sum
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const LEAST = 100000
const WORDS = ['published', 'acknowledged', 'uncertain', 'unavailable', 'deliveries']

const stories = readdirSync(process.env.COUNTS_DIR).flatMap((name) => readFileSync(join(process.env.COUNTS_DIR, name), 'utf8').split('\n'))
	.filter(Boolean).map((line) => JSON.parse(line))
const row = (name, counts) => console.log(name.padEnd(60) + WORDS.map((word) => String(counts[word]).padStart(14)).join(''))
const sum = Object.fromEntries(WORDS.map((word) => [word, stories.reduce((n, story) => n + story[word], 0)]))

row('', Object.fromEntries(WORDS.map((word) => [word, word])))
for (const story of stories)
	row(story.story, story)
row(`${stories.length} stories`, sum)
if (sum.acknowledged < LEAST) {
	console.error(`${sum.acknowledged} acknowledged messages are fewer than ${LEAST}`)
	process.exitCode = 1
}
