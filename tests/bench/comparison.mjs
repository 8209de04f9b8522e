// comparison - Herold, the floors and other servers at the same work in the same minutes
import { charts, compare, endServer, grouped, idleBytes, median, options, report, row, say, startFloor, startHerold } from './harness.mjs';
import { startPeer } from './peers.mjs';

// They end when all are made.
const CONNECT_ARGS = ['--connections=10000', '--at-once=64', '--seconds=60'];
const UNIT = 'work per second of server CPU: median, and least to most of the rounds';

/** Why a server is missing, without the details. */
export const inShort = (missing) => missing.split(' (')[0];
const named = (server, name) => ({ ...server, name });
const startTwoWorkers = async () => named(await startHerold('workers=2'), 'herold, 2 workers');

// One after the other: what starts is not disturbed by what starts beside it.
export async function startAll(starts) {
	const servers = [];

	for (const begin of starts)
		servers.push(await begin());
	return servers;
}

export const endAll = (servers) => Promise.all(servers.filter((server) => !server.missing).map(endServer));

function bars(cell) {
	return cell.servers.map(({ name, missing }) => {
		if (missing)
			return { name, value: null, note: inShort(missing) };
		const rates = cell.results[name].map((r) => r.per_cpu_second);
		return { name, value: median(rates), least: Math.min(...rates), most: Math.max(...rates) };
	});
}

const chart = (title, log, cells) => charts.push({ title, unit: UNIT, log, groups: cells.map((cell) => ({ label: cell.label, bars: bars(cell) })) });

async function compareAndReport(servers, cells, title, ratioTo, log) {
	for (const cell of cells)
		Object.assign(cell, { servers, results: {} });
	await compare(cells);
	for (const cell of cells)
		report(cell, ratioTo);
	chart(title, log, cells);
	await endAll(servers);
}

export async function echoes() {
	const servers = await startAll([startHerold, () => startFloor('floor', 'floor_echo'), () => startPeer('ws'), () => startPeer('Socket.IO')]);
	const cells = [['64 bytes', 64], ['16 KiB', 16384]].map(([size, bytes]) => ({
		title: `Echoes of ${size} on 64 connections, one under way on each`, label: size, mode: 'echo', args: ['--connections=64', `--bytes=${bytes}`],
	}));

	await compareAndReport(servers, cells, 'Echoes on 64 connections', 'floor', false);
}

export async function fans() {
	const servers = await startAll([startHerold, startTwoWorkers, () => startFloor('turn floor', 'floor_fan', '--mode=turn'),
		() => startFloor('send floor', 'floor_fan', '--mode=send'), ...['ws', 'Socket.IO', 'nchan'].map((name) => () => startPeer(name))]);
	const cells = [4, 16, 64].map((underWay) => ({
		title: `Deliveries of 128 bytes, 16 publishers to 1,000 subscribers, ${underWay} messages under way`,
		mode: 'broadcast', args: ['--connections=1000', '--bytes=128', '--publishers=16', `--under-way=${underWay}`],
	}));

	await compareAndReport(servers, cells, 'Deliveries of 128 bytes to 1,000 subscribers', 'turn floor', true);
}

export async function connects() {
	const servers = await startAll([startHerold, () => startFloor('floor', 'floor_echo'), ...['ws', 'Socket.IO', 'nchan'].map((name) => () => startPeer(name))]);
	const cells = [{ title: '10,000 connections made and upgraded, 64 at a time, each closed when it is open', label: '', mode: 'connect', args: CONNECT_ARGS }];

	await compareAndReport(servers, cells, 'Connections', 'floor', false);
}

// [name, how it is started, options of the load]
const IDLERS = [['herold', startHerold], ['herold, compression agreed on', startHerold, '--compress'], ['floor', () => startFloor('floor', 'floor_echo')],
	['ws', () => startPeer('ws')], ['Socket.IO', () => startPeer('Socket.IO')], ['nchan', () => startPeer('nchan')]];

export async function idle() {
	const count = Number(options.idle);
	const title = 'Memory of an idle connection';
	const weighed = [];

	say();
	say(`Server memory (PSS of all processes) per idle connection, ${grouped(count)} on /echo after 100 KB each`);
	for (const [name, begin, ...args] of IDLERS) {
		const server = await begin();

		if (server.missing) {
			row(name, server.missing);
			weighed.push({ name, value: null, note: inShort(server.missing) });
			continue;
		}
		const value = await idleBytes(server, count, server.load, 'idle', '--bytes=102400', ...args);

		row(name, `${grouped(value)} B`);
		weighed.push({ name, value });
		await endServer(server);
	}
	charts.push({ title, unit: `bytes of server memory, ${grouped(count)} connections`, log: true, groups: [{ bars: weighed.map((it) => ({ ...it,
		value: it.value === null ? null : Math.max(it.value, 1) })) }] });
}
