// The table of connections, or of groups of them. Its rows are made once and then show others, as many as fit:
// the first ones in the order that the user has chosen.

import { clean, clock, count, element, put, several } from './format.js';
import { grouped, groupings, ofConnections, ofGroups } from './columns.js';

const shown = 200; // rows at most

export class Table {
  selected = null;
  store;
  grouping = ''; // '' = connections by themselves
  sort = { key: 'time', down: true };
  held = false; // rows stay as they are: a connection is open
  #open;
  #sorted;
  #columns = [];
  #rows = [];
  #all = []; // connections or groups in order
  #head = document.querySelector('#head');
  #body = document.querySelector('#rows');
  #count = document.querySelector('#count');
  #empty = document.querySelector('#empty');
  #arranged = -1; // changes of the store that the order of rows knows
  #drawn = -1; // changes of the store that their contents know
  #added = 0; // connections of the store that the rows know
  #paused = false;
  #pointed = false; // the mouse or the keyboard is in the rows
  #focus = 0; // row that Tab leads to

  // open is called with the connection or group of a row that is chosen, sorted when the order has changed.
  constructor(open, sorted) {
    this.#open = open;
    this.#sorted = sorted;
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
    this.announce(paused ? 'paused' : 'live again');
  }

  // show shows a store, in groups or not, sorted by a column.
  show(store, grouping, sort) {
    const other = grouping !== this.grouping || this.#columns.length === 0 || store !== this.store;
    this.store = store;
    this.grouping = grouping;
    this.sort = sort;
    if (other) this.#lay();
    for (const { column, cell } of this.#heads()) {
      if (column.key === sort.key) cell.ariaSort = sort.down ? 'descending' : 'ascending';
      else cell.removeAttribute('aria-sort');
    }
    this.#focus = 0;
    this.update(true);
  }

  // lay makes the columns.
  #lay() {
    this.#columns = this.grouping ? ofGroups(groupings[this.grouping].title) : ofConnections(this.store);
    this.#head.replaceChildren(...this.#columns.map((column) => {
      const th = element('th', `${column.className ?? ''} c-${column.key}`);
      th.scope = 'col';
      if (!column.by) {
        th.append(column.title);
        return th;
      }
      const button = element('button', 'sort', column.title);
      button.type = 'button';
      button.addEventListener('click', () => this.#sortBy(column));
      th.append(button);
      return th;
    }));
    this.#body.replaceChildren();
    this.#body.classList.toggle('groups', this.grouping !== '');
    this.#rows = [];
  }

  #heads() {
    return this.#columns.map((column, i) => ({ column, cell: this.#head.children[i] }));
  }

  #sortBy(column) {
    const down = this.sort.key === column.key ? !this.sort.down : !column.text;
    this.#sorted({ key: column.key, down });
    this.announce(`sorted by ${column.title}, ${down ? 'descending' : 'ascending'}`);
  }

  // update takes in what has changed. While the pointer or the keyboard is in the rows, a connection is open, or
  // the user has paused, rows stay where they are.
  update(must = false) {
    const stays = (this.#paused || this.#pointed || this.held) && !must;
    const { changes } = this.store;
    const old = !stays && this.#arranged !== changes;
    if (old || must) {
      this.#arrange();
      this.#arranged = changes;
    }
    if (old || must || this.#drawn !== changes) this.#render();
    this.#drawn = changes;
    this.#say();
  }

  #arrange() {
    const { connections, runId, added } = this.store;
    this.#all = this.grouping ? grouped(connections, groupings[this.grouping], runId) : connections.slice();
    const { by } = this.#columns.find((c) => c.key === this.sort.key && c.by) ?? this.#columns[0];
    const sign = this.sort.down ? -1 : 1;
    const keyed = this.#all.map((one) => [by(one), one]);
    keyed.sort(([a, x], [b, y]) => (a < b ? -sign : a > b ? sign : (y.order ?? 0) - (x.order ?? 0)));
    this.#all = keyed.map(([, one]) => one);
    this.#added = added;
  }

  #render() {
    const first = this.#all.slice(0, shown);
    while (this.#rows.length < first.length) this.#rows.push(this.#makeRow());
    this.#rows.forEach((row, i) => this.#fill(row, first[i]));
    this.#empty.hidden = first.length > 0;
    this.#setFocus(Math.min(this.#focus, Math.max(first.length - 1, 0)));
  }

  #makeRow() {
    const tr = element('tr');
    tr.role = 'row'; // also where the style makes no table of it
    const cells = this.#columns.map(({ className }) => {
      const cell = element('td', className);
      cell.role = 'cell';
      tr.append(cell);
      return cell;
    });
    const button = element('button', 'row');
    button.type = 'button';
    button.tabIndex = -1;
    cells[0].append(button);
    this.#body.append(tr);
    return { tr, button, cells, one: null, version: 0 };
  }

  #fill(row, one) {
    row.tr.hidden = !one;
    row.tr.classList.toggle('selected', one !== undefined && one === this.selected);
    if (!one || (row.one === one && row.version === one.version && !this.grouping)) return;
    row.one = one;
    row.version = one.version;
    this.#columns.forEach((column, i) => {
      const content = column.cell(one);
      put(i === 0 ? row.button : row.cells[i], content);
      if (column.className?.includes('clip')) row.cells[i].title = row.cells[i].textContent; // where it is cut off
    });
    row.button.setAttribute('aria-label', clean(this.grouping
      ? `${one.value || 'unknown'}, ${several(one.number, 'connection')}: show these`
      : `${clock(one.start)}, ${one.fate(this.store.runId)}, ${one.client} to ${one.destination}`));
  }

  #say() {
    const fresh = this.store.added - this.#added;
    const all = this.#all.length;
    let text = this.grouping ? several(all, 'group') : `${count(all)} recent`;
    if (all > shown) text = `first ${shown} of ${text}`;
    if (this.#paused) text = `paused, ${count(fresh)} new since`;
    else if ((this.#pointed || this.held) && fresh > 0) text = `held while you look, ${count(fresh)} new`;
    if (this.store.missed > 0) text += ` · ${count(this.store.missed)} came too fast to be shown`;
    if (this.#count.textContent !== text) this.#count.textContent = text;
  }

  // announce tells a screen reader the effect of a key or a click. The count changes too often to be read out.
  announce(text) {
    put(document.querySelector('#announcement'), text);
  }

  #choose(event) {
    const row = this.#rows.find((r) => r.tr.contains(event.target));
    if (!row?.one) return;
    this.#setFocus(this.#rows.indexOf(row));
    this.#open(row.one);
  }

  // select marks the row of a connection; null = none.
  select(one) {
    this.selected = one;
    for (const row of this.#rows) row.tr.classList.toggle('selected', one !== null && row.one === one);
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
