// growth - what a delivery costs when there are more of something: members of a room, rooms, workers, bytes
//
// Only when asked for: BENCH=growth, and ARGS=--growth=members for one of the curves.
import fs from 'node:fs';

import { LOAD, charts, endServer, family, grouped, later, loadWith, median, options, pssBytes, say, startHerold } from './harness.mjs';
import { loadRooms, startForRooms } from './rooms.mjs';

const TOGETHER = 16, ROOM = 1000;
// A worker may open 20,000 files.
const WORKERS_FOR_MANY = 8, MANY = 10000;
const IDLE_MS = 5000;

function table(title, head, rows) {
	const all = [head, ...rows];
	const widths = head.map((_, at) => Math.max(...all.map((cells) => cells[at].length)));

	say();
	say(title);
	for (const cells of all)
		say(cells.map((text, at) => at === 0 ? text.padEnd(widths[at]) : text.padStart(widths[at])).join('   ').trimEnd());
}

const us = (number) => number.toFixed(3);
/** Of all rounds: { x, y, least, most }, in microseconds of the server's processor time for each message. */
const point = (x, results) => {
	const costs = results.map((r) => 1e6 / r.per_cpu_second);

	return { x, y: median(costs), least: Math.min(...costs), most: Math.max(...costs) };
};
const times = (count, run) => Array.from({ length: count }, run);
const rounds = (server, mode, ...args) => times(Number(options.rounds), () => loadWith(LOAD, server, mode, ...args));

function curves(title, label, series) {
	charts.push({ title, x: { label, log: true }, y: { label: 'µs of server CPU per delivery', log: true }, series });
}

// --- members ---

async function members() {
	const series = [1, TOGETHER].map((underWay) => ({ name: `${underWay} under way`, points: [], underWay }));

	for (const size of [10, 100, 1000, 10000, 100000]) {
		const server = await startHerold(`workers=${size > MANY ? WORKERS_FOR_MANY : 1}`);

		for (const { points, underWay } of series)
			points.push(point(size, rounds(server, 'broadcast', `--connections=${size}`, `--publishers=${Math.min(size, TOGETHER)}`, '--bytes=128',
				`--under-way=${underWay}`, '--source=127.0.0.2,8')));
		await endServer(server);
	}
	table(`Deliveries over the members of a room: µs of server CPU for each (over ${grouped(MANY)}: ${WORKERS_FOR_MANY} workers, else 1)`,
		['members', ...series.map((s) => s.name)], series[0].points.map(({ x }, at) => [grouped(x), ...series.map((s) => us(s.points[at].y))]));
	curves('A delivery, over the members of its room', 'members', series);
}

// --- rooms ---

/** Of all rounds of load_rooms, which counts publications: per delivery, of which each has two. */
const perDelivery = (x, results, field) => {
	const costs = results.map((r) => r[field] / 2);

	return { x, y: median(costs), least: Math.min(...costs), most: Math.max(...costs) };
};

async function rooms() {
	const fields = { 'all processes': 'cpu_us', worker: 'worker_cpu_us', broker: 'broker_cpu_us' };
	const series = Object.entries(fields).map(([name, field]) => ({ name, points: [], field }));
	const rows = [];

	for (const count of [1, 10, 100, 1000, 10000, 100000, 1000000]) {
		const server = await startForRooms(1);
		const results = await loadRooms(server, `--rooms=${count}`, `--rounds=${options.rounds}`);
		const [{ connections, room_bytes: roomBytes, subscribing_seconds: seconds }] = results;

		for (const { points, field } of series)
			points.push(perDelivery(count, results, field));
		rows.push([grouped(count), grouped(connections), ...series.map(({ points }) => us(points.at(-1).y)), grouped(median(results.map((r) => r.p99_us))),
			grouped(roomBytes), seconds.toFixed(1)]);
		await endServer(server);
	}
	table('Deliveries over the number of rooms, two members each, one worker, 64 publications under way: µs of server CPU for each; memory of a room with ' +
		'its two members', ['rooms', 'connections', ...series.map(({ name }) => name), 'p99 µs', 'B per room', 's to enter'], rows);
	curves('A delivery, over the number of rooms of two', 'rooms', series);
}

// --- workers ---

const cpuMs = (pid) => family(pid).reduce((sum, one) => sum + Number(fs.readFileSync(`/proc/${one}/schedstat`, 'utf8').split(' ')[0]) / 1e6, 0);

async function workers() {
	const series = [{ name: `${TOGETHER} under way`, points: [] }];
	const rows = [];

	for (const count of [1, 2, 4, 8, 16, 32, 64]) {
		const began = performance.now();
		const server = await startHerold(`workers=${count}`);
		const startMs = performance.now() - began;

		await later(1000);
		const { pid } = server.child;
		const weight = pssBytes(pid), cpu = cpuMs(pid);
		await later(IDLE_MS);
		const idle = cpuMs(pid) - cpu;
		const at = point(count, rounds(server, 'broadcast', `--connections=${ROOM}`, `--publishers=${TOGETHER}`, '--bytes=128', `--under-way=${TOGETHER}`));

		series[0].points.push(at);
		rows.push([String(count), us(at.y), `${startMs.toFixed(0)} ms`, `${(weight / 1048576).toFixed(1)} MiB`, `${(idle * 1000 / IDLE_MS).toFixed(2)} ms`]);
		await endServer(server);
	}
	table(`Over the number of workers, all on one core: µs of server CPU for a delivery to ${grouped(ROOM)}; start of all until the first upgrade; memory and ` +
		'processor time per second of all processes, idle', ['workers', 'µs', 'start', 'memory', 'idle'], rows);
	curves(`A delivery to ${grouped(ROOM)}, over the number of workers on one core`, 'workers', series);
}

// --- bytes ---

async function bytes() {
	const series = [1, TOGETHER].map((underWay) => ({ name: `${underWay} under way`, points: [], underWay }));
	// What is under way of the largest is more than a client may be behind by default.
	const server = await startHerold('client_queue_bytes=67108864');

	for (const size of [32, 128, 512, 2048, 8192, 32768, 131072, 524288]) {
		for (const { points, underWay } of series)
			points.push(point(size, rounds(server, 'broadcast', '--connections=100', `--publishers=${TOGETHER}`, `--bytes=${size}`, `--under-way=${underWay}`)));
	}
	await endServer(server);
	table('Deliveries over the size of a message, to 100: µs of server CPU for each, and MB per second of it', ['bytes', ...series.map((s) => s.name), 'MB/s'],
		series[0].points.map(({ x }, at) => [grouped(x), ...series.map((s) => us(s.points[at].y)), grouped(x / series[1].points[at].y)]));
	curves('A delivery to 100, over the bytes of the message', 'bytes', series);
}

const CURVES = { members, rooms, workers, bytes };

export async function growth() {
	for (const [name, measure] of Object.entries(CURVES)) {
		if (options.growth === '' || options.growth === name)
			await measure();
	}
}
