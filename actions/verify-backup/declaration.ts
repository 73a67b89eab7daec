import type { ActionDeclaration } from '../../src/action/declaration.ts';
import { parsers } from '../../src/action/inputs.ts';
import { config, githubToken } from '../../src/action/shared-inputs.ts';

export const declaration = {
  name: 'Verify the backup',
  description:
    'Proves, level by level, that the newest committed backup of an environment restores; where it is bad, finds the newest older one that does, and tells it by one issue.',
  inputs: {
    environment: {
      description: 'The environment of understudy.yml whose backups are proven.',
      required: false,
      default: 'staging',
      example: 'production',
      parse: parsers.name,
    },
    config,
    level: {
      description:
        'How far up the ladder of proof: 0 a young manifest, 1 objects stored whole, 2 unpacked byte for byte, 3 sound databases, 4 the rows that the manifest tells, 5 trends against the last verified backup, 6 restored by the restore script on an instance of its own, 7 the app answers its checks there, 8 so does it on a random older backup.',
      required: true,
      example: '5',
      parse: parsers.oneOf('0', '1', '2', '3', '4', '5', '6', '7', '8'),
    },
    where: {
      description:
        'Where levels 2 to 4 run: drill-host, an instance of its own, launched from `image` and gone afterwards; or runner, which brings the data, personal data too, to the machine of this job, and comes to level 5.',
      required: false,
      default: 'drill-host',
      example: 'runner',
      parse: parsers.oneOf('drill-host', 'runner'),
    },
    image: {
      description:
        "The AMI that the drill host is launched from: an image of the app's own instance. Needed from level 2 on where `where` is drill-host.",
      required: false,
      example: 'ami-0123456789abcdef0',
      parse: parsers.image,
    },
    'accept-trends': {
      description:
        'Whether what is odd about the data (level 5) is meant, such as a table that was dropped: true for the one run after which it is the measure.',
      required: false,
      default: 'false',
      example: 'true',
      parse: parsers.oneOf('false', 'true'),
    },
    'role-arn': {
      description:
        "The role to take with the job's OIDC token: that of infra/drill.yaml, for the one of understudy.yml may write no proof. Without it the job's own credentials are used.",
      required: false,
      example: 'arn:aws:iam::111122223333:role/chatmrpt-production-drill',
      parse: parsers.role,
    },
    'github-token': githubToken(
      'Opens, adds to and closes the issue of a drill that is red (issues: write), and reads whether the repository is public: lines of the log are shown only where it is not.',
    ),
  },
  outputs: {
    result: {
      description:
        'What happened, as JSON: result (done, refused, failed or unknown), reason, sentence and todo. failed says that the backup is bad; unknown and refused that it was not tried.',
    },
    reason: { description: 'The reason alone, such as verified, backup-bad or drill-could-not-run.' },
    level: { description: 'The level up to which the newest backup passed; -1 where not even level 0.' },
    backup: { description: "The key of the newest backup's manifest." },
    restorable: {
      description:
        'The key of the manifest of the newest backup that came through: what to restore. Empty where none did.',
    },
    receipt: { description: "The key of the drill's receipt in the backup bucket." },
  },
} as const satisfies ActionDeclaration;
