// Figures of connections that began in one stretch of time, and series of such.

export const perDecade = 5; // buckets of handshake times, from 10 µs on
export const timeBuckets = 6 * perDecade;

const destinations = 200; // that a stretch counts at most
const sizes = 100; // values of the MSS that a stretch counts at most

const bump = (map, key, n = 1) => map.set(key, (map.get(key) ?? 0) + n);

// Figures counts connections by outcome, handshake time, MSS, and where they were turned away.
export class Figures {
  outcomes = new Map();
  times = new Map(); // bucket -> number
  mss = new Map(); // value -> {seen, clamped}
  refused = new Map(); // destination -> {outcome, n, connection}

  add(c) {
    const { opening } = c;
    this.addOutcome(c);
    if (opening?.outcome === 'established' && opening.synack_us !== undefined && opening.ack_us !== undefined) {
      bump(this.times, bucketOf(opening.synack_us + opening.ack_us));
    }
    if (opening?.msg === 'handshake') this.#addMSS(opening);
  }

  addOutcome(c) {
    if (!c.outcome) return;
    bump(this.outcomes, c.outcome);
    if (['refused', 'unreachable', 'denied'].includes(c.outcome)) this.#addRefused(c.destination, { outcome: c.outcome, n: 1, connection: c });
  }

  #addMSS(opening) {
    for (const [packet, offer] of [['syn', opening.client], ['synack', opening.server]]) {
      const rewrite = opening.rewrites.find((r) => r.packet === packet && r.what === 'mss');
      const value = rewrite ? Number(rewrite.to) : offer?.mss;
      if (value !== undefined) this.#addSize(value, 1, rewrite ? 1 : 0);
    }
  }

  #addSize(value, seen, clamped) {
    const entry = this.mss.get(value);
    if (entry) {
      entry.seen += seen;
      entry.clamped += clamped;
    } else if (this.mss.size < sizes) {
      this.mss.set(value, { seen, clamped });
    }
  }

  #addRefused(destination, { outcome, n, connection }) {
    const entry = this.refused.get(destination);
    if (entry) {
      entry.n += n;
      entry.outcome = outcome;
      return;
    }
    if (this.refused.size >= destinations) {
      const [rarest] = [...this.refused].reduce((a, b) => (b[1].n < a[1].n ? b : a));
      this.refused.delete(rarest);
    }
    this.refused.set(destination, { outcome, n, connection });
  }

  // merge adds other figures.
  merge(other) {
    for (const [key, n] of other.outcomes) bump(this.outcomes, key, n);
    for (const [key, n] of other.times) bump(this.times, key, n);
    for (const [key, { seen, clamped }] of other.mss) this.#addSize(key, seen, clamped);
    for (const [key, entry] of other.refused) this.#addRefused(key, entry);
    return this;
  }

  // total counts the connections whose outcome is known.
  get total() {
    return [...this.outcomes.values()].reduce((a, b) => a + b, 0);
  }

  // quantile returns the time in microseconds that the share q of the handshakes took at most; undefined
  // without any.
  quantile(q) {
    const timed = [...this.times.values()].reduce((a, b) => a + b, 0);
    let n = 0;
    for (let bucket = 0; bucket < timeBuckets; bucket++) {
      n += this.times.get(bucket) ?? 0;
      if (timed > 0 && n >= q * timed) return Math.round(endOf(bucket));
    }
    return undefined;
  }
}

// bucketOf returns the bucket of a time in microseconds.
function bucketOf(us) {
  const bucket = Math.floor((Math.log10(Math.max(us, 10)) - 1) * perDecade);
  return Math.min(bucket, timeBuckets - 1);
}

// endOf returns the longest time of a bucket, in microseconds.
export const endOf = (bucket) => 10 ** (1 + (bucket + 1) / perDecade);

// Series has the figures of the last 60 stretches of a range.
export class Series {
  #width; // of a stretch, in milliseconds
  #stretches = new Map(); // number -> Figures

  constructor(seconds) {
    this.#width = (seconds * 1000) / 60;
  }

  #at(c) {
    const number = Math.floor(c.start / this.#width);
    let figures = this.#stretches.get(number);
    if (!figures) {
      for (const old of this.#stretches.keys()) if (old < number - 120) this.#stretches.delete(old);
      this.#stretches.set(number, (figures = new Figures()));
    }
    return figures;
  }

  add(c) {
    this.#at(c).add(c);
  }

  addOutcome(c) {
    this.#at(c).addOutcome(c);
  }

  window(now) {
    const last = Math.floor(now / this.#width);
    const none = new Figures();
    const columns = Array.from({ length: 60 }, (_, i) => this.#stretches.get(last - 59 + i) ?? none);
    return { from: (last - 59) * this.#width, to: (last + 1) * this.#width, columns };
  }
}
