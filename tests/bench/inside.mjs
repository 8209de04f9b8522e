// inside - what the programs do for each message, counted where counting says more than timing
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { beginCounting, endCounting, underCallgrind } from './callgrind.mjs';
import { countCalls } from './calls.mjs';
import { BUILD, endServer, grouped, heroldArgs, onCore, options, say, startServer } from './harness.mjs';
import { Client, STEADY_OPTIONS, WORKLOADS, exchange, steady } from './steady.mjs';

/** How fast masks are taken off and text is checked. */
export function bytes() {
	say();
	say('Unmasking and UTF-8 validation beside memcpy, on one core');
	for (const line of execFileSync(...onCore(0, path.join(BUILD, 'bench_bytes'), []), { encoding: 'utf8' }).trimEnd().split('\n'))
		say(line);
}

/* Herold with one worker, started by another program. */
async function heroldUnder(name, under, settings) {
	const args = heroldArgs(['workers=1', ...Object.entries({ ...STEADY_OPTIONS, ...settings }).map((pair) => pair.join('='))]);
	const server = await startServer(name, under[0], (port, admin) => [...under.slice(1), options.herold, ...args(port, admin)],
		['/echo', '/broadcast'], null);
	const { workers, broker, admin } = await (await fetch(`http://127.0.0.1:${server.admin}/status`)).json();

	return Object.assign(server, { worker: workers[0].pid, broker: broker.pid, adminProcess: admin.pid });
}

/** Callgrind writes its files to that folder, from inside of the processes. */
export const heroldInCallgrind = (folder) =>
	heroldUnder('herold', underCallgrind(folder), { sandbox: 'off', ...(process.getuid() === 0 ? { user: 'root' } : {}) });

const line = (columns, widths) => say(columns.map((text, i) => (i === 0 ? String(text).padEnd(widths[i]) : String(text).padStart(widths[i]))).join(''));

/** Calls of allocator and kernel for a million deliveries. */
export async function steadily() {
	const counts = countCalls(path.join(BUILD, 'count_calls.so'), path.join(BUILD, 'count_calls.counts'));
	const server = await heroldUnder('herold', ['env', ...Object.entries(counts.env).map((pair) => pair.join('='))], {});
	const widths = [28, 10, 12, 12, 12, 10, 18];

	say();
	say('Calls for a million deliveries to 50 connections, 8 messages at a time, after 9,600 messages of the same');
	line(['', 'process', 'malloc', 'free', 'sendmsg', 'turns', 'connections x turns'], [...widths.slice(0, 6), 22]);
	for (const name of Object.keys(WORKLOADS)) {
		const { connections, calls } = await steady(counts, server.port, name, 1e6);

		for (const which of ['worker', 'broker']) {
			const { mallocs, frees, sendmsgs, turns } = calls.get(server[which]);

			line([which === 'worker' ? name : '', which, grouped(mallocs), grouped(frees), grouped(sendmsgs), grouped(turns),
				which === 'worker' ? grouped(connections * turns) : ''], [...widths.slice(0, 6), 22]);
		}
	}
	await endServer(server);
}

/* --- instructions --- */

const OWN = /\/herold(-broker)?$/;

function split({ objects }) {
	const of = (belongs) => [...objects].reduce((sum, [name, cost]) => sum + (belongs(path.basename(name ?? '')) ? cost : 0), 0);

	return {
		all: of(() => true),
		ours: [...objects].reduce((sum, [name, cost]) => sum + (OWN.test(name ?? '') ? cost : 0), 0),
		libc: of((name) => /^libc[.-]|^ld-/.test(name)),
		libevent: of((name) => name.startsWith('libevent')),
		libcrypto: of((name) => name.startsWith('libcrypto')),
	};
}

/* The functions that take most, for whoever looks for what to do next. */
const profile = ({ functions }, per) => [...functions].sort((a, b) => b[1] - a[1]).slice(0, 25)
	.map(([name, cost]) => `${(cost / per).toFixed(1).padStart(10)}  ${name}`).join('\n');

/* Connects to /echo and ends, one after the other. */
async function connects(port, count) {
	for (let i = 0; i < count; i++) {
		const client = await Client.open({ port, path: '/echo' });

		await new Promise((closed) => client.socket.once('close', closed).end());
	}
}

/** Instructions in user space; they repeat almost to the last one, whatever else the machine does. */
export async function instructions() {
	const folder = path.join(BUILD, 'callgrind');
	const server = await heroldInCallgrind(folder);
	const widths = [40, 10, 10, 10, 10, 10, 11];
	const profiles = [];
	const count = async (title, processes, per, work) => {
		for (const which of processes)
			beginCounting(server[which]);
		await work();
		for (const which of processes) {
			const sums = endCounting(folder, server[which]);
			const parts = Object.values(split(sums)).map((cost) => (cost / per).toFixed(cost / per < 100 ? 1 : 0));

			line([title, which, ...parts], widths);
			profiles.push(`${title}, ${which}\n${profile(sums, per)}\n`);
		}
	};
	const exchanged = async (title, name, connections, waves, perWave, perMessage = 1) => {
		const workload = await WORKLOADS[name](server.port, connections);

		await exchange(workload, 5, perWave);
		await count(title, name === 'echo' ? ['worker'] : ['worker', 'broker'], waves * perWave * perMessage, () => exchange(workload, waves, perWave));
		workload.clients.forEach((client) => client.socket.destroy());
	};

	say();
	say('Instructions in user space, by the library that they are in');
	line(['', 'process', 'all', 'ours', 'libc', 'libevent', 'libcrypto'], widths);
	await exchanged('echo of 64 bytes, 64 connections', 'echo', 64, 100, 1, 64);
	await exchanged('delivery, 1,000 subscribers, 16 at once', 'broadcast', 1000, 20, 16, 1000);
	await exchanged('delivery, 1,000 subscribers, 1 at once', 'broadcast', 1000, 20, 1, 1000);
	await exchanged('chat publication in a room of two', 'chat', 2, 300, 8);
	await exchanged('the same with a ref, and its ack', 'chat with ref', 2, 300, 8);
	await count('connect, upgrade and end', ['worker'], 500, () => connects(server.port, 500));
	await endServer(server);
	fs.writeFileSync(path.join(BUILD, 'instructions.txt'), profiles.join('\n'));
	say('Which functions: build/instructions.txt');
}
