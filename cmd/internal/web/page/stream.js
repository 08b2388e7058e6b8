// The connection to the router: the records it keeps of connections that match a filter, and new ones as they come.

const pause = 1000; // milliseconds before another try
const silence = 40_000; // after which the router is taken to be gone: it sends something every 15 s

// Stream feeds a store. It calls on.state with "waiting", "live" or "broken", on.error with the text of an
// error in the filter, on.begin with the id of the router's run before its first records come, and on.record
// with the name and content of each event.
export class Stream {
  #filter;
  #on;
  #abort = new AbortController();
  #last = 0; // id of the last event
  #run = '';
  #heard = 0;

  constructor(filter, on) {
    this.#filter = filter;
    this.#on = on;
    this.#follow();
  }

  close() {
    this.#abort.abort();
  }

  async #follow() {
    while (!this.#abort.signal.aborted) {
      try {
        if (!(await this.#read())) return;
      } catch {
        // as when the router is gone
      }
      if (this.#abort.signal.aborted) return;
      this.#on.state('broken');
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  // read returns false where another try is useless.
  async #read() {
    const query = new URLSearchParams({ after: this.#last, run: this.#run, filter: this.#filter });
    const one = new AbortController();
    const stop = () => one.abort();
    this.#abort.signal.addEventListener('abort', stop);
    this.#heard = performance.now();
    const watch = setInterval(() => performance.now() - this.#heard > silence && stop(), 1000);
    try {
      const response = await fetch(`/api/connections?${query}`, { signal: one.signal });
      if (response.status === 400) {
        this.#on.error(await response.text());
        return false;
      }
      if (!response.ok) throw new Error(response.statusText); // as when there are too many subscribers
      await this.#events(response.body);
      return true;
    } finally {
      clearInterval(watch);
      this.#abort.signal.removeEventListener('abort', stop);
      stop();
    }
  }

  async #events(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    let event = {};
    for (;;) {
      const { value, done } = await reader.read();
      if (done || this.#abort.signal.aborted) return;
      this.#heard = performance.now();
      const lines = (rest + value).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        const colon = line.indexOf(': ');
        if (colon > 0) event[line.slice(0, colon)] = line.slice(colon + 2);
        else if (line === '') {
          if (event.data) this.#take(event);
          event = {};
        }
      }
    }
  }

  #take({ id, event = 'record', data }) {
    const content = JSON.parse(data);
    if (id) this.#last = Number(id);
    if (event !== 'run') {
      this.#on.record(event, content);
      return;
    }
    if (content.run_id !== this.#run) {
      this.#run = content.run_id;
      this.#on.begin(this.#run);
    }
    this.#on.state('live');
  }
}
