// namespace - a network namespace of its own for many connections; it is gone with its last process, and with it what was set there
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';

import { stop } from './harness.mjs';

// What a host for so many needs. These belong to the namespace; docs/scaling.md says what the others are.
const SYSCTLS = { 'net/ipv4/ip_local_port_range': '1024 65535', 'net/core/somaxconn': '16384', 'net/ipv4/tcp_max_syn_backlog': '16384' };
const MARK = 'BENCH_NAMESPACE';
// The namespace's table of TCP connections gets so many buckets. It is set here and holds for namespaces that are made from then on.
const TABLE = '/proc/sys/net/ipv4/tcp_child_ehash_entries', TABLE_ENTRIES = '4194304';

// Of a connection with both ends, mostly the kernel's; and of everything else.
const CONNECTION_BYTES = 14000, OTHER_BYTES = 2 ** 30;
// Of a worker's files, at most: connections are spread by chance, and what comes beyond its limit is refused.
const WORKER_FILLED = 0.88;
const WORKERS_MAX = 256;

const grouped = (number) => Math.round(number).toLocaleString('en-US');
const number = (file) => Number(fs.readFileSync(file, 'utf8').split(/\s+/)[0]);
const available = () => Number(/^MemAvailable:\s+(\d+) kB$/m.exec(fs.readFileSync('/proc/meminfo', 'utf8'))[1]) * 1024;
const filesOfProcess = () => Number(/^Max open files\s+\d+\s+(\d+)/m.exec(fs.readFileSync('/proc/self/limits', 'utf8'))[1]);

/** How many workers so many connections take here. */
export const workersFor = (connections) => Math.max(2, Math.ceil(connections / (filesOfProcess() * WORKER_FILLED)));

/** Ends with a sentence if so many connections cannot be had. */
export function refuseUnlessPossible(connections) {
	const bytes = connections * CONNECTION_BYTES + OTHER_BYTES, workers = workersFor(connections);

	if (process.getuid() !== 0)
		stop('a network namespace of its own takes root');
	if (workers > WORKERS_MAX)
		stop(`${grouped(connections)} connections would take ${workers} workers of ${grouped(filesOfProcess())} files each, and there can be ${WORKERS_MAX}: raise the limit of open files (ulimit -Hn)`);
	if (available() < bytes)
		stop(`${grouped(connections)} connections with both ends take about ${grouped(bytes / 2 ** 20)} MiB, and ${grouped(available() / 2 ** 20)} MiB are available`);
	if (number('/proc/sys/fs/file-max') < 2 * connections + 200 * workers)
		stop(`${grouped(connections)} connections with both ends need more open files than fs.file-max allows: sysctl -w fs.file-max=${4 * connections}`);
	if (number('/proc/sys/fs/epoll/max_user_watches') < connections)
		stop(`${grouped(connections)} connections need more epoll watches than there may be: sysctl -w fs.epoll.max_user_watches=${2 * connections}`);
}

export const isInNamespace = process.env[MARK] !== undefined;

/** Runs a program of this folder in a new one, with its output here. Returns its exit status. */
export function runInNamespace(program, args) {
	const entries = fs.existsSync(TABLE) ? fs.readFileSync(TABLE, 'utf8') : null;

	if (entries !== null)
		fs.writeFileSync(TABLE, TABLE_ENTRIES);
	const { status, error } = spawnSync('unshare', ['-n', process.execPath, program, ...args], { stdio: 'inherit', env: { ...process.env, [MARK]: '1' } });
	if (entries !== null)
		fs.writeFileSync(TABLE, entries);
	if (error)
		stop(`unshare: ${error.message}`);
	return status ?? 1;
}

export function setUpNamespace() {
	execFileSync('ip', ['link', 'set', 'lo', 'up']);
	for (const [name, value] of Object.entries(SYSCTLS))
		fs.writeFileSync(`/proc/sys/${name}`, value);
}

/** A counter of this namespace's TCP. */
export function netstat(name) {
	const [names, values] = fs.readFileSync('/proc/net/netstat', 'utf8').split('\n').filter((line) => line.startsWith('TcpExt:')).map((line) => line.split(' '));

	return Number(values[names.indexOf(name)]);
}
