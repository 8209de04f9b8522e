/* contents - what the page shows of a message, and in which words */
import { bytes, bytesPerSecond, count, duration, list, moment, rate } from './words.js'

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

export function wellSentence(now) {
	const who = [now.workers.length === 1 ? 'the worker' : `all ${now.workers.length} workers`, 'the broker']

	if (now.redis !== undefined)
		who.push('Redis')
	return `${list(who).replace(/^./, (c) => c.toUpperCase())} serve; nothing went wrong in the last minute.`
}

export function facts(now) {
	const { worker, broker, admin } = now.restarts

	return [
		['Up for', duration(now.uptime)],
		['Workers ready', `${now.workers.filter((w) => w.ready && !w.draining).length} of ${now.workers_wanted}`],
		['Engine', now.engine],
		['Restarted', worker + broker + admin === 0 ? 'nothing' : list(Object.entries({ worker, broker, admin }).filter(([, n]) => n > 0)
			.map(([name, n]) => `${name} ${n}×`))],
	]
}

/*
 * figure, note: of a message "now". format: of a value of the chart. lines: columns of the points, the first is what the pointer shows.
 * least: the scale's top is no lower.
 */
export const TILES = [
	{
		id: 'connections', title: 'Connections', lines: [{ column: 'connections', name: 'now' }], least: 4,
		figure: (now) => [count(now.figures.connections), ''],
		note: (now) => `${count(now.figures.websockets)} WebSockets, ${rate(now.figures.connects)} new/s`,
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
		id: 'memory', title: 'Memory for clients', lines: [{ column: 'memory', name: 'used' }], least: 1048576,
		figure: (now) => bytes(now.memory.used),
		note: ({ memory }) => `of ${text(bytes(memory.memory_bytes))}, ${Math.round(memory.used / memory.memory_bytes * 100)} %`,
		format: bytes,
	},
	{
		id: 'waiting', title: 'Waiting for clients', lines: [{ column: 'waiting', name: 'waiting' }], least: 4096,
		figure: (now) => bytes(now.figures.waiting),
		note: () => 'queued, not yet taken',
		format: bytes,
	},
	{
		id: 'refused', title: 'Refused', lines: [{ column: 'refused', name: 'refused' }], least: 1,
		figure: (now) => [count(sum(now.refusals, (r) => r.minute)), '/min'],
		note: (now) => `${count(sum(now.refusals, (r) => r.all))} since the start`,
		format: (n) => [rate(n), '/s'],
	},
]

const bySlot = (a, b) => a.slot - b.slot
const byMinute = (a, b) => b.minute - a.minute || b.all - a.all
const COUNTED = [{ text: '' }, { text: 'Last minute', kind: number }, { text: 'Since the start', kind: number }]
const counted = { columns: COUNTED, key: (r) => r.what, cells: (r) => [r.what, count(r.minute), count(r.all)] }

/* A list of names and values. */
const pairs = { columns: [{ text: '' }, { text: '', kind: number }], key: ([name]) => name, cells: (pair) => pair }

/* In the log a message is quoted, and then come its facts. */
function logText(line) {
	const [, message, facts] = /^"((?:[^"\\]|\\.)*)"(.*)$/.exec(line) ?? [null, line, '']

	return `${message.replace(/\\(.)/g, '$1')}${facts}`
}

/* items: of a message "now"; undefined: there is no such thing here. kinds: of the panel itself: wide, and long ones scroll. */
export const PANELS = [
	{
		id: 'log', title: 'Last warnings and errors', nothing: 'No warning and no error since the start.', kinds: 'wide scrolls',
		columns: [{ text: 'When' }, { text: 'Level' }, { text: 'Process' }, { text: 'What', kind: 'long' }],
		items: (now) => now.log,
		key: (line) => `${line.time} ${line.process} ${line.text}`,
		state: (line) => line.level,
		cells: (line) => [moment(line.time), line.level, line.process, logText(line.text)],
	},
	{
		id: 'workers', title: 'Workers', nothing: 'No worker runs.',
		columns: [{ text: 'Worker' }, { text: 'Connections', kind: number }, { text: 'In/s', kind: number }, { text: 'Out/s', kind: number },
			{ text: 'Memory', kind: spare }, { text: 'Up for', kind: spare }],
		items: (now) => now.workers.sort(bySlot),
		key: (w) => w.pid,
		state: (w) => w.draining ? 'draining' : w.ready ? 'ready' : 'waiting',
		cells: (w) => [`${w.slot}${w.draining ? ' draining' : w.ready ? '' : ' not ready'}`, count(w.connections), rate(w.received), rate(w.sent),
			text(bytes(w.allocated)), duration(w.uptime)],
	},
	{
		id: 'rooms', title: 'Largest rooms', nothing: 'There is no room.',
		columns: [{ text: 'Room' }, { text: 'Members', kind: number }],
		items: (now) => now.rooms,
		key: (r) => r.room,
		cells: (r) => [r.room, count(r.members)],
		share: (r, [largest]) => r.members / largest.members,
	},
	{
		id: 'readers', title: 'Slowest readers', nothing: 'Nothing waits for anybody.',
		columns: [{ text: 'Client' }, { text: 'Worker', kind: spare }, { text: 'Waiting', kind: number }, { text: 'For', kind: number }],
		items: (now) => now.readers,
		key: (r) => r.id,
		cells: (r) => [`${r.user ?? ''} ${r.address ?? r.id}`.trim(), String(r.worker), text(bytes(r.queued_bytes)), duration(r.stuck_ms / 1000)],
	},
	{
		id: 'redis', title: 'Redis', ...pairs,
		items: ({ redis }) => redis && [
			['Servers that take commands', `${redis.up} of ${redis.servers}`],
			['Servers whose pub/sub is heard', `${redis.listening} of ${redis.servers}`],
			['Publications waiting', `${count(redis.waiting)}, ${text(bytes(redis.queue_bytes))} of ${text(bytes(redis.queue_bound))}`],
			['Scripts called', `${rate(redis.calls)}/s`],
			['Messages heard', `${rate(redis.messages)}/s`],
			['Connections lost, errors', `${count(redis.losses)}, ${count(redis.errors)}`],
		],
		state: ([name, value]) => name.startsWith('Servers') && value.split(' of ')[0] !== value.split(' of ')[1] ? 'waiting' : '',
	},
	{
		id: 'nodes', title: 'Cluster nodes', nothing: 'No node is known yet.',
		columns: [{ text: 'Host' }, { text: 'Connections', kind: number }, { text: 'Version', kind: spare }, { text: 'Up for', kind: number }],
		items: (now) => now.nodes,
		key: (n) => n.node,
		cells: (n) => [`${n.host}`, count(n.connections), n.version, duration(n.uptime_seconds)],
	},
	{
		id: 'broker', title: 'Channels', ...pairs,
		items: ({ figures }) => [
			['Channels', count(figures.channels)],
			['Users', count(figures.users)],
			['Members of channels', count(figures.members)],
			['Publications', `${rate(figures.publications)}/s`],
			['Publications in history', `${count(figures.history_messages)}, ${text(bytes(figures.history_bytes))}`],
		],
	},
	{ id: 'refusals', title: 'Refused because of', nothing: 'Nobody was refused since the start.', ...counted, items: (now) => now.refusals.sort(byMinute) },
	{ id: 'ends', title: 'Connections ended by', nothing: 'No connection has ended since the start.', ...counted, items: (now) => now.ends.sort(byMinute) },
]
