// How values are written for people.

export const outcomes = ['established', 'refused', 'unreachable', 'denied', 'aborted', 'no_reply', 'half_open', 'answered'];

const whole = new Intl.NumberFormat('en');

// count writes a number of things.
export const count = (n) => whole.format(n);

// several writes a number of things with their name.
export const several = (n, name) => `${count(n)} ${name}${n === 1 ? '' : 's'}`;

// outcome writes an outcome's word; a flow of datagrams has none as long as it may be answered.
export const outcome = (word) => word.replace('_', ' ');

const three = (v) => v.toFixed(v < 10 ? 2 : v < 100 ? 1 : 0);

// duration writes microseconds with three significant digits; undefined is an unknown time.
export function duration(us) {
  if (us === undefined) return '–';
  if (us < 1000) return `${us} µs`;
  if (us < 999_500) return `${three(us / 1000)} ms`;
  if (us < 60e6) return `${three(us / 1e6)} s`;
  return span(Math.round(us / 1e6));
}

// span writes seconds from a minute on.
function span(s) {
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
}

// size writes bytes with three significant digits; undefined is unknown.
export function size(bytes) {
  if (bytes === undefined) return '–';
  if (bytes < 1024) return `${bytes} B`;
  let v = bytes;
  for (const unit of ['KiB', 'MiB', 'GiB', 'TiB']) {
    v /= 1024;
    if (v < 999.5 || unit === 'TiB') return `${three(v)} ${unit}`;
  }
  return '';
}

const two = (n) => String(n).padStart(2, '0');

// seconds writes the local time of day, in whole seconds.
export function seconds(time) {
  const t = new Date(time);
  return `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
}

// clock writes the local time of day of a record.
export const clock = (time) => `${seconds(time)}.${String(new Date(time).getMilliseconds()).padStart(3, '0')}`;

// uptime writes seconds as days, hours and minutes.
export function uptime(s) {
  const minutes = Math.floor(s / 60);
  if (minutes < 1) return `${Math.floor(s)} s`;
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor(minutes / 60) % 24} h`;
}

// endpoint writes an address with its port.
export const endpoint = (address, port) => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`);

// clean shows control characters, and those that no reader sees or that change the direction of text, as escapes.
export const clean = (text) => text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (c) => (c === '\n' ? c : `\\u${c.codePointAt(0).toString(16).padStart(4, '0')}`));

// put replaces the content of an element. Text is only ever set as text, and clean.
export function put(e, ...content) {
  e.replaceChildren(...content.map((c) => (typeof c === 'string' ? clean(c) : c)));
  return e;
}

// element makes an element with a class and content.
export function element(name, className, ...content) {
  const e = document.createElement(name);
  if (className) e.className = className;
  return put(e, ...content);
}

// svg makes an SVG element with attributes.
export function svg(name, attributes) {
  const e = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  return e;
}
