/** Reads questions as JSON, writes verdicts as JSON. The only file that loads the engine. */
import { text } from 'node:stream/consumers';
import { isWildcardOnlyAction, runSimulation, runUnsafeSimulation } from '@cloud-copilot/iam-simulate';
import type { Question, Verdict } from './question.ts';

const account = '123456789012';

const questions = JSON.parse(await text(process.stdin)) as Question[];
const verdicts: Verdict[] = [];
for (const question of questions) {
  verdicts.push(await judge(question));
}
process.stdout.write(JSON.stringify(verdicts));

async function judge(question: Question): Promise<Verdict> {
  if (question.trust !== undefined) {
    return judgeTrust(question);
  }
  const { action, context } = question;
  const result = await runSimulation(await simulationOf(question), {
    simulationMode: context ? 'Strict' : 'Discovery',
  });
  if (result.resultType === 'error') {
    return { allowed: false, because: `${action}: ${JSON.stringify(result.errors)}` };
  }
  const [ignored] = result.resultType === 'single' ? (result.result.ignoredContextKeys ?? []) : [];
  return ignored
    ? { allowed: false, because: `${action}: the engine does not know the context key ${ignored}` }
    : verdictOf(result.overallResult);
}

async function simulationOf({ action, resource, context = {}, policies }: Question) {
  const [service = '', name = ''] = action.split(':');
  const known = await isWildcardOnlyAction(service, name).catch(() => false);
  return {
    request: {
      principal: `arn:aws:iam::${account}:role/asking`,
      action,
      // An action that knows no resource is asked about all.
      resource: { resource: known ? '*' : resource, accountId: account },
      contextVariables: copyOf(context),
    },
    identityPolicies: policies.map((policy, index) => ({ name: `policy-${index}`, policy })),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
  };
}

/**
 * Who may become a role. The engine's own way knows neither `aud` nor `sub` of GitHub's tokens and leaves them out of the
 * request; without its check of keys it takes no resource policy. So the statements for this provider are judged as
 * if they were its own, on this one role.
 */
function judgeTrust({ action, resource, context = {}, trust, provider }: Question): Verdict {
  const { Statement = [], ...rest } = trust as { Statement?: readonly Record<string, unknown>[] };
  const own = Statement.flatMap(({ Principal, ...statement }) =>
    (Principal as { Federated?: string } | undefined)?.Federated === provider
      ? [{ ...statement, Resource: resource }]
      : [],
  );
  const result = runUnsafeSimulation(
    {
      request: {
        principal: `arn:aws:iam::${account}:role/asking`,
        action,
        resource: { resource, accountId: account },
        contextVariables: copyOf(context),
      },
      identityPolicies: [{ name: 'trust', policy: { ...rest, Statement: own } }],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    {},
  );
  return verdictOf(result);
}

function copyOf(context: NonNullable<Question['context']>): Record<string, string | string[]> {
  const copied = Object.entries(context).map(([key, value]) => [
    key,
    typeof value === 'string' ? value : [...value],
  ]);
  return Object.fromEntries(copied) as Record<string, string | string[]>;
}

function verdictOf(result: string): Verdict {
  return { allowed: result === 'Allowed', because: result === 'Allowed' ? '' : result };
}
