// plot - charts of bars and of curves as one plain SVG, readable on light and on dark ground
//
// sheet({ title, note, charts }) returns the file's text. A chart is one of
// - { title, unit, log, groups: [{ label, bars: [{ name, value, least, most, note }] }] }: bars on their side, group after group.
//   A value of null is not there, and the note says why; least and most are drawn as a whisker.
// - { title, x: { label, log }, y: { label, log, from }, series: [{ name, points: [{ x, y, least, most }] }] }: curves. On an axis that
//   is not logarithmic, `from` (0) is where it begins.
// Whoever has the same name has the same colour in every chart of a sheet.

const WIDTH = 860, MARGIN = 24, LABELS = 190, VALUES = 120, BAR = 15, GAP = 4, GROUP_GAP = 16, PLOT = 300, LETTER = 6.6;
// Apart in lightness as well as in hue.
const COLOURS = ['#2a78d6', '#e08214', '#7d8590', '#1a9850', '#c2477f', '#8a63d2', '#b8a000', '#17a2b8', '#d1493f', '#5c7a29'];
const STYLE = `
	svg { --ground: #ffffff; --ink: #1f2328; --faint: #636c76; --line: #d8dee4; font: 12px system-ui, sans-serif }
	@media (prefers-color-scheme: dark) { svg { --ground: #14181d; --ink: #e6edf3; --faint: #9aa4ae; --line: #353c45 } }
	.ground { fill: var(--ground) } text { fill: var(--ink) } .faint { fill: var(--faint) }
	.h1 { font-size: 18px; font-weight: 600 } .h2 { font-size: 14px; font-weight: 600 } .h3 { font-weight: 600 }
	.grid { stroke: var(--line) } .axis { stroke: var(--faint) } .whisker { stroke: var(--ink); stroke-width: 1.5; opacity: 0.7 }
	.curve { fill: none; stroke-width: 2; stroke-linejoin: round }`;

const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]);
const fixed = (number) => Number(number.toFixed(1));

function text(x, y, words, { kind = '', anchor = 'start' } = {}) {
	return `<text x="${fixed(x)}" y="${fixed(y)}"${kind && ` class="${kind}"`}${anchor === 'start' ? '' : ` text-anchor="${anchor}"`}>${escaped(words)}</text>`;
}

const line = (kind, x1, y1, x2, y2) => `<line class="${kind}" x1="${fixed(x1)}" y1="${fixed(y1)}" x2="${fixed(x2)}" y2="${fixed(y2)}"/>`;

/** Three digits: 0.125, 12.5, 448, 9999, 138 k, 4.41 M. */
export function short(number) {
	const [unit, name] = number >= 1e9 ? [1e9, ' G'] : number >= 1e6 ? [1e6, ' M'] : number >= 1e4 ? [1e3, ' k'] : [1, ''];

	return `${Number((number / unit).toPrecision(number / unit >= 1000 ? 4 : 3))}${name}`;
}

function decades(least, most) {
	const ticks = [];

	for (let at = Math.floor(Math.log10(least)); at <= Math.ceil(Math.log10(most)); at++)
		ticks.push(10 ** at);
	return ticks;
}

function steps(from, to) {
	const rough = (to - from) / 6 || 1, unit = 10 ** Math.floor(Math.log10(rough));
	const step = unit * [1, 2, 5, 10].find((n) => n * unit >= rough);
	const ticks = [];

	for (let at = Math.floor(from / step); ticks.length === 0 || ticks.at(-1) < to; at++)
		ticks.push(Number((at * step).toPrecision(12)));
	return ticks;
}

// From numbers to pixels: { ticks, at(value) }. What is not above 0 has no place on a logarithmic axis and stands at its end.
function scale(values, { log = false, from = 0 }, begin, end) {
	const shown = log ? values.filter((v) => v > 0) : [...values, from];
	const [least, most] = shown.length > 0 ? [Math.min(...shown), Math.max(...shown)] : [1, 10];
	const ticks = log ? decades(least, most === least ? most * 1.01 : most) : steps(least, most);
	const place = log ? (v) => Math.log10(Math.max(v, ticks[0])) : (v) => v;
	const [first, last] = [place(ticks[0]), place(ticks.at(-1))];

	return { ticks, at: (value) => begin + (place(value) - first) / (last - first || 1) * (end - begin) };
}

const extremes = (it, value) => [value, it.least ?? value, it.most ?? value];

function whisker(it, place) {
	if (it.least === undefined || it.most === undefined || it.least === it.most)
		return '';
	return line('whisker', ...place(it.least), ...place(it.most));
}

function bar(it, y, axis, colour) {
	const label = text(MARGIN + LABELS - 8, y + BAR - 4, it.name, { anchor: 'end' });
	const middle = y + BAR / 2;

	if (it.value === null || it.value === undefined)
		return label + text(MARGIN + LABELS + 6, y + BAR - 4, it.note ?? 'not measured', { kind: 'faint' });
	const end = axis.at(it.value), past = Math.max(end, axis.at(it.most ?? it.value));

	return label + `<rect x="${MARGIN + LABELS}" y="${fixed(y)}" width="${fixed(Math.max(end - MARGIN - LABELS, 1))}" height="${BAR}" fill="${colour}"/>` +
		whisker(it, (value) => [axis.at(value), middle]) + text(past + 6, y + BAR - 4, short(it.value) + (it.note ? `  ${it.note}` : ''));
}

