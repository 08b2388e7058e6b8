// The data of the page: the last connections that match its filter, and figures of all that it has seen.

import { Connection } from './connection.js';
import { Figures, Series } from './figures.js';

const kept = 5000; // connections

// ranges are those that charts can show, in seconds.
export const ranges = { '2m': 120, '15m': 900, '1h': 3600 };

export class Store {
  runId = ''; // of the router
  connections = []; // in the order in which they came, the oldest first
  missed = 0; // records that came too fast
  added = 0; // connections
  changes = 0;
  since = 0; // all connections that began later are known, in milliseconds since 1970; 0 = all there were
  #byId = new Map();
  #series = Object.fromEntries(Object.entries(ranges).map(([name, s]) => [name, new Series(s)]));

  // add takes a record.
  add(record) {
    const id = Connection.of(record);
    let c = this.#byId.get(id);
    this.changes++;
    if (c) {
      c.add(record);
      this.#answered(c, record);
      return;
    }
    c = new Connection(id);
    c.add(record);
    c.order = ++this.added;
    this.#byId.set(id, c);
    this.connections.push(c);
    for (const series of Object.values(this.#series)) series.add(c);
    if (this.connections.length > kept + 500) {
      for (const old of this.connections.splice(0, 500)) this.#byId.delete(old.id);
    }
  }

  // answered counts the outcome of datagrams, which only their end tells.
  #answered(c, record) {
    if (record.msg !== 'flow' || !record.outcome) return;
    for (const series of Object.values(this.#series)) series.addOutcome(c);
  }

  // remove takes a connection out that does not match any more.
  remove({ msg, seq }) {
    const id = `${msg} ${seq}`;
    const c = this.#byId.get(id);
    if (!c) return;
    this.#byId.delete(id);
    this.connections.splice(this.connections.lastIndexOf(c), 1);
    this.changes++;
  }

  // lose counts records that did not come. The first ones are those that are not kept any more.
  lose(n) {
    if (this.added > 0) this.missed += n;
    else this.since = -1; // until the first one comes
  }

  // known notes since when all connections are known.
  known() {
    if (this.since < 0 && this.connections.length > 0) this.since = this.connections[0].start;
  }

  // window returns the figures of a range up to a time, or of a window of time, in 60 columns.
  window(range, now, span) {
    if (!span) return this.#series[range].window(now);
    const columns = Array.from({ length: 60 }, () => new Figures());
    for (const c of this.connections) {
      const i = Math.floor(((c.start - span.from) / (span.to - span.from)) * 60);
      if (i >= 0 && i < 60) columns[i].add(c);
    }
    return { from: span.from, to: span.to, columns };
  }
}
