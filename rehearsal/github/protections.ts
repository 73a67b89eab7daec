import { repositoryOf } from './repositories.ts';
import { type Call, created, found, ok, type Route, textOf } from './router.ts';
import { type Environment, type Ruleset, type State, takeId } from './state.ts';

/** What keeps tags from moving and jobs from starting: rulesets, and the environments of a repository. */
export function protectionRoutes(state: State): Route[] {
  const rulesets = '/repos/:owner/:repo/rulesets';
  const environment = '/repos/:owner/:repo/environments/:environment';
  return [
    ['POST', rulesets, ({ path, body }) => created(makeRuleset(state, path, body))],
    ['GET', rulesets, ({ path }) => ok(repositoryOf(state, path).rulesets.map(withoutRules))],
    ['GET', `${rulesets}/:ruleset`, ({ path }) => ok(rulesetOf(state, path))],
    ['DELETE', `${rulesets}/:ruleset`, ({ path }) => removeRuleset(state, path)],
    ['PUT', environment, ({ path, body }) => ok(makeEnvironment(state, path, body))],
    [
      'GET',
      environment,
      ({ path }) => ok(found(repositoryOf(state, path).environments.get(path['environment'] ?? ''))),
    ],
  ];
}

function makeRuleset(state: State, path: Call['path'], body: Call['body']): Ruleset {
  const ruleset: Ruleset = {
    id: takeId(state),
    name: textOf(body, 'name'),
    target: String(body['target'] ?? 'branch'),
    enforcement: textOf(body, 'enforcement'),
    conditions: body['conditions'] ?? { ref_name: { include: [], exclude: [] } },
    rules: body['rules'] ?? [],
  };
  repositoryOf(state, path).rulesets.push(ruleset);
  return ruleset;
}

/** A list tells neither rules nor conditions, as GitHub's does not. */
function withoutRules({ rules: _, conditions: __, ...ruleset }: Ruleset): unknown {
  return ruleset;
}

function rulesetOf(state: State, path: Call['path']): Ruleset {
  return found(repositoryOf(state, path).rulesets.find(({ id }) => id === Number(path['ruleset'])));
}

function removeRuleset(state: State, path: Call['path']): { status: number; body: undefined } {
  const { rulesets } = repositoryOf(state, path);
  rulesets.splice(rulesets.indexOf(rulesetOf(state, path)), 1);
  return { status: 204, body: undefined };
}

/** `{reviewers: [{type: 'User'|'Team', id}]}`; without any, nobody has to approve. */
function makeEnvironment(state: State, path: Call['path'], body: Call['body']): Environment {
  const name = path['environment'] ?? '';
  const reviewers = Array.isArray(body['reviewers']) ? body['reviewers'] : [];
  const rule = { id: takeId(state), type: 'required_reviewers', reviewers };
  const environment = { id: takeId(state), name, protection_rules: reviewers.length > 0 ? [rule] : [] };
  repositoryOf(state, path).environments.set(name, environment);
  return environment;
}
