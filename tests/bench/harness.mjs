// harness - starting servers and loads on their cores, ending them, weighing them, and saying what came of it
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const BUILD = path.join(ROOT, 'build');
export const LOAD = path.join(BUILD, 'herold-load');
export const PINNED = os.cpus().length > 1;

export const { values: options } = parseArgs({ options: {
	rounds: { type: 'string', default: '3' },
	seconds: { type: 'string', default: '2' },
	idle: { type: 'string', default: '10000' },
	only: { type: 'string', default: 'echo,fan,connects,latency,idle,compress,bytes,tls,big,redis,artillery' },
	attack: { type: 'string', default: '' },
	flood: { type: 'string', default: '' },
	growth: { type: 'string', default: '' },
	nice: { type: 'string', default: '19' },
	connections: { type: 'string', default: '500000' },
	hold: { type: 'string', default: '600' },
	floor: { type: 'boolean', default: false },
	herold: { type: 'string', default: path.join(BUILD, 'herold') },
} });

const running = new Set();
/** What was said so far. */
export const lines = [];
/** What is drawn in the end; see plot.mjs. */
export const charts = [];

export function say(line = '') {
	lines.push(line);
	console.log(line);
}

export const later = (ms) => new Promise((done) => setTimeout(done, ms));

export function freePort() {
	return new Promise((done, failed) => {
		const server = net.createServer().on('error', failed);
		server.listen(0, '127.0.0.1', () => {
			const { port } = server.address();
			server.close(() => done(port));
		});
	});
}

/** core: null for all of them. */
export function onCore(core, program, args) {
	return PINNED && core !== null ? ['taskset', ['-c', String(core), program, ...args]] : [program, args];
}

export function start(core, program, args, stdio) {
	const child = spawn(...onCore(core, program, args), { cwd: ROOT, stdio });
	running.add(child);
	child.on('exit', () => running.delete(child));
	child.on('error', (error) => stop(`${program}: ${error.message}`));
	return child;
}

export const tail = (file) => fs.readFileSync(file, 'utf8').slice(-4000);

export function stop(problem) {
	console.error(`bench: ${problem}`);
	process.exit(1);
}

process.on('exit', () => {
	for (const child of running) {
		try {
			family(child.pid).forEach((pid) => process.kill(pid, 'SIGKILL'));
		} catch {
			// It has ended meanwhile.
		}
	}
});
for (const signal of ['SIGINT', 'SIGTERM'])
	process.on(signal, () => process.exit(1));

// The process and all that it started.
export function family(pid) {
	const pids = [pid];
	for (let at = 0; at < pids.length; at++) {
		for (const task of fs.readdirSync(`/proc/${pids[at]}/task`)) {
			const children = fs.readFileSync(`/proc/${pids[at]}/task/${task}/children`, 'utf8').trim();
			pids.push(...children.split(' ').filter(Boolean).map(Number));
		}
	}
	return pids;
}

// Every server of this bench upgrades: its first 101 says that it is ready.
async function untilReady(server, paths) {
	for (const path of paths) {
		for (let tries = 0; !(await upgrades(server.port, path)); tries++) {
			if (tries > 100 || server.child.exitCode !== null)
				stop(`${server.name} does not upgrade on ${path}\n${tail(server.log)}`);
			await later(100);
		}
	}
}

