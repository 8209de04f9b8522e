// scrape - what it costs to be watched: processor time of a load with and without a scrape each second, and the time of one scrape
import { fileURLToPath } from 'node:url';

import { beginCounting, endCounting } from './callgrind.mjs';
import { endAll, startAll } from './comparison.mjs';
import { BUILD, LOAD, cpuSeconds, endServer, family, grouped, later, loadWith, median, options, ratio, row, say, start, startHerold, startHeroldAnywhere } from './harness.mjs';
import { heroldInCallgrind } from './inside.mjs';
import { scrapeOnce } from './scraper.mjs';
import { WORKLOADS, exchange } from './steady.mjs';

const WORKERS = 64;
const SCRAPES = 100;

/* A process of its own, as the harness stands still while a load runs. */
const scraperOf = (server) => start(null, process.execPath, [fileURLToPath(new URL('scraper.mjs', import.meta.url)), String(server.admin)], ['ignore', 'ignore', 'inherit']);

const CELLS = [
	['echoes of 64 bytes, 64 connections', 'echo', ['--connections=64']],
	['deliveries to 1,000, 16 under way', 'broadcast', ['--connections=1000', '--bytes=128', '--publishers=16', '--under-way=16']],
];

/* Work per second of the server's processor time, in turns; all processes of the server are in it. */
async function underLoad() {
	const servers = await startAll([startHerold, async () => ({ ...await startHerold(), name: 'scraped' })]);
	const scraper = scraperOf(servers[1]);
	const results = CELLS.map(() => ({ herold: [], scraped: [] }));

	for (let round = 0; round < Number(options.rounds); round++) {
		for (const [i, [, mode, args]] of CELLS.entries()) {
			// Neither is always the first.
			for (const server of round % 2 === 0 ? servers : [...servers].reverse())
				results[i][server.name].push(loadWith(LOAD, server, mode, ...args));
		}
	}
	scraper.kill();
	await endAll(servers);
	say();
	say('Work per second of server CPU, scraped each second and not: median of the rounds, and of their ratios');
	row('', 'not scraped', 'scraped', 'ratio', 'least', 'most');
	for (const [i, [title]] of CELLS.entries()) {
		const rates = (name) => results[i][name].map((result) => result.per_cpu_second);
		const ratios = rates('scraped').map((rate, at) => rate / rates('herold')[at]);

		row(title, grouped(median(rates('herold'))), grouped(median(rates('scraped'))), ratio(results[i], 'scraped', 'herold', 'per_cpu_second').toFixed(3),
			Math.min(...ratios).toFixed(3), Math.max(...ratios).toFixed(3));
	}
}

/* One after the other, and the processor time of all processes for one, while nothing else happens. */
async function oneByOne(workers) {
	const server = await startHeroldAnywhere(`workers=${workers}`);
	const times = [];
	let bytes;

	// Until all workers are there.
	while ((await fetch(`http://127.0.0.1:${server.admin}/readyz`)).status !== 200)
		await later(100);
	await scrapeOnce(server.admin);
	const idle = await cpuIn(server, () => later(1000));
	const began = performance.now();
	const cpu = await cpuIn(server, async () => {
		for (let i = 0; i < SCRAPES; i++) {
			const one = await scrapeOnce(server.admin);

			times.push(one.ms);
			bytes = one.bytes;
		}
	});
	const own = (cpu - idle * (performance.now() - began) / 1000) / SCRAPES;

	row(`${workers} ${workers === 1 ? 'worker' : 'workers'}, ${family(server.child.pid).length} processes`, median(times).toFixed(2), least(times, 0.95).toFixed(2),
		grouped(bytes), (own * 1000).toFixed(2), `${(own * 100).toFixed(2)} %`);
	await endServer(server);
}

/* What that share of them is not above. */
const least = (numbers, share) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length * share)];

async function cpuIn(server, work) {
	const before = cpuSeconds(server);

	await work();
	return cpuSeconds(server) - before;
}

const all = ({ objects }) => [...objects.values()].reduce((sum, cost) => sum + cost, 0);

/* Instructions of worker and broker for the same work, without and with scrapes amid it, and of the admin process for a scrape. */
async function counted() {
	const folder = `${BUILD}/callgrind`;
	const server = await heroldInCallgrind(folder);
	const counts = async (name, processes, connections, waves, perWave, perMessage) => {
		const workload = await WORKLOADS[name](server.port, connections);
		const [without, beside] = [[], []];

		await exchange(workload, 5, perWave);
		for (const [scrapes, into] of [[0, without], [10, beside]]) {
			[...processes, 'adminProcess'].forEach((which) => beginCounting(server[which]));
			for (let i = 0; i < 10; i++) {
				await exchange(workload, waves / 10, perWave);
				if (i < scrapes)
					await scrapeOnce(server.admin);
			}
			into.push(...[...processes, 'adminProcess'].map((which) => all(endCounting(folder, server[which]))));
		}
		processes.forEach((which, i) => row(`${name}, ${which}`, (without[i] / (waves * perMessage)).toFixed(1), (beside[i] / (waves * perMessage)).toFixed(1),
			(beside[i] / without[i]).toFixed(4)));
		workload.clients.forEach((client) => client.socket.destroy());
		return (beside.at(-1) - without.at(-1)) / 10;
	};

	say();
	say('Instructions for a message (callgrind), without a scrape and with ten of them amid it');
	row('', 'not scraped', 'scraped', 'ratio');
	await scrapeOnce(server.admin);
	await counts('echo', ['worker'], 64, 100, 1, 64);
	say(`The admin process: ${grouped(await counts('broadcast', ['worker', 'broker'], 1000, 20, 16, 16000))} for a scrape`);
	await endServer(server);
}

export async function scrapes() {
	await underLoad();
	say();
	say(`One scrape of ${SCRAPES} one after the other, each of a connection kept alive: milliseconds until the whole text is there`);
	row('', 'ms, median', 'p95', 'bytes', 'CPU ms', 'of a core');
	for (const workers of [1, WORKERS])
		await oneByOne(workers);
	await counted();
}
