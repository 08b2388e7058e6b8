// The page of the fleet: the routers of /api/fleet, asked for every few seconds.

import { count, element, put, seconds, several } from './format.js';

const interval = 5000;
const byID = (id) => document.getElementById(id);

// age writes seconds in the largest unit of which there are two.
function age(s) {
  for (const [size, name] of [[86400, 'd'], [3600, 'h'], [60, 'min']]) {
    if (s >= 2 * size) return `${Math.round(s / size)} ${name}`;
  }
  return `${Math.max(0, Math.round(s))} s`;
}

const cell = (text, name = '') => element('td', name, text);
const bad = (n) => cell(count(n), n > 0 ? 'number wrong' : 'number');

function row(r) {
  const wrong = r.behind > 0 || r.missing > 0 || r.forks > 0 || r.writers > 1;
  const name = element('th', wrong ? 'name wrong' : 'name', r.router);
  name.scope = 'row';
  name.title = r.router;
  const time = new Date(r.time);
  const notes = r.writers > 1 ? `${several(r.writers, 'host')} write at the same time` : '';
  return element('tr', '',
    name, cell(`${time.toLocaleDateString()} ${seconds(time)}`, 'date'), cell(age(r.age_seconds), 'number'),
    cell(count(r.seq), 'number'), bad(r.behind), bad(r.missing), cell(count(r.duplicates), 'number'), bad(r.forks),
    cell(r.hash.slice(0, 12), 'address head'), cell(notes, 'wrong'));
}

function store(s) {
  const text = s.error ? `does not answer: ${s.error}` : `${several(s.behind, 'record')} behind`;
  return element('li', s.error || s.behind > 0 ? 'wrong' : '', `${s.url}: ${text}`);
}

function show(fleet) {
  const routers = fleet.routers.length === 0 ? 'no router yet' : several(fleet.routers.length, 'router');
  put(byID('summary'), `${routers} in ${fleet.store}`);
  put(byID('stores'), ...fleet.stores.map(store));
  put(document.querySelector('tbody'), ...fleet.routers.map(row));
  byID('list').hidden = fleet.routers.length === 0;
}

async function update() {
  try {
    const answer = await fetch('/api/fleet');
    if (!answer.ok) throw new Error(await answer.text());
    show(await answer.json());
    byID('trouble').hidden = true;
    put(byID('state'), 'live');
  } catch (error) {
    byID('trouble').hidden = false;
    put(byID('trouble'), String(error.message).trim());
    put(byID('state'), 'trying again');
  }
  setTimeout(update, interval);
}

update();
