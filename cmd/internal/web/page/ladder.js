// One handshake in full: the ladder of its segments, further facts, and its lines as
// tcpdump prints them.

import { clock, duration, element, endpoint, outcome, svg } from './format.js';

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

// ladder draws the segments of a record, from top to bottom as time goes.
function ladder(record) {
  const list = element('ol', 'ladder');
  list.append(element('li', 'ends',
    element('div', '', element('b', '', 'client'), element('span', 'address', endpoint(record.src, record.sport))),
    element('div', '', element('b', '', 'server'), element('span', 'address', endpoint(record.dst, record.dport)))));
  const seen = { syn: 0, synack: 0 };
  for (const [i, segment] of record.segments.entries()) {
    const kind = kindOf(segment);
    if (i > 0) list.append(gap(record, kind, seen));
    list.append(step(record, segment, kind, seen));
    if (kind === 'SYN') seen.syn++;
    if (kind === 'SYN-ACK') seen.synack++;
  }
  list.append(end(record));
  return list;
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

function end(record) {
  let text = outcome(record.outcome);
  if (endings[record.outcome]) text += ` · ${endings[record.outcome]}`;
  if (record.aborted_by) text += ` by the ${record.aborted_by}`;
  if (record.synack_us !== undefined && record.ack_us !== undefined) text += ` in ${duration(record.synack_us + record.ack_us)}`;
  return element('li', 'end', element('span', `outcome ${record.outcome}`, text));
}

// facts lists the facts of a handshake besides its segments.
function facts(record) {
  const list = element('dl', 'known');
  const add = (name, value, className = '') => {
    if (value !== undefined && value !== '') list.append(element('dt', '', name), element('dd', className, String(value)));
  };
  const { upstream } = record;
  if (upstream) {
    add('carried on by', upstream.local ? `${upstream.local} → ${upstream.remote}` : upstream.remote, 'address');
    add('dial took', `${duration(upstream.dial_us)}${upstream.mss ? `, MSS ${upstream.mss} by rule` : ''}`);
    add('dial failed', upstream.error);
  }
  const process = [record.process, record.pid && `process ${record.pid}`, record.uid !== undefined && `user ${record.uid}`];
  add('opened by', process.filter(Boolean).join(', '));
  if (record.syn_retransmits + record.synack_retransmits > 0) add('sent again', `SYN ${record.syn_retransmits} ×, SYN-ACK ${record.synack_retransmits} ×`);
  if (record.simultaneous) add('simultaneous', 'both sides have sent a SYN');
  add('community ID', record.community_id, 'address');
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

// detail fills the panel with a record; close is called when it is to go away.
export function detail(panel, record, close) {
  const title = element('h2', '', 'Handshake at ', clock(record.time));
  title.id = 'detail-title';
  title.tabIndex = -1;
  const closing = element('button', '', 'Close');
  closing.type = 'button';
  closing.addEventListener('click', close);
  const pre = element('pre', '', record.lines.join('\n'));
  pre.tabIndex = 0;
  const copying = element('button', '', 'Copy');
  copying.type = 'button';
  copying.addEventListener('click', () => copy(pre, copying));
  panel.replaceChildren(
    element('div', 'head', title, closing),
    ladder(record),
    element('div', 'head', element('h3', '', 'As tcpdump prints it'), copying),
    pre,
    facts(record),
  );
  panel.hidden = false;
  panel.scrollTop = 0;
}
