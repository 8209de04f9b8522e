// compression - what a delivery costs when subscribers have agreed on permessage-deflate, beside what it costs when they have not
import { LOAD, counters, endServer, grouped, loadWith, median, options, row, say, startHerold } from './harness.mjs';

const BYTES = 1024;
const VARIANTS = { plain: [], compressed: ['--compress'] };

async function measure(server, args) {
	const before = await counters(server);
	const result = loadWith(LOAD, server, 'broadcast', `--bytes=${BYTES}`, ...args);
	const after = await counters(server);

	return {
		usPerDelivery: 1e6 / result.per_cpu_second,
		perSecond: result.per_second,
		deflates: (after.deflate_calls - before.deflate_calls) / (after.publications - before.publications),
		bytes: (after.deflate_bytes_out - before.deflate_bytes_out) / (after.deflate_calls - before.deflate_calls),
	};
}

export async function compression() {
	const server = await startHerold();

	for (const underWay of [1, 4, 16, 64]) {
		const results = { plain: [], compressed: [] };

		for (let round = 0; round < Number(options.rounds); round++) {
			for (const [name, args] of Object.entries(VARIANTS))
				results[name].push(await measure(server, [`--under-way=${underWay}`, ...args]));
		}
		const of = (name, what) => median(results[name].map((r) => r[what]));
		const ratios = results.compressed.map((r, i) => r.usPerDelivery / results.plain[i].usPerDelivery);

		say();
		say(`Deliveries of ${BYTES} bytes of JSON, 16 publishers to 1,000 subscribers, ${underWay} messages under way`);
		row('subscribers', 'CPU us each', 'least to most', 'of plain', 'per second', 'deflates');
		for (const name of Object.keys(VARIANTS)) {
			const all = results[name].map((r) => r.usPerDelivery);

			row(name, of(name, 'usPerDelivery').toFixed(3), `${Math.min(...all).toFixed(3)}..${Math.max(...all).toFixed(3)}`,
				name === 'plain' ? '1.00' : median(ratios).toFixed(2), grouped(of(name, 'perSecond')), of(name, 'deflates').toFixed(3));
		}
		say(`The least and the most of the rounds' ratios: ${Math.min(...ratios).toFixed(2)}, ${Math.max(...ratios).toFixed(2)}; ` +
			`a message takes ${of('compressed', 'bytes').toFixed(0)} bytes.`);
	}
	await endServer(server);
}
