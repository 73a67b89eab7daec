import type { IncomingMessage } from 'node:http';
import { answerFaults, type Faults } from '../faults/faults.ts';
import { jsonAnswer } from './answers.ts';
import { type Answer, readBody } from './call.ts';
import type { CloudFormation } from './cloudformation/service.ts';
import type { Instances } from './ec2/instances.ts';
import { notImplemented, ServiceError } from './errors.ts';
import type { CallRecord } from './record.ts';
import type { Credentials, Sts } from './sts/service.ts';

interface Parts {
  readonly instances: Instances;
  readonly sts: Sts;
  readonly record: CallRecord;
  readonly faults: Faults;
  readonly cloudFormation: CloudFormation;
}

interface Minted {
  readonly roleName: string;
  readonly credentials: Credentials;
}

// Callers refresh a few minutes before the end, as from EC2's own metadata.
const freshFor = 10 * 60 * 1000;

/** What the other programs of the local cloud ask, below `/_cloud/` on the Unix socket. */
export class Admin {
  readonly #parts: Parts;
  readonly #minted = new Map<string, Minted>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async answer(request: IncomingMessage): Promise<Answer> {
    const { method = 'GET', url: path = '/' } = request;
    const [, , subject, id] = path.split('/');
    if (subject === 'fault') {
      const { status, body } = answerFaults(this.#parts.faults, method, (await readBody(request)).toString());
      return jsonAnswer(body, status);
    }
    if (method === 'GET' && subject === 'instances') return jsonAnswer(await this.#parts.instances.facts());
    if (method === 'GET' && subject === 'credentials' && id) return jsonAnswer(await this.#credentials(id));
    if (method === 'POST' && subject === 'expire' && id) {
      await this.#parts.cloudFormation.expire(id);
      return jsonAnswer({});
    }
    if (method === 'GET' && subject === 'calls') {
      return jsonAnswer({
        emulatorErrors: this.#parts.record.emulatorErrors,
        calls: this.#parts.record.all(),
      });
    }
    throw notImplemented(`${method} ${path}`);
  }

  async #credentials(instanceId: string): Promise<object> {
    const instance = (await this.#parts.instances.facts()).find((each) => each.instanceId === instanceId);
    if (instance === undefined)
      throw new ServiceError('NotFound', `There is no instance ${instanceId}.`, 404);
    const role = await this.#parts.instances.roleOf(instance);
    if (role === undefined) throw new ServiceError('NotFound', `${instanceId} has no role.`, 404);
    const known = this.#minted.get(instanceId);
    const usable =
      known?.roleName === role.name && Date.parse(known.credentials.Expiration) - Date.now() > freshFor;
    const credentials = usable ? known.credentials : await this.#parts.sts.mint(instanceId, role.arn);
    this.#minted.set(instanceId, { roleName: role.name, credentials });
    return { roleName: role.name, ...credentials };
  }
}
