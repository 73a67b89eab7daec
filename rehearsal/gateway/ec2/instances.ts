import { createHash } from 'node:crypto';
import { type Answer, type Call, formOf } from '../call.ts';
import { ServiceError } from '../errors.ts';
import { type WholeAnswer, withBody } from '../forward.ts';
import type { Moto } from '../moto.ts';
import { roleName } from '../principals.ts';
import type { Fleet, FleetInstance } from '../ssm/fleet.ts';
import {
  childOf,
  type Element,
  elementsNamed,
  itemsOf,
  parseXml,
  setText,
  textAt,
  writeXml,
} from '../xml.ts';
import { withDefaultNetwork } from './default-network.ts';
import { filtersOf, listOf, matchesFilter, numbersOf, type SendForm, withoutFilters } from './form.ts';
import type { Images } from './images.ts';
import type { Machine, MachineAction, MachineState, Machines } from './machines.ts';

/** EC2's numbers of the states. */
const codes: Record<MachineState, number> = {
  pending: 0,
  running: 16,
  'shutting-down': 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
};

/** Filters on what the hosts know, not moto. */
const ownFilters = ['instance-state-name', 'instance-state-code', 'private-ip-address'];

/** What the metadata service and the scenes ask of an instance. */
export interface InstanceFacts extends FleetInstance {
  readonly imageId: string;
  readonly availabilityZone: string;
  readonly profileArn: string | undefined;
}

interface Launch {
  readonly fingerprint: string;
  readonly answer: Promise<WholeAnswer>;
}

interface Parts {
  readonly moto: Moto;
  readonly machines: Machines;
  readonly images: Images;
  readonly sendForm: SendForm;
}

