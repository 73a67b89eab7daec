import type { ActionDeclaration } from '../../src/action/declaration.ts';
import { parsers } from '../../src/action/inputs.ts';
import { config, githubToken } from '../../src/action/shared-inputs.ts';
import { toMilliseconds } from '../../src/config/durations.ts';

const day = 86_400_000;

/** In ms; undefined for one that stays. */
function life(text: string): number | undefined {
  if (text === 'none') return undefined;
  const ms = toMilliseconds(text) ?? Number.NaN;
  if (ms >= 3_600_000 && ms <= 90 * day) return ms;
  throw new Error(`It must be none, or from 1h to 90d, not ${JSON.stringify(text.slice(0, 60))}.`);
}

function gibibytes(text: string): number {
  const size = /^[1-9]\d{0,3}$/.test(text) ? Number(text) : Number.NaN;
  if (size >= 8 && size <= 1024) return size;
  throw new Error(`It must be a whole number from 8 to 1024, not ${JSON.stringify(text.slice(0, 60))}.`);
}

function block(text: string): string {
  const [, address = '', bits = ''] = /^((?:\d{1,3}\.){3}\d{1,3})\/(\d{1,2})$/.exec(text) ?? [];
  const isAddress = address !== '' && address.split('.').every((part) => Number(part) <= 255);
  if (isAddress && Number(bits) <= 32) return text;
  throw new Error(`It must be a block of IPv4 addresses, not ${JSON.stringify(text.slice(0, 60))}.`);
}

/** As infra/staging-host.yaml allows them. */
export const instanceTypes = [
  ...(['t3.small', 't3.medium', 't3.large', 't3.xlarge', 't3a.small', 't3a.medium', 't3a.large'] as const),
  ...(['m6i.large', 'm6i.xlarge', 't4g.small', 't4g.medium', 't4g.large', 'm7g.large'] as const),
] as const;

export const declaration = {
  name: 'Launch staging',
  description:
    'Launches staging anew from a golden image of production, beside what runs: on a bigger disk, in a network and with a role of its own, scrubbed before anything starts; the one before is removed only when the new one is healthy.',
  inputs: {
    environment: {
      description: 'The environment of understudy.yml that is launched; never production.',
      required: false,
      default: 'staging',
      example: 'staging',
      parse: parsers.name,
    },
    from: {
      description: 'The environment whose image it is launched from.',
      required: false,
      default: 'production',
      example: 'production',
      parse: parsers.name,
    },
    config,
    image: {
      description:
        "The AMI to launch from, one of the app's own; without it the newest golden one of `from`.",
      required: false,
      example: 'ami-0123456789abcdef0',
      parse: parsers.image,
    },
    disk: {
      description:
        'Size of the root disk in GiB, at least that of the image; the system grows its file system.',
      required: false,
      default: '40',
      example: '40',
      parse: gibibytes,
    },
    life: {
      description:
        'How long it lives, from 1h to 90d, or none. AWS ends it by itself, whatever becomes of GitHub.',
      required: false,
      default: '7d',
      example: '7d',
      parse: life,
    },
    'at-end': {
      description:
        'What becomes of it then: remove, with all that is its own; or stop, after which its disk still costs.',
      required: false,
      default: 'remove',
      example: 'remove',
      parse: parsers.oneOf('remove', 'stop'),
    },
    access: {
      description:
        "Who may reach the app's port, as a block of IPv4 addresses; without it nobody but Session Manager, which forwards the port to whoever may use it.",
      required: false,
      example: '203.0.113.7/32',
      parse: block,
    },
    address: {
      description:
        'any: another public address after each stop. elastic: one that stays, until the instance is removed.',
      required: false,
      default: 'any',
      example: 'elastic',
      parse: parsers.oneOf('any', 'elastic'),
    },
    type: {
      description: `Type of the instance: ${instanceTypes.join(', ')}; of the image's processor.`,
      required: false,
      default: 't3.medium',
      example: 't3.medium',
      parse: parsers.oneOf(...instanceTypes),
    },
    'role-arn': {
      description:
        "The role to take with the job's OIDC token: that of infra/staging.yaml, trusted as the environment `from`. Without it the job's own credentials are used.",
      required: false,
      example: 'arn:aws:iam::111122223333:role/chatmrpt-staging-launcher',
      parse: parsers.role,
    },
    'github-token': githubToken('Reads whether a run in the way has ended (actions: read).'),
  },
  outputs: {
    result: {
      description:
        'What happened, as JSON: result (done, refused, failed or unknown), reason, sentence and todo, and the instance.',
    },
    reason: { description: 'The reason alone, such as launched or launch-failed.' },
    operation: { description: 'The name of this operation in ledger, results and logs.' },
    instance: { description: 'The id of the instance; empty where none was launched.' },
    image: { description: 'The AMI that it was launched from.' },
    address: { description: 'Its public address.' },
    stack: { description: 'The CloudFormation stack that it is, with all that is its own.' },
  },
} as const satisfies ActionDeclaration;
