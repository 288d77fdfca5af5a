const KINDS = { single: 'single-task', multi: 'multi-task' };
const MARKS = { contaminated: ['\u2020', 'this data shares patients or images with training data'], unknown: ['?', 'not known what it was trained on'] };

/**
 * A table whose heads sort it. Columns are {head, note, key, first, label}: `key` gives what to
 * sort a row by, null always last; `first` is -1 where large values come first. Rows are
 * {node, ...}; rows that a filter hides keep their place.
 */
function sortable({ columns, rows, name, sorted = null, className = '' }) {
  const body = el('tbody', {}, rows.map((row) => row.node));
  let order = rows;
  const by = (index, direction) => {
    const { key } = columns[index];
    const value = new Map(rows.map((row) => [row, key(row)]));
    const compare = (one, two) => {
      const [a, b] = [value.get(one), value.get(two)];
      if (a === null || b === null) return (a === null) - (b === null);
      return direction * (typeof a === 'string' ? a.localeCompare(b) : a - b);
    };
    order = [...rows].sort(compare);
    body.append(...order.map((row) => row.node));
    heads.forEach((head, i) => head.setAttribute('aria-sort', i !== index ? 'none' : direction > 0 ? 'ascending' : 'descending'));
  };
  const press = (index) => {
    const now = heads[index].getAttribute('aria-sort');
    const first = columns[index].first || 1;
    by(index, now === 'none' ? first : now === 'ascending' ? -1 : 1);
  };
  const heads = columns.map((column, i) => el('th', { scope: 'col', 'aria-sort': 'none', class: column.className || '' },
    el('button', { type: 'button', click: () => press(i) }, el('span', {}, column.head), column.note ? el('small', {}, column.note) : null),
    column.extra || null));
  if (sorted !== null) heads[sorted].setAttribute('aria-sort', (columns[sorted].first || 1) > 0 ? 'ascending' : 'descending');
  return {
    node: el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': name },
      el('table', { class: `sortable ${className}`, 'aria-label': name }, el('thead', {}, el('tr', {}, heads)), body)),
    picker: choice('Sort by', columns.map((column, i) => [i, column.head]), sorted, (i) => by(Number(i), columns[i].first || 1)),
    filter(keep) {
      rows.forEach((row) => { row.node.hidden = !keep(row); });
      return rows.filter((row) => !row.node.hidden).length;
    },
    shown: () => order.filter((row) => !row.node.hidden),
  };
}

/** What is to be known about a model on this data: that it has seen it, or may have. */
function statusMark(entry) {
  const [sign, meaning] = MARKS[entry.status] || [];
  return sign ? el('abbr', { class: `mark ${entry.status}`, title: meaning }, ` ${sign}`) : null;
}

function modelHead(entry) {
  const below = [entry.seed === null ? null : `seed ${entry.seed}`, entry.sha || 'predictions only'];
  return el('th', { scope: 'row', class: 'model' },
    el('details', {},
      el('summary', {}, el('span', { class: 'name' }, entry.label), statusMark(entry)),
      el('dl', {}, entry.facts.flatMap(([term, text, link]) => [el('dt', {}, term),
        el('dd', {}, link ? el('a', { href: link, rel: 'noopener noreferrer' }, text) : text)]))),
    el('small', {}, below.filter(Boolean).join(' \u00b7 ')));
}

function kindCell(kind) {
  return el('td', { class: `kind ${kind}` }, KINDS[kind]);
}

function scoreCell(cell, column, axis, kind) {
  if (!cell) return el('td', { class: 'score none', 'data-label': column.name }, '\u2013');
  const { fields } = cell;
  return el('td', { class: 'score', 'data-label': column.name },
    el('span', { class: fields.value === null ? 'value none' : 'value' }, cell.text),
    cell.rank ? el('span', { class: fields.rank_first === 1 ? 'rank top' : 'rank' }, `rank ${cell.rank.replace('-', '\u2013')}`) : null,
    fields.value === null ? null : whisker(axis, fields, kind),
    el('span', { class: 'interval' }, cell.interval,
      cell.interval && fields.few_groups ? el('abbr', { class: 'mark', title: `interval over fewer than ${board.few} groups: rough` }, ` <${board.few}`) : null));
}

