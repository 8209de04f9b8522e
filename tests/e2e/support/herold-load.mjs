// herold-load - runs the load generator: what it prints, and how it ends
import { spawn } from 'node:child_process'
import { join, resolve } from 'node:path'

const BIN = resolve(process.env.BIN ?? new URL('../../../build', import.meta.url).pathname)

/** A running load. `done`: { code, signal, out, err, json }, json: of the last line, if it is some. */
export function startLoad(...args) {
	const child = spawn(join(BIN, 'herold-load'), args, { stdio: ['pipe', 'pipe', 'pipe'] })
	const load = { child, out: '', err: '', kill: () => child.kill('SIGKILL') }

	child.stdout.on('data', (data) => { load.out += data })
	child.stderr.on('data', (data) => { load.err += data })
	process.once('exit', load.kill)
	load.done = new Promise((done) => child.on('close', (code, signal) => {
		const last = load.out.trimEnd().split('\n').at(-1)

		process.removeListener('exit', load.kill)
		done({ code, signal, out: load.out, err: load.err, json: last.startsWith('{') ? JSON.parse(last) : null })
	}))
	return load
}

/** The same to its end. */
export const runLoad = (...args) => startLoad(...args).done
