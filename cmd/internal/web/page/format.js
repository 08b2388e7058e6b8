// How values are written for people.

export const outcomes = ['established', 'refused', 'unreachable', 'denied', 'aborted', 'no_reply', 'half_open'];

const whole = new Intl.NumberFormat('en');

// count writes a number of things.
export const count = (n) => whole.format(n);

// several writes a number of things with their name.
export const several = (n, name) => `${count(n)} ${name}${n === 1 ? '' : 's'}`;

// outcome writes an outcome's word.
export const outcome = (word) => word.replace('_', ' ');

// duration writes microseconds with three significant digits; undefined is an unknown time.
export function duration(us) {
  if (us === undefined) return '–';
  if (us < 1000) return `${us} µs`;
  if (us < 1e6) return `${(us / 1000).toPrecision(3)} ms`;
  return `${(us / 1e6).toPrecision(3)} s`;
}

const two = (n) => String(n).padStart(2, '0');

// clock writes the local time of day of a record.
export function clock(time) {
  const t = new Date(time);
  return `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}.${String(t.getMilliseconds()).padStart(3, '0')}`;
}

// uptime writes seconds as days, hours and minutes.
export function uptime(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return `${Math.floor(seconds)} s`;
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor(minutes / 60) % 24} h`;
}

// endpoint writes an address with its port.
export const endpoint = (address, port) => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`);

// element makes an element with a class and content. Text is only ever set as text.
export function element(name, className, ...content) {
  const e = document.createElement(name);
  if (className) e.className = className;
  e.append(...content);
  return e;
}

// svg makes an SVG element with attributes.
export function svg(name, attributes) {
  const e = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  return e;
}
