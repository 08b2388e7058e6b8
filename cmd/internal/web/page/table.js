// The table of handshakes. Its rows are made once and then show other records, as many as fit: the newest that match.

import { clock, count, duration, element, endpoint, outcome } from './format.js';
import { matches } from './store.js';

const shown = 200; // rows at most

export class Table {
  selected = null;
  #store;
  #open;
  #rows = [];
  #body = document.querySelector('#rows');
  #count = document.querySelector('#count');
  #empty = document.querySelector('#empty');
  #match = () => true;
  #matching = []; // the oldest first
  #seen = 0; // id of the newest record that has been matched
  #paused = false;
  #pointed = false; // the mouse or the keyboard is in the rows
  #focus = 0; // row that Tab leads to

  // open is called with the record of a row that is chosen.
  constructor(store, open) {
    this.#store = store;
    this.#open = open;
    this.#body.addEventListener('click', (event) => this.#choose(event));
    this.#body.addEventListener('keydown', (event) => this.#move(event));
    for (const [event, inside] of [['mouseenter', true], ['mouseleave', false], ['focusin', true], ['focusout', false]]) {
      this.#body.addEventListener(event, () => (this.#pointed = inside));
    }
  }

  get paused() {
    return this.#paused;
  }

  set paused(paused) {
    this.#paused = paused;
    this.update(true);
    this.#announce(paused ? 'paused' : 'live again');
  }

  // filter shows other records from now on.
  filter(text, hidden) {
    this.#match = matches(text, hidden);
    this.#matching = [];
    this.#seen = 0;
    this.update(true);
    this.#announce(`${count(this.#matching.length)} match`);
  }

  // update takes in new records. While the pointer or the keyboard is in the rows, or the user has paused,
  // they stay unless they must change.
  update(must = false) {
    const held = (this.#paused || this.#pointed) && !must;
    if (!held && this.#seen < this.#store.added) {
      const records = this.#store.records;
      const fresh = Math.min(this.#store.added - this.#seen, records.length);
      for (const record of records.slice(records.length - fresh)) if (this.#match(record)) this.#matching.push(record);
      this.#matching.splice(0, this.#matching.length - 5000);
      this.#seen = this.#store.added;
      this.#render();
    } else if (must) {
      this.#render();
    }
    this.#say();
  }

  #render() {
    const newest = this.#matching.slice(-shown).reverse();
    while (this.#rows.length < newest.length) this.#rows.push(this.#makeRow());
    this.#rows.forEach((row, i) => this.#fill(row, newest[i]));
    this.#empty.hidden = newest.length > 0;
    this.#empty.textContent = this.#store.added ? 'No recent handshake matches.' : 'No handshake yet. Whatever opens a TCP connection through the TUN appears here.';
    this.#setFocus(Math.min(this.#focus, Math.max(newest.length - 1, 0)));
  }

  #makeRow() {
    const cells = {};
    const tr = element('tr');
    tr.role = 'row'; // also where the style makes no table of it
    for (const [name, className] of [
      ['time', ''], ['outcome', ''], ['client', 'wide address'], ['server', 'address server'],
      ['synack', 'number'], ['ack', 'number wide'], ['mss', 'number wide'], ['note', 'wide note'],
    ]) {
      cells[name] = element('td', className);
      cells[name].role = 'cell';
      tr.append(cells[name]);
    }
    const button = element('button', 'row');
    button.type = 'button';
    button.tabIndex = -1;
    cells.time.append(button);
    this.#body.append(tr);
    return { tr, button, cells, record: null };
  }

  #fill(row, record) {
    row.tr.hidden = !record;
    row.tr.classList.toggle('selected', record !== undefined && record === this.selected);
    if (!record || row.record === record) return;
    row.record = record;
    const { cells } = row;
    const client = endpoint(record.src, record.sport);
    const server = endpoint(record.dst, record.dport);
    row.button.textContent = clock(record.time);
    row.button.setAttribute('aria-label', `${clock(record.time)}, ${outcome(record.outcome)}, ${client} to ${server}`);
    cells.outcome.replaceChildren(element('span', `outcome ${record.outcome}`, outcome(record.outcome)));
    cells.client.textContent = client;
    cells.server.textContent = server;
    cells.synack.textContent = duration(record.synack_us);
    cells.ack.textContent = duration(record.ack_us);
    cells.mss.textContent = [record.client, record.server].map((offer) => offer?.mss ?? '–').join(' / ');
    cells.note.textContent = note(record);
  }

  #say() {
    const hidden = this.#store.added - this.#seen;
    let text = `${count(this.#matching.length)} recent`;
    if (this.#matching.length > shown) text = `newest ${shown} of ${text}`;
    if (this.#paused) text = `paused, ${count(hidden)} new since`;
    else if (this.#pointed && hidden > 0) text = `held while you look, ${count(hidden)} new`;
    if (this.#store.lost > 0) text += ` · ${count(this.#store.lost)} came too fast to be shown`;
    if (this.#count.textContent !== text) this.#count.textContent = text;
  }

  // announce tells a screen reader the effect of a key or a click. The count changes too often to be read out.
  #announce(text) {
    document.querySelector('#announcement').textContent = text;
  }

  #choose(event) {
    const row = this.#rows.find((r) => r.tr.contains(event.target));
    if (!row?.record) return;
    this.#setFocus(this.#rows.indexOf(row));
    this.select(row.record);
    this.#open(row.record);
  }

  // select marks the row of a record; null = none.
  select(record) {
    this.selected = record;
    for (const row of this.#rows) row.tr.classList.toggle('selected', record !== null && row.record === record);
  }

  // focus brings the keyboard back to the rows.
  focus() {
    this.#rows[this.#focus]?.button.focus();
  }

  #move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -shown, End: shown }[event.key];
    if (!step) return;
    event.preventDefault();
    const last = this.#rows.filter((r) => !r.tr.hidden).length - 1;
    this.#setFocus(Math.max(0, Math.min(last, this.#focus + step)));
    this.focus();
  }

  #setFocus(index) {
    if (this.#rows[this.#focus]) this.#rows[this.#focus].button.tabIndex = -1;
    this.#focus = index;
    if (this.#rows[index]) this.#rows[index].button.tabIndex = 0;
  }
}

// note lists the peculiarities of a handshake.
function note(record) {
  const notes = [];
  if (record.upstream?.error) notes.push(record.upstream.error);
  if (record.aborted_by) notes.push(`by ${record.aborted_by}`);
  for (const rewrite of record.rewrites) notes.push(`${rewrite.what} ${rewrite.from ?? 'none'} → ${rewrite.to}`);
  const again = record.syn_retransmits + record.synack_retransmits;
  if (again > 0) notes.push(`${again} retransmitted`);
  if (record.process) notes.push(record.process);
  return [...new Set(notes)].join(', ');
}
