// The live page: puts stream, store, table, charts and detail together and redraws them a few times a second.
// Its address has the filter, the grouping, the order and the range.

import { Charts } from './charts.js';
import { groupings } from './columns.js';
import { count, element, outcome, outcomes, put, seconds, several, uptime } from './format.js';
import { detail } from './ladder.js';
import { ranges, Store } from './store.js';
import { Stream } from './stream.js';
import { Table } from './table.js';
import { has, including, times, without, withoutTimes } from './terms.js';

const redraw = 250; // milliseconds between redraws, however many records come; more where they take long
const typing = 350; // milliseconds after the last key until a filter is asked for

const find = (selector) => document.querySelector(selector);
const [filter, help, grammar, group, range, pause, panel, connection, error, gone, allTimes, empty] = [
  '#filter', '#help', '#grammar', '#group', '#range', '#pause', '#detail', '#connection', '#error', '#gone', '#all-times', '#empty',
].map(find);

let store = new Store();
let stream; // whose connections are shown
let next; // is the same, or follows it when its first records come
let asked; // the filter of the stream
let sort;
let clockAhead = 0; // of the router's clock, in milliseconds
let brokenSince = 0;

const table = new Table(open, (order) => {
  sort = order;
  apply();
});
const charts = new Charts(
  (c) => narrow(groupings.destination.terms({ first: c })),
  (from, to) => narrow([`since:${new Date(from).toISOString()}`, `until:${new Date(Math.max(to, from + 1)).toISOString()}`]),
);

// narrow adds terms to the filter.
function narrow(terms) {
  filter.value = including(filter.value, ...terms);
  apply();
}

// apply shows what the controls say, and has the address say it.
function apply() {
  const address = new URLSearchParams();
  if (filter.value.trim()) address.set('filter', filter.value.trim());
  if (group.value) address.set('group', group.value);
  if (sort.key !== ordinary().key || !sort.down) address.set('sort', (sort.down ? '' : '-') + sort.key);
  if (range.value !== '2m') address.set('range', range.value);
  history.replaceState(null, '', address.size > 0 ? `?${address}` : location.pathname);
  allTimes.hidden = filter.value === withoutTimes(filter.value);
  for (const [word, { box }] of chips) box.checked = !has(filter.value, `!${word}`);
  if (filter.value.trim() !== asked) ask(filter.value.trim());
  table.show(store, group.value, sort);
  update();
}

const ordinary = () => ({ key: group.value ? 'number' : 'time', down: true });

// read takes the controls from the address.
function read() {
  const address = new URLSearchParams(location.search);
  filter.value = address.get('filter') ?? '';
  group.value = address.get('group') ?? '';
  if (group.selectedIndex < 0) group.value = '';
  range.value = address.get('range') ?? '2m';
  if (!(range.value in ranges)) range.value = '2m';
  const order = address.get('sort');
  sort = order ? { key: order.replace(/^-/, ''), down: !order.startsWith('-') } : ordinary();
  apply();
}

// ask follows the connections of another filter. Those of the last one stay until its first records come, or if
// it is wrong.
function ask(text) {
  asked = text;
  if (next !== stream) next?.close();
  setError('');
  const mine = new Stream(text, {
    begin(run) {
      if (stream !== mine) stream?.close();
      stream = mine;
      store = new Store();
      store.runId = run;
      if (!panel.hidden) close();
      table.show(store, group.value, sort);
    },
    record(kind, content) {
      if (kind === 'record') store.add(content);
      else if (kind === 'gone') store.remove(content);
      else if (kind === 'lost') store.lose(content.lost);
    },
    error: setError,
    state: setState,
  });
  next = mine;
}

function setError(text) {
  put(error, text.trim());
  error.hidden = text === '';
  if (text && !stream) connection.textContent = 'waiting for a filter';
  if (text) filter.setAttribute('aria-invalid', 'true');
  else filter.removeAttribute('aria-invalid');
}

function setState(state) {
  if (state === connection.dataset.state) return;
  connection.dataset.state = state;
  document.body.classList.toggle('stale', state === 'broken');
  if (state === 'broken') {
    brokenSince = Date.now();
    connection.textContent = `no answer since ${seconds(brokenSince)}`;
    gone.textContent = `syntap has not answered since ${seconds(brokenSince)}. The page shows how things stood then, and asks again every second.`;
  } else {
    connection.textContent = state;
  }
  gone.hidden = state !== 'broken';
}

function open(one) {
  if (group.value) {
    const { terms } = groupings[group.value];
    group.value = '';
    sort = ordinary();
    narrow(terms(one));
    table.announce(`grouping ended, filter ${filter.value}`);
    return;
  }
  table.held = true;
  table.select(one);
  showDetail(one);
  find('#detail-title').focus({ preventScroll: true });
}

let shownVersion; // of the connection in the panel

function showDetail(one) {
  shownVersion = one.version;
  const { scrollTop } = panel;
  const inside = panel.contains(document.activeElement);
  detail(panel, one, store.runId, close);
  panel.scrollTop = scrollTop;
  if (inside) find('#detail-title').focus({ preventScroll: true });
}

function close() {
  panel.hidden = true;
  panel.replaceChildren();
  panel.scrollTop = 0;
  table.held = false;
  table.select(null);
  table.focus();
}

