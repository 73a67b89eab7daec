/**
 * The scalars that a host document takes: the one table from which `infra/documents.yaml` is written and by
 * which a command is checked before it is sent.
 *
 * SSM pastes a parameter into the script as it is (`{{ app }}`), and older agents do so whatever
 * `interpolationType` says. So no pattern admits a character that a shell reads, a leading `-`, or `..`;
 * a test holds every pattern to that.
 */
export type DocumentParameter = {
  readonly description: string;
  /** Anchored at both ends; SSM and the agent both check it. */
  readonly allowedPattern: string;
  /** Absent: the sender must give it. */
  readonly default?: string;
};

const everywhere = {
  app: {
    description: 'The app, as understudy.yml names it.',
    allowedPattern: '^[a-z][a-z0-9-]{1,19}$',
  },
  environment: {
    description: 'The environment that the instance must be enrolled in.',
    allowedPattern: '^[a-z][a-z0-9-]{1,19}$',
  },
  operation: {
    description:
      'The operation this command belongs to: <repository id>-<run id>-<attempt>-<action>-<environment>.',
    allowedPattern: '^[a-z0-9][a-z0-9-]{7,119}$',
  },
  timeout: {
    description: 'Seconds until the command is ended.',
    allowedPattern: '^[1-9][0-9]{1,4}$',
    default: '3600',
  },
} as const satisfies Record<string, DocumentParameter>;

const release = {
  description: 'The release: the SHA-256 of its archive.',
  allowedPattern: '^[0-9a-f]{64}$',
} as const satisfies DocumentParameter;

const fence = {
  description: "The lease's fencing number; a smaller one than the host has seen is refused.",
  allowedPattern: '^[0-9]{1,15}$',
} as const satisfies DocumentParameter;

/** Of what also runs without a lease: from a schedule in AWS, or sent by hand. */
const fenceOrNone = {
  description: `${fence.description} Or none, where no lease is held.`,
  allowedPattern: '^(none|[0-9]{1,15})$',
  default: 'none',
} as const satisfies DocumentParameter;

const excerpts = {
  description: 'Whether log lines and answers may be told: off for public repositories.',
  allowedPattern: '^(on|off)$',
  default: 'off',
} as const satisfies DocumentParameter;

