import type { ActionDeclaration } from '../../src/action/declaration.ts';
import { parsers } from '../../src/action/inputs.ts';
import { config, excerpts, githubToken } from '../../src/action/shared-inputs.ts';

export const declaration = {
  name: 'Promote',
  description:
    'Brings the release of a tag from staging to production: the very bytes that soaked there, after a backup and an image of production, rehearsed on a copy of its data, watched afterwards, and taken back by itself when it is not healthy.',
  inputs: {
    tag: {
      description: 'The tag to promote. Without it, the one that the workflow runs on.',
      required: false,
      example: 'v1.4.0',
      parse: parsers.tag,
    },
    confirm: {
      description:
        'The tag once more, by a person who started the workflow by hand: needed where neither a ruleset keeps tags from being moved, nor a reviewer approves the job.',
      required: false,
      example: 'v1.4.0',
      parse: parsers.tag,
    },
    plan: {
      description: 'Whether only to look, to print every step with its usual time, and to change nothing.',
      required: false,
      default: 'false',
      example: 'true',
      parse: parsers.oneOf('true', 'false'),
    },
    environment: {
      description: 'The environment of understudy.yml to promote to.',
      required: false,
      default: 'production',
      example: 'production',
      parse: parsers.name,
    },
    from: {
      description: 'The environment of understudy.yml where the release was proven.',
      required: false,
      default: 'staging',
      example: 'staging',
      parse: parsers.name,
    },
    config,
    'role-arn': {
      description:
        "The role of the environment to take with the job's OIDC token, instead of the one in understudy.yml. With neither, the job's own credentials are used.",
      required: false,
      example: 'arn:aws:iam::111122223333:role/chatmrpt-production-ci',
      parse: parsers.role,
    },
    excerpts: excerpts('lines of the log and what checks answered'),
    'github-token': githubToken(
      'Reads the tag, what protects it, and whether the commit descends from the live one (contents: read); whether a run in the way has ended, and whether a reviewer approved (actions: read); and adds to the notes of the release (contents: write; without it they stay as they are).',
    ),
  },
  outputs: {
    result: {
      description:
        'What happened, as JSON: result (done, unchanged, reverted, refused, failed or unknown), reason, sentence, todo, and the same of each instance.',
    },
    reason: { description: 'The reason alone, such as promoted or not-soaked.' },
    release: { description: 'The id of the release.' },
    operation: { description: 'The name of this operation in ledger, results and logs.' },
    image: { description: 'The image that was made of the environment before anything was changed.' },
    url: { description: 'Where people reach the environment, as understudy.yml says it.' },
  },
} as const satisfies ActionDeclaration;
