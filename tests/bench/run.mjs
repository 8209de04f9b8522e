#!/usr/bin/env node
// The bench: Herold beside bare epoll loops, in the same minutes on the same machine. README.md says what and why.
// Exit status: non-zero only when something could not run. A slow server is a result, not an error.
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

const ROOT = path.join(import.meta.dirname, '../..');
const BUILD = path.join(ROOT, 'build');
const LOAD = path.join(BUILD, 'herold-load');
const PINNED = os.cpus().length > 1;

const { values: options } = parseArgs({ options: {
	rounds: { type: 'string', default: '3' },
	seconds: { type: 'string', default: '2' },
	idle: { type: 'string', default: '10000' },
	only: { type: 'string', default: 'echo,fan,idle,tls' },
	herold: { type: 'string', default: path.join(BUILD, 'herold') },
} });
const ONLY = options.only.split(',');

const running = new Set();
const lines = [];

function say(line = '') {
	lines.push(line);
	console.log(line);
}

const later = (ms) => new Promise((done) => setTimeout(done, ms));

function freePort() {
	return new Promise((done, failed) => {
		const server = net.createServer().on('error', failed);
		server.listen(0, '127.0.0.1', () => {
			const { port } = server.address();
			server.close(() => done(port));
		});
	});
}

function onCore(core, program, args) {
	return PINNED ? ['taskset', ['-c', String(core), program, ...args]] : [program, args];
}

function start(core, program, args, stdio) {
	const child = spawn(...onCore(core, program, args), { cwd: ROOT, stdio });
	running.add(child);
	child.on('exit', () => running.delete(child));
	child.on('error', (error) => stop(`${program}: ${error.message}`));
	return child;
}

const tail = (file) => fs.readFileSync(file, 'utf8').slice(-4000);

