// Changes of a filter's text. Its meaning is the router's business; here it is a list of terms.

// split returns the terms of a filter as they stand there.
export const split = (text) => text.match(/(?:"(?:\\.|[^"\\])*"?|[^\s"])+/g) ?? [];

// value writes a value so that it stands for itself.
export const value = (text) => (/^[\w./@-]+$/.test(text) ? text : `"${text.replace(/["\\]/g, '\\$&')}"`);

// keyOf returns the key of a term with its "!"; empty where it has none.
const keyOf = (term) => /^(!?[a-z_]+):/.exec(term)?.[1] ?? '';

// without returns a filter without a term.
export const without = (text, term) => split(text).filter((t) => t !== term).join(' ');

// including returns a filter with more terms, which replace those of the same keys.
export function including(text, ...terms) {
  const keys = terms.map(keyOf);
  const others = split(text).filter((t) => !terms.includes(t) && !(keyOf(t) && keys.includes(keyOf(t))));
  return [...others, ...terms].join(' ');
}

// has reports whether a filter has a term.
export const has = (text, term) => split(text).includes(term);

// times returns the window of time that a filter names in full, in milliseconds since 1970; undefined if it
// does not.
export function times(text) {
  const at = (key) => Date.parse(split(text).find((t) => keyOf(t) === key)?.slice(key.length + 1).replaceAll('"', ''));
  const [from, to] = [at('since'), at('until')];
  return from < to ? { from, to } : undefined;
}

// withoutTimes returns a filter without bounds of time.
export const withoutTimes = (text) => split(text).filter((t) => !['since', 'until'].includes(keyOf(t))).join(' ');