/** All models on one task of one split of one dataset. */
function measured(table) {
  const axes = table.columns.map((_, i) => axisOf(table.entries.flatMap((entry) => {
    const fields = entry.cells[i] ? entry.cells[i].fields : {};
    return [fields.value, fields.low, fields.high];
  })));
  const rows = table.entries.map((entry) => ({
    entry,
    node: el('tr', {}, modelHead(entry), kindCell(entry.kind),
      el('td', { class: 'number parameters', 'data-label': 'parameters' }, entry.parameters === null ? '\u2013' : short(entry.parameters)),
      entry.cells.map((cell, i) => scoreCell(cell, table.columns[i], axes[i], entry.kind))),
  }));
  const scores = table.columns.map((column, i) => ({
    head: column.name, note: column.detail, className: 'score', first: column.lower ? 1 : -1, extra: scale(axes[i], true),
    key: ({ entry }) => (entry.cells[i] ? entry.cells[i].fields.value : null),
  }));
  const columns = [
    { head: 'Model', key: ({ entry }) => entry.label },
    { head: 'Kind', key: ({ entry }) => entry.kind },
    { head: 'Parameters', className: 'number', first: -1, key: ({ entry }) => entry.parameters },
    ...scores,
  ];
  return sortable({ columns, rows, name: `Measured: ${table.task} on ${table.data}`, sorted: 3, className: 'measured' });
}

/** 23,812,000 as 23.8 M. */
function short(count) {
  const [unit, size] = count >= 1e9 ? ['G', 1e9] : count >= 1e6 ? ['M', 1e6] : count >= 1e3 ? ['k', 1e3] : ['', 1];
  const scaled = count / size;
  return `${scaled >= 100 || size === 1 ? Math.round(scaled) : scaled.toFixed(1)}${unit ? `\u202f${unit}` : ''}`;
}

/** Multi-task models minus one single-task model, on the same images and resamples. */
function differences(table) {
  const state = { column: table.pairs.length ? table.pairs[0][0] : 0, single: null };
  const host = el('div', {});
  const draw = () => {
    const column = table.columns[state.column];
    const pairs = table.pairs.filter((pair) => pair[0] === state.column);
    const value = (i) => table.entries[i].cells[state.column].fields.value;
    const best = (one, two) => (column.lower ? value(one) - value(two) : value(two) - value(one));
    const singles = [...new Set(pairs.map((pair) => pair[2]))].sort(best);
    if (!singles.includes(state.single)) [state.single] = singles;
    const rows = pairs.filter((pair) => pair[2] === state.single).sort((one, two) => best(one[1], two[1]))
      .map(([, multi, , difference, low, high, p]) => ({ name: table.entries[multi].label, value: difference, low, high, p }));
    const scores = [...new Set(table.pairs.map((pair) => pair[0]))].map((i) => [i, table.columns[i].name]);
    host.replaceChildren(
      el('div', { class: 'tools' },
        choice('Score', scores, state.column, (i) => { state.column = Number(i); draw(); }),
        choice('Minus', singles.map((i) => [i, table.entries[i].label]), state.single, (i) => { state.single = Number(i); draw(); })),
      el('p', { class: 'small soft' }, `${column.name} of each multi-task model minus that of ${table.entries[state.single].label}, on the same images and the same resamples.`),
      forest('Multi-task model', rows, { ...column, unit: column.unit ? ` ${column.unit}` : '' }));
  };
  draw();
  return el('section', {}, el('h3', {}, 'Multi-task minus single-task'), host);
}

/** Published figures: a table for each way in which they were counted. */
function claimed(table) {
  const groups = table.claims.map((group) => {
    const rows = group.rows.map((row) => ({
      row,
      node: el('tr', {},
        el('th', { scope: 'row', class: 'model' }, el('span', { class: 'name' }, row.model), ` ${row.year}`,
          el('small', {}, [row.source, row.confidence, row.note].filter(Boolean).join(' \u00b7 '))),
        row.values.map((text, i) => el('td', { class: 'number', 'data-label': group.columns[i] }, text || '\u2013')),
        el('td', {}, el('span', { class: 'chip warn' }, 'claimed'))),
    }));
    const columns = [
      { head: 'Model', key: ({ row }) => row.model },
      ...group.columns.map((name, i) => ({ head: name, className: 'number', first: -1, key: ({ row }) => (row.values[i] ? Number(row.values[i]) : null) })),
      { head: 'Status', key: ({ row }) => row.confidence },
    ];
    return [el('h4', {}, `Counted as: ${group.convention}`), sortable({ columns, rows, name: `Claimed: ${group.convention}`, className: 'claims' }).node];
  });
  const count = table.claims.reduce((sum, group) => sum + group.rows.length, 0);
  return el('details', { class: 'claimed' },
    el('summary', {}, `Published on this split: ${count} claims, not measured here`),
    el('p', { class: 'small soft' }, 'As their sources state them; counted in the ways named, mostly on the images at their own resolution. They are not ranked with the numbers above. Primary: the authors\u2019 own page was read. Secondary: a text that quotes it was. Derived: calculated from such figures.'),
    groups.flat());
}

