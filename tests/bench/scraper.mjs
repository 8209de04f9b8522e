// scraper - asks for the metrics as Prometheus does; as a program: each second, of the admin listener on the port given, until it is ended
import { fileURLToPath } from 'node:url';

const HEADERS = { Accept: 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5' };

/** The length of the whole text, and the milliseconds until it was there. */
export async function scrapeOnce(port) {
	const began = performance.now();
	const answer = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: HEADERS });
	const text = await answer.text();

	if (answer.status !== 200)
		throw new Error(`/metrics: ${answer.status} ${text}`);
	return { bytes: text.length, ms: performance.now() - began };
}

if (process.argv[1] === fileURLToPath(import.meta.url))
	setInterval(() => scrapeOnce(process.argv[2]), 1000);
