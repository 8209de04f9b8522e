#!/usr/bin/env node
// The bench: Herold beside bare epoll loops, in the same minutes on the same machine. README.md says what and why.
// Exit status: non-zero only when something could not run, or a message was lost. A slow server is a result, not an error.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { attacks } from './attacks.mjs';
import { bigBesideSmall } from './big.mjs';
import { compression } from './compression.mjs';
import { floods } from './floods.mjs';
import {
	BUILD, LOAD, PINNED, ROOT, compare, endServer, grouped, idleBytes, lines, options, report, row, say, startFloor, startHerold, stop,
} from './harness.mjs';
import { overRedis } from './redis.mjs';
import { overTls } from './tls.mjs';

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

async function idle() {
	const count = Number(options.idle);

	say();
	say(`Server memory (PSS of all processes) per idle connection, ${grouped(count)} on /echo after 100 KB each`);
	for (const [name, begin, ...args] of [['herold', startHerold], ['herold, compression agreed on', startHerold, '--compress'],
		['floor', () => startFloor('floor', 'floor_echo')]]) {
		const server = await begin();
		row(name, `${grouped(await idleBytes(server, count, LOAD, 'idle', ...args))} B`);
		await endServer(server);
	}
}

function where() {
	const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).trim();
	return `${os.cpus().length} x ${os.cpus()[0].model.trim()}, Linux ${os.release()}, commit ${commit}, ` +
		`${options.rounds} rounds of ${options.seconds} s, ${new Date().toISOString().slice(0, 10)}`;
}

say(`Herold's bench: ${where()}`);
if (!PINNED)
	say('One core only: server and load share it.');
const SECTIONS = { echo: echoes, fan: fans, compress: compression, idle, tls: overTls, big: bigBesideSmall, redis: overRedis, attacks, floods };

for (const name of options.only.split(',')) {
	if (!Object.hasOwn(SECTIONS, name))
		stop(`there is no section ${name}: ${Object.keys(SECTIONS).join(', ')}`);
	await SECTIONS[name]();
}
fs.writeFileSync(path.join(BUILD, 'bench.txt'), `${lines.join('\n')}\n`);
process.exit();