/** Score against speed, where at least two results say how fast they were made. */
function speeds(table) {
  const points = table.entries.filter((entry) => entry.speed && entry.cells[0] && entry.cells[0].fields.value !== null)
    .map((entry) => ({ name: entry.label, kind: entry.kind, x: entry.speed, y: entry.cells[0].fields.value, low: entry.cells[0].fields.low, high: entry.cells[0].fields.high }));
  if (points.length < 2) return null;
  const score = table.columns[0].name;
  return el('section', {}, el('h3', {}, `${score} against speed`), scatter(points, { score, speed: 'megapixels per second' }));
}

/** All models over all tables: the first score of each. */
function matrix(tables) {
  const found = new Map();
  tables.forEach((table, i) => table.entries.forEach((entry) => {
    if (!found.has(entry.label)) found.set(entry.label, { entry, cells: Array(tables.length).fill(null) });
    found.get(entry.label).cells[i] = entry.cells[0] && { ...entry.cells[0], mark: statusMark(entry) };
  }));
  const rows = [...found.values()].map(({ entry, cells }) => ({
    entry,
    cells,
    node: el('tr', {}, el('th', { scope: 'row', class: 'model' }, el('span', { class: 'name' }, entry.label)), kindCell(entry.kind),
      cells.map((cell) => (cell
        ? el('td', { class: cell.fields.rank_first === 1 ? 'number top' : 'number' }, cell.text, cell.mark, el('small', {}, cell.rank ? `rank ${cell.rank.replace('-', '\u2013')}` : ''))
        : el('td', { class: 'number none' }, '\u2013')))),
  }));
  const columns = [
    { head: 'Model', key: ({ entry }) => entry.label },
    { head: 'Kind', key: ({ entry }) => entry.kind },
    ...tables.map((table, i) => ({
      head: table.data, note: `${table.task}: ${table.columns[0].name}, ${table.part}${table.synthetic ? ', synthetic' : ''}`, className: 'number', first: table.columns[0].lower ? 1 : -1,
      key: ({ cells }) => (cells[i] ? cells[i].fields.value : null),
    })),
  ];
  return sortable({ columns, rows, name: 'First score of every table', className: 'matrix' });
}

/** One multi-task model against the leading single-task model of each table. */
function overallDifferences(tables) {
  const comparable = tables.filter((table) => !table.columns[0].unit && table.pairs.some((pair) => pair[0] === 0));
  const labels = [...new Set(comparable.flatMap((table) => table.pairs.filter((pair) => pair[0] === 0).map((pair) => table.entries[pair[1]].label)))];
  if (!labels.length) return null;
  const host = el('div', {});
  const draw = (label) => {
    const rows = comparable.flatMap((table) => {
      const value = (i) => table.entries[i].cells[0].fields.value;
      const sign = table.columns[0].lower ? 1 : -1;
      const [best] = table.pairs.filter((pair) => pair[0] === 0 && table.entries[pair[1]].label === label)
        .sort((one, two) => sign * (value(one[2]) - value(two[2])));
      if (!best) return [];
      const [, , single, difference, low, high, p] = best;
      return [{ name: `${table.task} on ${table.data}`, note: `${table.columns[0].name}, ${table.part}; minus ${table.entries[single].label}`, value: difference, low, high, p }];
    });
    host.replaceChildren(
      el('div', { class: 'tools' }, choice('Model', labels.map((one) => [one, one]), label, draw)),
      el('p', { class: 'small soft' }, `${label} minus the leading single-task model of each table, on the same images and resamples. The leader is chosen on the same data, which favours it a little.`),
      forest('Data', rows, { decimals: 3, unit: '', lower: false }));
  };
  draw(labels[0]);
  return el('section', {}, el('h3', {}, 'Multi-task minus single-task'), host);
}

function standings(groups) {
  return groups.flatMap(({ score, rows: lines }) => {
    const heads = ['Model', 'Mean rank', 'Wins', 'Ties', 'Losses', 'Tables'];
    const rows = lines.map((line) => ({ line, node: el('tr', {}, el('th', { scope: 'row', class: 'model' }, line[0]), line.slice(1).map((value) => el('td', { class: 'number' }, value === null ? '\u2013' : String(value)))) }));
    const columns = heads.map((head, i) => ({ head, className: i ? 'number' : '', first: i === 2 ? -1 : 1, key: ({ line }) => line[i] }));
    return [el('h4', {}, score), sortable({ columns, rows, name: `Standings: ${score}`, sorted: 1, className: 'standings' }).node];
  });
}