function stop(problem) {
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
function family(pid) {
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

async function startServer(name, program, makeArgs, paths) {
	const port = await freePort();
	// A file: a pipe that nobody reads while the load runs would hold the server up.
	const server = { name, port, log: path.join(BUILD, `bench-${name.replace(' ', '-')}.log`) };
	const log = fs.openSync(server.log, 'w');

	server.child = start(0, program, makeArgs(port, await freePort()), ['ignore', log, log]);
	fs.closeSync(log);
	await untilReady(server, paths);
	return server;
}

const startHerold = () => startServer('herold', options.herold, (port, admin) => ['-o', 'workers=1', '-o', 'drain_seconds=0',
	'-o', `listen=127.0.0.1:${port}`, '-o', `admin_listen=127.0.0.1:${admin}`], ['/echo', '/broadcast']);
const startFloor = (name, program, ...args) =>
	startServer(name, path.join(BUILD, program), (port) => [String(port), ...args], ['/']);

async function endServer(server) {
	const ended = new Promise((done) => server.child.once('exit', done));
	server.child.kill('SIGTERM');
	await Promise.race([ended, later(10000)]);
}

const load = (server, mode, ...args) => loadWith(LOAD, server, mode, ...args);

function loadWith(generator, server, mode, ...args) {
	const [program, all] = onCore(PINNED ? 1 : 0, generator, [mode, `--port=${server.port}`,
		`--pids=${family(server.child.pid).join()}`, `--seconds=${options.seconds}`, '--json', ...args]);
	try {
		return JSON.parse(execFileSync(program, all, { encoding: 'utf8', timeout: 120000, stdio: ['ignore', 'pipe', 'pipe'] }));
	} catch (error) {
		stop(`${server.name}, ${mode} ${args.join(' ')}: ${error.stderr || error.message}\n${tail(server.log)}`);
	}
}

const median = (numbers) => {
	const sorted = [...numbers].sort((a, b) => a - b);
	const middle = sorted.length >> 1;
	return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
const grouped = (number) => Math.round(number).toLocaleString('en-US');

// Server after server, cell after cell, and all of it again: what disturbs the machine disturbs all alike.
async function compare(cells) {
	for (let round = 0; round < Number(options.rounds); round++) {
		for (const cell of cells) {
			for (const server of cell.servers)
				(cell.results[server.name] ??= []).push(loadWith(cell.load ?? LOAD, server, cell.mode, ...cell.args));
		}
	}
}

function row(...columns) {
	const widths = [34, -14, -22, -13, -11, -11];
	say(columns.map((text, at) => widths[at] < 0 ? String(text).padStart(-widths[at]) : String(text).padEnd(widths[at])).join(' ').trimEnd());
}

function report(cell, ratioTo) {
	say();
	say(cell.title);
	row('server', 'per CPU second', 'least to most', `of ${ratioTo}`, 'per second', 'p99 ms');
	const floor = median(cell.results[ratioTo].map((r) => r.per_cpu_second));
	for (const [name, results] of Object.entries(cell.results)) {
		const rates = results.map((r) => r.per_cpu_second);
		row(name, grouped(median(rates)), `${grouped(Math.min(...rates))}..${grouped(Math.max(...rates))}`,
			(median(rates) / floor).toFixed(2), grouped(median(results.map((r) => r.per_second))),
			(median(results.map((r) => r.p99_us)) / 1000).toFixed(1));
	}
}

async function echoes() {
	const servers = [await startHerold(), await startFloor('floor', 'floor_echo')];
	const cell = { title: 'Echoes of 64 bytes on 64 connections, one under way on each', mode: 'echo', args: [], servers, results: {} };

	await compare([cell]);
	report(cell, 'floor');
	await Promise.all(servers.map(endServer));
}

async function fans() {
	const servers = [await startHerold(), await startFloor('turn floor', 'floor_fan', '--mode=turn'),
		await startFloor('send floor', 'floor_fan', '--mode=send')];
	const cells = [4, 16, 64].map((underWay) => ({
		title: `Deliveries of 128 bytes, 16 publishers to 1,000 subscribers, ${underWay} messages under way`,
		mode: 'fan', args: [`--under-way=${underWay}`], servers, results: {},
	}));

	await compare(cells);
	for (const cell of cells)
		report(cell, 'turn floor');
	await Promise.all(servers.map(endServer));
}

function pssBytes(pid) {
	let total = 0;
	for (const one of family(pid))
		total += Number(/^Pss:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${one}/smaps_rollup`, 'utf8'))[1]) * 1024;
	return total;
}

// Returns the bytes of server memory that each of the connections costs.
async function idleBytes(server, count, generator = LOAD, mode = 'idle', ...args) {
	const before = pssBytes(server.child.pid);
	const child = start(PINNED ? 1 : 0, generator, [mode, `--port=${server.port}`, `--connections=${count}`, ...args], ['pipe', 'pipe', 'inherit']);
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

async function idle() {
	const count = Number(options.idle);

	say();
	say(`Server memory (PSS of all processes) per idle connection, ${grouped(count)} on /echo after 100 KB each`);
	for (const begin of [startHerold, () => startFloor('floor', 'floor_echo')]) {
		const server = await begin();
		row(server.name, `${grouped(await idleBytes(server, count))} B`);
		await endServer(server);
	}
}

// --- TLS ---

const LOAD_TLS = path.join(BUILD, 'load_tls');

// A certificate of ECDSA P-256, the same for both.
function makeCertificate() {
	const [key, certificate] = ['bench.key', 'bench.pem'].map((name) => path.join(BUILD, name));

	execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-subj', '/CN=localhost',
		'-keyout', key, '-out', certificate], { stdio: 'ignore' });
	return { key, certificate };
}

const accepts = (port) => new Promise((done) => {
	const socket = net.connect(port, '127.0.0.1', () => done(true)).on('error', () => done(false)).on('close', () => socket.destroy());
	socket.end();
});

async function startTlsFloor({ key, certificate }) {
	const port = await freePort();
	const server = { name: 'SSL_accept floor', port, log: path.join(BUILD, 'bench-tls-floor.log') };
	const log = fs.openSync(server.log, 'w');

	server.child = start(0, path.join(BUILD, 'floor_tls'), [String(port), certificate, key], ['ignore', log, log]);
	fs.closeSync(log);
	while (!(await accepts(port)))
		await later(100);
	return server;
}

async function startTlsHerold({ key, certificate }, ...more) {
	const tls = await freePort();
	const server = await startServer('herold tls', options.herold, (port, admin) => ['-o', 'workers=1', '-o', 'drain_seconds=0',
		'-o', `listen=127.0.0.1:${port}`, '-o', `admin_listen=127.0.0.1:${admin}`, '-o', `tls_listen=127.0.0.1:${tls}`,
		'-o', `tls_certificate=${certificate}`, '-o', `tls_key=${key}`, ...more], ['/echo']);

	return { ...server, port: tls };
}

async function handshakes(files) {
	const servers = [await startTlsHerold(files), await startTlsFloor(files)];
	const cells = [['full', 'Full'], ['resumed', 'Resumed']].flatMap(([mode, title]) => [[], ['--tls12']].map((args) => ({
		title: `${title} handshakes, TLS ${args.length > 0 ? '1.2' : '1.3'}, ECDSA P-256, 16 under way`, mode, args, servers, results: {}, load: LOAD_TLS,
	})));

	await compare(cells);
	for (const cell of cells)
		report(cell, 'SSL_accept floor');
	await Promise.all(servers.map(endServer));
}

async function tlsIdle(files) {
	const count = Math.min(Number(options.idle), 2000);

	say();
	say(`Server memory (PSS of all processes) per connection with TLS 1.3, ${grouped(count)}`);
	for (const [what, bytes, mode] of [['on /echo after 100 KB each', '100000', 'idle'], ['after the handshake alone', '0', 'idle'],
		['amid the handshake', '0', 'half'], ['nothing sent yet', '0', 'silent']]) {
		const server = await startTlsHerold(files, '-o', 'handshake_seconds=300');

		row(what, `${grouped(await idleBytes(server, count, LOAD_TLS, mode, `--bytes=${bytes}`))} B`);
		await endServer(server);
	}
}

async function overTls() {
	const files = makeCertificate();

	await handshakes(files);
	await tlsIdle(files);
}

function where() {
	const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).trim();
	return `${os.cpus().length} x ${os.cpus()[0].model.trim()}, Linux ${os.release()}, commit ${commit}, ` +
		`${options.rounds} rounds of ${options.seconds} s, ${new Date().toISOString().slice(0, 10)}`;
}

say(`Herold's bench: ${where()}`);
if (!PINNED)
	say('One core only: server and load share it.');
if (ONLY.includes('echo'))
	await echoes();
if (ONLY.includes('fan'))
	await fans();
if (ONLY.includes('idle'))
	await idle();
if (ONLY.includes('tls'))
	await overTls();
fs.writeFileSync(path.join(BUILD, 'bench.txt'), `${lines.join('\n')}\n`);
process.exit(0);
