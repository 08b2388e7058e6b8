// The columns of the table: of connections, and of groups of them.

import { clock, count, duration, element, outcome, size } from './format.js';
import { value } from './terms.js';

// A column has a title, a class, and the content of its cell for a row; by, where rows can be sorted by it,
// returns the number or text that counts. The first click sorts numbers from the greatest down.

const worded = (c, runId) => element('span', `outcome ${c.outcome || 'open'}`, outcome(c.fate(runId)));

const last = (n) => n ?? -1; // unknown values stand at the end

export const ofConnections = (store) => [
  { key: 'time', title: 'Began', cell: (c) => clock(c.start), by: (c) => c.start },
  { key: 'outcome', title: 'Outcome', cell: (c) => worded(c, store.runId), by: (c) => c.outcome, text: true },
  { key: 'process', title: 'Process', className: 'clip process', cell: (c) => c.owner || '–', by: (c) => c.owner, text: true },
  { key: 'client', title: 'Client', className: 'address clip wide', cell: (c) => c.client },
  { key: 'server', title: 'Server', className: 'clip server', cell: serverOf, by: (c) => c.destination, text: true },
  { key: 'connect', title: 'Connect', className: 'number connect', cell: (c) => duration(c.connect), by: (c) => last(c.connect) },
  { key: 'sent', title: 'Sent', className: 'number sent', cell: (c) => size(c.sent), by: (c) => last(c.sent) },
  { key: 'received', title: 'Received', className: 'number received', cell: (c) => size(c.received), by: (c) => last(c.received) },
  { key: 'lasted', title: 'Lasted', className: 'number lasted', cell: (c) => duration(c.lasted), by: (c) => last(c.lasted) },
  { key: 'note', title: 'Note', className: 'clip note wide', cell: (c) => c.note(store.runId) },
];

function serverOf(c) {
  if (c.question) return element('span', '', c.question, ' ', element('span', 'address aside', c.server));
  if (!c.name) return element('span', 'address', c.server);
  return element('span', '', c.destination, ' ', element('span', 'address aside', c.address));
}

export const ofGroups = (title) => [
  { key: 'value', title, className: 'clip value', cell: (g) => g.value || 'unknown', by: (g) => g.value, text: true },
  { key: 'number', title: 'Connections', className: 'number', cell: (g) => count(g.number), by: (g) => g.number },
  { key: 'failed', title: 'Failed', className: 'number failed', cell: (g) => count(g.failed), by: (g) => g.failed },
  { key: 'open', title: 'Open', className: 'number open', cell: (g) => count(g.open), by: (g) => g.open },
  { key: 'sent', title: 'Sent', className: 'number sent', cell: (g) => size(g.sent), by: (g) => g.sent },
  { key: 'received', title: 'Received', className: 'number received', cell: (g) => size(g.received), by: (g) => g.received },
  { key: 'time', title: 'Latest', className: 'number latest', cell: (g) => clock(g.latest), by: (g) => g.latest },
];

// groupings are the members by which connections can be grouped: their value in a run of the router, and the
// terms of the filter that asks for one group.
export const groupings = {
  name: {
    title: 'Name', of: (c) => c.called,
    terms: (g) => (g.value ? [`name:${value(g.value)}`] : ['!name:*']),
  },
  process: {
    title: 'Process', of: (c) => c.process,
    terms: (g) => (g.value ? [`process:${value(g.value)}`] : ['!process:*']),
  },
  destination: {
    title: 'Destination', of: (c) => c.server,
    terms: (g) => [`dst:${g.first.address}`, ...(g.first.port === undefined ? [] : [`port:${g.first.port}`]), `proto:${g.first.proto}`],
  },
  outcome: {
    title: 'Outcome', of: (c, runId) => outcome(c.fate(runId)),
    terms: (g) => (g.first.outcome ? [`outcome:${g.first.outcome}`] : [`state:${g.value}`, '!established']),
  },
};

// grouped returns the groups of connections.
export function grouped(connections, grouping, runId) {
  const groups = new Map();
  for (const c of connections) {
    const key = grouping.of(c, runId);
    let g = groups.get(key);
    if (!g) groups.set(key, (g = { id: key, value: key, first: c, number: 0, failed: 0, open: 0, sent: 0, received: 0, latest: 0 }));
    g.number++;
    if (c.outcome && c.outcome !== 'established' && c.outcome !== 'answered') g.failed++;
    if (c.state(runId) === 'open') g.open++;
    g.sent += c.sent ?? 0;
    g.received += c.received ?? 0;
    g.latest = Math.max(g.latest, c.start);
  }
  return [...groups.values()];
}
