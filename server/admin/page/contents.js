/* contents - what the page shows of a message, and in which words */
import { bytes, bytesPerSecond, count, duration, list, moment, percent, rate, seconds } from './words.js'

const sum = (items, of) => items.reduce((all, item) => all + of(item), 0)
const text = ([number, unit]) => `${number} ${unit}`
const number = 'number'
const spare = 'number spare'

/* Shapes, so that nobody has to tell colours apart. */
export const VERDICTS = {
	well: { word: 'Well', mark: 'M5 12.5l4.5 4.5L19 7.5' },
	trouble: { word: 'Worth a look', mark: 'M12 6v7M12 17v.5' },
	pressure: { word: 'Under pressure', mark: 'M12 6v7M12 17v.5' },
	not_ready: { word: 'Not ready', mark: 'M7 7l10 10M17 7L7 17' },
	unknown: { word: 'Not known', mark: 'M6 12h12' },
}

const workersOf = (now) => now.processes.filter((p) => p.kind === 'worker')

export function wellSentence(now) {
	const { length } = workersOf(now)
	const who = [['no worker', 'the worker', 'both workers'][length] ?? `all ${length} workers`, 'the broker']

	if (now.redis !== undefined)
		who.push('Redis')
	return `${list(who).replace(/^./, (c) => c.toUpperCase())} serve; nothing went wrong in the last minute.`
}

export function facts(now) {
	const { worker, broker, admin } = now.restarts

	return [
		['Up for', duration(now.uptime)],
		['Workers ready', `${workersOf(now).filter((w) => w.ready && !w.draining).length} of ${now.workers_wanted}`],
		['Engine', now.engine],
		['Restarted', worker + broker + admin === 0 ? 'nothing' : list(Object.entries({ worker, broker, admin }).filter(([, n]) => n > 0)
			.map(([name, n]) => `${name} ${n}×`))],
	]
}

const nameOf = (p) => p.kind === 'worker' ? `worker ${p.slot}` : p.kind

function busiest(now) {
	const most = now.processes.reduce((a, b) => b.cpu > a.cpu ? b : a)

	return `of one core; most: ${nameOf(most)}, ${percent(most.cpu)} %`
}

/*
 * figure, note: of a message "now". format: of a value of the chart. lines: columns of the points, the first is what the pointer shows.
 * least: the scale's top is no lower.
 */
export const TILES = [
	{
		id: 'connections', title: 'Connections', lines: [{ column: 'connections', name: 'now' }], least: 4,
		figure: (now) => [count(now.figures.connections), ''],
		note: (now) => `${count(now.figures.websockets)} ${now.figures.websockets === 1 ? 'WebSocket' : 'WebSockets'}, ${rate(now.figures.connects)} new/s`,
		format: (n) => [count(n), ''],
	},
	{
		id: 'received', title: 'Messages in', lines: [{ column: 'received', name: 'in' }], least: 4,
		figure: (now) => [rate(now.figures.received), '/s'],
		note: (now) => text(bytesPerSecond(now.figures.bytes_received)),
		format: (n) => [rate(n), '/s'],
	},
	{
		id: 'sent', title: 'Messages out', lines: [{ column: 'sent', name: 'out' }], least: 4,
		figure: (now) => [rate(now.figures.sent), '/s'],
		note: (now) => text(bytesPerSecond(now.figures.bytes_sent)),
		format: (n) => [rate(n), '/s'],
	},
	{
		id: 'latency', title: 'Latency, 99 %', lines: [{ column: 'latency_p99', name: '99 %' }, { column: 'latency_p50', name: '50 %' }], least: 0.001,
		figure: (now) => seconds(now.figures.latency_p99),
		note: ({ figures }) => figures.latency_p99 === null ? 'worker to worker; none in 5 s' : `50 %: ${text(seconds(figures.latency_p50))}; worker to worker`,
		format: seconds,
	},
	{
		id: 'cpu', title: 'CPU', lines: [{ column: 'cpu', name: 'of one core' }], least: 0.1,
		figure: (now) => [percent(sum(now.processes, (p) => p.cpu)), '%'],
		note: busiest,
		format: (n) => [percent(n), '%'],
	},
	{
		id: 'memory', title: 'Memory for clients', lines: [{ column: 'memory', name: 'used' }], least: 1048576,
		figure: (now) => bytes(now.memory.used),
		note: ({ memory }) => `of ${text(bytes(memory.memory_bytes))}, ${Math.round(memory.used / memory.memory_bytes * 100)} %`,
		format: bytes,
	},
	{
		id: 'waiting', title: 'Waiting for clients', lines: [{ column: 'waiting', name: 'waiting' }], least: 4096,
		figure: (now) => bytes(now.figures.waiting),
		note: ({ figures }) => figures.slow_readers === 0 ? 'all take what they are sent'
			: `${count(figures.slow_readers)} ${figures.slow_readers === 1 ? 'client takes' : 'clients take'} nothing now`,
		format: bytes,
	},
	{
		id: 'refused', title: 'Refused', lines: [{ column: 'refused', name: 'refused' }], least: 1,
		figure: (now) => [count(sum(now.refusals, (r) => r.minute)), '/min'],
		note: (now) => `${count(sum(now.refusals, (r) => r.all))} since the start`,
		format: (n) => [rate(n === null ? n : n * 60), '/min'],
	},
]

