import type { Faults } from '../../faults/faults.ts';
import { xmlAnswer } from '../answers.ts';
import { type Answer, type Call, formOf } from '../call.ts';
import type { Clock } from '../clock.ts';
import { ServiceError } from '../errors.ts';
import { withBody } from '../forward.ts';
import type { Moto } from '../moto.ts';
import {
  childOf,
  type Element,
  element,
  elementsNamed,
  itemsOf,
  parseXml,
  setText,
  textAt,
  writeXml,
} from '../xml.ts';
import { filtersOf, matchesFilter, type SendForm, tagsFor, withoutFilters, withoutTagsFor } from './form.ts';
import type { Machines } from './machines.ts';

/** The size of a root disk where nobody asks for one. */
const usualRootGiB = 20;

/** As the base calls its root disk, and so every image that comes of it; moto makes up another name and size. */
export const rootDevice = '/dev/xvda';

/** The image that stands for the base root filesystem. */
export const baseImage = 'ami-0ba5e000000000000';

/** What is known of an image beside moto's books. */
interface Made {
  /** EC2's word. */
  state: string;
  why?: string;
  /** When it was asked for, ms since the epoch, and how long it is to take at least. */
  readonly asked: number;
  readonly slowMs: number;
  /** How much older it is told to be. */
  readonly agedMs: number;
  /** Size of the root disk that it was made of. */
  readonly rootGiB: number;
  deprecation?: string;
}

/** Judged here: moto knows neither. */
const ownFilters = ['state', 'block-device-mapping.snapshot-id'];
const ownSnapshotFilters = ['status', 'progress'];

interface Parts {
  readonly moto: Moto;
  readonly machines: Machines;
  readonly sendForm: SendForm;
  readonly account: string;
  readonly clock: Clock;
  readonly faults: Faults;
}

