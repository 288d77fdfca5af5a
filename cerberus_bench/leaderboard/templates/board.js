const board = JSON.parse(document.getElementById('board').textContent);
const OVERVIEW = 'overview';
const filters = { kind: 'all', query: '' };
const hosts = Object.fromEntries(['tasks', 'datasets', 'view', 'summary', 'notes'].map((id) => [id, document.getElementById(id)]));
const tasks = [...new Set(board.tables.map((table) => table.task))];
const byTask = tasks.flatMap((task) => board.tables.filter((table) => table.task === task));
const hasOverview = board.tables.length > 1;
const taskId = (task) => `task-${tasks.indexOf(task)}`;

/** Filters and download above a table of models. */
function tools(sheet, save) {
  const count = el('span', { class: 'count soft', role: 'status' });
  const apply = () => {
    const words = filters.query.toLowerCase().split(/\s+/).filter(Boolean);
    const keep = ({ entry }) => {
      const text = [entry.label, ...entry.facts.map((fact) => fact[1])].join(' ').toLowerCase();
      return (filters.kind === 'all' || entry.kind === filters.kind) && words.every((word) => text.includes(word));
    };
    const n = sheet.filter(keep);
    count.textContent = n === 1 ? '1 model' : `${n} models`;
  };
  const kind = (value, text) => el('label', {}, el('input', {
    type: 'radio', name: 'kind', value, checked: filters.kind === value, change: () => { filters.kind = value; apply(); },
  }), el('span', {}, text));
  const search = el('input', { type: 'search', 'aria-label': 'Search models', placeholder: 'Search models', input: () => { filters.query = search.value; apply(); } });
  search.value = filters.query;
  apply();
  return el('div', { class: 'tools' },
    el('fieldset', { class: 'kinds' }, el('legend', {}, 'Kind of model'), kind('all', 'All'), kind('single', 'Single-task'), kind('multi', 'Multi-task')),
    search, sheet.picker && el('span', { class: 'narrow' }, sheet.picker), count,
    el('button', { type: 'button', class: 'save', click: save }, 'Download CSV'));
}

function tableView(table) {
  const sheet = measured(table);
  const save = () => download(`cerberus-bench-${table.id}.csv`, csvText(csvRows(table, sheet.shown().map(({ entry }) => entry))));
  return [
    el('h2', {}, `${table.task} on ${table.data}`),
    el('p', { class: 'small soft facts' }, [table.part, ...table.facts].join(' \u00b7 ')),
    table.synthetic ? el('ul', { class: 'chips' }, el('li', { class: 'chip warn' }, 'synthetic data')) : null,
    tools(sheet, save),
    sheet.node,
    table.notes.length ? el('ul', { class: 'small soft notes' }, table.notes.map((note) => el('li', {}, note))) : null,
    table.pairs.length ? differences(table) : null,
    speeds(table),
    table.claims.length ? claimed(table) : null,
  ];
}

function overview() {
  const sheet = matrix(byTask);
  const save = () => {
    const shown = new Set(sheet.shown().map(({ entry }) => entry.label));
    const rows = board.tables.flatMap((table) => csvRows(table, table.entries.filter((entry) => shown.has(entry.label))));
    download('cerberus-bench.csv', csvText(rows));
  };
  return [
    el('h2', {}, 'Everything at a glance'),
    el('p', { class: 'small soft' }, 'The first score of each table, with its rank. Unlike scores are not averaged: there is no total.'),
    tools({ ...sheet, picker: null }, save),
    sheet.node,
    overallDifferences(byTask),
    board.standings.length ? el('section', {}, el('h3', {}, 'Standings within one score'), standings(board.standings)) : null,
  ];
}

/** Show a table, or the overview; what is unknown shows the first. */
function show(id) {
  const table = board.tables.find((one) => one.id === id);
  const task = table ? taskId(table.task) : OVERVIEW;
  mark(hosts.tasks, task);
  if (table) {
    const siblings = board.tables.filter((one) => one.task === table.task);
    if (!hosts.datasets.querySelector(`[data-id="${table.id}"]`)) {
      tabs(hosts.datasets, siblings.map((one) => ({ id: one.id, text: one.data, note: one.part })), table.id, show);
    }
    mark(hosts.datasets, table.id);
  } else {
    hosts.datasets.replaceChildren();
  }
  hosts.view.setAttribute('aria-labelledby', `tab-${table ? table.id : OVERVIEW}`);
  hosts.view.replaceChildren(...(table ? tableView(table) : overview()).filter(Boolean));
  history.replaceState(null, '', `#${table ? table.id : OVERVIEW}`);
}

/** The same data in another task where there is any, otherwise the first. */
function showTask(id) {
  if (id === OVERVIEW) { show(OVERVIEW); return; }
  const here = board.tables.find((table) => `#${table.id}` === location.hash);
  const own = board.tables.filter((table) => taskId(table.task) === id);
  show((own.find((table) => here && table.data === here.data && table.part === here.part) || own[0]).id);
}

/** What an address asks for, or what is shown first. */
function start() {
  if (!board.tables.length) { hosts.view.replaceChildren(el('p', {}, 'No result has a headline score.')); return; }
  const wanted = location.hash.slice(1);
  const known = board.tables.some((table) => table.id === wanted);
  show(known ? wanted : hasOverview ? OVERVIEW : board.tables[0].id);
}

const models = new Set(board.tables.flatMap((table) => table.entries.map((entry) => entry.label)));
const sets = new Set(board.tables.map((table) => table.data));
hosts.summary.textContent = `${models.size} ${models.size === 1 ? 'model' : 'models'} on ${sets.size} ${sets.size === 1 ? 'dataset' : 'datasets'}, with 95 % intervals. Ranks are ranges: models part only where their paired difference is sure.`;
hosts.notes.replaceChildren(...board.notes.map((note) => el('p', { class: 'small' }, note)));
tabs(hosts.tasks, [...(hasOverview ? [{ id: OVERVIEW, text: 'Overview' }] : []), ...tasks.map((task) => ({ id: taskId(task), text: task }))], OVERVIEW, showTask);
window.addEventListener('hashchange', start);
start();
