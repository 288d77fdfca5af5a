/** Round ends and ticks around some values: steps of 1, 2 or 5 times a power of ten. */
function axisOf(values, goal = 4) {
  const known = values.filter((value) => value !== null && value !== undefined);
  let [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
  if (high - low < 1e-9) [low, high] = [low >= 0 ? Math.max(low - 0.01, 0) : low - 0.01, high + 0.01];
  const rough = (high - low) / goal;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  return { low: first * step, high: last * step, ticks, decimals: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

const INSET = 4;

/** Where a value lies, in per cent of the width. */
function place(axis, value) {
  const share = (Math.min(Math.max(value, axis.low), axis.high) - axis.low) / (axis.high - axis.low);
  return `${(INSET + (100 - 2 * INSET) * share).toFixed(2)}%`;
}

/** One value with its interval on an axis; `guide` is a value to compare with. */
function whisker(axis, { value, low, high }, kind, guide = null) {
  const chart = svg('svg', { class: `bar ${kind}`, 'aria-hidden': 'true' },
    svg('line', { class: 'track', x1: place(axis, axis.low), x2: place(axis, axis.high), y1: '50%', y2: '50%' }));
  if (guide !== null) chart.append(svg('line', { class: 'guide', x1: place(axis, guide), x2: place(axis, guide), y1: 0, y2: '100%' }));
  if (value === null) return chart;
  if (low !== null && high !== null) {
    chart.append(svg('line', { class: 'range', x1: place(axis, low), x2: place(axis, high), y1: '50%', y2: '50%' }));
  }
  chart.append(svg('circle', { class: 'dot', cx: place(axis, value), cy: '50%', r: 3.6 }));
  return chart;
}

/** The numbers of an axis; with `ends`, only the first and the last. */
function scale(axis, ends = false) {
  const shown = ends ? [axis.low, axis.high] : axis.ticks;
  return svg('svg', { class: 'scale', 'aria-hidden': 'true' }, shown.map((tick, i) => svg('text', {
    x: place(axis, tick), y: '80%', 'text-anchor': ends ? (i ? 'end' : 'start') : 'middle',
  }, number(tick, axis.decimals))));
}

/** A number with a true minus sign. */
function number(value, decimals, signed = false) {
  const text = Math.abs(value).toFixed(decimals);
  const zero = Number(text) === 0;
  return (value < 0 && !zero ? '\u2212' : signed && !zero ? '+' : '') + text;
}

/** Differences with intervals around zero: rows of {name, note, value, low, high, p}. */
function forest(head, rows, { decimals, unit, lower }) {
  const known = rows.flatMap((row) => [row.value, row.low, row.high]).filter((value) => value !== null);
  const axis = axisOf([0, ...known, ...known.map((value) => -0.2 * value)]);
  const sides = ['\u2190 single-task better', 'multi-task better \u2192'];
  const words = lower ? ['\u2190 multi-task better', 'single-task better \u2192'] : sides;
  const text = (value) => number(value, decimals, true);
  const line = (row) => {
    const sure = row.low !== null && (row.low > 0 || row.high < 0);
    const better = sure && (row.value > 0) !== lower ? 'multi' : 'single';
    return el('tr', {},
      el('th', { scope: 'row' }, row.name, row.note ? el('small', {}, row.note) : null),
      el('td', { class: 'chart' }, whisker(axis, row, sure ? better : 'unsure', 0)),
      el('td', { class: 'number strong' }, text(row.value) + unit),
      el('td', { class: 'number' }, row.low === null ? '' : `${text(row.low)} to ${text(row.high)}`),
      el('td', { class: 'number p' }, row.p === null ? '' : row.p < 0.001 ? '<.001' : row.p.toFixed(3).replace(/^0/, '')));
  };
  return el('table', { class: 'forest' },
    el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, head),
      el('th', { scope: 'col', class: 'chart' }, el('span', { class: 'sides' }, ...words.map((word) => el('span', {}, word)))),
      el('th', { scope: 'col', class: 'number' }, 'Difference'), el('th', { scope: 'col', class: 'number' }, '95 % interval'),
      el('th', { scope: 'col', class: 'number' }, 'p'))),
    el('tbody', {}, rows.map(line)),
    el('tfoot', {}, el('tr', {}, el('td', {}), el('td', { class: 'chart' }, scale(axis)), el('td', { colspan: 3 }))));
}

/** Score against speed, one dot a model: points of {name, kind, x, y, low, high}. */
function scatter(points, { score, speed }) {
  const across = axisOf(points.map((point) => Math.log10(point.x)), 3);
  const up = axisOf(points.flatMap((point) => [point.y, point.low, point.high]));
  const size = { width: 720, height: 320, left: 56, bottom: 44, top: 30, right: 16 };
  const x = (value) => size.left + (size.width - size.left - size.right) * (Math.log10(value) - across.low) / (across.high - across.low);
  const y = (value) => size.top + (size.height - size.top - size.bottom) * (up.high - value) / (up.high - up.low);
  const floor = size.height - size.bottom;
  const marks = points.map((point) => svg('g', { class: `bar ${point.kind}` },
    point.low === null ? null : svg('line', { class: 'range', x1: x(point.x), x2: x(point.x), y1: y(point.low), y2: y(point.high) }),
    svg('circle', { class: 'dot', cx: x(point.x), cy: y(point.y), r: 5 }, svg('title', {}, point.name)),
    svg('text', { x: x(point.x) + 9, y: y(point.y) + 4 }, point.name.length > 24 ? `${point.name.slice(0, 23)}\u2026` : point.name)));
  return svg('svg', { class: 'scatter', viewBox: `0 0 ${size.width} ${size.height}`, role: 'img', 'aria-label': `${score} against ${speed}` },
    up.ticks.map((tick) => svg('g', {},
      svg('line', { class: 'track', x1: size.left, x2: size.width - size.right, y1: y(tick), y2: y(tick) }),
      svg('text', { x: size.left - 8, y: y(tick) + 4, 'text-anchor': 'end' }, number(tick, up.decimals)))),
    across.ticks.map((tick) => svg('text', { x: x(10 ** tick), y: floor + 18, 'text-anchor': 'middle' }, String(Number((10 ** tick).toPrecision(2))))),
    svg('text', { x: size.width - size.right, y: size.height - 6, 'text-anchor': 'end' }, `${speed} \u2192`),
    svg('text', { x: 0, y: 10 }, `\u2191 ${score}`),
    marks);
}
