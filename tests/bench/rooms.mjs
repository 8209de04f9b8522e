// rooms - many rooms of two members each, and what a publication there costs workers and broker
import fs from 'node:fs';
import path from 'node:path';

import { BUILD, PINNED, family, options, start, startHerold, startHeroldAnywhere, stop, tail } from './harness.mjs';

/* Nobody is asked for a sign of life while others are measured, and one connection may be in as many rooms as one needs to be. */
const SETTINGS = ['heartbeat_seconds=3600', 'client_channels=10000'];

export const startForRooms = (workers) => startHerold(...SETTINGS, `workers=${workers}`);
/** On any core. */
export const startForRoomsAnywhere = (workers) => startHeroldAnywhere(...SETTINGS, `workers=${workers}`);

/* The pids of a server: { broker, others }. */
function processes(server) {
	const pids = family(server.child.pid);
	const broker = pids.find((pid) => fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'herold-broker');

	return { broker, others: pids.filter((pid) => pid !== broker) };
}

/** What load_rooms says of each round. */
export async function loadRooms(server, ...more) {
	const { broker, others } = processes(server);
	const args = [`--port=${server.port}`, `--pids=${others.join()}`, `--broker-pid=${broker}`, `--seconds=${options.seconds}`, ...more];
	const child = start(PINNED ? 1 : 0, path.join(BUILD, 'load_rooms'), args, ['ignore', 'pipe', 'pipe']);
	const heard = { stdout: '', stderr: '' };

	for (const name of ['stdout', 'stderr'])
		child[name].setEncoding('utf8').on('data', (text) => { heard[name] += text; });
	const status = await new Promise((done) => child.on('close', done));
	if (status !== 0)
		stop(`load_rooms ${args.join(' ')}: ${heard.stderr || status}\n${tail(server.log)}`);
	return heard.stdout.trim().split('\n').map((line) => JSON.parse(line));
}
