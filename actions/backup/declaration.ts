import type { ActionDeclaration } from '../../src/action/declaration.ts';
import { parsers } from '../../src/action/inputs.ts';
import { config, excerpts, githubToken } from '../../src/action/shared-inputs.ts';

export const declaration = {
  name: 'Back up',
  description:
    "Copies the data and the live code of an environment's instances to the backup bucket through Systems Manager, while the app serves on, and confirms every object there by size and SHA-256.",
  inputs: {
    environment: {
      description: 'The environment of understudy.yml to back up.',
      required: false,
      default: 'staging',
      example: 'production',
      parse: parsers.name,
    },
    config,
    tier: {
      description:
        'For how long S3 keeps it: daily, weekly, monthly, or auto, by which the first good backup of a UTC month is monthly, else the first of an ISO week weekly, else daily.',
      required: false,
      default: 'auto',
      example: 'auto',
      parse: parsers.oneOf('auto', 'daily', 'weekly', 'monthly'),
    },
    timeout: {
      description: 'How long an instance may take: a duration from 60s to 24h.',
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
    excerpts: excerpts('lines of the log'),
    'github-token': githubToken('Reads whether a run in the way has ended (actions: read).'),
  },
  outputs: {
    result: {
      description:
        'What happened, as JSON: result (done, unchanged, refused, failed or unknown), reason, sentence, todo, and the same of each instance, with the key of its manifest.',
    },
    reason: { description: 'The reason alone, such as backed-up or unconfirmed.' },
    operation: { description: 'The name of this operation in ledger, results and logs.' },
    bucket: { description: 'The backup bucket.' },
    manifest: {
      description: 'The key of the manifest that commits the backup; of several instances, one a line.',
    },
  },
} as const satisfies ActionDeclaration;
