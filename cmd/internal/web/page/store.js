// The data of the page: the last records, and figures of all records it has seen.

import { endpoint } from './format.js';

const kept = 5000; // records
const seconds = 120; // of outcomes over time
const destinations = 1000; // counted at most
const sizes = 500; // values of the MSS counted at most

export const perDecade = 20; // buckets of handshake times, from 10 µs on
export const timeBuckets = 6 * perDecade;

export class Store {
  records = []; // the oldest first
  lost = 0; // records that never reached the page
  last = 0; // number of the newest record
  added = 0;
  times = new Array(timeBuckets).fill(0);
  timed = 0;
  mss = new Map(); // value -> {seen, clamped}
  refused = new Map(); // destination -> {outcome, n}
  #bins = new Map(); // second -> Map of outcome -> number
  #latest = 0; // second of the newest record
  #arrived = 0; // when it came, by the page's own clock

  add(record) {
    this.last = record.seq; // which begins again when the router does
    record.id = ++this.added;
    this.records.push(record);
    if (this.records.length > kept + 500) this.records.splice(0, 500);
    this.#addBin(record);
    if (record.outcome === 'established' && record.synack_us !== undefined && record.ack_us !== undefined) {
      this.times[bucketOf(record.synack_us + record.ack_us)]++;
      this.timed++;
    }
    this.#addMSS(record);
    if (['refused', 'unreachable', 'denied'].includes(record.outcome)) this.#addRefused(record);
  }

  #addBin(record) {
    const second = Math.floor(Date.parse(record.time) / 1000);
    let bin = this.#bins.get(second);
    if (!bin) this.#bins.set(second, (bin = new Map()));
    bin.set(record.outcome, (bin.get(record.outcome) ?? 0) + 1);
    if (second > this.#latest) {
      this.#latest = second;
      this.#arrived = performance.now();
      for (const old of this.#bins.keys()) if (old <= second - 2 * seconds) this.#bins.delete(old);
    }
  }

  #addMSS(record) {
    for (const [packet, offer] of [['syn', record.client], ['synack', record.server]]) {
      const rewrite = record.rewrites.find((r) => r.packet === packet && r.what === 'mss');
      const value = rewrite ? Number(rewrite.to) : offer?.mss;
      if (value === undefined) continue;
      let entry = this.mss.get(value);
      if (!entry) {
        if (this.mss.size >= sizes) continue;
        this.mss.set(value, (entry = { seen: 0, clamped: 0 }));
      }
      entry.seen++;
      if (rewrite) entry.clamped++;
    }
  }

  #addRefused(record) {
    const destination = endpoint(record.dst, record.dport);
    const entry = this.refused.get(destination);
    if (entry) {
      entry.n++;
      entry.outcome = record.outcome;
      return;
    }
    if (this.refused.size >= destinations) {
      const [rarest] = [...this.refused].reduce((a, b) => (b[1].n < a[1].n ? b : a));
      this.refused.delete(rarest);
    }
    this.refused.set(destination, { outcome: record.outcome, n: 1 });
  }

  // history returns the number of each outcome in each of the last seconds, the oldest first.
  history() {
    const now = this.#latest + Math.floor((performance.now() - this.#arrived) / 1000);
    return Array.from({ length: seconds }, (_, i) => this.#bins.get(now - seconds + 1 + i) ?? new Map());
  }

  // quantile returns the time in microseconds that the share q of the handshakes took at most.
  quantile(q) {
    let n = 0;
    const bucket = this.times.findIndex((c) => (n += c) >= q * this.timed);
    return Math.round(10 ** (1 + (bucket + 1) / perDecade));
  }
}

// bucketOf returns the bucket of a time in microseconds.
function bucketOf(us) {
  const bucket = Math.floor((Math.log10(Math.max(us, 10)) - 1) * perDecade);
  return Math.min(bucket, timeBuckets - 1);
}

// matches returns a function that tells whether a record has all words of a text, and an outcome that is not hidden.
export function matches(text, hidden) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return (record) => {
    if (hidden.has(record.outcome)) return false;
    record.text ??= [
      endpoint(record.src, record.sport), endpoint(record.dst, record.dport), record.outcome, record.upstream?.error ?? '', record.process ?? '',
    ].join(' ').toLowerCase();
    return words.every((word) => record.text.includes(word));
  };
}
