import { createServer, type Server } from 'node:http';
import { join } from 'node:path';

interface Host {
  id: string;
  ip: string;
  state: string;
  image: string | undefined;
  rootGiB: number;
}

/** The hosts program's contract on a Unix socket, where the test says when a host's state changes. */
export class FakeHosts {
  readonly socket: string;
  readonly hosts = new Map<string, Host>();
  /** Every request, as `METHOD /path {body}`. */
  readonly requests: string[] = [];
  readonly #server: Server;
  /** Images that wait to be finished, by `finishImage`. */
  readonly #captures = new Map<string, () => void>();

  constructor(folder: string) {
    this.socket = join(folder, 'hosts.sock');
    this.#server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const text = Buffer.concat(chunks).toString('utf8');
      const { method = '', url = '' } = request;
      if (method !== 'GET') this.requests.push(`${method} ${url} ${text}`.trim());
      const answer = await this.#answer(method, url, text === '' ? {} : JSON.parse(text));
      response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer ?? {}));
    });
  }

  async open(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.socket, resolve));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Lets time pass for one host. */
  become(id: string, state: string): void {
    const host = this.hosts.get(id);
    if (host === undefined) throw new Error(`no host ${id}`);
    host.state = state;
  }

  finishImage(id: string): void {
    this.#captures.get(id)?.();
  }

  async #answer(
    method: string,
    url: string,
    body: { image?: string; rootGiB?: number },
  ): Promise<object | undefined> {
    const [, kind, id = '', action] = url.split('/');
    if (kind === 'images') {
      if (method === 'PUT') await new Promise<void>((resolve) => this.#captures.set(id, resolve));
      return {};
    }
    if (method === 'GET') return [...this.hosts.values()];
    if (method === 'PUT') {
      const ip = `198.18.0.${10 + this.hosts.size}`;
      const host = { id, ip, state: 'pending', image: body.image, rootGiB: body.rootGiB ?? 20 };
      this.hosts.set(id, host);
      return host;
    }
    if (!this.hosts.has(id)) return undefined;
    if (method === 'DELETE') this.become(id, 'shutting-down');
    if (action === 'stop') this.become(id, 'stopping');
    if (action === 'start') this.become(id, 'pending');
    return {};
  }
}
