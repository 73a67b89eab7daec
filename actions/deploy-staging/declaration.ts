import type { ActionDeclaration } from '../../src/action/declaration.ts';
import { parsers } from '../../src/action/inputs.ts';
import { excerpts, githubToken } from '../../src/action/shared-inputs.ts';

export const declaration = {
  name: 'Deploy to staging',
  description:
    'Puts a packed release onto the staging instances through Systems Manager: rehearsed on a copy of the data first, checked, and taken back by itself when it is not healthy.',
  inputs: {
    archive: {
      description: 'The archive that pack-release wrote.',
      required: true,
      example: '${{ runner.temp }}/release/release.tar.gz',
      parse: parsers.line,
    },
    release: {
      description: "The id of the release, the SHA-256 of the archive: pack-release's output of that name.",
      required: true,
      example: '${{ needs.build.outputs.release }}',
      parse: parsers.digest,
    },
    environment: {
      description: 'The environment of understudy.yml to deploy to; never production, which is promoted to.',
      required: false,
      default: 'staging',
      example: 'staging',
      parse: parsers.name,
    },
    'role-arn': {
      description:
        "The role to take with the job's OIDC token, instead of the one in understudy.yml. With neither, the job's own credentials are used.",
      required: false,
      example: 'arn:aws:iam::111122223333:role/chatmrpt-staging-ci',
      parse: parsers.role,
    },
    excerpts: excerpts('lines of the log and what checks answered'),
    'github-token': githubToken(
      'Reads whether the commit descends from the live one (contents: read), and whether a run in the way has ended (actions: read).',
    ),
  },
  outputs: {
    result: {
      description:
        'What happened, as JSON: result (done, unchanged, reverted, refused, failed or unknown), reason, sentence, todo, and the same of each instance.',
    },
    reason: { description: 'The reason alone, such as deployed or check-failed.' },
    release: {
      description: 'The release that the commit stands for: of several builds of one commit, the first one.',
    },
    operation: { description: 'The name of this operation in ledger, results and logs.' },
    url: { description: 'Where people reach the environment, as understudy.yml says it.' },
  },
} as const satisfies ActionDeclaration;
