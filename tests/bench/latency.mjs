// latency - how long an echo and a delivery take at half of what the servers can do, from when each should have been sent
import { LOAD, REAL_TIME, charts, grouped, loadInTime, loadWith, median, options, ratio, row, say, startFloor, startHerold } from './harness.mjs';
import { endAll, inShort, startAll } from './comparison.mjs';
import { startPeer } from './peers.mjs';

const peers = (...names) => names.map((name) => () => startPeer(name));
const startTurnFloor = () => startFloor('turn floor', 'floor_fan', '--mode=turn');
const startSendFloor = () => startFloor('send floor', 'floor_fan', '--mode=send');

const LOWER = 0.8, LOWER_TIMES = 5;

const CELLS = [
	{
		title: 'Echoes of 64 bytes on 64 connections', mode: 'echo', floor: 'floor', each: 1, lateUs: 1000,
		starts: [startHerold, () => startFloor('floor', 'floor_echo'), ...peers('ws', 'Socket.IO')],
		args: ['--connections=64', '--bytes=64'], closed: [],
	},
	{
		// The load is late by what it reads between two messages.
		title: 'Deliveries of 128 bytes, 16 publishers to 1,000 subscribers', mode: 'broadcast', floor: 'turn floor', each: 1000, lateUs: 10000,
		starts: [startHerold, startTurnFloor, startSendFloor, ...peers('ws', 'Socket.IO', 'nchan')],
		args: ['--connections=1000', '--bytes=128', '--publishers=16'], closed: ['--under-way=64'],
	},
];

const pacedAt = (cell, server, rate) => loadInTime(server.load ?? LOAD, server, cell.mode, ...cell.args, `--rate=${rate}`);

// What a late load measures is itself, and it may be the first that cannot go faster: a message at a time costs it more than many at once.
// Once it is in time it is given some room to stay so.
function rateInTime(cell, server, half) {
	let rate = half;

	for (let tries = 0; tries < LOWER_TIMES && pacedAt(cell, server, rate).late_p99_us > cell.lateUs; tries++)
		rate = Math.round(rate * LOWER);
	return rate < half ? Math.round(rate * LOWER) : rate;
}

// Messages per second. At the same rate as Herold, who can do as much; at half of the own most, who cannot.
function setRates(cell, servers) {
	let rate = Infinity;

	for (const server of servers) {
		server.most = loadWith(server.load ?? LOAD, server, cell.mode, ...cell.args, ...cell.closed).per_second / cell.each;
		server.rate = Math.max(1, Math.min(Math.round(server.most / 2), rate));
		if (server === servers[0])
			rate = server.rate = rateInTime(cell, server, server.rate);
	}
}

const ms = (us) => us >= 100000 ? (us / 1000).toFixed(0) : (us / 1000).toFixed(2);

function reportLatency(cell, servers) {
	const { results } = cell;

	say();
	say(`${cell.title}: milliseconds, from when each was due`);
	row('server', 'p99', 'least to most', `of ${cell.floor}`, 'p50', 'p99.9', 'per second', 'of its most', 'sent late');
	for (const { name, missing, rate, most } of servers) {
		if (missing) {
			row(name, missing);
			continue;
		}
		const of = (field) => results[name].map((r) => r[field]);
		const p99 = of('p99_us');

		row(name, ms(median(p99)), `${ms(Math.min(...p99))}..${ms(Math.max(...p99))}`, ratio(results, name, cell.floor, 'p99_us').toFixed(2),
			ms(median(of('p50_us'))), ms(median(of('p999_us'))), grouped(rate), (rate / most).toFixed(2),
			ms(median(of('late_p99_us'))));
	}
}

function bars(cell, servers) {
	return servers.map(({ name, missing, rate }) => {
		if (missing)
			return { name, value: null, note: inShort(missing) };
		const p99 = cell.results[name].map((r) => r.p99_us / 1000);
		return { name, value: median(p99), least: Math.min(...p99), most: Math.max(...p99), note: `at ${grouped(rate)} per second` };
	});
}

async function measure(cell) {
	const servers = await startAll(cell.starts);
	const present = servers.filter((server) => !server.missing);

	cell.results = {};
	setRates(cell, present);
	for (let round = 0; round < Number(options.rounds); round++) {
		for (const server of present)
			(cell.results[server.name] ??= []).push(pacedAt(cell, server, server.rate));
	}
	reportLatency(cell, servers);
	cell.bars = bars(cell, servers);
	await endAll(servers);
}

export async function latency() {
	say();
	say(`Latency at half of what Herold can do, or of what the server can do if that is less; the load ${REAL_TIME.length > 0 ?
		'at real-time priority' : 'WITHOUT real-time priority, which is not permitted here'}. Less where the load itself would be late; "sent late": its p99.`);
	for (const cell of CELLS)
		await measure(cell);
	charts.push({ title: 'p99 of an echo and of a delivery, at half of what is possible', unit: 'milliseconds: median, and least to most of the rounds', log: true,
		groups: CELLS.map((cell) => ({ label: cell.title, bars: cell.bars })) });
}
