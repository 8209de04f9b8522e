// memory - what 100,000 connections cost, and that it goes back when they have left
import fs from 'node:fs';

import { LOAD, counters, endServer, family, grouped, later, row, say, start, startHeroldAnywhere, stop, tail } from './harness.mjs';

const COUNT = 100000;
const WORKERS = 8;
// They come and go first: what a process needs once is no connection's.
const FIRST = 1000;
const MIB = 2 ** 20;
// Over are then the graces in which users may come back, the time for which their rooms are kept, and what is looked at now and then.
const GONE_SECONDS = 20;

const KINDS = [
	['idle on /echo after 100 KB', () => ['--bytes=102400']],
	['users of the chat, rooms of 100', (count) => ['--chat', `--rooms=${count / 100}`]],
	['users of the chat, rooms of 10', (count) => ['--chat', `--rooms=${count / 10}`]],
];

/** PSS of all processes in bytes, and the broker's part of it; and what they have in use of malloc's, which no page rounds up. */
async function weigh(server) {
	const weight = { all: 0, broker: 0, used: (await counters(server)).allocated_bytes };

	for (const pid of family(server.child.pid)) {
		const bytes = Number(/^Pss:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]) * 1024;

		weight.all += bytes;
		if (fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'herold-broker')
			weight.broker += bytes;
	}
	return weight;
}

const startServer = () => startHeroldAnywhere(`workers=${WORKERS}`, 'handshakes_per_second=0');

/** Connects so many, and weighs the server meanwhile; then they leave. */
async function crowd(server, count, args) {
	const child = start(null, LOAD, ['idle', `ws://127.0.0.1:${server.port}`, `--connections=${count}`, '--hold', '--source=127.0.0.2,8', ...args(count)],
		['pipe', 'pipe', 'inherit']);
	const ended = new Promise((done) => child.once('exit', done));
	const isReady = await Promise.race([new Promise((done) => child.stdout.once('data', () => done(true))), ended.then(() => false)]);

	if (!isReady)
		stop(`the connections could not be made\n${tail(server.log)}`);
	await later(1000);
	const weight = await weigh(server);

	child.stdin.end();
	if (await ended !== 0)
		stop(`connections were lost\n${tail(server.log)}`);
	return weight;
}

export async function memory() {
	say();
	say(`Server memory (PSS of all processes) for each of ${grouped(COUNT)} connections, ${WORKERS} workers`);
	row('', 'bytes', 'workers', 'broker', 'in use', 'MiB once');
	for (const [name, args] of KINDS) {
		const server = await startServer();
		const start = await weigh(server);

		await crowd(server, FIRST, args);
		await later(GONE_SECONDS * 1000);
		const before = await weigh(server), peak = await crowd(server, COUNT, args);
		const all = (peak.all - before.all) / COUNT, broker = (peak.broker - before.broker) / COUNT;

		row(name, grouped(all), grouped(all - broker), grouped(broker), grouped((peak.used - before.used) / COUNT), ((before.all - start.all) / MIB).toFixed(1));
		await endServer(server);
	}
}

export async function wave() {
	say();
	say(`MiB of all processes, ${WORKERS} workers: before, with ${grouped(COUNT)} connections, and ${GONE_SECONDS} s after they have left; twice`);
	row('', 'before', 'at the peak', 'after', 'at the peak', 'after');
	for (const [name, args] of KINDS) {
		const server = await startServer();
		const weights = [(await weigh(server)).all];

		for (let i = 0; i < 2; i++) {
			weights.push((await crowd(server, COUNT, args)).all);
			await later(GONE_SECONDS * 1000);
			weights.push((await weigh(server)).all);
		}
		row(name, ...weights.map((bytes) => (bytes / MIB).toFixed(1)));
		await endServer(server);
	}
}
