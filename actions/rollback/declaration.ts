import type { ActionDeclaration } from '../../src/action/declaration.ts';
import { parsers } from '../../src/action/inputs.ts';
import { config, excerpts, githubToken } from '../../src/action/shared-inputs.ts';

export const declaration = {
  name: 'Roll back',
  description:
    'Takes an environment back: to an earlier release in seconds, to a backup of its data after backing up what is there, or onto a new instance that is launched from a golden image. What does not come up healthy is put back by itself. With plan: true it tells every step and what would be lost, and changes nothing.',
  inputs: {
    environment: {
      description: 'The environment of understudy.yml to take back.',
      required: true,
      example: 'production',
      parse: parsers.name,
    },
    what: {
      description:
        'What goes back: release (the code, by the switch alone), data (to a backup), or image (the whole machine: a new instance is launched from a golden image, the data brought onto it, and the Elastic IP moved to it).',
      required: true,
      example: 'release',
      parse: parsers.oneOf('release', 'data', 'image'),
    },
    to: {
      description:
        'Where to. Of releases: previous, previous-2 to previous-4, or the first 12 digits of one. Of data: newest-proven, newest, an age such as 24h-ago (a proven backup that is at least so old, else any), or the key of a manifest. Of an image: newest-golden, or the id of one.',
      required: false,
      default: 'default',
      example: '24h-ago',
      parse: parsers.line,
    },
    data: {
      description:
        'Of a release, which data it meets: same (the data as it is, refused where it has another schema than the release ran on), keep (as it is all the same), or restore (the newest backup of that release comes along).',
      required: false,
      default: 'same',
      example: 'same',
      parse: parsers.oneOf('same', 'keep', 'restore'),
    },
    plan: {
      description: 'true: tells every step with its usual time, and what would be lost, and changes nothing.',
      required: false,
      default: 'false',
      example: 'true',
      parse: parsers.oneOf('false', 'true'),
    },
    confirm: {
      description:
        'Of an image, where the old instance does not answer: true says that what it wrote since its newest proven backup may be lost. Without it, such a rollback is refused, and tells what that is.',
      required: false,
      default: 'false',
      example: 'true',
      parse: parsers.oneOf('false', 'true'),
    },
    config,
    'role-arn': {
      description:
        "The role that infra/rollback.yaml made, to take with the job's OIDC token; never the one in understudy.yml, which may not restore. Without it, the job's own credentials are used.",
      required: false,
      example: 'arn:aws:iam::111122223333:role/chatmrpt-production-rollback',
      parse: parsers.role,
    },
    excerpts: excerpts('lines of the log and what checks answered'),
    'github-token': githubToken('Reads whether a run in the way has ended (actions: read).'),
  },
  outputs: {
    result: {
      description:
        'What happened, as JSON: result (done, unchanged, reverted, refused, failed or unknown), reason, sentence, todo, and the same of each instance.',
    },
    reason: { description: 'The reason alone, such as rolled-back, planned or check-failed.' },
    operation: { description: 'The name of this operation in ledger, results and logs.' },
    release: { description: 'Of a release: its whole id.' },
    backup: { description: 'Of data: the key of the manifest that was gone back to.' },
    saved: {
      description: 'Of data: the key of the manifest of what was there before, where it could be backed up.',
    },
  },
} as const satisfies ActionDeclaration;
