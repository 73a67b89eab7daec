import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { askHosts, awaitState, type Cloud, describeHost, onHost } from '../cloud/cloud.ts';
import type { HostView } from '../hosts/hosts.ts';

interface Served {
  readonly app: string;
  /** Its public port. */
  readonly port: number;
  /** Ends what waits. */
  readonly stop: AbortSignal | undefined;
}

/** One host of a staging environment, as somebody asks it who sits before it: not through its network. */
export class Host {
  readonly id: string;
  readonly address: string;
  readonly #cloud: Cloud;
  readonly #app: string;
  readonly #port: number;
  readonly #stop: AbortSignal | undefined;

  constructor(cloud: Cloud, { id, ip }: HostView, { app, port, stop }: Served) {
    this.id = id;
    this.address = ip;
    this.#cloud = cloud;
    this.#app = app;
    this.#port = port;
    this.#stop = stop;
  }

  /** Runs a command on the host and returns its standard output; fails when the command does. */
  async ask(...argv: string[]): Promise<string> {
    const { code, stdout, stderr } = await onHost(this.#cloud, this.id, argv);
    assert.equal(code, 0, `${argv.join(' ')} on ${this.id}: ${stderr}`);
    return stdout.trim();
  }

  /** Asks the app as a user would, on its public port. */
  async get(path: string): Promise<string> {
    return this.ask('curl', '--silent', '--show-error', '--fail', `http://127.0.0.1:${this.#port}${path}`);
  }

  /** The first 12 digits of the release that is live; empty where none is. */
  async liveRelease(): Promise<string> {
    const link = `/srv/${this.#app}/current`;
    const target = await this.ask('bash', '-c', `[[ ! -L ${link} ]] || readlink --canonicalize ${link}`);
    return target.split('/').at(-1) ?? '';
  }

  /** Tells one start of the live release from the next: systemd's invocation of its unit. */
  async liveInvocation(): Promise<string> {
    const unit = `${this.#app}@${await this.liveRelease()}.service`;
    return this.ask('systemctl', 'show', '--property=InvocationID', '--value', unit);
  }

  /** The releases whose units are up, or coming up. */
  async releasesUp(): Promise<string[]> {
    const states = '--state=active,activating,reloading';
    const units = `${this.#app}@*.service`;
    const listed = await this.ask('systemctl', 'list-units', '--plain', '--no-legend', states, units);
    return [...listed.matchAll(/@(\w+)\.service/g)].map(([, release = '']) => release);
  }

  /** Values of one column of the live database, read by the host's sqlite3. */
  async column(database: string, query: string): Promise<string[]> {
    const file = `/srv/${this.#app}/shared/${database}`;
    return (await this.ask('sqlite3', '-readonly', file, query)).split('\n');
  }

  /** Files that hold a text, on any disk: not on those that are memory (/run, /proc, …). */
  async filesWith(text: string): Promise<string[]> {
    const search = `journalctl --sync; printf %s "$1" >/run/sought
      find / /tmp /var/tmp -xdev -type f -exec grep --fixed-strings --file=/run/sought --files-with-matches --no-messages {} +
      rm /run/sought`;
    return (await this.ask('bash', '-c', search, 'search', text)).split('\n').filter((line) => line !== '');
  }

  /** Has a hook of the app wait, or wait no longer: see the hooks of kiosk. */
  async hold(hook: 'prepare' | 'migrate'): Promise<void> {
    await this.ask('touch', `/etc/hold-${hook}`);
  }

  async letGo(hook: 'prepare' | 'migrate'): Promise<void> {
    await this.ask('rm', '--force', `/etc/hold-${hook}`);
  }

  /** Waits until a deploy that has not ended is in a step, or has been asked to stop there. */
  async untilIn(step: string, { cancelled = false } = {}): Promise<void> {
    await this.until(`for folder in /var/lib/understudy/${this.#app}/operations/*-deploy-staging; do
      [[ ! -f $folder/line ]] || continue
      ${cancelled ? '[[ -f $folder/cancel ]] || continue' : ''}
      last=$(grep '"event":' "$folder/journal.jsonl" 2>/dev/null | tail -n 1)
      [[ $last != *'"step":"${step}","event":"started"'* ]] || exit 0
    done; exit 1`);
  }

  /** Waits until the newest deploy has ended, by itself or by recovery. */
  async untilEnded(): Promise<void> {
    await this.until(
      `[[ -f $(ls -td /var/lib/understudy/${this.#app}/operations/*-deploy-staging | head -n 1)/line ]]`,
    );
  }

  /** Waits until a shell command succeeds. */
  until(command: string): Promise<void> {
    const succeeds = async () => (await onHost(this.#cloud, this.id, ['bash', '-c', command])).code === 0;
    return this.eventually(succeeds, `on ${this.id}: ${command}`);
  }

  /** Waits until something has come true. */
  async eventually(isTrue: () => Promise<boolean>, what: string): Promise<void> {
    const limit = Date.now() + 240_000;
    while (!(await isTrue())) {
      this.#stop?.throwIfAborted();
      assert.ok(Date.now() < limit, `this did not come true: ${what}`);
      await sleep(100);
    }
  }

  /** Takes the host's network away. */
  async cut(): Promise<void> {
    await askHosts(this.#cloud, 'POST', `/hosts/${this.id}/cut`);
  }

  async isCut(): Promise<boolean> {
    return (await describeHost(this.#cloud, this.id)).cut;
  }

  /** Gives it back. */
  async heal(): Promise<void> {
    await askHosts(this.#cloud, 'POST', `/hosts/${this.id}/heal`);
  }

  /** Takes the host's power away, without a warning, and gives it back; resolves when it begins to boot. */
  async cutPower(): Promise<void> {
    await askHosts(this.#cloud, 'POST', `/hosts/${this.id}/crash`);
    await awaitState(this.#cloud, this.id, 'stopped');
    await askHosts(this.#cloud, 'POST', `/hosts/${this.id}/start`);
    const boots = async () => (await describeHost(this.#cloud, this.id)).leader !== null;
    // Cut off, it waits for Parameter Store before the app starts: it is up long before it has booted.
    await this.eventually(boots, `${this.id} boots`);
  }
}
