// redis - what the way through Redis adds in time, and what a publication costs
import { execFile, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';

import { Proxy } from '../e2e/support/proxy.mjs';
import { Redis } from '../e2e/support/redis.mjs';
import { BUILD, endServer, family, heroldArgs, later, median, options, row, say, startServer, stop, tail } from './harness.mjs';

const BENCHMARK_CALLS = 100000;

export async function overRedis() {
	const redises = await Promise.all([Redis.start(), Redis.start(), Redis.start()]);

	try {
		await latency(redises[0]);
		await cost(redises.slice(1));
	} finally {
		await Promise.all(redises.map((redis) => redis.end()));
	}
}

async function startHost(name, urls, ...more) {
	const host = await startServer(name, options.herold, heroldArgs(['workers=1',
		...urls.length > 0 ? ['engine=redis', `redis_url=${urls.join()}`] : [], ...more]), ['/echo'], null);

	// Ready by itself is not yet: with Redis.
	for (let tries = 0; !/engine is ready|engine=memory/.test(fs.readFileSync(host.log, 'utf8')) && tries < 20; tries++)
		await later(100);
	return host;
}

function relay({ from, to = from, redises = [], args = [] }) {
	const hosts = [...new Set([from, to])];
	const all = [`--from=${from.port}`, `--to=${to.port}`, `--seconds=${options.seconds}`,
		`--pids=${hosts.flatMap((host) => family(host.child.pid)).join()}`,
		...redises.length > 0 ? [`--redis-pids=${redises.map((redis) => redis.pid).join()}`] : [], ...args];

	try {
		return JSON.parse(execFileSync(path.join(BUILD, 'load_relay'), all, { encoding: 'utf8', timeout: 60000 }));
	} catch (error) {
		stop(`load_relay ${all.join(' ')}: ${error.stderr || error.message}\n${tail(from.log)}`);
	}
}

// Configuration after configuration, and all of it again: what disturbs the machine disturbs all alike.
async function rounds(cells) {
	for (let round = 0; round < Number(options.rounds); round++) {
		for (const cell of cells)
			(cell.results ??= []).push(await cell.run());
	}
}

const of = (cell, field) => median(cell.results.map((result) => result[field]));

async function latency(redis) {
	const memory = await startHost('relay memory', []);
	const hosts = [await startHost('relay one', [redis.url]), await startHost('relay two', [redis.url])];
	const args = ['--under-way=1', '--pause-us=200'];
	const cells = [
		{ name: 'engine memory, one host', run: () => relay({ from: memory, args }) },
		{ name: 'engine redis, one host', run: () => relay({ from: hosts[0], args }) },
		{ name: 'engine redis, across two hosts', run: () => relay({ from: hosts[0], to: hosts[1], args }) },
	];

	await rounds(cells);
	say();
	say('From publishing to delivery, one publication of 128 bytes under way');
	row('', 'p50 us', 'p99 us', 'of memory\'s p50');
	for (const cell of cells)
		row(cell.name, of(cell, 'p50_us').toFixed(0), of(cell, 'p99_us').toFixed(0),
			(of(cell, 'p50_us') / of(cells[0], 'p50_us')).toFixed(2));
	await Promise.all([memory, ...hosts].map(endServer));
}

/* The words of the call by which a host publishes, as it sends them: heard by a proxy. */
async function publishCall(redis) {
	const proxy = await Proxy.start(redis.port);
	const chunks = [];

	proxy.onBytes = (bytes) => chunks.push(bytes);
	const host = await startHost('relay heard', [proxy.url]);

	await promisify(execFile)(path.join(BUILD, 'load_relay'), [`--from=${host.port}`, `--to=${host.port}`, '--seconds=1', '--channels=1', '--publishers=1']);
	await endServer(host);
	proxy.end();
	const text = Buffer.concat(chunks).toString('latin1');
	const call = text.split(/(?=\*\d+\r\n\$\d+\r\nEVALSHA\r\n)/i).find((each) => /^\*\d+\r\n\$\d+\r\nEVALSHA/i.test(each) && each.includes('"text"'));

	if (call === undefined)
		stop('no publication was heard on its way to Redis');
	const words = [];

	for (let at = call.indexOf('$'), left = Number(/^\*(\d+)/.exec(call)[1]); left > 0; left--) {
		const end = call.indexOf('\r\n', at);
		const length = Number(call.slice(at + 1, end));

		words.push(call.slice(end + 2, end + 2 + length));
		at = end + 2 + length + 2;
	}
	return words;
}

function cpuMs(pid) {
	return fs.readdirSync(`/proc/${pid}/task`).map((task) => Number(fs.readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1e6)
		.reduce((sum, each) => sum + each, 0);
}

/* redis-benchmark with the same call, each with an idempotency key of its own, and one who is subscribed to the channel. */
async function benchmark(redis, words) {
	const [name, sha, count, ...rest] = words;
	const keys = rest.slice(0, Number(count));
	// Programs are not given zero bytes.
	const args = rest.slice(Number(count)).map((word) => word.replace(/[\0-\x1f\x7f-\xff]/g, 'x'));
	const published = args.at(-1);
	const listener = net.connect(redis.port, '127.0.0.1', () => listener.write(`SUBSCRIBE ${published}\r\n`)).on('data', () => {});

	keys[3] = `${keys[3].slice(0, keys[3].lastIndexOf(':'))}:__rand_int__`;
	await redis.command('PING');
	const before = cpuMs(redis.pid);
	const { stdout: out } = await promisify(execFile)('redis-benchmark', ['-p', String(redis.port), '-P', '32', '-n', String(BENCHMARK_CALLS),
		'-r', '1000000000', '-q', name, sha, count, ...keys, ...args]);
	const us = (cpuMs(redis.pid) - before) * 1000 / BENCHMARK_CALLS;

	listener.destroy();
	if (!/requests per second/.test(out) || /error/i.test(out))
		throw new Error(`redis-benchmark: ${out}`);
	return { redis_cpu_us: us, cpu_us: NaN, per_second: Number(/([\d.]+) requests per second/.exec(out)[1]) };
}

async function cost(redises) {
	const one = await startHost('relay cost', [redises[0].url]);
	const two = await startHost('relay shards', redises.map((redis) => redis.url), 'redis_prefix=shards:');
	const words = await publishCall(redises[0]);
	const args = ['--under-way=256', '--publishers=64', '--channels=64'];
	const cells = [
		{ name: 'redis-benchmark -P 32', run: () => benchmark(redises[0], words) },
		{ name: 'one Redis', run: () => relay({ from: one, redises: redises.slice(0, 1), args }) },
		{ name: 'two Redis servers', run: () => relay({ from: two, redises, args }) },
	];

	await rounds(cells);
	say();
	say('Processor time of a publication of 128 bytes with an answer and one subscriber, 256 under way in 64 channels');
	row('', 'Redis us', 'Herold us', 'of benchmark', 'per second');
	for (const cell of cells)
		row(cell.name, of(cell, 'redis_cpu_us').toFixed(1), Number.isNaN(cell.results[0].cpu_us) ? '' : of(cell, 'cpu_us').toFixed(1),
			(of(cell, 'redis_cpu_us') / of(cells[0], 'redis_cpu_us')).toFixed(2), Math.round(of(cell, 'per_second')));
	await Promise.all([one, two].map(endServer));
}