/** Images of the account: moto keeps the books, the hosts program the layers. */
export class Images {
  readonly #parts: Parts;
  readonly #made = new Map<string, Made>();
  /** By snapshot: what is known of the image that it was made for, which may be gone. */
  readonly #snapshots = new Map<string, Made>();
  /** moto makes its own ids; callers see `baseImage` in its place. */
  #motoBase = '';

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Registers the base at moto. Call once, when moto is up. */
  async registerBase(): Promise<void> {
    const answer = await this.#parts.moto.query('ec2', 'RegisterImage', {
      Name: 'understudy-base',
      Description: 'Debian 12, the base of the rehearsal',
      Architecture: 'x86_64',
      RootDeviceName: rootDevice,
      VirtualizationType: 'hvm',
    });
    this.#motoBase = textAt(answer, 'imageId') ?? '';
    this.#made.set(baseImage, { state: 'available', asked: 0, slowMs: 0, agedMs: 0, rootGiB: 1 });
  }

  /** The id that callers know an image by. */
  ownId(motoId: string): string {
    return motoId === this.#motoBase ? baseImage : motoId;
  }

  /** Text of an EC2 request or answer with the base's id as the other side knows it. */
  toMoto(text: string): string {
    return text.replaceAll(baseImage, this.#motoBase);
  }

  fromMoto(text: string): string {
    return this.#motoBase === '' ? text : text.replaceAll(this.#motoBase, baseImage);
  }

  /** What the hosts program boots: undefined stands for its base. */
  hostImage(id: string): string | undefined {
    return id === baseImage ? undefined : id;
  }

  /** @throws ServiceError for an image that was never made, is not ready, or is gone. */
  async requireLaunchable(id: string): Promise<void> {
    if (!/^ami-[0-9a-f]{8,17}$/.test(id)) {
      throw new ServiceError('InvalidAMIID.Malformed', `Invalid id: "${id}" (expecting "ami-...")`);
    }
    const state = this.#made.get(id)?.state;
    if (state === undefined) {
      throw new ServiceError('InvalidAMIID.NotFound', `The image id '[${id}]' does not exist`);
    }
    if (state !== 'available') {
      throw new ServiceError('InvalidAMIID.Unavailable', `The image ID '${id}' is ${state}, not available`);
    }
  }

  /** The size of the root disk of an instance that is launched from it. @throws ServiceError for one that cannot hold it */
  rootSizeOf(id: string, asked: number | undefined): number {
    const least = this.#made.get(id)?.rootGiB ?? 0;
    if (asked === undefined) return Math.max(least, usualRootGiB);
    if (asked >= least) return asked;
    throw new ServiceError(
      'InvalidBlockDeviceMapping',
      `Volume of size ${asked}GB is smaller than snapshot 'snap-of-${id}', expect size >= ${least}GB`,
    );
  }

  /** CreateImage: moto does not know snapshots' tags, names in use and NoReboot. */
  async create(call: Call): Promise<Answer> {
    const { machines, sendForm } = this.#parts;
    const form = formOf(call);
    const name = form.get('Name') ?? '';
    await this.#requireFreeName(name);
    const answer = await sendForm(call, withoutTagsFor(form, 'snapshot'));
    if (answer.status !== 200) return answer;
    const id = textAt(parseXml(answer.body.toString('utf8')), 'imageId') ?? '';
    const source = (await machines.list()).find((each) => each.id === form.get('InstanceId'));
    const made = this.#begin(call, id, source?.rootGiB ?? usualRootGiB);
    this.#made.set(id, made.known);
    const snapshots = await this.#snapshotsOf(id);
    for (const snapshot of snapshots) this.#snapshots.set(snapshot, made.known);
    await this.#tagSnapshots(snapshots, tagsFor(form, 'snapshot'));
    const captured = machines.capture(id, form.get('InstanceId') ?? '', form.get('NoReboot') !== 'true');
    void this.#finish(id, made, captured);
    return answer;
  }

  /** What the ordered faults make of an image. */
  #begin(call: Call, id: string, rootGiB: number): { known: Made; ends: string } {
    const { account, clock, faults } = this.#parts;
    const meant = {
      ...{ service: call.service, action: call.action, principal: '*' },
      resources: [
        `arn:aws:ec2:${call.region}::image/${id}`,
        `arn:aws:ec2:${call.region}:${account}:instance/${formOf(call).get('InstanceId')}`,
      ],
    };
    const secondsOf = (kind: 'slow' | 'aged'): number => faults.meet(meant, [kind])?.seconds ?? 0;
    const [slowMs, agedMs] = [secondsOf('slow') * 1000, secondsOf('aged') * 1000];
    const ends = faults.meet(meant, ['ends'])?.state ?? 'available';
    return { known: { state: 'pending', asked: clock.now(), slowMs, agedMs, rootGiB }, ends };
  }

  async #finish(id: string, { known, ends }: { known: Made; ends: string }, captured: Promise<void>) {
    try {
      await captured;
      const left = known.slowMs - this.#parts.clock.since(known.asked);
      if (left > 0) await new Promise<void>((resolve) => void this.#parts.clock.after(left, resolve));
      known.state = ends;
      if (ends !== 'available') known.why = 'Client.InternalError: ordered by a fault';
      if (ends === 'gone') this.#made.delete(id);
    } catch (cause) {
      console.error(`gateway: ${id} could not be made:`, cause);
      known.state = 'failed';
      known.why = 'Server.InternalError: the host could not be captured';
    }
  }

  /** DescribeImages of what can be launched here: moto's hundreds of examples are left out. */
  async describe(call: Call): Promise<Answer> {
    const form = formOf(call);
    const answer = await this.#parts.sendForm(call, withoutFilters(form, ownFilters));
    if (answer.status !== 200) return answer;
    const filters = filtersOf(form).filter((each) => ownFilters.includes(each.name));
    const document = parseXml(answer.body.toString('utf8'));
    const set = childOf(document, 'imagesSet');
    if (set !== undefined) {
      set.children = set.children.filter((item) => {
        const made = this.#made.get(textAt(item, 'imageId') ?? '');
        if (made === undefined) return false;
        tellImage(item, made);
        return filters.every((each) =>
          valuesFor(item, each.name).some((value) => matchesFilter(each, value)),
        );
      });
    }
    return withBody(answer, writeXml(document));
  }

  /** DescribeSnapshots: moto's are complete at once, and as young as they are. */
  async describeSnapshots(call: Call): Promise<Answer> {
    const form = formOf(call);
    const answer = await this.#parts.sendForm(call, withoutFilters(form, ownSnapshotFilters));
    if (answer.status !== 200) return answer;
    const filters = filtersOf(form).filter((each) => ownSnapshotFilters.includes(each.name));
    const document = parseXml(answer.body.toString('utf8'));
    const set = childOf(document, 'snapshotSet');
    for (const item of itemsOf(set)) {
      const made = this.#snapshots.get(textAt(item, 'snapshotId') ?? '');
      if (made !== undefined) tellSnapshot(item, made, this.#parts.clock);
    }
    if (set !== undefined)
      set.children = set.children.filter((item) =>
        filters.every((each) => matchesFilter(each, textAt(item, each.name) ?? '')),
      );
    return withBody(answer, writeXml(document));
  }

  /** EnableImageDeprecation and DisableImageDeprecation, which moto does not know. */
  deprecate(call: Call): Answer {
    const form = formOf(call);
    const id = form.get('ImageId') ?? '';
    const made = this.#require(id);
    const time = form.get('DeprecateAt') ?? '';
    if (call.action === 'DisableImageDeprecation') delete made.deprecation;
    else if (Date.parse(time) > this.#parts.clock.now()) made.deprecation = time;
    else throw new ServiceError('InvalidParameterValue', `The time ${time} is not in the future.`);
    const body = '<requestId>local</requestId><return>true</return>';
    return xmlAnswer(
      `<${call.action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">${body}</${call.action}Response>`,
    );
  }

  /** DeregisterImage, with DeleteAssociatedSnapshots, which moto ignores. */
  async deregister(call: Call): Promise<Answer> {
    const form = formOf(call);
    const id = form.get('ImageId') ?? '';
    if (id === baseImage) throw new ServiceError('OperationNotPermitted', 'The base of the rehearsal stays.');
    this.#require(id);
    const snapshots = form.get('DeleteAssociatedSnapshots') === 'true' ? await this.#snapshotsOf(id) : [];
    const answer = await this.#parts.sendForm(call, form);
    if (answer.status !== 200) return answer;
    this.#made.delete(id);
    await this.#parts.machines.discard(id);
    for (const snapshot of snapshots) {
      await this.#parts.moto.query('ec2', 'DeleteSnapshot', { SnapshotId: snapshot });
    }
    const document = parseXml(answer.body.toString('utf8'));
    const results = snapshots.map((snapshot) =>
      element('item', [element('snapshotId', snapshot), element('returnCode', 'success')]),
    );
    document.children.push(element('deleteSnapshotResultSet', results));
    return withBody(answer, writeXml(document));
  }

  #require(id: string): Made {
    const made = this.#made.get(id);
    if (made !== undefined) return made;
    throw new ServiceError('InvalidAMIID.NotFound', `The image id '[${id}]' does not exist`);
  }

  async #requireFreeName(name: string): Promise<void> {
    if (!/^[\w()[\] ./\-'@]{3,128}$/.test(name)) {
      throw new ServiceError(
        'InvalidAMIName.Malformed',
        "AMI names have 3 to 128 letters, digits and ()[] ./-'@_",
      );
    }
    const found = await this.#parts.moto.query('ec2', 'DescribeImages', {
      'Owner.1': 'self',
      'Filter.1.Name': 'name',
      'Filter.1.Value.1': name,
    });
    const holder = itemsOf(childOf(found, 'imagesSet'))
      .map((item) => this.ownId(textAt(item, 'imageId') ?? ''))
      .find((id) => this.#made.has(id));
    if (holder !== undefined) {
      throw new ServiceError(
        'InvalidAMIName.Duplicate',
        `AMI name ${name} is already in use by AMI ${holder}`,
      );
    }
  }

  async #snapshotsOf(id: string): Promise<string[]> {
    const images = await this.#parts.moto.query('ec2', 'DescribeImages', { 'ImageId.1': id });
    return elementsNamed(images, 'snapshotId').map((each) => each.text);
  }

  async #tagSnapshots(snapshots: readonly string[], tags: { key: string; value: string }[]): Promise<void> {
    if (tags.length === 0) return;
    const parameters: Record<string, string> = {};
    snapshots.forEach((snapshot, at) => {
      parameters[`ResourceId.${at + 1}`] = snapshot;
    });
    tags.forEach((tag, at) => {
      parameters[`Tag.${at + 1}.Key`] = tag.key;
      parameters[`Tag.${at + 1}.Value`] = tag.value;
    });
    await this.#parts.moto.query('ec2', 'CreateTags', parameters);
  }
}

