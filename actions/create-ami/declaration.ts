import type { ActionDeclaration } from '../../src/action/declaration.ts';
import { parsers } from '../../src/action/inputs.ts';
import { config, excerpts, githubToken } from '../../src/action/shared-inputs.ts';

const flag = parsers.oneOf('false', 'true');

export const declaration = {
  name: 'Make an image',
  description:
    "Makes an image (AMI) of an environment's instance while the app serves on, follows it however long it takes, proves it by booting an instance from it, and removes the images that nobody needs.",
  inputs: {
    environment: {
      description: 'The environment of understudy.yml of whose instance an image is made.',
      required: false,
      default: 'staging',
      example: 'production',
      parse: parsers.name,
    },
    config,
    instance: {
      description: 'The instance, where the environment has more than one.',
      required: false,
      example: 'i-0123456789abcdef0',
      parse: parsers.instance,
    },
    image: {
      description: 'An image that is there already, to be proven; none is made then.',
      required: false,
      example: 'ami-0123456789abcdef0',
      parse: parsers.image,
    },
    prove: {
      description:
        'Whether an instance is booted from the image, cut off from everything, to see the app healthy on it, and removed. Only then is the image golden. Needs the stack of infra/drill.yaml, and costs about .05 USD.',
      required: false,
      default: 'false',
      example: 'true',
      parse: flag,
    },
    reboot: {
      description:
        'Whether EC2 may shut the instance down for the image, which takes the app away for a minute or more. Otherwise its disk is as after a power cut, which databases survive: `prove` shows it.',
      required: false,
      default: 'false',
      example: 'true',
      parse: flag,
    },
    'back-up-first': {
      description:
        'Whether a backup is made before, so that a verified copy of the databases lies on the disk and in the image.',
      required: false,
      default: 'true',
      example: 'false',
      parse: flag,
    },
    keep: {
      description:
        'How many of the newest images of the environment stay, from 1 to 100; all removes none. One that is in use, or the last golden one, is never removed.',
      required: false,
      default: '5',
      example: '10',
      parse: parsers.countOrAll,
    },
    'keep-months': {
      description: 'Of how many months one image stays beside them, this month the first: 0 to 100.',
      required: false,
      default: '12',
      example: '3',
      parse: parsers.count,
    },
    'deprecate-after': {
      description: 'After how many days EC2 calls the image deprecated; it can be launched all the same.',
      required: false,
      default: '90',
      example: '30',
      parse: parsers.days,
    },
    timeout: {
      description: 'How long the backup may take: a duration from 60s to 24h. Images have no such limit.',
      required: false,
      default: '1h',
      example: '30m',
      parse: parsers.duration,
    },
    'role-arn': {
      description:
        "The role to take with the job's OIDC token, instead of the one in understudy.yml. With neither, the job's own credentials are used.",
      required: false,
      example: 'arn:aws:iam::111122223333:role/chatmrpt-production-ci',
      parse: parsers.role,
    },
    'proof-role-arn': {
      description:
        "The role that proves, with the job's OIDC token: that of infra/drill.yaml, for the one that deploys may prepare no host and call no image golden. Needed for prove, but with the job's own credentials.",
      required: false,
      example: 'arn:aws:iam::111122223333:role/chatmrpt-production-drill',
      parse: parsers.role,
    },
    excerpts: excerpts('lines of the log'),
    'github-token': githubToken('Reads whether a run in the way has ended (actions: read).'),
  },
  outputs: {
    result: {
      description:
        'What happened, as JSON: result (done, unchanged, refused, failed or unknown), reason, sentence and todo.',
    },
    reason: { description: 'The reason alone, such as golden, imaged or image-unproven.' },
    operation: { description: 'The name of this operation in the ledger.' },
    image: { description: 'The id of the image, also where it was not proven; empty where there is none.' },
    golden: { description: 'true once an instance that was booted from the image was healthy, else false.' },
  },
} as const satisfies ActionDeclaration;
