#!/usr/bin/env node
// make bench-scale: so many connections held with heartbeats, and meanwhile a room of many in which messages are delivered. README.md says how.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import {
	BUILD, LOAD, ROOT, cpuSeconds, endServer, family, grouped, heroldArgs, later, lines, options, pssBytes, say, slabBytes, start, startServer, stop, tail,
} from './harness.mjs';
import { isInNamespace, netstat, refuseUnlessPossible, runInNamespace, setUpNamespace, workersFor } from './namespace.mjs';

const CONNECTIONS = Number(options.connections);
const HOLD_SECONDS = Number(options.hold);
const HEARTBEAT_SECONDS = 30;
const ROOM = Math.min(100000, Math.ceil(CONNECTIONS / 5));
const ROOM_SECONDS = 5;
// So many clients share one at most, so that the limits of an address are none of them.
const ADDRESSES = 20000;
const MIB = 2 ** 20;

async function status(server) {
	const response = await fetch(`http://127.0.0.1:${server.admin}/status`);
	const { counters } = await response.json();

	return { ...counters, at: performance.now() / 1000, cpu: cpuSeconds(server) };
}

function sayMemory(server, before, connections) {
	const programs = pssBytes(server.child.pid) - before.pss, kernel = slabBytes() - before.slabs;

	say(`server: ${grouped(programs / MIB)} MiB of all its processes, ${grouped(programs / connections)} B for each connection (before: ${grouped(before.pss / MIB)} MiB)`);
	say(`kernel, both ends: ${grouped(kernel / MIB)} MiB of objects, ${grouped(kernel / connections)} B for each connection; ` +
		/^TCP:.*$/m.exec(fs.readFileSync('/proc/net/sockstat', 'utf8'))[0]);
}

/** herold-load: whether it has said something, and its results. */
function load(scenario, server, ...args) {
	const child = start(null, LOAD, [scenario, `ws://127.0.0.1:${server.port}`, '--json', ...args], ['pipe', 'pipe', 'inherit']);
	let text = '';

	child.stdout.setEncoding('utf8').on('data', (data) => { text += data; });
	return {
		child,
		has: (word) => text.includes(word),
		async result() {
			if (child.exitCode === null)
				await once(child, 'exit');
			const line = text.split('\n').findLast((one) => one.startsWith('{'));

			if (line === undefined)
				stop(`herold-load ${scenario} ended with ${child.exitCode}\n${tail(server.log)}`);
			return JSON.parse(line);
		},
	};
}

async function untilConnected(idle, server) {
	const before = await status(server);
	let told = before;

	while (!idle.has('ready')) {
		await later(500);
		if (idle.child.exitCode !== null)
			stop(`herold-load ended before all were connected\n${tail(server.log)}`);
		if (performance.now() / 1000 - told.at >= 10) {
			told = await status(server);
			console.log(`... ${grouped(told.websockets)} connections`);
		}
	}
	const after = await status(server), seconds = after.at - before.at;

	say(`connected in ${seconds.toFixed(1)} s: ${grouped(after.websockets / seconds)} per second, ` +
		`${grouped((after.cpu - before.cpu) / after.websockets * 1e6)} µs of server CPU for each connection and its echo`);
}

/** A line for what has been since `last`. */
async function sayMinute(server, last) {
	const now = await status(server), pings = now.pings_sent - last.pings_sent, cpu = now.cpu - last.cpu;

	say(`${grouped(now.websockets)} alive; in ${(now.at - last.at).toFixed(0)} s ${grouped(pings)} pings, ${cpu.toFixed(2)} s of server CPU: ` +
		`${(cpu / pings * 1e6).toFixed(1)} µs for each ping and pong; ended for want of a pong: ${now.closed.ping_timeout}`);
	return now;
}

/** Messages to a room of many, while all others stay. */
async function room(server) {
	const before = await status(server);
	const chat = await load('chat', server, `--connections=${ROOM}`, '--rooms=1', '--publishers=1', '--under-way=1', `--seconds=${ROOM_SECONDS}`,
		'--warmup-ms=3000', `--source=127.128.0.0,${ADDRESSES}`).result();
	const after = await status(server);

	say(`a room of ${grouped(ROOM)}: all in it after ${chat.opening_seconds.toFixed(1)} s; one message after the other: ${grouped(chat.messages)} deliveries in ` +
		`${chat.seconds.toFixed(1)} s, ${chat.missing} missing, ${chat.duplicates} twice; ` +
		`from sending to delivery p50 ${grouped(chat.p50_us / 1000)} ms, p99 ${grouped(chat.p99_us / 1000)} ms, the last ${grouped(chat.max_us / 1000)} ms`);
	say(`entering, delivering and leaving, and the others' heartbeats: ${(after.cpu - before.cpu).toFixed(1)} s of server CPU in ${(after.at - before.at).toFixed(1)} s`);
	return { isWhole: chat.missing === 0 && chat.duplicates === 0 && chat.lost === 0 && chat.messages > 0, last: after };
}