function tellImage(item: Element, { state, why, agedMs, rootGiB, deprecation }: Made): void {
  setText(item, 'imageState', state);
  setText(item, 'rootDeviceName', rootDevice);
  for (const disk of itemsOf(childOf(item, 'blockDeviceMapping')).slice(0, 1)) {
    setText(disk, 'deviceName', rootDevice);
    setText(disk, 'ebs/volumeSize', String(rootGiB));
  }
  if (why !== undefined) setText(item, 'stateReason/message', why);
  if (deprecation !== undefined) setText(item, 'deprecationTime', deprecation);
  if (agedMs > 0) setText(item, 'creationDate', earlier(textAt(item, 'creationDate'), agedMs));
}

function tellSnapshot(item: Element, { state, asked, slowMs, agedMs }: Made, clock: Clock): void {
  const pending = state === 'pending';
  const percent = slowMs > 0 ? Math.min(99, Math.floor((100 * clock.since(asked)) / slowMs)) : 0;
  setText(item, 'status', pending ? 'pending' : 'completed');
  setText(item, 'progress', pending ? `${percent}%` : '100%');
  if (agedMs > 0) setText(item, 'startTime', earlier(textAt(item, 'startTime'), agedMs));
}

const earlier = (time: string | undefined, ms: number): string =>
  new Date(Date.parse(time ?? '') - ms).toISOString();

function valuesFor(item: Element, filter: string): string[] {
  if (filter === 'state') return [textAt(item, 'imageState') ?? ''];
  return elementsNamed(item, 'snapshotId').map(({ text }) => text);
}
