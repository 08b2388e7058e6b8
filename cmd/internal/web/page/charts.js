// The charts of a window of time. Each has a sentence with its content; the drawing is for the eye only.

import { clock, count, duration, element, outcome, outcomes, put, seconds, several, svg } from './format.js';
import { endOf, Figures, timeBuckets } from './figures.js';

const height = 96;
const bars = 5; // of a list

export class Charts {
  #choose;
  #brush;
  #figures;
  #tip = element('p', 'tip');
  #drawn = {}; // by chart, what a place of it stands for
  #from; // where a stretch of time begins that is being chosen; undefined = none is

  // choose is called with a connection of the destination that is chosen, brush with the bounds of a stretch
  // of time.
  constructor(choose, brush) {
    this.#choose = choose;
    this.#brush = brush;
    this.#figures = Object.fromEntries(['outcomes', 'times', 'mss', 'refused'].map((name) => {
      const figure = document.querySelector(`#chart-${name}`);
      return [name, { figure, summary: figure.querySelector('.summary'), svg: figure.querySelector('svg'), list: figure.querySelector('ol') }];
    }));
    this.#tip.hidden = true;
    for (const name of ['outcomes', 'times']) this.#watch(name);
    const drawing = this.#figures.outcomes.svg;
    drawing.addEventListener('pointerdown', (event) => {
      if (event.button !== 0 || event.pointerType === 'touch') return;
      drawing.setPointerCapture(event.pointerId);
      this.#from = event.offsetX;
    });
    drawing.addEventListener('pointerup', (event) => this.#brushed(event));
  }

  // watch shows what the place of a chart stands for that the pointer is at.
  #watch(name) {
    const { figure, svg: drawing } = this.#figures[name];
    drawing.addEventListener('pointermove', (event) => {
      const text = this.#drawn[name]?.(event.offsetX);
      this.#tip.hidden = !text;
      if (!text) return;
      put(this.#tip, ...text);
      figure.append(this.#tip);
      const x = drawing.offsetLeft + event.offsetX;
      const width = this.#tip.offsetWidth;
      this.#place(Math.max(4, Math.min(x + 12, figure.clientWidth - width - 4)));
      this.#mark(drawing, event.offsetX);
    });
    drawing.addEventListener('pointerleave', () => {
      this.#tip.hidden = true;
      drawing.querySelector('.mark')?.remove();
      if (name === 'outcomes') this.#from = undefined;
    });
  }

  #place(left) {
    this.#tip.style.left = `${left}px`;
  }

  // mark draws the place of the pointer, or the stretch that is being chosen.
  #mark(drawing, x) {
    drawing.querySelector('.mark')?.remove();
    const from = drawing === this.#figures.outcomes.svg ? this.#from ?? x : x;
    drawing.append(svg('rect', { x: Math.min(from, x), y: 0, width: Math.max(Math.abs(x - from), 1), height, class: 'mark' }));
  }

  #brushed(event) {
    const from = this.#from;
    this.#from = undefined;
    if (from === undefined || Math.abs(event.offsetX - from) < 4) return;
    const { start, end } = this.window;
    const drawing = this.#figures.outcomes.svg;
    const time = (x) => start + (Math.max(0, Math.min(x / drawing.clientWidth, 1))) * (end - start);
    this.#brush(...[from, event.offsetX].sort((a, b) => a - b).map(time));
  }

  // update draws the figures of a window of time. since is when it begins to be known, 0 = all is.
  update({ from, to, columns }, since, live) {
    this.window = { start: from, end: to };
    const sum = columns.reduce((all, c) => all.merge(c), new Figures());
    this.#drawOutcomes(columns, sum, Math.min(since, to), live);
    this.#drawTimes(sum);
    this.#drawMSS(sum);
    this.#drawRefused(sum);
    return sum;
  }

  #drawOutcomes(columns, sum, since, live) {
    const figure = this.#figures.outcomes;
    const { start, end } = this.window;
    const stretch = (end - start) / columns.length; // milliseconds
    const width = figure.svg.clientWidth;
    const step = width / columns.length;
    const top = Math.max(...columns.map((c) => c.total), 1);
    const shapes = [];
    const unknown = (Math.max(since - start, 0) / (end - start)) * width; // in which not all is known
    if (unknown > 0) shapes.push(svg('rect', { x: 0, y: 0, width: unknown, height, class: 'unknown' }));
    columns.forEach((column, i) => {
      let y = height;
      for (const word of outcomes) {
        const n = column.outcomes.get(word) ?? 0;
        if (n === 0) continue;
        const h = Math.max((n / top) * (height - 14), 1);
        y -= h;
        shapes.push(svg('rect', { x: i * step + 0.5, y, width: Math.max(step - 1, 1), height: h, class: `fill ${word}` }));
      }
    });
    const rate = (n) => (n * 1000) / stretch;
    const perSecond = (n) => (rate(n) < 10 && n > 0 ? rate(n).toPrecision(2) : count(Math.round(rate(n))));
    shapes.push(axis(width), label(0, seconds(start), 'start'), label(width, live ? 'now' : seconds(end), 'end'));
    if (sum.total > 0) shapes.push(...scale(width, `${perSecond(top)}/s`));
    redraw(figure.svg, shapes);
    const well = (sum.outcomes.get('established') ?? 0) + (sum.outcomes.get('answered') ?? 0);
    const all = sum.total;
    const now = columns.at(-2).total; // the last one is not full yet
    say(figure, all === 0 ? 'none' : `${live ? `${perSecond(now)}/s now, ` : ''}${share(all - well, all)} of ${count(all)} failed`);
    this.#drawn.outcomes = (x) => {
      const i = Math.max(0, Math.min(columns.length - 1, Math.floor(x / step)));
      const lines = [element('b', '', `${seconds(start + i * stretch)} – ${seconds(start + (i + 1) * stretch)}`)];
      for (const word of outcomes) {
        const n = columns[i].outcomes.get(word);
        if (n) lines.push(element('span', `outcome ${word}`, `${outcome(word)} ${count(n)}`));
      }
      if (x < unknown) lines.push(element('span', '', 'in part or all no longer kept'));
      else if (lines.length === 1) lines.push(element('span', '', 'none'));
      return lines;
    };
  }

  #drawTimes(sum) {
    const figure = this.#figures.times;
    const width = figure.svg.clientWidth;
    const numbers = Array.from({ length: timeBuckets }, (_, i) => sum.times.get(i) ?? 0);
    const top = Math.max(...numbers, 1);
    const step = width / numbers.length;
    const shapes = numbers.flatMap((n, i) => {
      if (n === 0) return [];
      const h = Math.max((n / top) * (height - 14), 1);
      return [svg('rect', { x: i * step + 0.5, y: height - h, width: step - 1, height: h, class: 'fill plain' })];
    });
    shapes.push(axis(width));
    ['10 µs', '100 µs', '1 ms', '10 ms', '100 ms', '1 s', '10 s'].forEach((text, i, all) => {
      if (width < 360 && i % 2 === 1) return; // there is no room
      const anchor = i === 0 ? 'start' : i === all.length - 1 ? 'end' : 'middle';
      shapes.push(label((i / (all.length - 1)) * width, text, anchor));
    });
    redraw(figure.svg, shapes);
    const quantile = (q) => duration(sum.quantile(q));
    say(figure, sum.times.size === 0 ? 'none established' : `median ${quantile(0.5)}, 95 % within ${quantile(0.95)}`);
    this.#drawn.times = (x) => {
      const i = Math.max(0, Math.min(numbers.length - 1, Math.floor(x / step)));
      const ends = [endOf(i - 1), endOf(i)].map((us) => duration(Math.round(us)));
      return [element('b', '', ends.join(' – ')), element('span', '', several(numbers[i], 'handshake'))];
    };
  }

  #drawMSS(sum) {
    const figure = this.#figures.mss;
    const sizes = [...sum.mss].sort((a, b) => b[1].seen - a[1].seen);
    const all = sizes.reduce((n, [, entry]) => n + entry.seen, 0);
    const clamped = sizes.reduce((n, [, entry]) => n + entry.clamped, 0);
    say(figure, all === 0 ? 'none seen' : clamped === 0 ? 'as announced, nothing clamped' : `${share(clamped, all)} clamped by a rule (solid)`);
    figure.list.replaceChildren(...sizes.slice(0, bars).map(([value, entry]) =>
      bar(element('span', 'name', String(value)), entry.seen, sizes[0][1].seen, entry.clamped, 'plain')));
  }

  #drawRefused(sum) {
    const figure = this.#figures.refused;
    const worst = [...sum.refused].sort((a, b) => b[1].n - a[1].n);
    const all = worst.reduce((n, [, entry]) => n + entry.n, 0);
    say(figure, all === 0 ? 'none refused, unreachable or denied' : `${several(all, 'attempt')}, ${several(worst.length, 'destination')}`);
    if (figure.list.contains(document.activeElement) || figure.list.matches(':hover')) return; // do not take it from under the hand
    figure.list.replaceChildren(...worst.slice(0, bars).map(([destination, entry]) => {
      const button = element('button', 'name', destination);
      button.type = 'button';
      button.title = `${destination}, ${outcome(entry.outcome)}, last at ${clock(entry.connection.start)}: show these`;
      button.addEventListener('click', () => this.#choose(entry.connection));
      return bar(button, entry.n, worst[0][1].n, entry.n, entry.outcome);
    }));
  }
}

// redraw replaces the shapes of a drawing, but for the mark of the pointer.
function redraw(drawing, shapes) {
  const mark = drawing.querySelector('.mark');
  drawing.replaceChildren(...shapes, ...(mark ? [mark] : []));
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

const axis = (width) => svg('path', { d: `M0 ${height}H${width}`, class: 'axis' });

function label(x, text, anchor) {
  const e = svg('text', { x, y: height + 14, 'text-anchor': anchor });
  e.textContent = text;
  return e;
}

// scale labels the highest bar.
function scale(width, text) {
  const e = svg('text', { x: 0, y: 10 });
  e.textContent = text;
  return [svg('path', { d: `M0 14H${width}`, class: 'axis' }), e];
}