/** Bare loops that ping as many for a minute: what the kernel takes for it. */
async function floor() {
	const workers = workersFor(CONNECTIONS);
	const server = await startServer('floor', path.join(BUILD, 'floor_ping'), (port) => [String(port), String(workers), String(HEARTBEAT_SECONDS)], ['/echo'], null);
	const idle = load('idle', server, `--connections=${CONNECTIONS}`, '--bytes=16', '--hold', '--at-once=512', `--source=127.1.0.0,${ADDRESSES}`);

	while (!idle.has('ready')) {
		await later(500);
		if (idle.child.exitCode !== null)
			stop('herold-load ended before all were connected');
	}
	for (let minutes = 0; minutes < 1 || minutes * 60 < HOLD_SECONDS - 60; minutes++) {
		const cpu = cpuSeconds(server), since = performance.now();

		await later(60000);
		const pings = CONNECTIONS / HEARTBEAT_SECONDS * (performance.now() - since) / 1000;

		say(`floor of ${workers} processes: ${((cpuSeconds(server) - cpu) / pings * 1e6).toFixed(1)} µs of CPU for each ping and pong`);
	}
	idle.child.stdin.end();
	const result = await idle.result();

	await endServer(server);
	return result.lost === 0;
}

async function scale() {
	const workers = workersFor(CONNECTIONS + ROOM);
	const server = await startServer('scale', options.herold, heroldArgs([`workers=${workers}`, `heartbeat_seconds=${HEARTBEAT_SECONDS}`,
		'handshakes_per_second=0', 'limit_exempt=']), ['/echo'], null);
	const before = { pss: pssBytes(server.child.pid), slabs: slabBytes() };

	say(`${workers} workers, ${family(server.child.pid).length} processes, ${grouped(before.pss / workers / 1024)} KiB for each worker`);
	const idle = load('idle', server, `--connections=${CONNECTIONS}`, '--bytes=16', '--hold', '--at-once=512', `--source=127.1.0.0,${ADDRESSES}`);

	await untilConnected(idle, server);
	sayMemory(server, before, CONNECTIONS);
	const until = performance.now() + HOLD_SECONDS * 1000;
	let last = await status(server), rooms;

	while (performance.now() < until) {
		await later(Math.min(60000, until - performance.now()));
		last = await sayMinute(server, last);
		if (rooms === undefined) {
			rooms = await room(server);
			last = rooms.last;
		}
	}
	sayMemory(server, before, CONNECTIONS);
	idle.child.stdin.end();
	const result = await idle.result();

	say(`in all: ${grouped(result.pings)} pings answered, ${result.lost} connections lost, ListenOverflows ${netstat('ListenOverflows')}, ListenDrops ${netstat('ListenDrops')}`);
	await endServer(server);
	return result.lost === 0 && last.closed.ping_timeout === 0 && rooms.isWhole;
}

if (!(CONNECTIONS >= 1000 && HOLD_SECONDS >= 1))
	stop('N is at least 1,000 connections, and HOLD at least a second');
if (!isInNamespace) {
	refuseUnlessPossible(CONNECTIONS + ROOM);
	process.exit(runInNamespace(process.argv[1], process.argv.slice(2)));
}
setUpNamespace();
say(`${grouped(CONNECTIONS)} connections held for ${HOLD_SECONDS} s: ${os.cpus().length} x ${os.cpus()[0].model.trim()}, ${grouped(os.totalmem() / MIB)} MiB, ` +
	`Linux ${os.release()}, commit ${execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).trim()}, ` +
	`${new Date().toISOString().slice(0, 10)}`);
const isGood = await (options.floor ? floor() : scale());

say(isGood ? 'None was lost.' : 'Not all is as it should be: see above.');
fs.writeFileSync(path.join(BUILD, 'bench-scale.txt'), `${lines.join('\n')}\n`);
process.exit(isGood ? 0 : 1);