function upgrades(port, path) {
	return new Promise((done) => {
		const socket = net.connect(port, '127.0.0.1', () => socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n` +
			'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
			'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'));
		const settle = (result) => {
			socket.destroy();
			done(result);
		};
		socket.setTimeout(1000, () => settle(false));
		socket.on('error', () => settle(false)).on('close', () => settle(false));
		socket.once('data', (data) => settle(data.toString('latin1').startsWith('HTTP/1.1 101 ')));
	});
}

export async function startServer(name, program, makeArgs, paths, core = 0) {
	const [port, admin] = [await freePort(), await freePort()];
	// A file: a pipe that nobody reads while the load runs would hold the server up.
	const server = { name, port, admin, log: path.join(BUILD, `bench-${name.replace(' ', '-')}.log`) };
	const log = fs.openSync(server.log, 'w');

	server.child = start(core, program, makeArgs(port, admin), ['ignore', log, log]);
	fs.closeSync(log);
	await untilReady(server, paths);
	return server;
}

/** As -o options. Loads are no clients like others: those of this machine are not limited, unless a setting says so. */
export const heroldArgs = (settings) => (port, admin) => ['drain_seconds=0', 'limit_exempt=127.0.0.0/8', `listen=127.0.0.1:${port}`,
	`admin_listen=127.0.0.1:${admin}`, ...settings].flatMap((setting) => ['-o', setting]);
/** With one worker, on core 0. */
export const startHerold = (...settings) => startServer('herold', options.herold, heroldArgs(['workers=1', ...settings]), ['/echo', '/broadcast']);
/** With as many workers as are set, on any core. */
export const startHeroldAnywhere = (...settings) => startServer('herold', options.herold, heroldArgs(settings), ['/echo', '/broadcast'], null);
/** The same where a token is needed. */
export const startHeroldWithToken = (token, ...settings) =>
	startServer('herold', options.herold, heroldArgs(['auth=token', ...settings]), [`/echo?token=${token}`], null);

/** What Herold says of itself. */
export async function counters(server) {
	const response = await fetch(`http://127.0.0.1:${server.admin}/status`);

	return (await response.json()).counters;
}
export const startFloor = (name, program, ...args) =>
	startServer(name, path.join(BUILD, program), (port) => [String(port), ...args], ['/']);

export async function endServer(server) {
	const ended = new Promise((done) => server.child.once('exit', done));
	server.child.kill('SIGTERM');
	await Promise.race([ended, later(10000)]);
}

/** How a generator is told where the server is. */
const target = (generator, server) => generator === LOAD ? `ws://127.0.0.1:${server.port}` : `--port=${server.port}`;

/** What puts the load before everybody else, so that it is not late by itself; empty where that is not permitted. */
export const REAL_TIME = spawnSync('chrt', ['--fifo', '1', 'true']).status === 0 ? ['chrt', '--fifo', '1'] : [];

export const loadWith = (generator, server, mode, ...args) => runLoad([], generator, server, mode, args);
export const loadInTime = (generator, server, mode, ...args) => runLoad(REAL_TIME, generator, server, mode, args);

function runLoad(before, generator, server, mode, args) {
	const [command, ...rest] = [...before, generator];
	const [program, all] = onCore(PINNED ? 1 : 0, command, [...rest, mode, target(generator, server),
		`--pids=${family(server.child.pid).join()}`, `--seconds=${options.seconds}`, '--json', ...args]);
	try {
		return JSON.parse(execFileSync(program, all, { encoding: 'utf8', timeout: 120000, stdio: ['ignore', 'pipe', 'pipe'] }));
	} catch (error) {
		stop(`${server.name}, ${mode} ${args.join(' ')}: ${error.stderr || error.message}\n${error.stdout ?? ''}\n${tail(server.log)}`);
	}
}

export const median = (numbers) => {
	const sorted = [...numbers].sort((a, b) => a - b);
	const middle = sorted.length >> 1;
	return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
export const grouped = (number) => Math.round(number).toLocaleString('en-US');

// Server after server, cell after cell, and all of it again: what disturbs the machine disturbs all alike.
export async function compare(cells) {
	for (let round = 0; round < Number(options.rounds); round++) {
		for (const cell of cells) {
			for (const server of cell.servers.filter((one) => !one.missing))
				(cell.results[server.name] ??= []).push(loadWith(server.load ?? cell.load ?? LOAD, server, cell.mode, ...cell.args));
		}
	}
}

/** Round by round: what slows the machine down slows both. */
export const ratio = (results, name, to, field) => median(results[name].map((r, i) => r[field] / results[to][i][field]));

export function row(...columns) {
	const widths = [34, -14, -22, -13, -11, -11, -11, -11, -11];
	say(columns.map((text, at) => widths[at] < 0 ? String(text).padStart(-widths[at]) : String(text).padEnd(widths[at])).join(' ').trimEnd());
}

export function report(cell, ratioTo) {
	const base = cell.servers[0].name;

	say();
	say(cell.title);
	row('server', 'per CPU second', 'least to most', `of ${ratioTo}`, `${base} is`, 'per second', 'p99 ms');
	for (const { name, missing } of cell.servers) {
		if (missing) {
			row(name, missing);
			continue;
		}
		const results = cell.results[name];
		const rates = results.map((r) => r.per_cpu_second);

		row(name, grouped(median(rates)), `${grouped(Math.min(...rates))}..${grouped(Math.max(...rates))}`, ratio(cell.results, name, ratioTo, 'per_cpu_second').toFixed(2),
			`${ratio(cell.results, base, name, 'per_cpu_second').toFixed(2)} x`, grouped(median(results.map((r) => r.per_second))),
			(median(results.map((r) => r.p99_us)) / 1000).toFixed(1));
	}
}

export function pssBytes(pid) {
	let total = 0;
	for (const one of family(pid))
		total += Number(/^Pss:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${one}/smaps_rollup`, 'utf8'))[1]) * 1024;
	return total;
}

// Returns the bytes of server memory that each of the connections costs.
export async function idleBytes(server, count, generator = LOAD, mode = 'idle', ...args) {
	const before = pssBytes(server.child.pid);
	const hold = generator === LOAD ? ['--hold'] : [];
	const child = start(PINNED ? 1 : 0, generator, [mode, target(generator, server), `--connections=${count}`, ...hold, ...args],
		['pipe', 'pipe', 'inherit']);
	const ready = await new Promise((done) => child.on('exit', () => done(false)).stdout.once('data', () => done(true)));

	if (!ready)
		stop(`${server.name}: the idle connections could not be made\n${tail(server.log)}`);
	await later(1000);
	const after = pssBytes(server.child.pid);
	const ended = new Promise((done) => child.once('exit', done));
	child.stdin.end();
	await ended;
	return (after - before) / count;
}

/** Bytes of the kernel's objects that a connection may be made of. Of both ends, because both are here. */
export function slabBytes() {
	return fs.readFileSync('/proc/slabinfo', 'utf8').split('\n').reduce((sum, line) => {
		const [name, , objects, size] = line.split(/\s+/);

		return /^(TCP|request_sock_TCP|tw_sock_TCP|tcp_bind|sock_inode|filp|dentry|eventpoll|skbuff|kmalloc-)/.test(name) ?
			sum + Number(objects) * Number(size) : sum;
	}, 0);
}

/** What waits in the server's sockets, as the kernel charges them; also in those that no process has any more. */
export function socketBytes(ports) {
	const filter = ports.map((port) => `sport = :${port}`).join(' or ');
	let sum = 0;

	for (const [, received, forward, queued] of execFileSync('ss', ['-tmnH', 'state', 'connected', `( ${filter} )`],
		{ encoding: 'utf8', maxBuffer: 2 ** 28 }).matchAll(/skmem:\(r(\d+),.*?,f(\d+),w(\d+),/g))
		sum += Number(received) + Number(forward) + Number(queued);
	return sum;
}

/** Processor time that it has taken so far, all its processes together. */
export const cpuSeconds = (server) => family(server.child.pid).reduce((sum, pid) =>
	sum + Number(fs.readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e9, 0);
