// One connection in full: the ladder of its segments or datagrams down to its end, further facts, and the
// lines of its handshake as tcpdump prints them.

import { clock, duration, element, outcome, several, size, svg } from './format.js';

// symbol writes a sequence number of a side as its first one, x or y, and how far it is from it.
function symbol(name, number, first) {
  const distance = (number - first) >>> 0;
  if (first === undefined || distance > 1e6) return null;
  return distance === 0 ? name : `${name}+${distance}`;
}

function numberOf(word, number, name, first) {
  const s = symbol(name, number, first);
  const dt = element('span', 'word', word, ' ');
  return s === null ? element('span', 'sequence', dt, String(number)) : element('span', 'sequence', dt, element('b', '', s), ` = ${number}`);
}

// ladder draws a connection from top to bottom as time goes.
function ladder(c, runId) {
  const list = element('ol', 'ladder');
  list.append(element('li', 'ends',
    element('div', '', element('b', '', 'client'), element('span', 'address', c.client)),
    element('div', '', element('b', '', 'server'), element('span', 'address', c.server))));
  if (c.proto === 'tcp') {
    if (c.opening) list.append(...segments(c.opening));
    list.append(...payload(c, runId), ...closing(c));
  } else {
    list.append(...exchange(c), ...payload(c, runId));
  }
  return list;
}

// segments draws those of a handshake.
function segments(record) {
  const steps = [];
  const seen = { syn: 0, synack: 0 };
  for (const [i, segment] of record.segments.entries()) {
    const kind = kindOf(segment);
    if (i > 0) steps.push(gap(record, kind, seen));
    steps.push(step(record, segment, kind, seen));
    if (kind === 'SYN') seen.syn++;
    if (kind === 'SYN-ACK') seen.synack++;
  }
  return [...steps, verdict(record)];
}

function kindOf({ flags = '' }) {
  if (flags.includes('R')) return 'RST';
  if (flags.includes('S')) return flags.includes('.') ? 'SYN-ACK' : 'SYN';
  return 'ACK';
}

// gap tells the time between two segments.
function gap(record, kind, seen) {
  let us, side;
  if (kind === 'SYN-ACK' && seen.synack === 0) [us, side] = [record.synack_us, 'at-server'];
  if (kind === 'ACK') [us, side] = [record.ack_us, 'at-client'];
  if (us !== undefined) return element('li', `gap ${side}`, `+ ${duration(us)}`);
  const again = record.syn_retransmits + record.synack_retransmits > 0; // whom an answer is for is ambiguous then
  return element('li', 'gap unknown', again ? 'time between not known' : '');
}

function step(record, segment, kind, seen) {
  const fromClient = segment.dir === 'outbound';
  const repeated = (kind === 'SYN' && seen.syn > 0) || (kind === 'SYN-ACK' && seen.synack > 0);
  const own = fromClient ? ['x', record.client_isn] : ['y', record.server_isn];
  const others = fromClient ? ['y', record.server_isn] : ['x', record.client_isn];
  const numbers = element('p', 'numbers');
  if (segment.seq !== undefined) numbers.append(numberOf('seq', segment.seq, ...own));
  if (segment.ack !== undefined) numbers.append(numberOf('ack', segment.ack, ...others));
  const facts = element('ul', 'facts');
  for (const [text, className] of factsOf(record, segment, kind)) facts.append(element('li', className, text));
  return element('li', `step ${fromClient ? 'outbound' : 'inbound'}`,
    element('p', 'name', element('b', '', kind), repeated ? ' again' : ''), numbers, arrow(fromClient), facts);
}

