// The connection to the router: first its recent records, then the new ones.

// Stream feeds a store, and tells onState how the connection is: "waiting", "live" or "broken", and in words.
export class Stream {
  #store;
  #onState;

  constructor(store, onState) {
    this.#store = store;
    this.#onState = onState;
  }

  async open() {
    try {
      const response = await fetch('/api/handshakes?limit=1000');
      if (!response.ok) throw new Error(response.statusText);
      for (const record of (await response.json()).reverse()) this.#store.add(record);
      this.#subscribe();
    } catch {
      this.#onState('broken', 'not reachable, trying again');
      setTimeout(() => this.open(), 2000);
    }
  }

  // subscribe continues after the last record the page has.
  #subscribe() {
    const events = new EventSource(`/api/events?after=${this.#store.last}`);
    events.onopen = () => this.#onState('live', 'live');
    events.onmessage = (event) => this.#store.add(JSON.parse(event.data));
    events.addEventListener('lost', (event) => (this.#store.lost += JSON.parse(event.data).lost));
    events.onerror = () => {
      if (events.readyState === EventSource.CONNECTING) { // the browser tries again
        this.#onState('broken', 'connection lost, trying again');
        return;
      }
      this.#onState('broken', 'refused, trying again'); // as when there are too many subscribers
      setTimeout(() => this.#subscribe(), 5000);
    };
  }
}
