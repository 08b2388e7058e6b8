// The live page: puts store, stream, table, charts and detail together and redraws them a few times a second.

import { Charts } from './charts.js';
import { count, element, outcome, outcomes, several, uptime } from './format.js';
import { detail } from './ladder.js';
import { Store } from './store.js';
import { Stream } from './stream.js';
import { Table } from './table.js';

const redraw = 250; // milliseconds between redraws, however many records come

const find = (selector) => document.querySelector(selector);
const [filter, pause, panel, connection] = ['#filter', '#pause', '#detail', '#connection'].map(find);

const store = new Store();
const hidden = new Set(); // outcomes not shown in the table
const table = new Table(store, open);
const charts = new Charts(store, (destination) => {
  filter.value = destination;
  applyFilter();
});

function applyFilter() {
  table.filter(filter.value, hidden);
}

function open(record) {
  detail(panel, record, close);
  find('#detail-title').focus({ preventScroll: true });
}

function close() {
  panel.hidden = true;
  panel.replaceChildren();
  table.select(null);
  table.focus();
}

function setPaused(paused) {
  table.paused = paused;
  pause.setAttribute('aria-pressed', String(paused));
  pause.textContent = paused ? 'Resume' : 'Pause';
}

// Each outcome has a switch with its number since the router's start: the legend of the charts, too.
const numbers = new Map();
for (const word of outcomes) {
  const box = element('input');
  box.type = 'checkbox';
  box.checked = true;
  box.addEventListener('change', () => {
    if (box.checked) hidden.delete(word);
    else hidden.add(word);
    applyFilter();
  });
  const number = element('b', 'number', '0');
  numbers.set(word, number);
  find('#outcomes').append(element('label', '', box, element('span', `outcome ${word}`, outcome(word)), number));
}

filter.addEventListener('input', applyFilter);
pause.addEventListener('click', () => setPaused(!table.paused));
addEventListener('keydown', (event) => {
  const typing = event.target === filter;
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === 'Escape' && !panel.hidden) close();
  else if (event.key === '/' && !typing) filter.focus();
  else if (event.key === 'p' && !typing) setPaused(!table.paused);
  else return;
  event.preventDefault();
});

function update() {
  table.update();
  charts.update();
}

async function updateInstance() {
  try {
    const response = await fetch('/api/status');
    const s = await response.json();
    const flows = Object.values(s.flows).reduce((a, b) => a + b, 0);
    find('#instance').textContent = `${s.interface} · up ${uptime(s.uptime_seconds)} · ${several(flows, 'flow')} · ${s.version}`;
    for (const [word, number] of numbers) number.textContent = count(s.handshakes[word] ?? 0);
  } catch {
    // the stream says that it is gone
  }
}

setInterval(() => document.hidden || update(), redraw);
setInterval(() => document.hidden || updateInstance(), 1000);
updateInstance();
update();
new Stream(store, (state, words) => {
  connection.dataset.state = state;
  connection.textContent = words;
}).open();
