import type { Faults } from '../../faults/faults.ts';
import { type Answer, type Call, formOf } from '../call.ts';
import type { Clock } from '../clock.ts';
import { forwardWhole, type WholeAnswer, withBody } from '../forward.ts';
import type { Moto } from '../moto.ts';
import { Images } from './images.ts';
import { Instances } from './instances.ts';
import type { Machines } from './machines.ts';

interface Options {
  readonly motoUrl: URL;
  readonly moto: Moto;
  readonly machines: Machines;
  readonly account: string;
  readonly clock: Clock;
  /** Those that images meet. */
  readonly faults: Faults;
}

/** EC2: instances and images are hosts; the rest is moto's. */
export class Ec2 {
  readonly instances: Instances;
  readonly images: Images;
  readonly #motoUrl: URL;

  constructor({ motoUrl, moto, machines, account, clock, faults }: Options) {
    this.#motoUrl = motoUrl;
    const sendForm = (call: Call, form: URLSearchParams) => this.#send(call, form);
    this.images = new Images({ moto, machines, sendForm, account, clock, faults });
    this.instances = new Instances({ moto, machines, images: this.images, sendForm });
  }

  async answer(call: Call): Promise<Answer> {
    switch (call.action) {
      case 'RunInstances':
        return await this.instances.run(call);
      case 'DescribeInstances':
        return await this.instances.describe(call);
      case 'DescribeInstanceStatus':
        return await this.instances.describeStatus(call);
      case 'StopInstances':
        return await this.instances.act(call, 'stop');
      case 'StartInstances':
        return await this.instances.act(call, 'start');
      case 'RebootInstances':
        return await this.instances.act(call, 'reboot');
      case 'TerminateInstances':
        return await this.instances.terminate(call);
      case 'CreateImage':
        return await this.images.create(call);
      case 'DescribeImages':
        return await this.images.describe(call);
      case 'DeregisterImage':
        return await this.images.deregister(call);
      case 'EnableImageDeprecation':
      case 'DisableImageDeprecation':
        return this.images.deprecate(call);
      case 'DescribeSnapshots':
        return await this.images.describeSnapshots(call);
      default:
        return await this.#send(call, formOf(call));
    }
  }

  /** To moto and back, with the base image's id as each side knows it. */
  async #send(call: Call, form: URLSearchParams): Promise<WholeAnswer> {
    const answer = await forwardWhole(this.#motoUrl, call, Buffer.from(this.images.toMoto(form.toString())));
    const text = answer.body.toString('utf8');
    const own = this.images.fromMoto(text);
    return own === text ? answer : withBody(answer, own);
  }
}
