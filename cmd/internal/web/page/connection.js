// A connection, or a flow of datagrams: the record by which it began, that of its end, or both.

import { endpoint } from './format.js';

// hostname returns the host of an HTTP request if that is a name, and no address.
const hostname = (host) => (/^[\d.]+$|:/.test(host ?? '') ? undefined : host);

export class Connection {
  opening; // a record of a handshake or a datagram; undefined where it has not come
  flow; // the record of the end; undefined where there is none yet
  id; // type and number of the opening
  version = 0; // rises when records come
  start; // when it began, in milliseconds since 1970

  constructor(id) {
    this.id = id;
  }

  // of returns the id of the connection that a record is of.
  static of(r) {
    if (r.msg !== 'flow') return `${r.msg} ${r.seq}`;
    if (r.handshake_seq) return `handshake ${r.handshake_seq}`;
    return r.datagram_seq ? `datagram ${r.datagram_seq}` : `flow ${r.seq}`;
  }

  add(r) {
    if (r.msg === 'flow') this.flow = r;
    else this.opening = r;
    this.start ??= Date.parse(r.time) - (r.duration_us ?? 0) / 1000;
    this.version++;
  }

  get #first() {
    return this.opening ?? this.flow;
  }

  // state is "open", "ended", or "unknown" where the end is not on record; runId is the router's.
  state(runId) {
    const { opening, flow } = this;
    if (flow) return 'ended';
    if (opening.outcome ? opening.outcome !== 'established' : opening.verdict === 'deny') return 'ended';
    return opening.run_id === runId ? 'open' : 'unknown';
  }

  get proto() {
    return this.#first.proto;
  }

  // outcome is empty while datagrams may be answered.
  get outcome() {
    const { opening, flow } = this;
    if (opening?.verdict === 'deny') return 'denied';
    if (flow?.outcome) return flow.outcome;
    return opening?.outcome ?? (this.proto === 'tcp' ? 'established' : '');
  }

  // fate is the outcome; without one "open", or "unknown" where the end is not on record.
  fate(runId) {
    return this.outcome || this.state(runId);
  }

  get name() {
    const { opening, flow } = this;
    return this.#first.name ?? flow?.sni ?? hostname(flow?.http_host) ?? opening?.quic?.sni ?? '';
  }

  // called is the name, or that for which a DNS query asks.
  get called() {
    return this.name || (this.dns?.queries?.[0]?.name ?? '');
  }

  get client() {
    const { src, sport } = this.#first;
    return this.proto === 'icmp' ? src : endpoint(src, sport);
  }

  get address() {
    return this.#first.dst;
  }

  get port() {
    return this.proto === 'icmp' ? undefined : this.#first.dport;
  }

  // server is the address with port and protocol.
  get server() {
    return this.at(this.address);
  }

  // destination is the server by its name, where that is known.
  get destination() {
    return this.at(this.name || this.address);
  }

  at(host) {
    if (this.proto === 'icmp') return `${host} icmp`;
    return endpoint(host, this.port) + (this.proto === 'udp' ? '/udp' : '');
  }

  get process() {
    return this.#first.process ?? '';
  }

  // owner is the process and its user, in words.
  get owner() {
    const { process, user, uid } = this.#first;
    const who = user ?? (uid === undefined ? undefined : `user ${uid}`);
    return [process, who].filter(Boolean).join(' · ');
  }

  get connect() {
    return this.opening?.synack_us;
  }

  get sent() {
    return this.flow?.outbound_bytes;
  }

  get received() {
    return this.flow?.inbound_bytes;
  }

  get lasted() {
    return this.flow?.duration_us;
  }

  // dns is the question with what came of it.
  get dns() {
    const { opening, flow } = this;
    return flow?.dns ?? opening?.dns;
  }

  // question is the first question of a DNS query in words; empty where it is none.
  get question() {
    const [first] = this.dns?.queries ?? [];
    return first ? `${first.type} ${first.name}` : '';
  }

  // note lists the peculiarities.
  note(runId) {
    const { opening, flow } = this;
    const notes = [];
    if (flow?.dns?.rcode) notes.push(flow.dns.rcode);
    if (opening?.reason) notes.push(opening.reason);
    else if (opening?.verdict === 'deny' && opening.rule) notes.push(opening.rule);
    if (opening?.upstream?.error) notes.push(opening.upstream.error);
    if (opening?.aborted_by) notes.push(`by ${opening.aborted_by}`);
    if (flow?.name_conflict) notes.push(`asked for ${flow.sni ?? flow.http_host}`);
    for (const rewrite of opening?.rewrites ?? []) notes.push(`${rewrite.what} ${rewrite.from ?? 'none'} → ${rewrite.to}`);
    const again = (opening?.syn_retransmits ?? 0) + (opening?.synack_retransmits ?? 0);
    if (again > 0) notes.push(`${again} retransmitted`);
    const state = this.state(runId);
    if (state === 'open') notes.push('open');
    if (state === 'unknown') notes.push('end not on record');
    if (flow?.close && flow.close !== 'fin') notes.push(`${flow.closed_by} ${flow.close}`);
    return [...new Set(notes)].join(', ');
  }
}
