import { type Answer, type Call, formOf } from '../call.ts';
import { ServiceError } from '../errors.ts';
import { withBody } from '../forward.ts';
import type { Moto } from '../moto.ts';
import { childOf, element, elementsNamed, itemsOf, parseXml, setText, textAt, writeXml } from '../xml.ts';
import { filtersOf, matchesFilter, type SendForm, tagsFor, withoutFilters, withoutTagsFor } from './form.ts';
import type { Machines } from './machines.ts';

/** The image that stands for the base root filesystem. */
export const baseImage = 'ami-0ba5e000000000000';

type ImageState = 'pending' | 'available' | 'failed';

interface Parts {
  readonly moto: Moto;
  readonly machines: Machines;
  readonly sendForm: SendForm;
  readonly account: string;
}

/** Images of the account: moto keeps the books, the hosts program the layers. */
export class Images {
  readonly #parts: Parts;
  readonly #states = new Map<string, ImageState>();
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
      RootDeviceName: '/dev/xvda',
      VirtualizationType: 'hvm',
    });
    this.#motoBase = textAt(answer, 'imageId') ?? '';
    this.#states.set(baseImage, 'available');
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
    const state = this.#states.get(id);
    if (state === undefined) {
      throw new ServiceError('InvalidAMIID.NotFound', `The image id '[${id}]' does not exist`);
    }
    if (state !== 'available') {
      throw new ServiceError('InvalidAMIID.Unavailable', `The image ID '${id}' is ${state}, not available`);
    }
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
    this.#states.set(id, 'pending');
    await this.#tagSnapshots(id, tagsFor(form, 'snapshot'));
    machines.capture(id, form.get('InstanceId') ?? '', form.get('NoReboot') !== 'true').then(
      () => this.#become(id, 'available'),
      (cause: unknown) => {
        console.error(`gateway: ${id} could not be made:`, cause);
        this.#become(id, 'failed');
      },
    );
    return answer;
  }

  /** DescribeImages of what can be launched here: moto's hundreds of examples are left out. */
  async describe(call: Call): Promise<Answer> {
    const form = formOf(call);
    const answer = await this.#parts.sendForm(call, withoutFilters(form, ['state']));
    if (answer.status !== 200) return answer;
    const filters = filtersOf(form).filter((each) => each.name === 'state');
    const document = parseXml(answer.body.toString('utf8'));
    const set = childOf(document, 'imagesSet');
    if (set !== undefined) {
      set.children = set.children.filter((item) => {
        const state = this.#states.get(textAt(item, 'imageId') ?? '');
        if (state === undefined) return false;
        setText(item, 'imageState', state);
        return filters.every((each) => matchesFilter(each, state));
      });
    }
    return withBody(answer, writeXml(document));
  }

  /** DeregisterImage, with DeleteAssociatedSnapshots, which moto ignores. */
  async deregister(call: Call): Promise<Answer> {
    const form = formOf(call);
    const id = form.get('ImageId') ?? '';
    if (id === baseImage) throw new ServiceError('OperationNotPermitted', 'The base of the rehearsal stays.');
    await this.#requireKnown(id);
    const snapshots = form.get('DeleteAssociatedSnapshots') === 'true' ? await this.#snapshotsOf(id) : [];
    const answer = await this.#parts.sendForm(call, form);
    if (answer.status !== 200) return answer;
    this.#states.delete(id);
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

  #become(id: string, state: ImageState): void {
    // Deregistered meanwhile: gone stays gone.
    if (this.#states.has(id)) this.#states.set(id, state);
  }

  async #requireKnown(id: string): Promise<void> {
    if (this.#states.has(id)) return;
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
      .find((id) => this.#states.has(id));
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

  async #tagSnapshots(id: string, tags: { key: string; value: string }[]): Promise<void> {
    if (tags.length === 0) return;
    const parameters: Record<string, string> = {};
    (await this.#snapshotsOf(id)).forEach((snapshot, at) => {
      parameters[`ResourceId.${at + 1}`] = snapshot;
    });
    tags.forEach((tag, at) => {
      parameters[`Tag.${at + 1}.Key`] = tag.key;
      parameters[`Tag.${at + 1}.Value`] = tag.value;
    });
    await this.#parts.moto.query('ec2', 'CreateTags', parameters);
  }
}
