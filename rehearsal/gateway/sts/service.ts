import { type Answer, type Call, formOf } from '../call.ts';
import type { Clock } from '../clock.ts';
import { ServiceError } from '../errors.ts';
import { forwardWhole, type WholeAnswer } from '../forward.ts';
import type { Moto } from '../moto.ts';
import { type Principals, roleName } from '../principals.ts';
import { elementsNamed, parseXml, textAt } from '../xml.ts';
import { contextOf, type PublicKey, readIdentity } from './identity.ts';
import { type Asker, allows } from './trust.ts';

interface Parts {
  readonly motoUrl: URL;
  readonly moto: Moto;
  readonly principals: Principals;
  readonly clock: Clock;
  readonly account: string;
  /** Where the OIDC server publishes its keys; without it, signatures are not verified. */
  readonly jwks: string | undefined;
}

/** Credentials as the metadata service hands them out. */
export interface Credentials {
  readonly AccessKeyId: string;
  readonly SecretAccessKey: string;
  readonly Token: string;
  readonly Expiration: string;
}

/** STS: moto makes the credentials; the gateway judges who gets them, and remembers whose they are. */
export class Sts {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async answer(call: Call): Promise<Answer> {
    if (call.action === 'AssumeRoleWithWebIdentity') await this.#judge(formOf(call));
    const answer = await forwardWhole(this.#parts.motoUrl, call);
    if (answer.status === 200 && call.action.startsWith('AssumeRole')) this.#remember(call, answer);
    return answer;
  }

  /** Credentials of an instance's role, as EC2 mints them. @throws ServiceError when the role does not trust EC2 */
  async mint(instanceId: string, roleArn: string): Promise<Credentials> {
    const asker: Asker = {
      action: 'sts:AssumeRole',
      principal: { type: 'Service', value: 'ec2.amazonaws.com' },
      context: {},
    };
    if (!allows(await this.#trustPolicy(roleArn), asker)) {
      throw new ServiceError('AssumeRoleUnauthorizedAccess', `${roleArn} does not trust EC2.`, 403);
    }
    const answer = await this.#parts.moto.query('sts', 'AssumeRole', {
      RoleArn: roleArn,
      RoleSessionName: instanceId,
      DurationSeconds: '3600',
    });
    const [found] = elementsNamed(answer, 'Credentials');
    const field = (name: string) => textAt(found, name) ?? '';
    this.#parts.principals.remember(field('AccessKeyId'), { name: `role/${roleName(roleArn)}`, instanceId });
    return {
      AccessKeyId: field('AccessKeyId'),
      SecretAccessKey: field('SecretAccessKey'),
      Token: field('SessionToken'),
      Expiration: field('Expiration'),
    };
  }

  /** Whether a service of AWS may take the role; false also for one that does not exist. */
  async serviceMayTake(roleArn: string, service: string): Promise<boolean> {
    const principal = { type: 'Service', value: `${service}.amazonaws.com` } as const;
    const context = { 'aws:sourceaccount': [this.#parts.account] };
    return this.#trustPolicy(roleArn).then(
      (policy) => allows(policy, { action: 'sts:AssumeRole', principal, context }),
      () => false,
    );
  }

  async #judge(form: URLSearchParams): Promise<void> {
    const { clock, account, jwks } = this.#parts;
    const keys = jwks === undefined ? undefined : await fetchKeys(jwks);
    const identity = readIdentity(form.get('WebIdentityToken') ?? '', keys, clock.now());
    const provider = `arn:aws:iam::${account}:oidc-provider/${identity.provider}`;
    const asker: Asker = {
      action: 'sts:AssumeRoleWithWebIdentity',
      principal: { type: 'Federated', value: provider },
      context: contextOf(identity),
    };
    if (!allows(await this.#trustPolicy(form.get('RoleArn') ?? ''), asker)) throw denied();
  }

  /** @throws ServiceError AccessDenied for a role that does not exist: AWS does not tell the two apart. */
  async #trustPolicy(roleArn: string): Promise<Parameters<typeof allows>[0]> {
    const role = await this.#parts.moto.query('iam', 'GetRole', { RoleName: roleName(roleArn) }).catch(() => {
      throw denied();
    });
    const text = textAt(elementsNamed(role, 'Role')[0], 'AssumeRolePolicyDocument') ?? '{}';
    return JSON.parse(text.startsWith('%7B') ? decodeURIComponent(text) : text) as Parameters<
      typeof allows
    >[0];
  }

  #remember(call: Call, answer: WholeAnswer): void {
    const accessKey = textAt(
      elementsNamed(parseXml(answer.body.toString('utf8')), 'Credentials')[0],
      'AccessKeyId',
    );
    const arn = formOf(call).get('RoleArn') ?? '';
    if (accessKey !== undefined)
      this.#parts.principals.remember(accessKey, { name: `role/${roleName(arn)}` });
  }
}

function denied(): ServiceError {
  return new ServiceError('AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity', 403);
}

async function fetchKeys(url: string): Promise<PublicKey[]> {
  const response = await fetch(url);
  if (!response.ok) throw new ServiceError('InvalidIdentityToken', `No keys at ${url}: ${response.status}.`);
  return ((await response.json()) as { keys: PublicKey[] }).keys;
}
