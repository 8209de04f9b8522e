// ctl - runs herold-ctl against a Herold
import { spawn } from 'node:child_process'
import { join, resolve } from 'node:path'

const BIN = resolve(process.env.BIN ?? new URL('../../../build', import.meta.url).pathname)

/** { code, out, err, json } of herold-ctl with these arguments. herold: NULL: nothing is said of the server; input: its standard input. */
export function ctl(herold, args, { env = {}, input = '' } = {}) {
	const address = herold === null ? {} : { HEROLD_CTL_ADDRESS: herold.adminAddress }

	return new Promise((done, fail) => {
		const child = spawn(join(BIN, 'herold-ctl'), args, { env: { PATH: process.env.PATH, ...address, ...env }, timeout: 30000 })
		const texts = { out: '', err: '' }

		child.stdout.on('data', (data) => { texts.out += data })
		child.stderr.on('data', (data) => { texts.err += data })
		child.on('error', fail)
		child.on('close', (code, signal) => done({ code: code ?? signal, ...texts, get json() { return JSON.parse(texts.out) } }))
		// It may have ended without reading it.
		child.stdin.on('error', () => {})
		child.stdin.end(input)
	})
}
