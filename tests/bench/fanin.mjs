// fanin - many publishers in many small rooms: what a publication costs workers and broker, and how many workers one broker can feed
import { endServer, grouped, median, options, row, say } from './harness.mjs';
import { loadRooms, startForRooms, startForRoomsAnywhere } from './rooms.mjs';

const ROOMS = 1000, TOGETHER = 256;
const WORKERS = [1, 2, 4, 8];

const of = (cell, field) => median(cell.results.map((result) => result[field]));

/* Server after server, and all of it again: what disturbs the machine disturbs all alike. */
async function measure(cells) {
	for (let round = 0; round < Number(options.rounds); round++) {
		for (const cell of cells)
			cell.results.push(...await loadRooms(cell.server, `--rooms=${ROOMS}`, `--under-way=${TOGETHER}`));
	}
}

function report(cells) {
	say();
	say(`Publications in ${grouped(ROOMS)} rooms of two, ${grouped(2 * ROOMS)} publishers, ${TOGETHER} under way: processor time of each, in microseconds`);
	row('', 'per CPU second', 'worker cores', 'workers', 'broker', 'per second', 'p99 ms');
	for (const cell of cells)
		row(cell.name, grouped(1e6 / of(cell, 'cpu_us')), (of(cell, 'worker_cpu_us') / of(cell, 'broker_cpu_us')).toFixed(1), of(cell, 'worker_cpu_us').toFixed(2),
			of(cell, 'broker_cpu_us').toFixed(2), grouped(of(cell, 'per_second')), (of(cell, 'p99_us') / 1000).toFixed(1));
}

/* Reckoned, not tried: it takes more cores than are needed to measure the two parts. */
function sayWall(cell) {
	const broker = of(cell, 'broker_cpu_us'), workers = of(cell, 'worker_cpu_us');

	say(`Reckoned from ${cell.name}: a broker with a core for itself takes ${grouped(1e6 / broker)} publications per second (${broker.toFixed(2)} us each), ` +
		`which keep ${(workers / broker).toFixed(1)} cores of workers busy (${workers.toFixed(2)} us each). With more than that, the broker is the wall.`);
}

export async function fanIn() {
	const cells = [];

	for (const count of WORKERS) {
		const title = `${count} ${count === 1 ? 'worker' : 'workers'}`;

		cells.push({ name: `${title} on one core`, server: await startForRooms(count), results: [] });
		cells.push({ name: `${title} on any core`, server: await startForRoomsAnywhere(count), results: [] });
	}
	await measure(cells);
	report(cells);
	cells.slice(-2).forEach(sayWall);
	await Promise.all(cells.map(({ server }) => endServer(server)));
}