function drawBars(chart, top, colours) {
	const values = chart.groups.flatMap((group) => group.bars.filter((it) => typeof it.value === 'number').flatMap((it) => extremes(it, it.value)));
	const axis = scale(values, chart, MARGIN + LABELS, WIDTH - MARGIN - VALUES);
	const begin = top + 46;
	let y = begin, body = '';

	for (const group of chart.groups) {
		if (group.label) {
			body += text(MARGIN, y + BAR - 3, group.label, { kind: 'h3' });
			y += BAR + GAP;
		}
		for (const it of group.bars) {
			body += bar(it, y, axis, colours(it.name));
			y += BAR + GAP;
		}
		y += GROUP_GAP;
	}
	const grid = axis.ticks.map((tick) => line('grid', axis.at(tick), begin - 6, axis.at(tick), y - GROUP_GAP + 4) +
		text(axis.at(tick), y - GROUP_GAP + 18, short(tick), { kind: 'faint', anchor: 'middle' }));

	return { bottom: y + 22, body: text(MARGIN, top + 16, chart.title, { kind: 'h2' }) +
		text(MARGIN, top + 33, (chart.unit ?? '') + (chart.log ? ' (logarithmic)' : ''), { kind: 'faint' }) + grid.join('') + body };
}

function curve(series, xAxis, yAxis, colour) {
	const at = (point, value = point.y) => [xAxis.at(point.x), yAxis.at(value)];
	const points = series.points.map((point) => at(point).map(fixed).join());

	return `<polyline class="curve" stroke="${colour}" points="${points.join(' ')}"/>` + series.points.map((point) =>
		whisker(point, (value) => at(point, value)) +
		`<circle cx="${fixed(at(point)[0])}" cy="${fixed(at(point)[1])}" r="3" fill="${colour}"><title>${escaped(
			`${series.name}: ${short(point.x)}, ${short(point.y)}`)}</title></circle>`).join('');
}

// Names stand where their curves end, moved apart where these meet.
function names(series, right, yAxis, colours) {
	const last = series.map((one) => ({ name: one.name, y: yAxis.at(one.points.at(-1).y) + 4 })).sort((a, b) => a.y - b.y);

	last.forEach((one, i) => {
		if (i > 0)
			one.y = Math.max(one.y, last[i - 1].y + 15);
	});
	return last.map(({ name, y }) => `<text x="${fixed(right + 10)}" y="${fixed(y)}" style="fill:${colours(name)}">${escaped(name)}</text>`).join('');
}

function drawCurves(chart, top, colours) {
	const series = chart.series.filter((one) => one.points.length > 0);
	const all = series.flatMap((one) => one.points);
	const left = MARGIN + 56, right = WIDTH - MARGIN - 20 - LETTER * Math.max(4, ...series.map((one) => one.name.length));
	const [high, low] = [top + 52, top + 52 + PLOT];
	const xAxis = scale(all.map((point) => point.x), chart.x, left, right);
	const yAxis = scale(all.flatMap((point) => extremes(point, point.y)), chart.y, low, high);
	const grid = yAxis.ticks.map((tick) => line('grid', left, yAxis.at(tick), right, yAxis.at(tick)) +
		text(left - 8, yAxis.at(tick) + 4, short(tick), { kind: 'faint', anchor: 'end' })).join('') +
		xAxis.ticks.map((tick) => line('grid', xAxis.at(tick), high, xAxis.at(tick), low) +
		text(xAxis.at(tick), low + 18, short(tick), { kind: 'faint', anchor: 'middle' })).join('');

	return { bottom: low + 52, body: text(MARGIN, top + 16, chart.title, { kind: 'h2' }) + text(MARGIN, top + 36, chart.y.label, { kind: 'faint' }) +
		grid + line('axis', left, low, right, low) + line('axis', left, high, left, low) +
		text((left + right) / 2, low + 36, chart.x.label, { kind: 'faint', anchor: 'middle' }) +
		series.map((one) => curve(one, xAxis, yAxis, colours(one.name))).join('') + names(series, right, yAxis, colours) };
}

export function sheet({ title, note = '', charts }) {
	const seen = new Map();
	const colours = (name) => {
		if (!seen.has(name))
			seen.set(name, COLOURS[seen.size % COLOURS.length]);
		return seen.get(name);
	};
	let y = 80, body = '';

	for (const chart of charts) {
		const drawn = (chart.groups ? drawBars : drawCurves)(chart, y, colours);

		body += `<g>${drawn.body}</g>\n`;
		y = drawn.bottom + 18;
	}
	return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img">\n` +
		`<title>${escaped(title)}</title>\n<style>${STYLE}\n</style>\n<rect class="ground" width="${WIDTH}" height="${y}"/>\n` +
		`${text(MARGIN, 36, title, { kind: 'h1' })}\n${text(MARGIN, 56, note, { kind: 'faint' })}\n${body}</svg>\n`;
}
