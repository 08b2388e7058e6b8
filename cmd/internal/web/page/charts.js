// The charts. Each has a sentence with its content; the drawing is for the eye only.

import { count, duration, element, outcome, outcomes, several, svg } from './format.js';
import { perDecade } from './store.js';

const width = 300;
const height = 84;
const bars = 5; // of a list

export class Charts {
  #store;
  #figures;
  #filter;

  // filter is called with a destination that is chosen.
  constructor(store, filter) {
    this.#store = store;
    this.#filter = filter;
    this.#figures = Object.fromEntries(['outcomes', 'times', 'mss', 'refused'].map((name) => {
      const figure = document.querySelector(`#chart-${name}`);
      return [name, { summary: figure.querySelector('.summary'), svg: figure.querySelector('svg'), list: figure.querySelector('ol') }];
    }));
    for (const { svg: drawing } of Object.values(this.#figures)) drawing?.setAttribute('viewBox', `0 0 ${width} ${height + 14}`);
  }

  update() {
    this.#drawOutcomes();
    this.#drawTimes();
    this.#drawMSS();
    this.#drawRefused();
  }

  #drawOutcomes() {
    const figure = this.#figures.outcomes;
    const history = this.#store.history();
    const group = 2; // seconds in a bar
    const columns = [];
    for (let i = 0; i < history.length; i += group) {
      columns.push(outcomes.map((o) => history.slice(i, i + group).reduce((n, bin) => n + (bin.get(o) ?? 0), 0)));
    }
    const sums = columns.map((c) => c.reduce((a, b) => a + b, 0));
    const top = Math.max(...sums, 1);
    const shapes = [];
    const step = width / columns.length;
    columns.forEach((column, i) => {
      let y = height;
      column.forEach((n, j) => {
        if (n === 0) return;
        const h = Math.max((n / top) * (height - 10), 1);
        y -= h;
        shapes.push(svg('rect', { x: i * step + 0.5, y, width: step - 1, height: h, class: `fill ${outcomes[j]}` }));
      });
    });
    shapes.push(axis(), label(0, '2 min ago', 'start'), label(width, 'now', 'end'), scale(`${count(Math.ceil(top / group))}/s`));
    figure.svg.replaceChildren(...shapes);
    const all = sums.reduce((a, b) => a + b, 0);
    const well = columns.reduce((n, c) => n + c[0], 0);
    const rate = (sums.at(-2) ?? 0) / group; // the last bar is not full yet
    say(figure, all === 0 ? 'none in the last 2 minutes' : `${count(Math.round(rate))}/s now, ${share(all - well, all)} of ${count(all)} not established`);
  }

  #drawTimes() {
    const figure = this.#figures.times;
    const group = perDecade / 5;
    const columns = [];
    for (let i = 0; i < this.#store.times.length; i += group) columns.push(this.#store.times.slice(i, i + group).reduce((a, b) => a + b, 0));
    const top = Math.max(...columns, 1);
    const step = width / columns.length;
    const shapes = columns.flatMap((n, i) => {
      if (n === 0) return [];
      const h = Math.max((n / top) * (height - 10), 1);
      return [svg('rect', { x: i * step + 0.5, y: height - h, width: step - 1, height: h, class: 'fill plain' })];
    });
    shapes.push(axis());
    ['10 µs', '100 µs', '1 ms', '10 ms', '100 ms', '1 s', '10 s'].forEach((text, i, all) => {
      const anchor = i === 0 ? 'start' : i === all.length - 1 ? 'end' : 'middle';
      shapes.push(label((i / (all.length - 1)) * width, text, anchor));
    });
    figure.svg.replaceChildren(...shapes);
    const quantile = (q) => duration(this.#store.quantile(q));
    say(figure, this.#store.timed === 0 ? 'none established yet' : `median ${quantile(0.5)}, 95 % within ${quantile(0.95)}`);
  }

  #drawMSS() {
    const figure = this.#figures.mss;
    const sizes = [...this.#store.mss].sort((a, b) => b[1].seen - a[1].seen);
    const all = sizes.reduce((n, [, entry]) => n + entry.seen, 0);
    const clamped = sizes.reduce((n, [, entry]) => n + entry.clamped, 0);
    say(figure, all === 0 ? 'no MSS seen yet' : clamped === 0 ? 'as announced, nothing clamped' : `${share(clamped, all)} clamped by a rule (solid)`);
    figure.list.replaceChildren(...sizes.slice(0, bars).map(([value, entry]) =>
      bar(element('span', 'name', String(value)), entry.seen, sizes[0][1].seen, entry.clamped, 'plain')));
  }

  #drawRefused() {
    const figure = this.#figures.refused;
    const worst = [...this.#store.refused].sort((a, b) => b[1].n - a[1].n);
    const all = worst.reduce((n, [, entry]) => n + entry.n, 0);
    say(figure, all === 0 ? 'none refused, unreachable or denied' : `${several(all, 'attempt')}, ${several(worst.length, 'destination')}`);
    const rows = worst.slice(0, bars).map(([destination, entry]) => {
      const button = element('button', 'name address', destination);
      button.type = 'button';
      button.title = `${destination}, ${outcome(entry.outcome)}: show these`;
      button.addEventListener('click', () => this.#filter(destination));
      return bar(button, entry.n, worst[0][1].n, entry.n, entry.outcome);
    });
    if (figure.list.contains(document.activeElement) || figure.list.matches(':hover')) return; // do not take it from under the hand
    figure.list.replaceChildren(...rows);
  }
}

// bar is one row of a list: a name, a bar of which a part is strong, and a number.
function bar(name, n, top, strong, className) {
  const drawing = svg('svg', { viewBox: '0 0 100 8', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  drawing.append(
    svg('rect', { width: Math.max((n / top) * 100, 1), height: 8, class: `fill faint ${className}` }),
    svg('rect', { width: (strong / top) * 100, height: 8, class: `fill ${className}` }),
  );
  return element('li', '', name, drawing, element('span', 'number', count(n)));
}

function say(figure, text) {
  if (figure.summary.textContent !== text) figure.summary.textContent = text;
}

function share(part, all) {
  const percent = (100 * part) / all;
  return percent > 0 && percent < 1 ? 'under 1 %' : `${Math.round(percent)} %`;
}

const axis = () => svg('path', { d: `M0 ${height}H${width}`, class: 'axis' });

function label(x, text, anchor) {
  const e = svg('text', { x, y: height + 11, 'text-anchor': anchor });
  e.textContent = text;
  return e;
}

// scale labels the highest bar.
function scale(text) {
  const e = svg('text', { x: 0, y: 7 });
  e.textContent = text;
  const group = svg('g', {});
  group.append(svg('path', { d: `M0 10H${width}`, class: 'axis' }), e);
  return group;
}