const KINDS = ['worker', 'broker', 'admin', 'master']
const byKind = (a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) || a.slot - b.slot
const byBytes = (a, b) => b.bytes - a.bytes
const byMinute = (a, b) => b.minute - a.minute || b.all - a.all
const said = (name) => name.replaceAll('_', ' ')
const COUNTED = [{ text: '' }, { text: 'Last minute', kind: number }, { text: 'Since the start', kind: number }]
const counted = { columns: COUNTED, key: (r) => r.what, cells: (r) => [said(r.what), count(r.minute), count(r.all)], help: (r) => r.help }

/* A list of names and values. */
const pairs = { columns: [{ text: '' }, { text: '', kind: 'value' }], key: ([name]) => name, cells: (pair) => pair }

/* In the log a message is quoted, and then come its facts. */
function logText(line) {
	const [, message, facts] = /^"((?:[^"\\]|\\.)*)"(.*)$/.exec(line) ?? [null, line, '']

	return `${message.replace(/\\(.)/g, '$1')}${facts}`
}

/* items: of a message "now"; undefined: there is no such thing here. side: where it stands
 * on wide screens: always there, so that nothing jumps when another one grows. */
export const PANELS = [
	{
		id: 'log', side: 'wide', title: 'Last warnings and errors', nothing: 'No warning and no error since the start.',
		columns: [{ text: 'When' }, { text: 'Level' }, { text: 'Process' }, { text: 'What', kind: 'long' }],
		items: (now) => now.log,
		key: (line) => `${line.time} ${line.process} ${line.text}`,
		state: (line) => line.level,
		cells: (line) => [moment(line.time), line.level, line.process, logText(line.text)],
	},
	{
		id: 'processes', side: 'left', title: 'Processes',
		columns: [{ text: 'Process' }, { text: 'CPU', kind: number }, { text: 'Clients', kind: number }, { text: 'In/s', kind: number },
			{ text: 'Out/s', kind: number }, { text: 'Longest turn', kind: spare }, { text: 'Memory', kind: spare }, { text: 'Up for', kind: spare }],
		items: (now) => now.processes.sort(byKind),
		key: (p) => p.pid,
		state: (p) => p.draining ? 'draining' : p.ready || p.kind === 'master' ? 'ready' : 'waiting',
		cells: (p) => [`${nameOf(p)}${p.draining ? ', draining' : p.ready || p.kind === 'master' ? '' : ', not ready'}`, `${percent(p.cpu)} %`,
			...p.kind === 'worker' ? [count(p.connections), rate(p.received), rate(p.sent), text(seconds(p.longest))] : ['', '', '', ''],
			text(bytes(p.resident)), duration(p.uptime)],
	},
	{
		id: 'redis', side: 'left', title: 'Redis', ...pairs,
		items: ({ redis }) => redis && [
			['Servers that take commands', `${redis.up} of ${redis.servers}`],
			['Servers whose pub/sub is heard', `${redis.listening} of ${redis.servers}`],
			['Publications waiting', `${count(redis.waiting)}, ${text(bytes(redis.queue_bytes))} of ${text(bytes(redis.queue_bound))}`],
			['Scripts called', `${rate(redis.calls)}/s`],
			['A script takes', redis.call_p50 === null ? 'none was called' : `50 %: ${text(seconds(redis.call_p50))}, 99 %: ${text(seconds(redis.call_p99))}`],
			['Messages heard', `${rate(redis.messages)}/s`],
			['Connections lost, errors', `${count(redis.losses)}, ${count(redis.errors)}`],
		],
		state: ([name, value]) => name.startsWith('Servers') && value.split(' of ')[0] !== value.split(' of ')[1] ? 'waiting' : '',
	},
	{
		id: 'nodes', side: 'left', title: 'Cluster nodes', nothing: 'No node is known yet.',
		columns: [{ text: 'Host' }, { text: 'Connections', kind: number }, { text: 'Version', kind: spare }, { text: 'Up for', kind: number }],
		items: (now) => now.nodes,
		key: (n) => n.node,
		cells: (n) => [`${n.host}`, count(n.connections), n.version, duration(n.uptime_seconds)],
	},
	{
		id: 'memory', side: 'left', title: 'Memory', columns: [{ text: '' }, { text: '', kind: number }],
		items: (now) => now.memory_parts.sort(byBytes),
		key: (p) => p.what,
		cells: (p) => [said(p.what), text(bytes(p.bytes))],
		help: (p) => p.help,
	},
	{ id: 'refusals', side: 'left', title: 'Refused because of', nothing: 'Nobody was refused since the start.', ...counted, items: (now) => now.refusals.sort(byMinute) },
	{ id: 'ends', side: 'left', title: 'Connections ended by', nothing: 'No connection has ended since the start.', ...counted, items: (now) => now.ends.sort(byMinute) },
	{
		id: 'rooms', side: 'right', title: 'Largest rooms', nothing: 'There is no room.',
		columns: [{ text: 'Room' }, { text: 'Members', kind: number }],
		items: (now) => now.rooms,
		key: (r) => r.room,
		cells: (r) => [r.room, count(r.members)],
		share: (r, [largest]) => r.members / largest.members,
	},
	{
		id: 'readers', side: 'right', title: 'Slowest readers', nothing: 'Nothing waits for anybody.',
		columns: [{ text: 'Client' }, { text: 'Worker', kind: spare }, { text: 'Waiting', kind: number }, { text: 'For', kind: number }],
		items: (now) => now.readers,
		key: (r) => r.id,
		cells: (r) => [`${r.user ?? ''} ${r.address ?? r.id}`.trim(), String(r.worker), text(bytes(r.queued_bytes)), duration(r.stuck_ms / 1000)],
	},
	{
		id: 'broker', side: 'right', title: 'Channels', ...pairs,
		items: ({ figures }) => [
			['Rooms', count(figures.rooms)],
			['Channels', count(figures.channels)],
			['Users', count(figures.users)],
			['Members of channels', count(figures.members)],
			['Publications', `${rate(figures.publications)}/s`],
			['Came back in the last minute, too late', `${count(figures.recoveries)}, ${count(figures.recoveries_failed)}`],
			['Publications in history', `${count(figures.history_messages)}, ${text(bytes(figures.history_bytes))}`],
		],
	},
]