function setPaused(paused) {
  table.paused = paused;
  pause.setAttribute('aria-pressed', String(paused));
  pause.textContent = paused ? 'Resume' : 'Pause';
}

// Each outcome has a switch with its number in the charts: their legend, too.
const chips = new Map();
for (const word of outcomes) {
  const box = element('input');
  box.type = 'checkbox';
  box.checked = true;
  box.addEventListener('change', () => {
    filter.value = box.checked ? without(filter.value, `!${word}`) : including(filter.value, `!${word}`);
    apply();
  });
  const number = element('b', 'number', '0');
  chips.set(word, { box, number });
  find('#outcomes').append(element('label', '', box, element('span', `outcome ${word}`, outcome(word)), number));
}

let waiting;
filter.addEventListener('input', () => {
  clearTimeout(waiting);
  waiting = setTimeout(apply, typing);
});
filter.addEventListener('keydown', (event) => {
  if (event.key === 'Enter') {
    clearTimeout(waiting);
    apply();
  } else if (event.key === 'ArrowDown') {
    table.focus();
    event.preventDefault();
  }
});
group.addEventListener('change', () => {
  sort = ordinary();
  apply();
});
range.addEventListener('change', apply);
allTimes.addEventListener('click', () => {
  filter.value = withoutTimes(filter.value);
  apply();
});
help.addEventListener('click', () => {
  grammar.hidden = !grammar.hidden;
  help.setAttribute('aria-expanded', String(!grammar.hidden));
});
pause.addEventListener('click', () => setPaused(!table.paused));
addEventListener('popstate', read);
addEventListener('keydown', (event) => {
  const inside = ['INPUT', 'SELECT'].includes(event.target.tagName) && event.target.type !== 'checkbox';
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === 'Escape' && !panel.hidden) close();
  else if (event.key === '/' && !inside) filter.focus();
  else if (event.key === 'p' && !inside) setPaused(!table.paused);
  else return;
  event.preventDefault();
});

const now = () => Date.now() + clockAhead;

function update() {
  store.known();
  table.update();
  if (!panel.hidden && table.selected.version !== shownVersion) showDetail(table.selected);
  if (connection.dataset.state === 'broken') return; // charts show how things stood
  const span = times(filter.value);
  const sum = charts.update(store.window(range.value, now(), span), store.since, !span);
  for (const [word, { number }] of chips) number.textContent = count(sum.outcomes.get(word) ?? 0);
  if (!empty.hidden) put(empty, ...nothing(span));
}

// nothing says why there is no row.
function nothing(span) {
  if (asked && span && store.since > 0) {
    return [`No connection kept here matches; those before ${seconds(store.since)} are in the log: `,
      element('code', '', `syntap log --filter '${asked.replaceAll("'", "'\\''")}'`)];
  }
  if (!error.hidden) return ['The filter cannot be read.'];
  if (asked) return ['No recent connection matches.'];
  return ['No handshake yet. Whatever connects, asks the DNS or pings through the TUN appears here, as would: ',
    element('code', '', 'curl example.com')];
}

// showFindings lists what the router has found out by itself, such as "203.0.113.2: black hole up, 1400 bytes
// pass, 1401 vanish; cure: clamp 1360".
function showFindings(findings) {
  const list = find('#findings');
  const texts = findings.map((f) => {
    const facts = [`${f.kind.replace('_', ' ')} ${f.direction}`];
    if (f.leg === 'client') facts.push("on the client's leg");
    if (f.passes) facts.push(`${f.passes} bytes pass`);
    if (f.fails) facts.push(`${f.fails} vanish`);
    return `${f.dst}${f.name ? ` (${f.name})` : ''}: ${facts.join(', ')}; ${f.applied ? `clamp ${f.clamp} applied` : `cure: clamp ${f.clamp}`}`;
  });
  list.hidden = texts.length === 0;
  if (texts.join() === list.dataset.texts) return;
  list.dataset.texts = texts.join();
  list.replaceChildren(...texts.map((text) => element('li', '', text)));
}

async function updateInstance() {
  try {
    const response = await fetch('/api/status');
    const s = await response.json();
    clockAhead = Date.parse(s.started) + s.uptime_seconds * 1000 - Date.now();
    const all = Object.values(s.handshakes).reduce((a, b) => a + b, 0);
    const flows = Object.entries(s.flows).filter(([, n]) => n > 0).map(([proto, n]) => `${count(n)} ${proto}`);
    find('#instance').textContent = [
      s.interface, `up ${uptime(s.uptime_seconds)}, ${several(all, 'handshake')} since`,
      `open: ${flows.join(', ') || 'none'}`, s.version,
    ].join(' · ');
    showFindings(s.findings ?? []);
  } catch {
    // the stream says that it is gone
  }
}

// refresh redraws for at most a fifth of the time.
function refresh() {
  const begun = performance.now();
  if (!document.hidden) update();
  const wait = () => setTimeout(refresh, Math.max(redraw, 4 * (performance.now() - begun)));
  if (document.hidden) wait();
  else requestAnimationFrame(() => setTimeout(wait)); // when it has been laid out and painted
}

setInterval(() => document.hidden || updateInstance(), 1000);
updateInstance();
read();
refresh();