/** EC2 instances that are hosts: moto keeps the books, the hosts are the truth about states and addresses. */
export class Instances implements Fleet {
  readonly #parts: Parts;
  /** RunInstances by ClientToken. */
  readonly #launches = new Map<string, Launch>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** RunInstances, once for each ClientToken. */
  async run(call: Call): Promise<Answer> {
    const form = formOf(call);
    const token = form.get('ClientToken');
    if (token === null || token === '') return await this.#launch(call, form);
    if (token.length > 64)
      throw new ServiceError('InvalidParameterValue', 'ClientToken is longer than 64 characters.');
    const fingerprint = fingerprintOf(form);
    const before = this.#launches.get(token);
    if (before === undefined) {
      const answer = this.#launch(call, form);
      this.#launches.set(token, { fingerprint, answer });
      // A refused launch made nothing: the token may be used again.
      answer.catch(() => this.#launches.delete(token));
      return await answer;
    }
    if (before.fingerprint !== fingerprint) {
      throw new ServiceError(
        'IdempotentParameterMismatch',
        'The client token was used before with other arguments.',
      );
    }
    return await this.#refresh(await before.answer);
  }

  /** DescribeInstances, with states and addresses of the hosts. */
  async describe(call: Call): Promise<Answer> {
    const form = formOf(call);
    const answer = await this.#parts.sendForm(call, withoutFilters(form, ownFilters));
    if (answer.status !== 200) return answer;
    const filters = filtersOf(form).filter((each) => ownFilters.includes(each.name));
    const document = await this.#overlay(parseXml(answer.body.toString('utf8')));
    const reservations = childOf(document, 'reservationSet');
    for (const reservation of itemsOf(reservations)) {
      const set = childOf(reservation, 'instancesSet');
      if (set === undefined) continue;
      set.children = set.children.filter((item) =>
        filters.every((each) => matchesFilter(each, valueFor(item, each.name))),
      );
    }
    if (reservations !== undefined) {
      reservations.children = reservations.children.filter(
        (each) => itemsOf(childOf(each, 'instancesSet')).length > 0,
      );
    }
    return withBody(answer, writeXml(document));
  }

  /** DescribeInstanceStatus: running ones alone, unless IncludeAllInstances. */
  async describeStatus(call: Call): Promise<Answer> {
    const form = formOf(call);
    const forwarded = withoutFilters(form, ownFilters);
    forwarded.set('IncludeAllInstances', 'true');
    const answer = await this.#parts.sendForm(call, forwarded);
    if (answer.status !== 200) return answer;
    const filters = filtersOf(form).filter((each) => ownFilters.includes(each.name));
    const document = await this.#overlay(parseXml(answer.body.toString('utf8')));
    const set = childOf(document, 'instanceStatusSet');
    if (set !== undefined) {
      const all = form.get('IncludeAllInstances') === 'true';
      set.children = set.children
        .filter((item) => all || textAt(item, 'instanceState/name') === 'running')
        .filter((item) => filters.every((each) => matchesFilter(each, valueFor(item, each.name))));
    }
    return withBody(answer, writeXml(document));
  }

  /** StopInstances, StartInstances and RebootInstances. */
  async act(call: Call, action: MachineAction): Promise<Answer> {
    const ids = listOf(formOf(call), 'InstanceId');
    const before = await this.#states();
    const wrong = ids.find((id) => ['shutting-down', 'terminated'].includes(before.get(id)?.state ?? ''));
    if (wrong !== undefined) {
      throw new ServiceError(
        'IncorrectInstanceState',
        `The instance '${wrong}' is not in a state from which it can be ${action === 'stop' ? 'stopped' : `${action}ed`}.`,
      );
    }
    return await this.#change(call, ids, before, (id) => this.#parts.machines.act(id, action));
  }

  /** TerminateInstances. */
  async terminate(call: Call): Promise<Answer> {
    const ids = listOf(formOf(call), 'InstanceId');
    const before = await this.#states();
    const answer = await this.#change(call, ids, before, (id) => this.#parts.machines.terminate(id));
    for (const id of ids) await this.#freeAddresses(id);
    return answer;
  }

  /**
   * Boots the host of an instance that is in moto's books already: one of a stack.
   * @throws ServiceError for an image that cannot be launched
   */
  async adopt(id: string, imageId: string, asked?: number): Promise<void> {
    const { images, machines } = this.#parts;
    await images.requireLaunchable(imageId);
    const rootGiB = images.rootSizeOf(imageId, asked);
    await machines.boot(id, { image: images.hostImage(imageId), rootGiB });
  }

  /** Stops such an instance, in the books and its host. */
  async halt(id: string): Promise<void> {
    await this.#parts.moto.query('ec2', 'StopInstances', { 'InstanceId.1': id });
    await started(this.#parts.machines.act(id, 'stop'), id);
  }

  /** Terminates such an instance, in the books and its host where it has one. */
  async dismiss(id: string): Promise<void> {
    await this.#parts.moto.query('ec2', 'TerminateInstances', { 'InstanceId.1': id });
    if ((await this.#states()).has(id)) await this.#parts.machines.terminate(id);
    await this.#freeAddresses(id);
  }

  /** Who is terminated loses its Elastic IP, which moto leaves with it. */
  async #freeAddresses(id: string): Promise<void> {
    const { moto } = this.#parts;
    const asked = { 'Filter.1.Name': 'instance-id', 'Filter.1.Value.1': id };
    const document = await moto.query('ec2', 'DescribeAddresses', asked);
    for (const item of elementsNamed(document, 'addressesSet').flatMap(itemsOf)) {
      const AssociationId = textAt(item, 'associationId');
      if (AssociationId) await moto.query('ec2', 'DisassociateAddress', { AssociationId });
    }
  }

  /** The state of an instance's host; undefined where it has none. */
  async stateOf(id: string): Promise<MachineState | undefined> {
    return (await this.#states()).get(id)?.state;
  }

  /** Everything about all instances, terminated ones too. */
  async facts(): Promise<InstanceFacts[]> {
    const [document, states] = await Promise.all([
      this.#parts.moto.query('ec2', 'DescribeInstances'),
      this.#states(),
    ]);
    return elementsNamed(document, 'instancesSet')
      .flatMap(itemsOf)
      .map((item) => readFacts(item, states, this.#parts.images));
  }

  async instances(): Promise<FleetInstance[]> {
    return await this.facts();
  }

  /** The role in an instance's profile. */
  async roleOf(instance: InstanceFacts): Promise<{ name: string; arn: string } | undefined> {
    if (instance.profileArn === undefined) return undefined;
    const profile = await this.#parts.moto.query('iam', 'GetInstanceProfile', {
      InstanceProfileName: roleName(instance.profileArn),
    });
    const arn = textAt(elementsNamed(profile, 'Roles')[0], 'member/Arn');
    return arn === undefined ? undefined : { arn, name: roleName(arn) };
  }

  async #launch(call: Call, form: URLSearchParams): Promise<WholeAnswer> {
    const { images, machines, moto, sendForm } = this.#parts;
    const askedImage = form.get('ImageId');
    if (askedImage !== null) await images.requireLaunchable(askedImage);
    const forwarded = new URLSearchParams(await withDefaultNetwork(moto, form));
    // moto launches MinCount; EC2 launches as many as it can up to MaxCount.
    forwarded.set('MinCount', form.get('MaxCount') ?? '1');
    const answer = await sendForm(call, forwarded);
    if (answer.status !== 200) return answer;
    const items = elementsNamed(parseXml(answer.body.toString('utf8')), 'instancesSet').flatMap(itemsOf);
    for (const [at, item] of items.entries()) {
      const id = textAt(item, 'instanceId') ?? '';
      const imageId = images.ownId(textAt(item, 'imageId') ?? '');
      // A launch template names its image only in the answer.
      if (askedImage === null) await images.requireLaunchable(imageId);
      // moto gives the profile to the first instance alone.
      if (at > 0) await associateProfile(moto, form, id);
      const rootGiB = images.rootSizeOf(imageId, rootSize(form));
      await machines.boot(id, { image: images.hostImage(imageId), rootGiB });
    }
    return await this.#refresh(answer);
  }

  async #change(
    call: Call,
    ids: string[],
    before: Map<string, Machine>,
    change: (id: string) => Promise<void>,
  ): Promise<Answer> {
    const answer = await this.#parts.sendForm(call, formOf(call));
    if (answer.status !== 200) return answer;
    for (const id of ids.filter((each) => before.has(each))) {
      await started(change(id), id);
    }
    const document = parseXml(answer.body.toString('utf8'));
    const after = await this.#states();
    for (const item of elementsNamed(document, 'instancesSet').flatMap(itemsOf)) {
      const id = textAt(item, 'instanceId') ?? '';
      writeState(item, 'previousState', before.get(id)?.state);
      writeState(item, 'currentState', after.get(id)?.state);
    }
    return withBody(answer, writeXml(document));
  }

  async #refresh(answer: WholeAnswer): Promise<WholeAnswer> {
    return withBody(answer, writeXml(await this.#overlay(parseXml(answer.body.toString('utf8')))));
  }

  async #overlay(document: Element): Promise<Element> {
    const states = await this.#states();
    for (const item of elementsNamed(document, 'item')) {
      const machine = states.get(textAt(item, 'instanceId') ?? '');
      if (machine === undefined || childOf(item, 'instanceState') === undefined) continue;
      writeState(item, 'instanceState', machine.state);
      if (childOf(item, 'privateIpAddress') !== undefined) writeAddress(item, machine.ip);
    }
    return document;
  }

  async #states(): Promise<Map<string, Machine>> {
    return new Map((await this.#parts.machines.list()).map((each) => [each.id, each]));
  }
}

/** Waits a little, so that the first state (stopping, …) is there; the rest takes its time unwatched. */
async function started(change: Promise<void>, id: string): Promise<void> {
  const watched = change.catch((cause: unknown) => {
    console.error(`gateway: the host of ${id} did not change its state:`, cause);
  });
  await Promise.race([watched, new Promise((resolve) => setTimeout(resolve, 100))]);
}

function readFacts(item: Element, states: Map<string, Machine>, images: Images): InstanceFacts {
  const instanceId = textAt(item, 'instanceId') ?? '';
  const machine = states.get(instanceId);
  const tags = itemsOf(childOf(item, 'tagSet')).map((tag) => [
    textAt(tag, 'key') ?? '',
    textAt(tag, 'value') ?? '',
  ]);
  return {
    instanceId,
    imageId: images.ownId(textAt(item, 'imageId') ?? ''),
    state: machine?.state ?? textAt(item, 'instanceState/name') ?? 'terminated',
    ip: machine?.ip ?? textAt(item, 'privateIpAddress') ?? '',
    availabilityZone: textAt(item, 'placement/availabilityZone') ?? '',
    profileArn: textAt(item, 'iamInstanceProfile/arn'),
    tags: Object.fromEntries(tags) as Record<string, string>,
  };
}

function writeState(item: Element, name: string, state: MachineState | undefined): void {
  if (state === undefined) return;
  setText(item, `${name}/code`, String(codes[state]));
  setText(item, `${name}/name`, state);
}

function writeAddress(item: Element, ip: string): void {
  setText(item, 'privateIpAddress', ip);
  setText(item, 'privateDnsName', `ip-${ip.replaceAll('.', '-')}.ec2.internal`);
  for (const face of itemsOf(childOf(item, 'networkInterfaceSet')).slice(0, 1)) {
    setText(face, 'privateIpAddress', ip);
    for (const address of itemsOf(childOf(face, 'privateIpAddressesSet')).slice(0, 1)) {
      setText(address, 'privateIpAddress', ip);
    }
  }
}

function valueFor(item: Element, filter: string): string {
  if (filter === 'private-ip-address') return textAt(item, 'privateIpAddress') ?? '';
  return textAt(item, `instanceState/${filter === 'instance-state-code' ? 'code' : 'name'}`) ?? '';
}

/** All arguments but the token itself, in one order. */
function fingerprintOf(form: URLSearchParams): string {
  const rest = [...form].filter(([key]) => key !== 'ClientToken').map((pair) => pair.join('='));
  return createHash('sha256').update(JSON.stringify(rest.sort())).digest('hex');
}

function rootSize(form: URLSearchParams): number | undefined {
  const [first] = numbersOf(form, 'BlockDeviceMapping');
  const size = form.get(`BlockDeviceMapping.${first ?? '1'}.Ebs.VolumeSize`);
  return size === null ? undefined : Number(size);
}

async function associateProfile(moto: Moto, form: URLSearchParams, instanceId: string): Promise<void> {
  const profile = Object.fromEntries([...form].filter(([key]) => key.startsWith('IamInstanceProfile.')));
  if (Object.keys(profile).length === 0) return;
  await moto.query('ec2', 'AssociateIamInstanceProfile', { ...profile, InstanceId: instanceId });
}