/** Per document, which is named `<app>-<key>`: its parameters, in the order in which the script assigns them. */
export const documentParameters = {
  deploy: {
    ...everywhere,
    release,
    fence,
    excerpts,
    data: {
      description:
        'any, or same: refused unless the live data has the schema on which the release ran last on this host.',
      allowedPattern: '^(any|same)$',
      default: 'any',
    },
  },
  probe: {
    ...everywhere,
    about: {
      description: 'The operation to tell about, or none.',
      allowedPattern: '^(none|[a-z0-9][a-z0-9-]{7,119})$',
      default: 'none',
    },
    ask: {
      description:
        'What to tell beside the state: kept, the releases that are kept; or of a release, by its SHA-256, how long it was healthy here.',
      allowedPattern: '^(none|kept|[0-9a-f]{64})$',
      default: 'none',
    },
  },
  cancel: {
    ...everywhere,
    about: {
      description: 'The operation to stop at its next safe point.',
      allowedPattern: '^[a-z0-9][a-z0-9-]{7,119}$',
    },
  },
  'prepare-host': {
    ...everywhere,
    user: {
      description: 'The system user that the app runs as.',
      allowedPattern: '^[a-z][a-z0-9-]{0,30}$',
    },
    port: {
      description: 'The port that users reach.',
      allowedPattern: '^[1-9][0-9]{3,4}$',
    },
    switch: {
      description: 'How a new release takes over.',
      allowedPattern: '^(pause|overlap|restart)$',
    },
    notify: {
      description: 'Whether the server tells systemd that it is ready.',
      allowedPattern: '^(true|false)$',
    },
    workers: {
      description: 'The background workers, comma-separated, or none.',
      allowedPattern: '^(none|[a-z][a-z0-9-]{0,19}(,[a-z][a-z0-9-]{0,19}){0,7})$',
      default: 'none',
    },
    bucket: {
      description: 'The state bucket of the environment.',
      allowedPattern: '^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$',
    },
    region: {
      description: 'The AWS region of the environment.',
      allowedPattern: '^[a-z]{2}(-[a-z]+)+-[0-9]$',
    },
    backups: {
      description: 'The backup bucket of the environment, or none.',
      allowedPattern: '^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$',
      default: 'none',
    },
    wake: {
      description:
        'Of a copy of another machine: no lets nothing of the app run on it, as before a first release, until a backup was restored on it.',
      allowedPattern: '^(yes|no)$',
      default: 'yes',
    },
    scrub: {
      description:
        'Of a copy of another machine that is to serve another environment, except drill: required runs the hook scrub of its release before anything starts; none: the data may be used as they are.',
      allowedPattern: '^(required|none)$',
      default: 'required',
    },
  },
  backup: {
    ...everywhere,
    operation: {
      ...everywhere.operation,
      description: `${everywhere.operation.description} Or scheduled: the host makes the name from the minute, and no lease is held.`,
    },
    fence: fenceOrNone,
    tier: {
      description:
        'For how long S3 keeps it. auto: the first good one of a UTC month is monthly, else of an ISO week weekly, else daily.',
      allowedPattern: '^(auto|daily|weekly|monthly)$',
      default: 'auto',
    },
    excerpts,
  },
  restore: {
    ...everywhere,
    fence: fenceOrNone,
    excerpts,
    mode: {
      description:
        'restore: puts the backup in place of the live data. verify: only proves, in a folder of its own.',
      allowedPattern: '^(restore|verify)$',
      default: 'verify',
    },
    control: {
      description: 'Whether a copy that was damaged on purpose must be refused as well.',
      allowedPattern: '^(on|off)$',
      default: 'off',
    },
  },
  rollback: {
    ...everywhere,
    release,
    fence,
    excerpts,
    data: {
      description:
        'same: refused unless the live data has the schema on which the release ran last on this host. keep: the release runs on the data as it is.',
      allowedPattern: '^(same|keep)$',
      default: 'same',
    },
  },
  retire: { ...everywhere, fence, excerpts },
} as const satisfies Record<string, Record<string, DocumentParameter>>;

/** What a host document does; the document itself is named `<app>-<this>`. */
export type DocumentName = keyof typeof documentParameters;

/** The values that one document takes; those that have a default may be left out. */
export type DocumentValues<Name extends DocumentName> = {
  [Key in keyof (typeof documentParameters)[Name] as (typeof documentParameters)[Name][Key] extends {
    default: string;
  }
    ? never
    : Key]: string;
} & {
  [Key in keyof (typeof documentParameters)[Name] as (typeof documentParameters)[Name][Key] extends {
    default: string;
  }
    ? Key
    : never]?: string;
};

/**
 * What is wrong with the values for a document, as SSM would find it: unknown, missing and ill-formed parameters.
 * Empty when the command may be sent.
 */
export function faultsInParameters(name: DocumentName, values: Readonly<Record<string, string>>): string[] {
  const table: Record<string, DocumentParameter> = documentParameters[name];
  const unknown = Object.keys(values).filter((key) => !Object.hasOwn(table, key));
  return [
    ...unknown.map((key) => `${name} takes no parameter "${key}"`),
    ...Object.entries(table).flatMap(([key, parameter]) => faultIn(key, parameter, values[key])),
  ];
}

function faultIn(
  key: string,
  { allowedPattern, default: fallback }: DocumentParameter,
  given?: string,
): string[] {
  const value = given ?? fallback;
  if (value === undefined) {
    return [`the parameter "${key}" is missing`];
  }
  // `$` of JavaScript without the m flag is the very end, unlike Go's and Python's, which may stand before a newline.
  return new RegExp(allowedPattern).test(value)
    ? []
    : [`the parameter "${key}" is ${JSON.stringify(value)}, which does not match ${allowedPattern}`];
}
