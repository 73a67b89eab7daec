import { wildcard } from '../../ground/wildcard.ts';
import { notImplemented } from '../errors.ts';

/** Who asks to become a role: a web identity of a provider, or an AWS service. */
export interface Asker {
  readonly action: string;
  /** `Principal` type and value, such as `Federated` and the provider's ARN. */
  readonly principal: { readonly type: 'Federated' | 'Service'; readonly value: string };
  /** Context keys in lower case, such as `token.actions.githubusercontent.com:sub`. */
  readonly context: Readonly<Record<string, string[]>>;
}

interface Statement {
  Effect: string;
  Action: string | string[];
  Principal?: string | Record<string, string | string[]>;
  Condition?: Record<string, Record<string, string | string[]>>;
}

/** Whether a role's trust policy lets the asker become it: some statement allows, and none denies. */
export function allows(policy: { Statement: Statement | Statement[] }, asker: Asker): boolean {
  const statements = listed(policy.Statement).filter((each) => applies(each, asker));
  return (
    statements.some((each) => each.Effect === 'Allow') && !statements.some((each) => each.Effect === 'Deny')
  );
}

function applies(statement: Statement, asker: Asker): boolean {
  const actions = listed(statement.Action);
  if (!actions.some((each) => wildcard(each.toLowerCase()).test(asker.action.toLowerCase()))) return false;
  const { Principal } = statement;
  if (Principal === undefined) return false;
  const principals =
    typeof Principal === 'string' ? [Principal] : listed(Principal[asker.principal.type] ?? []);
  if (!principals.some((each) => each === '*' || each === asker.principal.value)) return false;
  return Object.entries(statement.Condition ?? {}).every(([operator, block]) =>
    Object.entries(block).every(([key, wanted]) =>
      holds(operator, asker.context[key.toLowerCase()], listed(wanted).map(String)),
    ),
  );
}

/** One line of a Condition. A missing key fails, but for `…IfExists`, `Null`, the negations and ForAllValues. */
function holds(operator: string, actual: string[] | undefined, wanted: string[]): boolean {
  const [, set, plain = '', ifExists] =
    /^(ForAnyValue:|ForAllValues:)?(\w+?)(IfExists)?$/.exec(operator) ?? [];
  if (plain === 'Null') return wanted.includes(String(actual === undefined));
  const { test, negated } = comparison(plain);
  if (actual === undefined || actual.length === 0) {
    return ifExists !== undefined || set === 'ForAllValues:' || (negated && set === undefined);
  }
  const one = (value: string) => wanted.some((each) => test(value, each)) !== negated;
  return set === 'ForAllValues:' || (negated && set === undefined) ? actual.every(one) : actual.some(one);
}

function comparison(operator: string): {
  test: (actual: string, wanted: string) => boolean;
  negated: boolean;
} {
  const same = (actual: string, wanted: string) => actual === wanted;
  const sameLetters = (actual: string, wanted: string) => actual.toLowerCase() === wanted.toLowerCase();
  const like = (actual: string, wanted: string) => wildcard(wanted).test(actual);
  switch (operator) {
    case 'StringEquals':
      return { test: same, negated: false };
    case 'StringNotEquals':
      return { test: same, negated: true };
    case 'StringEqualsIgnoreCase':
      return { test: sameLetters, negated: false };
    case 'StringNotEqualsIgnoreCase':
      return { test: sameLetters, negated: true };
    case 'StringLike':
      return { test: like, negated: false };
    case 'StringNotLike':
      return { test: like, negated: true };
    default:
      throw notImplemented(`the condition operator ${operator} in trust policies`);
  }
}

function listed<T>(value: T | T[]): T[] {
  return Array.isArray(value) ? value : [value];
}