// arrow slopes down towards where the segment goes.
function arrow(right) {
  const drawing = svg('svg', { viewBox: '0 0 100 12', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
  drawing.append(svg('path', { d: right ? 'M0 1L100 11' : 'M100 1L0 11' }));
  return element('div', 'arrow', element('span', 'hidden', right ? 'to the server' : 'to the client'), drawing);
}

// factsOf lists the facts of a segment besides its numbers.
function factsOf(record, segment, kind) {
  const facts = [];
  if (segment.win !== undefined) facts.push([`win ${segment.win}`]);
  const packet = { SYN: 'syn', 'SYN-ACK': 'synack' }[kind];
  const offer = packet === 'syn' ? record.client : packet ? record.server : undefined;
  const rewrites = record.rewrites.filter((rewrite) => rewrite.packet === (packet ?? kind.toLowerCase()));
  const rewritten = (what) => rewrites.find((rewrite) => rewrite.what === what);
  const change = (rewrite) => [`${rewrite.what.toUpperCase()} ${rewrite.from ?? 'none'} → ${rewrite.to}, rule ${rewrite.rule}`, 'rewritten'];
  if (rewritten('mss')) facts.push(change(rewritten('mss')));
  else if (offer?.mss !== undefined) facts.push([`MSS ${offer.mss}`]);
  if (rewritten('df')) facts.push(change(rewritten('df')));
  else if (offer?.df) facts.push(['DF']);
  else if (offer?.df === false) facts.push(['no DF']);
  if (offer?.wscale !== undefined) facts.push([`window × ${2 ** offer.wscale}`]);
  if (offer?.sack_ok) facts.push(['SACK']);
  if (offer?.ts !== undefined) facts.push(['timestamps']);
  if (offer?.ecn) facts.push(['ECN']);
  if (offer) facts.push([`TTL ${offer.ttl}`]);
  if (segment.len > 0) facts.push([`${segment.len} bytes of data`]);
  return facts;
}

// endings explain the outcomes that no segment shows.
const endings = {
  unreachable: 'ICMP: unreachable',
  denied: 'ICMP: administratively prohibited, by policy',
  no_reply: 'no answer',
  half_open: 'no acceptable third segment',
};

function verdict(record) {
  let text = outcome(record.outcome);
  if (endings[record.outcome]) text += ` · ${endings[record.outcome]}`;
  if (record.aborted_by) text += ` by the ${record.aborted_by}`;
  if (record.synack_us !== undefined && record.ack_us !== undefined) text += ` in ${duration(record.synack_us + record.ack_us)}`;
  return element('li', 'end', element('span', `outcome ${record.outcome}`, text));
}

// payload tells what an open connection carries, or has carried.
function payload(c, runId) {
  const { flow } = c;
  const state = c.state(runId);
  if (state === 'open') return [element('li', 'payload', 'open')];
  if (state === 'unknown') return [element('li', 'payload', 'its end is not on record')];
  if (!flow) return [];
  const packets = (n) => (n === undefined ? '' : ` in ${several(n, 'packet')}`);
  return [element('li', 'payload',
    element('span', '', `${size(flow.outbound_bytes)}${packets(flow.outbound_packets)} →`),
    element('span', '', `lasted ${duration(flow.duration_us)}`),
    element('span', '', `← ${size(flow.inbound_bytes)}${packets(flow.inbound_packets)}`))];
}

const closes = { fin: 'FIN', rst: 'RST' };

// closing draws the segment that began the end of a connection.
function closing({ flow }) {
  if (!flow?.close) return [];
  if (flow.closed_by === 'router') return [element('li', 'end', 'the router reset both sides')];
  if (!closes[flow.close]) return [element('li', 'end', `timeout: the ${flow.closed_by} no longer acknowledged`)];
  const fromClient = flow.closed_by === 'client';
  const again = flow.retransmits ? [element('li', '', `${several(flow.retransmits, 'segment')} sent to the client again`)] : [];
  return [element('li', `step ${fromClient ? 'outbound' : 'inbound'}`,
    element('p', 'name', element('b', '', closes[flow.close])), arrow(fromClient), element('ul', 'facts', ...again))];
}

// answers are the ways in which a flow of datagrams ends.
const answers = {
  answered: 'answer',
  refused: 'ICMP: port unreachable',
  unreachable: 'ICMP: unreachable',
};

// exchange draws the first datagram of a flow, and its answer.
function exchange(c) {
  const { opening: datagram, flow } = c;
  const step = (out, name, facts) => element('li', `step ${out ? 'outbound' : 'inbound'}`,
    element('p', 'name', element('b', '', name)), arrow(out), element('ul', 'facts', ...facts.filter(Boolean).map((f) => element('li', '', f))));
  const steps = [];
  if (datagram) {
    const { quic } = datagram;
    const questions = datagram.dns?.queries.map((q) => `${q.type} ${q.name}?`) ?? [];
    const kind = c.proto === 'icmp' ? 'echo request' : datagram.dns ? 'query' : quic ? 'Initial' : 'datagram';
    steps.push(step(true, kind, [...questions, quic && `QUIC ${quic.version}`, quic?.ech && 'ECH', `${datagram.length} bytes`]));
  }
  if (c.outcome === 'denied') steps.push(step(false, 'ICMP: administratively prohibited', []));
  else if (answers[c.outcome]) {
    const { rcode, answers: data = [] } = flow?.dns ?? {};
    steps.push(step(false, answers[c.outcome], [rcode, ...data.slice(0, 20).map((a) => `${a.type} ${a.data}`), data.length > 20 && `and ${data.length - 20} more`]));
  } else if (c.outcome === 'no_reply') steps.push(element('li', 'end', 'no answer'));
  return steps;
}

// facts lists the facts of a connection besides its segments.
function facts(c) {
  const { opening, flow } = c;
  const list = element('dl', 'known');
  const add = (name, value, className = '') => {
    if (value !== undefined && value !== '') list.append(element('dt', '', name), element('dd', className, String(value)));
  };
  const either = { ...flow, ...opening };
  add('name', either.name);
  add('also known as', (either.names ?? []).join(', '));
  add('asked for', [flow?.sni, flow?.http_host].filter((n) => n && n !== either.name).join(', '));
  add('TLS', [flow?.tls_version, (flow?.alpn ?? []).join(', '), flow?.ech && 'ECH'].filter(Boolean).join(' · '));
  const process = [either.process, either.pid && `process ${either.pid}`, either.user ?? (either.uid !== undefined && `user ${either.uid}`)];
  add('opened by', process.filter(Boolean).join(', '));
  add('program', either.exe);
  add('unit', either.unit);
  add('container', either.container);
  if (opening?.rule) add(opening.verdict === 'deny' ? 'denied by' : 'allowed by', opening.reason ? `${opening.rule}: ${opening.reason}` : opening.rule);
  const upstream = opening?.upstream;
  if (upstream) {
    add('carried on by', upstream.local ? `${upstream.local} → ${upstream.remote}` : upstream.remote, 'address');
    if (upstream.dial_us !== undefined) add('dial took', `${duration(upstream.dial_us)}${upstream.mss ? `, MSS ${upstream.mss} by rule` : ''}`);
    add('dial failed', upstream.error);
  }
  if (opening?.syn_retransmits + opening?.synack_retransmits > 0) add('sent again', `SYN ${opening.syn_retransmits} ×, SYN-ACK ${opening.synack_retransmits} ×`);
  if (opening?.simultaneous) add('simultaneous', 'both sides have sent a SYN');
  add('community ID', either.community_id, 'address');
  return list;
}

// copy puts text on the clipboard, where the browser lets us; else it selects it.
async function copy(pre, button) {
  try {
    await navigator.clipboard.writeText(`${pre.textContent}\n`);
    button.textContent = 'Copied';
  } catch {
    getSelection().selectAllChildren(pre);
    button.textContent = 'Selected';
  }
  setTimeout(() => (button.textContent = 'Copy'), 1500);
}

// titles name a connection by its opening.
function titleOf(c) {
  if (c.proto === 'icmp') return 'Ping at ';
  if (c.proto === 'udp') return c.dns ? 'DNS query at ' : 'UDP flow at ';
  return c.opening ? 'Handshake at ' : 'Connection at ';
}

// detail fills the panel with a connection; close is called when it is to go away.
export function detail(panel, c, runId, close) {
  const title = element('h2', '', titleOf(c), clock(c.start));
  title.id = 'detail-title';
  title.tabIndex = -1;
  const closing = element('button', '', 'Close');
  closing.type = 'button';
  closing.addEventListener('click', close);
  panel.replaceChildren(element('div', 'head', title, closing), ladder(c, runId));
  if (c.opening?.lines) {
    const pre = element('pre', '', c.opening.lines.join('\n'));
    pre.tabIndex = 0;
    const copying = element('button', '', 'Copy');
    copying.type = 'button';
    copying.addEventListener('click', () => copy(pre, copying));
    panel.append(element('div', 'head', element('h3', '', 'As tcpdump prints it'), copying), pre);
  }
  panel.append(facts(c));
  panel.hidden = false;
}
